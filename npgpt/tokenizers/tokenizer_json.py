"""tokenizer.json, the file that a tokenizer is saved in.

CharTokenizer has our own format, one JSON object:

    {"type": "char", "version": 1, "characters": "\\n !abc"}

Special tokens make it version 2, with the field "special_tokens": ["<mask>"]; characters that came
later make it version 3, with the field "added": "1?" as well. WordTokenizer has the same format,
with the type "words" and a field "words": [" dog"].

BPETokenizer, and exported tokenizers of any kind, have the format of Hugging Face's `tokenizers`,
see `huggingface_format`; other tokenizers of that library have it, see `library_tokenizer`.
"""

import json
from pathlib import Path
from typing import Any

from npgpt.support.files import atomic_write, read_json
from npgpt.tokenizers import huggingface_format

VERSION = 3  # of our own format


def save_characters(path: str | Path, kind: str, arguments: dict) -> None:
    """Write a tokenizer of characters or words, given by its `kind` and `arguments`."""
    special = arguments["special_tokens"] or kind == "words"
    version = 3 if arguments["added"] else 2 if special else 1
    fields = {"type": kind, "version": version}
    fields |= {name: arguments[name] for name in _names(fields)}
    atomic_write(path, json.dumps(fields, ensure_ascii=False, indent=2) + "\n")


def _names(fields):
    names = ("characters", "special_tokens", "added")[: fields["version"]]
    return names + ("words",) * (fields["type"] == "words")


def load(path: str | Path, classes: dict[str, type]) -> Any:
    """Read a tokenizer.json; return an object of the class of its kind.

    Raises FileNotFoundError without a file, ValueError naming `path` for everything else.
    """
    path = Path(path)
    fields = read_json(path)
    theirs = isinstance(fields.get("model"), dict)
    kind = huggingface_format.kind(fields) if theirs else fields.get("type")
    if kind not in ("char", "words", "bpe"):
        raise ValueError(
            f'{path} is not a tokenizer file: it has no "model", and its "type" is {kind!r}, not '
            '"char". GPT-2\'s vocab.json and merges.txt are read by BPETokenizer.from_gpt2'
        )
    if kind not in classes:
        raise ValueError(
            f"{path} holds a tokenizer of type {kind!r}, not {' or '.join(map(repr, classes))}; "
            "npgpt.load_tokenizer(path) reads every type"
        )
    read = huggingface_format.from_json if theirs else _characters
    try:
        try:
            return classes[kind](**read(fields, path))
        except huggingface_format.Unsupported as reason:
            if "library" not in classes:
                raise
            return classes["library"](fields, reason)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if str(path) in str(error):
            raise
        what = f"the field {error} is missing" if isinstance(error, KeyError) else error
        raise ValueError(
            f"{path} is damaged: {what}; save the tokenizer again with tokenizer.save(path), or "
            "restore the file from a copy"
        ) from error


def _characters(fields: dict, path: Path) -> dict:
    if fields.get("version") not in range(1, VERSION + 1):
        raise ValueError(
            f"{path} has version {fields.get('version')!r}, this npgpt reads up to {VERSION}; "
            "install the npgpt that wrote it, or train the tokenizer again"
        )
    return {name: fields[name] for name in _names(fields)}
