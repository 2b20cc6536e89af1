"""Reading and writing the files a tokenizer is kept in, with errors that name them.

CharTokenizer has a tokenizer.json of our own, one JSON object:

    {"type": "char", "version": 1, "characters": "\\n !abc"}

BPETokenizer has that of the `tokenizers` library, see `huggingface`; `formats` reads other files.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from npgpt.files import atomic_write, read_text

WAY_OUT = "save the tokenizer again with tokenizer.save(path), or restore the file from a copy"


def save_text(path: str | Path, text: str) -> None:
    """Write a tokenizer.json. What stood at `path` stays whole until the new file is complete."""
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} to save {path.name} in; create it first")
    atomic_write(path, text)


def load_tokenizer_file(path: str | Path, builders: dict[str, Callable[[dict, Path], Any]]) -> Any:
    """Read a tokenizer.json and hand its fields to the builder of its kind, "char" or "bpe".

    Raises FileNotFoundError without a file, ValueError naming `path` for everything else.
    """
    path = Path(path)
    fields = read_json_object(path)
    kind = "bpe" if isinstance(fields.get("model"), dict) else fields.get("type")
    if kind not in ("char", "bpe"):
        raise ValueError(
            f'{path} is not a tokenizer file: it has no "model", and its "type" is {kind!r}, not '
            '"char". GPT-2\'s vocab.json and merges.txt are read by BPETokenizer.from_gpt2'
        )
    if kind not in builders:
        raise ValueError(
            f"{path} holds a tokenizer of type {kind!r}, not {' or '.join(map(repr, builders))}; "
            "npgpt.tokenizer.load_tokenizer(path) reads every type"
        )
    try:
        return builders[kind](fields, path)
    except KeyError as missing:
        raise ValueError(f"{path} is damaged: the field {missing} is missing; {WAY_OUT}") from None
    except (TypeError, ValueError) as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path} is damaged: {error}; {WAY_OUT}") from error


def read_json_object(path: Path) -> dict:
    """The JSON object in a file. Raises ValueError naming it if it holds anything else."""
    text = read_utf8(path)
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:  # cut short, not JSON, or nested too deeply
        raise ValueError(
            f"{path} is damaged or no JSON: {error}; restore it from a copy or save it again"
        ) from error
    if not isinstance(fields, dict):
        raise ValueError(
            f"{path} must hold a JSON object {{...}}, got a {type(fields).__name__}; pass a file "
            "that a tokenizer was saved in"
        )
    return fields


def read_utf8(path: Path) -> str:
    """The text of a file. Raises FileNotFoundError, and ValueError if it is no UTF-8."""
    if path.is_dir():
        raise FileNotFoundError(f"{path} is a folder; pass a file in it, as its tokenizer.json")
    if not path.exists():
        raise FileNotFoundError(f"no file {path}; check the path, or save a tokenizer there first")
    return read_text(path)
