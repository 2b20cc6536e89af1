"""The files that other programs keep byte-level BPE in: GPT-2's pair, and tiktoken's ranks.

Each reader returns the arguments of `BPETokenizer` as a dict.
"""

import base64
import binascii
from pathlib import Path

from npgpt.files import fetch
from npgpt.tokenizer.bpe import encode_word
from npgpt.tokenizer.files import read_json_object, read_utf8

GPT2_FILES = {  # name, and SHA-256, below GPT2_URL
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
}
GPT2_URL = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/"


def fetch_gpt2() -> list[Path]:
    """OpenAI's encoder.json and vocab.bpe, from the cache or fetched once and checked."""
    try:
        return [
            fetch(GPT2_URL + name, digest, f"gpt2-{name}") for name, digest in GPT2_FILES.items()
        ]
    except (OSError, ValueError) as error:  # no network; another file than the one asked for
        raise FileNotFoundError(
            f"GPT-2's tokenizer is not cached, and {GPT2_URL} did not give it ({error}); connect "
            "to the network, or get its two files by other means and pass them to "
            "BPETokenizer.from_gpt2(encoder_json, vocab_bpe)"
        ) from error


def read_gpt2_files(vocab_json: str | Path, merges_txt: str | Path) -> dict:
    """GPT-2's encoder.json (vocab.json) and vocab.bpe (merges.txt).

    Tokens of `vocab_json` that are no byte and made by no merge become special tokens. Raises
    ValueError if the two do not belong together, or merges seem to be missing: if such a token is
    two others joined, and not one in brackets, as <s> may be by chance.
    """
    vocab_json, merges_txt = Path(vocab_json), Path(merges_txt)
    vocab = read_json_object(vocab_json)
    lines = read_utf8(merges_txt).splitlines()
    if lines and lines[0].startswith("#version"):
        del lines[0]
    merges = [line.split(" ") for line in lines if line]
    for merge in merges:
        if len(merge) != 2:
            raise ValueError(
                f"{merges_txt} must hold two tokens a line with one space between, got "
                f"{' '.join(merge)!r}; pass GPT-2's vocab.bpe (or merges.txt)"
            )
    fields = from_spelled(vocab, merges, vocab_json, merges_txt)
    known = set(fields["ids"])
    special = sorted((i, token) for token, i in vocab.items() if i not in known)
    for i, token in special:
        halves = ((token[:k], token[k:]) for k in range(1, len(token)))
        bracketed = token[0] in "<[" and token[-1] in ">]" if token else False
        if not bracketed and any(known.issuperset(map(vocab.get, pair)) for pair in halves):
            raise ValueError(
                f"no merge of {merges_txt} makes the token {token!r} (id {i}) of {vocab_json}, "
                "though its parts are tokens: the merges file seems cut short; pass a whole one"
            )
    return fields | {"special_tokens": {token: i for i, token in special}}


def from_spelled(vocab: dict, merges: list, vocab_from: Path, merges_from: Path) -> dict:
    """{"merges": ..., "ids": ...} of tokens that are spelled with `byte_to_unicode`.

    Of several merges that make one token, as in files made from tiktoken's, the one is taken that
    happens when the token's own bytes are encoded.
    """
    for token, i in vocab.items():
        if type(i) is not int or i < 0:
            raise ValueError(f"{vocab_from}: the id of {token!r} must be an int from 0, got {i!r}")
    table = byte_to_unicode()
    absent = [byte for byte, character in table.items() if character not in vocab]
    if absent:
        raise ValueError(
            f"{vocab_from} has no token for {len(absent)} of the 256 bytes, such as {absent[0]}, "
            "so not every text could be encoded; train it with all bytes in its initial alphabet"
        )
    numbers = {table[byte]: byte for byte in range(256)}
    ids = [vocab[table[byte]] for byte in range(256)]
    pairs, ranked = [], []
    for i, (left, right) in enumerate(merges):
        token = left + right
        if token not in vocab or left not in vocab or right not in vocab:
            raise ValueError(
                f"merge {i} of {merges_from}, {left!r} {right!r}, must make a token of "
                f"{vocab_from} from two others; pass two files of one tokenizer, and whole ones"
            )
        ranked.append(token)
        if token not in numbers:
            if left not in numbers or right not in numbers:
                raise ValueError(
                    f"merge {i} of {merges_from}, {left!r} {right!r}, joins tokens that only later "
                    "merges make; the merges must stand in the order they were learned"
                )
            pairs.append((numbers[left], numbers[right]))
            numbers[token] = 256 + len(pairs) - 1
            ids.append(vocab[token])
    if len(pairs) < len(ranked):
        byte_of = {character: byte for byte, character in table.items()}
        spellings = [bytes(byte_of[c] for c in token) for token in dict.fromkeys(ranked)]
        pairs = merges_of_ranks(spellings, merges_from)
    return {"merges": pairs, "ids": ids}


def read_tiktoken_ranks(path: str | Path) -> dict:
    """tiktoken's rank file: on each line a token's bytes in base 64, a space, and its rank.

    The rank is the token's id and says when it is merged. Raises ValueError naming the line.
    """
    path = Path(path)
    id_of = {}
    for number, line in enumerate(read_utf8(path).splitlines(), 1):
        try:
            spelling, rank = line.split(" ")
            id_of[base64.b64decode(spelling, validate=True)] = int(rank)
        except (ValueError, binascii.Error) as error:
            raise ValueError(
                f"line {number} of {path} must be a token in base 64, a space and a rank, got "
                f"{line[:60]!r}; pass a whole .tiktoken file"
            ) from error
    absent = [byte for byte in range(256) if bytes([byte]) not in id_of]
    if absent:
        raise ValueError(
            f"{path} lacks {len(absent)} of the 256 single bytes, such as {absent[0]}; pass a "
            "whole .tiktoken file"
        )
    merged = sorted((i, spelling) for spelling, i in id_of.items() if len(spelling) != 1)
    spellings = [spelling for _, spelling in merged]
    ids = [id_of[bytes([byte])] for byte in range(256)] + [i for i, _ in merged]
    return {"merges": merges_of_ranks(spellings, path), "ids": ids}


def merges_of_ranks(spellings: list[bytes], path: Path) -> list[tuple[int, int]]:
    """The merge that makes each token, from the tokens in the order of their ranks.

    A token's parts are the two that its bytes are encoded as before it exists. Raises ValueError
    if they are not two.
    """
    token_of_pair = {}
    for i, spelling in enumerate(spellings):
        parts = encode_word(spelling, token_of_pair)
        if len(parts) != 2:
            raise ValueError(
                f"the token {spelling!r} of {path} must be two earlier tokens joined, and it is "
                f"{len(parts)}; a token seems to be missing: pass a whole file"
            )
        token_of_pair[tuple(parts)] = 256 + i
    return list(token_of_pair)


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
