"""Tokens a second, beside the measured speed of adding up the weights; and how many times as long
others take.

A token takes at least as long as reading all weights from memory, or from the cache that they fit
in. How fast that goes is measured in the same rounds, by adding up as many float32. Each library
generates greedily with its cache of keys and values, from the same weights; the time is that of a
whole text of one row, its prompt included.
"""

import statistics
from dataclasses import asdict

import numpy as np

from benchmarks.measure import Contest, beside, in_a_row, spread
from benchmarks.runners import (
    LLAMACPP,
    LLAMACPP_BF16,
    LLAMACPP_Q8,
    NUMPY,
    OURS,
    OURS_BF16,
    OURS_INT8,
    TRANSFORMERS,
)
from npgpt import GPT, GPTConfig

CODE = (
    "autograd/kernels", "npgpt/fast/decoder.py", "npgpt/fast/storage.py", "npgpt/generate.py",
    "npgpt/sampling.py",
)
# `gpt2` is the published 124M, whose output layer has 50257 rows
MODELS = {
    "tales": GPTConfig(50, block_size=256, n_layer=4, n_head=4, n_embd=128),
    "baby": GPTConfig(65, block_size=256, n_layer=6, n_head=6, n_embd=384),
    "gpt2": GPTConfig(50257, block_size=1024, n_layer=12, n_head=12, n_embd=768),
}
PROMPT, NEW, LONG_PROMPT = 16, 100, 250
# the bytes of a weight, and what writes beside it
KINDS = {
    OURS: (4, (LLAMACPP, TRANSFORMERS)), OURS_BF16: (2, (LLAMACPP_BF16,)),
    OURS_INT8: (1, (LLAMACPP_Q8,)),
}
PEERS = (LLAMACPP, TRANSFORMERS, LLAMACPP_BF16, LLAMACPP_Q8)


def tables(threads, short):
    writing, reading = {}, {}
    with Contest.of((*KINDS, NUMPY, *PEERS), threads, short) as contest:
        for name, config in list(MODELS.items())[: 1 if short else None]:
            ids = np.random.default_rng(5).integers(0, config.vocab_size, LONG_PROMPT).tolist()
            model = {"config": asdict(config), "count": GPT(config).num_parameters()}
            timed = contest.timed("generation", prompt=ids[:PROMPT], new=NEW, **model)
            writing |= written(f"`{name}`, ", timed, KINDS, NEW)
            names = (OURS, *KINDS[OURS][1])
            timed = contest.timed("generation", names, prompt=ids, new=1, **model)
            reading[f"`{name}`"] = in_a_row(beside(timed, *names[:1], names[1:]))
    yield f"Writing {NEW} tokens after {PROMPT}", writing
    yield f"Reading a prompt of {LONG_PROMPT}", reading


def written(what, timed, kinds, new):
    """Return a row for each kind: the share of memory's limit of `new` tokens, and the others.

    timed   of `Contest.timed`, with NumPy's for reading the weights
    """
    rows = {}
    for kind, (size, others) in kinds.items():
        cells = beside(timed, kind, others)
        pairs = zip(timed[NUMPY], timed[kind], strict=True)
        shares = spread(size / 4 * read * new / ours for (read, _), (ours, _) in pairs)
        rate = new / statistics.median(seconds for seconds, _ in timed[kind])
        middle, low, high = (f"{share:.0%}" for share in shares)
        cells[kind] = f"{rate:,.0f} tokens/s, {middle} ({low} – {high}) of that speed"
        rows[what + kind] = in_a_row(cells)
    return rows
