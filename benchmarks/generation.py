"""Tokens a second, beside the limit of reading the weights, and beside other libraries.

A token takes at least as long as reading all weights from memory, or from the cache that they fit
in. How fast that goes is measured in the same rounds, by adding up as many bytes of float32. Each
library generates greedily with its cache of keys and values, from the same weights; the time is
that of a whole text, its prompt included.
"""

import statistics
from dataclasses import asdict

from benchmarks.measure import FULL, QUICK, Comparison, Contest, compared
from benchmarks.report import Table, comparison_table
from benchmarks.runners import (
    CT2,
    CT2_INT8,
    LLAMACPP,
    LLAMACPP_BF16,
    LLAMACPP_Q8,
    OURS,
    OURS_BF16,
    OURS_INT8,
    READING,
    TRANSFORMERS,
    TRANSFORMERS_BF16,
)
from benchmarks.shapes import GENERATED, TINY

PROMPT, NEW, LONG_PROMPT = 16, 100, 512
# the bytes of a weight, and what it is compared with
KINDS = {
    OURS: (4, (LLAMACPP, TRANSFORMERS, CT2)),
    OURS_BF16: (2, (LLAMACPP_BF16, TRANSFORMERS_BF16, OURS)),
    OURS_INT8: (1, (LLAMACPP_Q8, CT2_INT8, OURS)),
}
READERS = KINDS[OURS][1]  # of a prompt, in float32 as we do
BASELINES = (
    OURS_BF16, OURS_INT8, READING, *READERS, LLAMACPP_BF16, LLAMACPP_Q8, TRANSFORMERS_BF16, CT2_INT8
)


def tables(threads, quick=False):
    models = {name: config for name, (_, config) in TINY.items()} if quick else GENERATED
    new = 8 if quick else NEW
    with Contest(threads, BASELINES, QUICK if quick else FULL) as contest:
        speeds, found, singles = [], {kind: [] for kind in KINDS}, {}
        for model, config in models.items():
            settings = {"config": asdict(config), "prompt": min(PROMPT, config.block_size // 2)}
            most = min(new, config.block_size - settings["prompt"])
            times = contest.times("generation", batch=1, new=most, **settings)
            singles[model] = settings, most
            for kind, (size, others) in KINDS.items():
                speeds.append(speed(f"`{model}`, {kind}", most, size, times[kind], times[READING]))
                found[kind] += beside(f"`{model}`, {kind}", times, kind, others, contest.absent)
        yield Table(
            f"A text of a prompt of {PROMPT} tokens and {NEW} new ones, batch 1",
            ["", "tokens/s", "the limit of memory", "share (min – max)"], speeds,
            "The limit is how often the weights can be read in a second.",
        )
        for kind, rows in found.items():
            yield comparison_table(f"The same: {kind} beside others", rows)
        yield _batches(contest, singles, (2, 4) if quick else (8, 32))
        found = []
        for model, config in models.items():
            prompt = min(LONG_PROMPT, config.block_size)
            what = f"`{model}`, prompt of {prompt}"
            found += contest.compare(
                what, "prefill", baselines=READERS, config=asdict(config), prompt=prompt
            )
        yield comparison_table("Reading a prompt, to the logits of the next token", found)


def beside(what, times, kind, others, absent):
    """Return the Comparisons of a kind with others; absent: name -> why it is not measured."""
    ours = times[kind]
    return [compared(what, name, ours, times[name]) for name in others if name in times] + [
        Comparison(what, name, statistics.median(ours), note=absent[name])
        for name in others if name in absent
    ]


def speed(what, new, size, seconds, reading):
    """Return a row: tokens/s, the limit of memory, and the share of it.

    size, reading   bytes of a weight; the times of reading all of them in float32
    """
    limits = [4 / (size * s) for s in reading]
    shares = [new / s / limit for s, limit in zip(seconds, limits, strict=True)]
    return [
        what, f"{new / statistics.median(seconds):,.1f}", f"{statistics.median(limits):,.1f}",
        f"{statistics.median(shares):.0%} ({min(shares):.0%} – {max(shares):.0%})",
    ]


def _batches(contest, singles, batches):
    """Return tokens/s of a batch over tokens/s of batch 1, in the same rounds."""
    rows = []
    for model, (settings, most) in singles.items():
        for kind in KINDS:
            runner, cells = contest.runners[kind], []
            times = {}
            for batch in (1, *batches):
                runner.prepare("generation", settings | {"batch": batch, "new": most})
                times[batch] = min(runner.time(1) for _ in range(contest.effort.least))
            for batch in batches:
                rate = batch * most / times[batch]
                cells.append(f"{rate:,.0f} ({batch * times[1] / times[batch]:.1f})")
            rows.append([f"`{model}`, {kind}", f"{most / times[1]:,.0f}", *cells])
    return Table(
        "Tokens/s of a batch, and how many times those of batch 1",
        ["", "batch 1", *(f"batch {batch}" for batch in batches)], rows,
        "The best of the rounds of each, one after the other.",
    )
