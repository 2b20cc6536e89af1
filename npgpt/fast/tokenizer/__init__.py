"""The compiled side of BPETokenizer: the results of `npgpt.bpe`, sooner.

    bpe         the functions of `npgpt.bpe` that BPETokenizer calls, by the same names
    kernels/    their inner loops, for Numba
    automaton   the split patterns as a table that the kernels read

Importing this package loads no compiler; importing `bpe` in it does.
"""
