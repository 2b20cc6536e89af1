"""`npgpt export RUN DIR`: a trained model in the layout of the transformers library."""

from pathlib import Path

from npgpt.families import family_of
from npgpt.families.models import load_model, save
from npgpt.folders import check_free


def add_arguments(parser):
    parser.add_argument("run", metavar="MODEL", help="a run folder, such as runs/tales, or "
                        "another MODEL of npgpt generate")
    parser.add_argument("folder", metavar="FOLDER", help="where to write: a new or an empty folder")


def run(args):
    folder = Path(args.folder)
    check_free(folder)
    loaded = load_model(args.run)
    model, tokenizer = loaded.model, loaded.tokenizer
    save(model, tokenizer, folder)
    print(f"{folder}: config.json, model.safetensors, tokenizer.json, tokenizer_config.json")
    cls = family_of(model.config).files.class_name
    print(f"  transformers: {cls}.from_pretrained({str(folder)!r})")
    print(f"                AutoTokenizer.from_pretrained({str(folder)!r}), with the ids of this "
          f"{type(tokenizer).__name__}")
    print(f"  npgpt: {type(model).__name__}.from_pretrained({str(folder)!r})")
