"""Words without a flag, as in `npgpt train my.txt`: taken if they can mean one thing only."""

import glob
import os
import sys
from array import array
from pathlib import Path

from npgpt.cli import note
from npgpt.data.corpora import BUILT_IN, SPLIT_FILES, missing
from npgpt.files import quoted
from npgpt.loading.transformers_folder import HUB_NAMES, PACKAGED

# command -> its arguments for a model and for a text
TAKES = {
    "generate": ("model", "prompt"), "chat": ("model", "prompt"), "look": ("run", "prompt"),
    "tokenize": ("tokenizer", "text"), "eval": ("run", "corpus"), "train": ("", "corpus"),
}
# command -> its arguments that a pipe would have been meant for; how it is read
PIPED = {"train": (("corpus", "conversations", "resume", "config"), "npgpt train -"),
         "generate": (("prompt", "prompt_file"), "npgpt generate --prompt -")}


def place(command, args, words):
    """Set in `args` what the words can only mean, with a note; return the others, with advice."""
    left = _placed(command, args, words)
    names, how = PIPED.get(command, ((), ""))
    if names and not any(getattr(args, name) for name in names) and _waits():
        note(f"standard input is not read; {how} reads it")
    return left


def _waits():
    """Return whether standard input has text to read, and is no terminal; what it has stays."""
    try:
        import fcntl
        import termios

        count = array("i", [0])
        fcntl.ioctl(sys.stdin.fileno(), termios.FIONREAD, count)
        return count[0] > 0 and not sys.stdin.isatty()
    except (ImportError, OSError, ValueError, AttributeError):  # Windows; no standard input
        return False


def _placed(command, args, words):
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
            flag = "the text" if name == "text" else f"--{name.replace('_', '-')}"
            note(f"{quoted(word)} is read as {flag}")
        elif slot and getattr(args, slot) is None and os.path.lexists(word):
            setattr(args, slot, word)
        elif command == "train" and _is_model(word):
            word = quoted(word)
            left.append(f"{word}: --init-from {word} --corpus FILE starts from its weights"
                        + f", --resume {word} goes on with that run" * os.path.isdir(word))
        elif word.lower() in ("true", "false"):
            left.append(f"{word}: a flag such as --bias is on, and --no-bias is off")
        else:
            said = "it is no text" if os.path.lexists(word or ".") else missing(Path(word))
            left.append(word + f": {said}; see --corpus" * (what == "corpus"))
    return left


def _of_prepare(args, words):
    """Set the texts and the folder, which is the last word that is no text."""
    if args.folder and (words or args.out) and not args.corpus:
        args.corpus, args.folder, words = [args.folder, *words], None, []
    if not (args.folder or args.out) and len(args.corpus or ()) > 1:
        new = [word for word in args.corpus
               if not _is_text(word) or os.path.exists(Path(word, SPLIT_FILES[0]))]
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
        if free and hasattr(args, "prompt_file") and (
            word == "-" or (more and os.path.isfile(word) and not _is_model(word))
        ):
            return "prompt_file"
        return name if free and words and not os.path.lexists(word) else None
    if command == "train" and not args.config and word.endswith(".toml"):
        return "config"
    is_text = _is_text(word)
    name = "conversations" if name and is_text and word.endswith(".jsonl") else name
    return name if name and is_text and not _is_model(word) else None


def _is_text(word):
    return word in BUILT_IN or os.path.lexists(word) or glob.glob(word) or "://" in word


def _is_model(word):
    path = Path(word)
    known = word in PACKAGED or word in HUB_NAMES or word.startswith("hf:")
    exists = os.path.exists  # that of Path raises for what is too long for a file's name
    return (known and not exists(word)) or exists(path / "config.json") or path.suffix in (
        ".gguf", ".safetensors")
