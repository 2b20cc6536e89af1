"""GPT-2's two files: ids in encoder.json (or vocab.json), merges in vocab.bpe (or merges.txt).

Tokens are spelled with a printable character for each byte, see `byte_to_unicode`:

    {"!": 0, ..., "Ġt": 256, ...}           Ġ t
                                            Ġ a
                                            ...
"""

import re
from pathlib import Path

from npgpt.support.download import fetch
from npgpt.support.files import read_json, read_text

GPT2_FILES = {  # name, and SHA-256, below GPT2_URL
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
}
GPT2_URL = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/"


class Unsupported(ValueError):
    """A file that is whole, and asks for something that no tokenizer here computes."""


def fetch_gpt2() -> list[Path]:
    """Return the paths of OpenAI's encoder.json and vocab.bpe, fetched once, checked and cached."""
    try:
        return [
            fetch(GPT2_URL + name, digest, f"gpt2-{name}") for name, digest in GPT2_FILES.items()
        ]
    except (OSError, ValueError) as error:  # no network; a file with a different hash
        raise FileNotFoundError(
            f"GPT-2's tokenizer is not cached, and {GPT2_URL} did not give it ({error}); connect "
            f"to the network, or put its files, as gpt2-{' and gpt2-'.join(GPT2_FILES)}, into a "
            "folder that the environment variable NPGPT_DATA names"
        ) from error


def read_gpt2_files(vocab_json: str | Path, merges_txt: str | Path) -> dict:
    """Return {"merges": ..., "ids": ..., "special_tokens": ...} from GPT-2's two files.

    Tokens of `vocab_json` that no merge makes become special tokens if they stand in brackets, as
    <|endoftext|> and [PAD]. Raises ValueError for others, and if the two files do not belong
    together: then merges are missing.
    """
    vocab_json, merges_txt = Path(vocab_json), Path(merges_txt)
    vocab = read_json(vocab_json)
    for token, i in vocab.items():
        if type(i) is not int:
            raise ValueError(f"{vocab_json}: {token!r} has the id {i!r}, which is no integer; "
                             "restore the file")
    lines = read_text(merges_txt).splitlines()
    merges = [line.split(" ") for line in lines if line and not line.startswith("#version")]
    arguments = from_spelled(vocab, merges, vocab_json, merges_txt)
    known = set(arguments["ids"])
    special = {token: i for token, i in vocab.items() if i not in known}
    for token, i in special.items():
        if not re.fullmatch(r"<.*>|\[.*\]", token):
            raise ValueError(
                f"no merge of {merges_txt} makes the token {token!r} (id {i}) of {vocab_json}: the "
                "merges file seems cut short; pass a whole one"
            )
    return arguments | {"special_tokens": special}


def from_spelled(vocab: dict, merges: list, vocab_from: Path, merges_from: Path) -> dict:
    """Return {"merges": ..., "ids": ...} from tokens that are spelled with `byte_to_unicode`.

    A byte without a token has the id None. Raises ValueError for merges that do not fit the
    vocabulary, Unsupported for several merges that make the same token, as in files converted from
    tiktoken's, and for merges out of order.
    """
    index_of = {character: byte for byte, character in byte_to_unicode().items()}
    pairs = []
    for i, merge in enumerate(merges):
        if len(merge) != 2 or not vocab.keys() >= {*merge, "".join(merge)}:
            raise ValueError(
                f"merge {i} of {merges_from}, {merge!r}, must make a token of {vocab_from} from "
                "two others; pass two files of one tokenizer, and whole ones"
            )
        left, right = merge
        if not index_of.keys() >= {left, right} or left + right in index_of:
            raise Unsupported(
                f"merge {i} of {merges_from}, {left!r} {right!r}, makes a token that there is, or "
                "joins tokens that only later merges make; the merges must stand in the order they "
                "were learned"
            )
        pairs.append((index_of[left], index_of[right]))
        index_of[left + right] = 256 + i
    ids = [vocab.get(token) for token in sorted(index_of, key=index_of.get)]
    return {"merges": pairs, "ids": ids}


def byte_to_unicode() -> dict[int, str]:
    """Return GPT-2's printable character for each byte, in GPT-2's order of the bytes.

    The 188 bytes that are visible characters in Latin-1 stand for themselves; the hidden bytes, in
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
