"""Reading and writing the text files of tokenizers, with errors that name the file."""

import json
from pathlib import Path

from npgpt.files import atomic_write, read_text


def save_text(path: str | Path, text: str) -> None:
    """Write a text file as UTF-8. A file that is there stays whole until the new one is complete.

    Raises FileNotFoundError if its folder is missing.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} to save {path.name} in; create it first")
    atomic_write(path, text)


def read_utf8(path: Path) -> str:
    """The text of a file. Raises FileNotFoundError, and ValueError if it is no UTF-8."""
    if path.is_dir():
        raise FileNotFoundError(f"{path} is a folder; pass a file in it, as its tokenizer.json")
    if not path.exists():
        raise FileNotFoundError(f"no file {path}; check the path, or save a tokenizer there first")
    return read_text(path)


def read_json_object(path: Path) -> dict:
    """The JSON object in a file. Raises ValueError naming the file if it holds anything else."""
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
