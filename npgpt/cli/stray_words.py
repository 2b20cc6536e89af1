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
    if command == "prepare":
        return _of_prepare(args, words)
    (slot, what), left = TAKES.get(command, ("", "")), []
    first = getattr(args, slot, None)
    if first and (command != "eval" or os.path.isfile(first)) and _meant(command, args, first):
        setattr(args, slot, None)
        words = [first, *words]
    for word in words:
        name = _meant(command, args, word)
        if name:
            more = name in ("corpus", "conversations")
            setattr(args, name, [*(getattr(args, name) or ()), word] if more else word)
            note(f"{quoted(word)} is read as {'the text' if name == 'text' else f'--{name}'}")
        elif slot and getattr(args, slot) is None and os.path.lexists(word):
            setattr(args, slot, word)
        elif command == "train" and _is_model(word):
            word = quoted(word)
            left.append(f"{word}: --resume --out {word} goes on with that run, --init-from {word} "
                        "--corpus FILE starts from its weights")
        else:
            absent = "no such run is there; see --out" if getattr(args, "resume", False) else (
                "no such text is there; see --corpus")
            left.append(word + f": {absent}" * (what == "corpus"))
    return left


def _of_prepare(args, words):
    """Set the texts and the folder, which is the last word that is no text."""
    if words and not args.corpus:
        args.corpus, args.folder, words = [args.folder, *words], None, []
    if args.folder is None and len(args.corpus or ()) > 1:
        new = [word for word in args.corpus if not _is_text(word)]
        args.folder = (new or args.corpus)[-1]
        args.corpus.remove(args.folder)
        note(f"{quoted(args.folder)} is read as FOLDER")
    return words


def _meant(command, args, word):
    """Return the name of the argument that a word can only mean, else None."""
    slot, name = TAKES.get(command, ("", ""))
    if name in ("prompt", "text"):
        free = getattr(args, name) in (None, "-") and not getattr(args, "prompt_file", None)
        if command == "look" and word.endswith(".html"):
            return "out"
        more = getattr(args, slot) not in (None, word)
        words = (more or " " in word) and not word.startswith("hf:")
        if free and word == "-" and hasattr(args, "prompt_file"):
            return "prompt_file"
        return name if free and words and not os.path.lexists(word) else None
    if command == "train" and args.resume and not args.out and Path(word, RUN_STATE).exists():
        return "out"
    if command == "train" and not args.config and word.endswith(".toml"):
        return "config"
    is_text = _is_text(word)
    name = "conversations" if name and is_text and word.endswith(".jsonl") else name
    return name if name and is_text and not _is_model(word) else None


def _is_text(word):
    return word == "-" or os.path.lexists(word) or word in BUILT_IN or glob.glob(word)


def _is_model(word):
    path = Path(word)
    return (path / "config.json").exists() or path.suffix in (".gguf", ".safetensors")
