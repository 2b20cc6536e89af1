"""`npgpt export RUN DIR`: a trained GPT in the layout of the transformers library."""

from pathlib import Path

from npgpt.files import atomic_write, is_taken
from npgpt.training.checkpoint import load_run


def add_arguments(parser):
    parser.add_argument("run", help="a run folder, such as runs/tales")
    parser.add_argument("folder", metavar="DIR", help="where to write; must not exist, or be empty")


def run(args):
    model, _, run = load_run(args.run)
    folder = Path(args.folder)
    if is_taken(folder):
        raise ValueError(f"{folder} is not empty, and nothing is overwritten; name another folder")
    model.save_pretrained(folder)
    atomic_write(folder / "tokenizer.json", (run.folder / "tokenizer.json").read_bytes())
    print(f"{folder}: config.json, model.safetensors, tokenizer.json")
    print(f'  transformers: GPT2LMHeadModel.from_pretrained("{folder}")')
    print(f'  npgpt: GPT.from_pretrained("{folder}")')
