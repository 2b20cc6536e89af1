"""`npgpt export RUN DIR`: a trained model in the layout of the transformers library."""

from pathlib import Path

from npgpt.files import atomic_write, member, open_file
from npgpt.folders import check_free, new_folder
from npgpt.training.checkpoint import load_run


def add_arguments(parser):
    parser.add_argument("run", metavar="MODEL", help="a run folder, such as runs/tales")
    parser.add_argument("folder", metavar="FOLDER", help="where to write; is new, or empty")


def run(args):
    folder = Path(args.folder)
    check_free(folder)
    model, _, run = load_run(args.run)
    with new_folder(folder) as building:
        model.save_pretrained(building)
        with open_file(member(run.folder, "tokenizer.json"), "rb") as file:
            atomic_write(building / "tokenizer.json", file.read())
    print(f"{folder}: config.json, model.safetensors, tokenizer.json")
    print(f"  transformers: {model.layout.CLASS}.from_pretrained({str(folder)!r})")
    print(f"  npgpt: {type(model).__name__}.from_pretrained({str(folder)!r})")
