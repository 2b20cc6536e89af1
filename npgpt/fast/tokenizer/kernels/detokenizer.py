"""Ids to the bytes of their tokens.

A token of up to eight bytes is written as one word of eight; the next token overwrites the surplus.
Most tokens are that short, and a loop over their bytes would take several times as long.
"""

import numpy as np

from autograd.kernels.compiler import serial_kernel
from npgpt.fast.tokenizer.kernels.tables import PADDING, U, load_word


@serial_kernel
def decode(ids_N, starts_V1, token_bytes):
    """Return the bytes of int32 ids as uint8 (N,).

    Token i has the bytes token_bytes[starts[i]:starts[i + 1]]; PADDING more follow the last token.
    """
    total = 0
    for token in ids_N:
        total += starts_V1[U(token + 1)] - starts_V1[U(token)]
    bytes_N = np.empty(total + PADDING, np.uint8)
    end = 0
    for token in ids_N:
        start = starts_V1[U(token)]
        length = starts_V1[U(token + 1)] - start
        word = load_word(token_bytes, start)
        for k in range(8):
            bytes_N[U(end + k)] = (word >> U(8 * k)) & U(0xFF)
        for k in range(8, length):
            bytes_N[U(end + k)] = token_bytes[U(start + k)]
        end += length
    return bytes_N[:total]
