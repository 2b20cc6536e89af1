"""The files a tokenizer is kept in: our own tokenizer.json, and GPT-2's pair of files (read only).

tokenizer.json is one JSON object in UTF-8. "type" is "char" or "bpe", "version" is 1, and the other
fields are the arguments of the class:

    {"type": "char", "version": 1, "characters": "\\n !abc"}
    {"type": "bpe", "version": 1, "special_tokens": ["<|end|>"],
     "byte_order": [0, 1, ..., 255], "merges": [[104, 101], [256, 108], ...]}
"""

import json
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from npgpt.files import write_whole

VERSION = 1
WAY_OUT = "save the tokenizer again with tokenizer.save(path), or restore the file from a copy"


def save_tokenizer_file(path: str | Path, kind: str, fields: dict) -> None:
    """Write a tokenizer.json. What stood at `path` stays whole until the new file is complete."""
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} to save {path.name} in; create it first")
    write_whole(path, _readable_json({"type": kind, "version": VERSION, **fields}))


def load_tokenizer_file(path: str | Path, builders: dict[str, Callable[[dict], Any]]) -> Any:
    """Read a tokenizer.json and hand its fields to the builder of its type.

    Raises FileNotFoundError without a file, ValueError naming `path` for everything else.
    """
    path = Path(path)
    fields = _read_json_object(path)
    kind, version = fields.get("type"), fields.get("version")
    if kind not in ("char", "bpe"):
        raise ValueError(
            f'{path} is not a tokenizer file of npgpt: "type" is {kind!r}, not "char" or "bpe". '
            "GPT-2's vocab.json and merges.txt are read by BPETokenizer.from_gpt2"
        )
    if kind not in builders:
        raise ValueError(
            f"{path} holds a tokenizer of type {kind!r}, not {' or '.join(map(repr, builders))}; "
            "npgpt.tokenizer.load_tokenizer(path) reads every type"
        )
    if version != VERSION:
        raise ValueError(
            f"{path} has version {version!r}, this npgpt reads version {VERSION}; install the "
            "npgpt that wrote it, or train the tokenizer again"
        )
    try:
        return builders[kind](fields)
    except KeyError as missing:
        raise ValueError(f"{path} is damaged: the field {missing} is missing; {WAY_OUT}") from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}; {WAY_OUT}") from error


def read_gpt2_files(
    vocab_json: str | Path, merges_txt: str | Path
) -> tuple[list[tuple[int, int]], list[str], bytes]:
    """The (merges, special tokens, byte order) in GPT-2's encoder.json and vocab.bpe.

    Expects GPT-2's numbering: ids 0 to 255 are the single bytes, in any order, then one id a merge
    in the order of `merges_txt`, then the special tokens. Raises ValueError for any other.
    """
    vocab_json, merges_txt = Path(vocab_json), Path(merges_txt)
    ids = _read_json_object(vocab_json)
    if sorted(map(repr, ids.values())) != sorted(map(repr, range(len(ids)))):
        raise ValueError(f"{vocab_json} must number its {len(ids)} tokens 0 to {len(ids) - 1}")
    tokens = sorted(ids, key=ids.get)
    byte_of = {character: byte for byte, character in byte_to_unicode().items()}
    if set(tokens[:256]) != set(byte_of):
        raise ValueError(
            f"{vocab_json} must give ids 0 to 255 to the 256 single bytes, as GPT-2 does; "
            "tokenizers that number their tokens in another order cannot be read"
        )
    merges = []
    for new_id, (left, right) in zip(count(256), _read_gpt2_merges(merges_txt), strict=False):
        known = max(ids.get(left, new_id), ids.get(right, new_id)) < new_id
        if not known or ids.get(left + right) != new_id:
            raise ValueError(
                f"merge {new_id - 256} of {merges_txt}, {left!r} {right!r}, must make token "
                f"{new_id} of {vocab_json} from earlier ones; pass two files of one tokenizer"
            )
        merges.append((ids[left], ids[right]))
    byte_order = bytes(byte_of[character] for character in tokens[:256])
    return merges, tokens[256 + len(merges) :], byte_order


def byte_to_unicode() -> dict[int, str]:
    """GPT-2's printable stand-in for each byte, in GPT-2's order of the bytes.

    The 188 bytes that are visible characters in Latin-1 stand for themselves; the others, in
    increasing order, take the characters from U+0100 on (encoder.py of the GPT-2 release).

    >>> table = byte_to_unicode()
    >>> table[ord("a")], table[ord(" ")], table[ord("\\n")]
    ('a', 'Ġ', 'Ċ')
    """
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {
        byte: chr(256 + i) for i, byte in enumerate(hidden)
    }


def _read_gpt2_merges(path: Path) -> list[list[str]]:
    """The two parts of each merge: one merge a line, under a "#version" line."""
    lines = _read_utf8(path).splitlines()
    if lines and lines[0].startswith("#version"):
        del lines[0]
    merges = [line.split(" ") for line in lines if line]
    for merge in merges:
        if len(merge) != 2:
            raise ValueError(
                f"{path} must hold two tokens a line with one space between, got "
                f"{' '.join(merge)!r}; pass GPT-2's vocab.bpe (or merges.txt)"
            )
    return merges


def _read_json_object(path: Path) -> dict:
    text = _read_utf8(path)
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


def _read_utf8(path: Path) -> str:
    if path.is_dir():
        raise FileNotFoundError(f"{path} is a folder; pass a file in it, as its tokenizer.json")
    if not path.exists():
        raise FileNotFoundError(f"no file {path}; check the path, or save a tokenizer there first")
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8 text ({error}); pass a tokenizer file") from error


def _readable_json(fields: dict) -> str:
    """JSON with one field a line, and one item a line inside a list of lists.

    >>> print(_readable_json({"version": 1, "merges": [[104, 101], [256, 108]]}), end="")
    {
      "version": 1,
      "merges": [
        [104, 101],
        [256, 108]
      ]
    }
    """
    lines = []
    for name, value in fields.items():
        text = json.dumps(value, ensure_ascii=False)
        if isinstance(value, list) and value and isinstance(value[0], (list, tuple)):
            text = "[\n    " + ",\n    ".join(json.dumps(item) for item in value) + "\n  ]"
        lines.append(f"  {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"
