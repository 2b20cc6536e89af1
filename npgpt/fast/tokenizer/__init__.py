"""The compiled side of BPETokenizer: the results of `npgpt.tokenizers.byte_pair_encoding`, sooner.

    compiled_bpe    the functions that BPETokenizer calls, by the same names
    kernels/        their inner loops, for Numba
    automaton       the split patterns as a table that the kernels read

Importing this package loads no compiler; importing `compiled_bpe` does.
"""

import numpy as np


def compile_kernels() -> None:
    """Compile, or load from disk, every kernel that learning, encoding and decoding call."""
    from npgpt.fast.tokenizer import compiled_bpe as bpe

    spans_P3 = np.array([[0, 4, -1]])
    merges = bpe.learn_merges(bpe.count_pre_tokens(b"hugs", spans_P3, "gpt2"), 1)
    tokens = [*(bytes([byte]) for byte in range(256)), bytes(merges[0])]
    codec = bpe.Codec(merges, tokens, range(257), "gpt2")
    codec.decode(codec.encode(b"hugs", spans_P3))
