"""The tokenizer's inner loops, compiled by Numba: bytes in, ids out, and back.

The reference is `npgpt.tokenizers.byte_pair_encoding` and `pretokenize`. Reading order:

    tables      a hash table of small integers
    scanner     where the pre-tokens begin
    vocabulary  the tables that encoding reads
    encoder     pre-tokens to ids
    detokenizer ids to bytes
    counter     counts of the pre-tokens of a text
    trainer     learning merges from those counts

Text is UTF-8 in an array of bytes with PADDING more bytes behind it, so that eight bytes may be
read at once anywhere. Python calls a `serial_kernel`: it works on one thread and lets others run.
One that makes no arrays is a `lean_kernel`: Numba counts the references to an array wherever it is
passed on, with two atomic operations each time, and in functions as small as these that took nine
tenths of the time. Kernels call functions that are `inlined`.
"""

from npgpt.fast.tokenizer.kernels.counter import count_pre_tokens, new_pre_tokens
from npgpt.fast.tokenizer.kernels.detokenizer import decode
from npgpt.fast.tokenizer.kernels.encoder import encode, new_cache
from npgpt.fast.tokenizer.kernels.scanner import Scanner
from npgpt.fast.tokenizer.kernels.tables import FULL, PADDING
from npgpt.fast.tokenizer.kernels.trainer import Words, count_pairs, learn_merges, new_pairs
from npgpt.fast.tokenizer.kernels.vocabulary import build_vocabulary
