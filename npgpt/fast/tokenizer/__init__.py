"""What makes BPETokenizer fast, and lets it work on texts larger than memory.

    bpe         the functions of `npgpt.bpe`, compiled: what Python calls
    kernels/    their inner loops, for Numba
    automaton   the split patterns as a table that the kernels read
    streams     texts cut into chunks that may be encoded one by one

Importing this package loads no compiler; importing `bpe` in it does.
"""


def compile_kernels() -> None:
    """Compile, or load from disk, all that learning, encoding and decoding byte pairs call."""
    from npgpt.bpe_tokenizer import BPETokenizer

    tokenizer = BPETokenizer.train("hug hug pug", 258)
    tokenizer.decode(tokenizer.encode("hugs"))
