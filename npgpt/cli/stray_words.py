"""Words without a flag, as in `npgpt train my.txt`: taken if they can mean one thing only."""

import glob
import os
from pathlib import Path

from npgpt.cli import note
from npgpt.files import RUN_STATE, quoted
from npgpt.io.corpora import BUILT_IN
from npgpt.io.transformers_folder import HUB_NAMES, PACKAGED

# The arguments of a command that name a model and a text.
MODEL = {
    "generate": "model", "chat": "model", "look": "run", "eval": "run", "tokenize": "tokenizer",
}
TEXT = {"generate": "prompt", "chat": "prompt", "look": "prompt", "tokenize": "text"}


def place(command, args, words):
    """Set in `args` what the words can only mean, with a note; return the others, with advice."""
    slot, left = MODEL.get(command), []
    first = getattr(args, slot) if slot else None
    moved = first and _meant(command, args, first)
    if moved:
        setattr(args, slot, "smollm2" if command == "chat" else None)
        words = [first, *words]
    elif TEXT.get(command) == "prompt" and first and not _may_be_model(first):
        note(f"if {quoted(first)} is a text, write --prompt {quoted(first)}")
    for word in words:
        name = _meant(command, args, word)
        if name is None and moved and _is_model(word):
            name, moved = slot, None
        elif name is None:
            left.append(word + _advice(command, word))
            continue
        else:
            note(f"{quoted(word)} is read as {'the text' if name == 'text' else f'--{name}'}")
        more = name == "corpus"
        setattr(args, name, [*(args.corpus or ()), word] if more else word)
    return left


def _meant(command, args, word):
    """Return the name of the argument that a word can only mean, else None."""
    if command in TEXT:
        name, there = TEXT[command], os.path.lexists(word)
        free = getattr(args, name) in (None, "-") and not getattr(args, "prompt_file", None)
        more = getattr(args, MODEL[command]) not in (None, word)
        return name if free and not there and (more or " " in word) else None
    if command == "train" and args.resume and not args.out and _is_run(word):
        return "out"
    if command == "train" and not args.config and word.endswith(".toml"):
        return "config"
    is_text = os.path.lexists(word) or word in BUILT_IN or glob.glob(word)
    return "corpus" if command in ("train", "eval") and is_text and not _is_model(word) else None


def _is_run(word):
    return Path(word, RUN_STATE).exists()


def _is_model(word):
    path = Path(word)
    return (path / "config.json").exists() or path.suffix in (".gguf", ".safetensors")


def _may_be_model(word):
    return os.path.exists(word) or word in (*PACKAGED, *HUB_NAMES) or "/" in word or ":" in word


def _advice(command, word):
    if command != "train":
        return ""
    name = quoted(word)
    if _is_model(word):
        resume = f"--resume --out {name} goes on with it, " if _is_run(word) else ""
        return f": {resume}--init-from {name} --corpus FILE starts from its weights"
    return ": there is no such file; --corpus names a text"
