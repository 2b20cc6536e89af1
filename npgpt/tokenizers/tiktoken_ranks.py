"""tiktoken's files of ranks, such as cl100k_base.tiktoken: on each line a token and its rank.

    IQ== 0
    Ig== 1
    ...
    IHRo 270

The token's bytes are in base 64. Its rank is its id, and says when it is merged. The file does not
say from which two tokens; `merges_of_ranked` finds them.
"""

import base64
import binascii
from pathlib import Path

from npgpt.files import read_text
from npgpt.tokenizers.byte_pair_encoding import Pair, encode_word


def read_tiktoken_ranks(path: str | Path) -> dict:
    """Return {"merges": ..., "ids": ...} from a file of ranks.

    Raises ValueError naming a damaged line.
    """
    path = Path(path)
    id_of = {}
    for line_number, line in enumerate(read_text(path).splitlines(), 1):
        try:
            token, rank = line.split(" ")
            id_of[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error) as error:
            raise ValueError(
                f"line {line_number} of {path} must be a token in base 64, a space and a rank, got "
                f"{line[:60]!r}; pass a whole .tiktoken file"
            ) from error
    single = [bytes([byte]) for byte in range(256)]
    absent = [byte for byte in range(256) if single[byte] not in id_of]
    if absent:
        raise ValueError(
            f"{path} lacks {len(absent)} of the 256 single bytes, such as {absent[0]}; pass a "
            "whole .tiktoken file"
        )
    merged = sorted((token for token in id_of if len(token) != 1), key=id_of.__getitem__)
    ids = [id_of[token] for token in single + merged]
    return {"merges": merges_of_ranked(merged, path), "ids": ids}


def merges_of_ranked(tokens: list[bytes], path: Path) -> list[Pair]:
    """Return the merge that makes each of the tokens, which are given in the order of their ranks.

    A token is merged from the two tokens that its bytes are encoded as before it exists. Raises
    ValueError if they are not two.
    """
    token_of_pair = {}
    for i, token in enumerate(tokens):
        pair = encode_word(token, token_of_pair)
        if len(pair) != 2:
            raise ValueError(
                f"the token {token!r} of {path} must be two earlier tokens joined, and it is "
                f"{len(pair)}; a token seems to be missing: pass a whole file"
            )
        token_of_pair[tuple(pair)] = 256 + i
    return list(token_of_pair)
