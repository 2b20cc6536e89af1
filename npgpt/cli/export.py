"""`npgpt export RUN DIR`: a trained model in the layout of the transformers library."""

from pathlib import Path

from npgpt.families import family_of
from npgpt.families.models import load_model
from npgpt.folders import check_free, new_folder
from npgpt.tokenizers import save_pretrained

EXAMPLES = "  npgpt export runs/tales tales-gpt2"


def add_arguments(parser):
    parser.add_argument("run", metavar="MODEL", help="a run folder, such as runs/tales, or "
                        "another MODEL of npgpt generate")
    parser.add_argument("folder", metavar="FOLDER", help="where to write: a new or an empty folder")


def run(args):
    folder = Path(args.folder)
    check_free(folder)
    loaded = load_model(args.run)
    model, tokenizer = loaded.model, loaded.tokenizer
    with new_folder(folder) as building:
        model.save_pretrained(building)
        save_pretrained(tokenizer, building)
    print(f"{folder}: config.json, model.safetensors, tokenizer.json, tokenizer_config.json")
    cls = family_of(model.config).files.class_name
    print(f"  transformers: {cls}.from_pretrained({str(folder)!r})")
    print(f"                AutoTokenizer.from_pretrained({str(folder)!r}), with the ids of this "
          f"{type(tokenizer).__name__}")
    print(f"  npgpt: {type(model).__name__}.from_pretrained({str(folder)!r})")
