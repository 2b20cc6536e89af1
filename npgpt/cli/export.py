"""`npgpt export RUN DIR`: a trained model in the layout of the transformers library, or as GGUF."""

from pathlib import Path

from npgpt.data.chat_template import eos_token
from npgpt.data.conversations import template_for
from npgpt.loading import load_model, model_files, save, template_of
from npgpt.loading.gguf_writer import KINDS
from npgpt.loading.pretrained import save_gguf
from npgpt.models import architecture_of
from npgpt.support.folders import check_free


def add_arguments(parser):
    parser.add_argument("model", metavar="MODEL", help="a run folder, such as runs/tales, or "
                        "another MODEL of npgpt generate")
    parser.add_argument("folder", metavar="FOLDER", help="where to write: a new or an "
                        "empty folder for the transformers library, or a new FILE.gguf for "
                        "llama.cpp")
    parser.add_argument("--outtype", choices=[kind.lower() for kind in KINDS],
                        help="of the matrices in FILE.gguf; default f32")


def run(args):
    folder = Path(args.folder)
    check_free(folder)
    source = model_files(args.model)
    loaded = load_model(source)
    model, tokenizer = loaded.model, loaded.tokenizer
    template = template_for(tokenizer, template_of(source))
    if folder.suffix == ".gguf":
        save_gguf(model, folder, tokenizer, template, (args.outtype or "f32").upper())
        print(f"{folder}: for llama.cpp, with the ids of this {type(tokenizer).__name__}"
               + ("" if template else "; no chat template"))
        if eos_token(tokenizer, template) is None:  # it would take token 11 to be one
            print("  no token ends a text: run llama.cpp with --ignore-eos")
        return
    save(model, tokenizer, folder, template)
    print(f"{folder}: config.json, model.safetensors, tokenizer.json, tokenizer_config.json"
          + ", chat_template.jinja" * bool(template))
    cls = architecture_of(model.config).files.class_name
    print(f"  transformers: {cls}.from_pretrained({str(folder)!r})")
    print(f"                AutoTokenizer.from_pretrained({str(folder)!r}), with the ids of this "
          f"{type(tokenizer).__name__}")
    print(f"  npgpt.load({str(folder)!r})")
