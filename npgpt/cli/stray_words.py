"""Words without a flag, as in `npgpt train my.txt`: taken if they can mean one thing only."""

import glob
import os
from pathlib import Path

from npgpt.cli import note
from npgpt.files import RUN_STATE, quoted
from npgpt.io.corpora import BUILT_IN

# command -> its arguments for a model and for a text
TAKES = {
    "generate": ("model", "prompt"), "chat": ("model", "prompt"), "look": ("run", "prompt"),
    "tokenize": ("tokenizer", "text"), "eval": ("run", "corpus"), "train": ("", "corpus"),
}


def place(command, args, words):
    """Set in `args` what the words can only mean, with a note; return the others, with advice."""
    slot, left = TAKES.get(command, ("", ""))[0], []
    first = getattr(args, slot, None)
    if first and (command != "eval" or os.path.isfile(first)) and _meant(command, args, first):
        setattr(args, slot, None)
        words = [first, *words]
    for word in words:
        name = _meant(command, args, word)
        if name:
            more = name == "corpus"
            setattr(args, name, [*(args.corpus or ()), word] if more else word)
            note(f"{quoted(word)} is read as {'the text' if name == 'text' else f'--{name}'}")
        elif command == "train" and _is_model(word):
            word = quoted(word)
            left.append(f"{word}: --resume --out {word} goes on with that run, --init-from {word} "
                        "--corpus FILE starts from its weights")
        else:
            left.append(word + ": no such text is there; see --corpus" * (command == "train"))
    return left


def _meant(command, args, word):
    """Return the name of the argument that a word can only mean, else None."""
    slot, name = TAKES.get(command, ("", ""))
    if name in ("prompt", "text"):
        free = getattr(args, name) in (None, "-") and not getattr(args, "prompt_file", None)
        more = getattr(args, slot) not in (None, word)
        words = (more or " " in word) and not word.startswith("hf:")
        return name if free and words and not os.path.lexists(word) else None
    if command == "train" and args.resume and not args.out and Path(word, RUN_STATE).exists():
        return "out"
    if command == "train" and not args.config and word.endswith(".toml"):
        return "config"
    is_text = os.path.lexists(word) or word in BUILT_IN or glob.glob(word)
    return name if name and is_text and not _is_model(word) else None


def _is_model(word):
    path = Path(word)
    return (path / "config.json").exists() or path.suffix in (".gguf", ".safetensors")
