"""GPT-2's two files: ids in encoder.json (or vocab.json), merges in vocab.bpe (or merges.txt).

Tokens are spelled with a printable character for each byte, see `byte_to_unicode`:

    {"!": 0, ..., "Ġt": 256, ...}           Ġ t
                                            Ġ a
                                            ...
"""

from pathlib import Path

from npgpt.download import fetch
from npgpt.files import read_json, read_text
from npgpt.tokenizers.byte_pair_encoding import encode_word

GPT2_FILES = {  # name, and SHA-256, below GPT2_URL
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
}
GPT2_URL = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/"


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

    Tokens of `vocab_json` that are not bytes and that no merge makes become special tokens. Raises
    ValueError if the two files do not belong together, or if merges seem to be missing: if a
    special token is two tokens joined. In brackets it may be, since <s> may be so by chance.
    """
    vocab_json, merges_txt = Path(vocab_json), Path(merges_txt)
    vocab = read_json(vocab_json)
    lines = read_text(merges_txt).splitlines()
    if lines and lines[0].startswith("#version"):
        del lines[0]
    merges = [line.split(" ") for line in lines if line]
    arguments = from_spelled(vocab, merges, vocab_json, merges_txt)
    known = set(arguments["ids"])
    special = sorted((i, token) for token, i in vocab.items() if i not in known)
    for i, token in special:
        halves = ((token[:k], token[k:]) for k in range(1, len(token)))
        bracketed = token[0] in "<[" and token[-1] in ">]" if token else False
        if not bracketed and any(known.issuperset(map(vocab.get, pair)) for pair in halves):
            raise ValueError(
                f"no merge of {merges_txt} makes the token {token!r} (id {i}) of {vocab_json}, "
                "though its halves are tokens: the merges file seems cut short; pass a whole one"
            )
    return arguments | {"special_tokens": {token: i for i, token in special}}


def from_spelled(vocab: dict, merges: list, vocab_from: Path, merges_from: Path) -> dict:
    """Return {"merges": ..., "ids": ...} from tokens that are spelled with `byte_to_unicode`.

    A byte without a token has the id None; if these are most of the bytes, ValueError is raised.
    Where several merges make the same token, as in files converted from tiktoken's, only the merge
    counts that happens when the token's own bytes are encoded: before any other could, their two
    tokens would have been merged in a different way.
    """
    for token, i in vocab.items():
        if type(i) is not int or i < 0:
            raise ValueError(f"{vocab_from}: the id of {token!r} must be an int from 0, got {i!r}")
    table = byte_to_unicode()
    absent = [byte for byte, character in table.items() if character not in vocab]
    if len(absent) > 128:
        raise ValueError(
            f"{vocab_from} has no token for {len(absent)} of the 256 bytes, such as {absent[0]}, "
            "so few texts could be encoded; train it with all bytes in its initial alphabet"
        )
    for i, merge in enumerate(merges):
        if len(merge) != 2 or not all(isinstance(token, str) for token in merge):
            raise ValueError(
                f"merge {i} of {merges_from} must join two tokens with one space between, got "
                f"{merge!r}; pass a whole file"
            )
        left, right = merge
        if not vocab.keys() >= {left + right, left, right}:
            raise ValueError(
                f"merge {i} of {merges_from}, {left!r} {right!r}, must make a token of "
                f"{vocab_from} from two others; pass two files of one tokenizer, and whole ones"
            )
    made = {left + right for left, right in merges}
    byte_of = {character: byte for byte, character in table.items()}
    index_of, token_of_pair = dict(byte_of), {}
    for i, (left, right) in enumerate(merges):
        token, pair = left + right, (index_of.get(left), index_of.get(right))
        if len(made) < len(merges):
            if token in index_of or None in pair:
                continue
            if encode_word(bytes(map(byte_of.get, token)), token_of_pair) != list(pair):
                continue
        elif None in pair:
            raise ValueError(
                f"merge {i} of {merges_from}, {left!r} {right!r}, joins tokens that only later "
                "merges make; the merges must stand in the order they were learned"
            )
        index_of[token] = token_of_pair[pair] = 256 + len(token_of_pair)
    for token in made - index_of.keys():
        raise ValueError(
            f"none of the merges in {merges_from} that make the token {token!r} joins the two "
            "tokens that its bytes are encoded as; the merges must stand in the order they were "
            "learned"
        )
    ids = sorted(index_of, key=index_of.get)
    return {"merges": list(token_of_pair), "ids": [vocab.get(token) for token in ids]}


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
