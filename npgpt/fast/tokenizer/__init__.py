"""The compiled side of BPETokenizer: the results of `npgpt.tokenizers.byte_pair_encoding`, sooner.

    compiled_bpe    the functions that BPETokenizer calls, by the same names
    kernels/        their inner loops, for Numba
    automaton       the split patterns as a table that the kernels read

Importing this package loads no compiler; importing `compiled_bpe` does.
"""
