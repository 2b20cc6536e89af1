"""How the cost of a training step grows with context length, width, depth and number of threads.

One model in the middle, and from it one size changed at a time. The number of tokens in a batch
stays the same, so that a longer context means fewer sequences: what grows is attention's part.
"""

import contextlib
import os
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.measure import QUICK, Contest, Effort
from benchmarks.report import comparison_table
from benchmarks.runners import OURS, TORCH
from npgpt import plots
from npgpt.config import GPTConfig
from npgpt.model.size import flops_per_token

PICTURE = Path(__file__).parent / "figures" / "scaling.png"
EFFORT = Effort(seconds=1.5, least=3, most=9)


class Size:
    """What is varied: the middle model, the tokens of a batch, and the values of each axis."""

    def __init__(self, quick):
        self.tokens = 64 if quick else 2048
        self.middle = GPTConfig(
            vocab_size=65, block_size=16 if quick else 256, n_layer=1 if quick else 4,
            n_head=2 if quick else 4, n_embd=16 if quick else 256,
        )  # fmt: skip
        cores = os.cpu_count()
        self.axes = {
            "context length": (
                "block_size", (16, 32) if quick else (64, 128, 256, 512, 1024, 2048),
            ),
            "width": ("n_embd", (16, 32) if quick else (64, 128, 256, 512, 768)),
            "depth": ("n_layer", (1, 2) if quick else (1, 2, 4, 8)),
            "threads": (None, [n for n in (1, 2, 4, 8, 16) if n <= cores]),
        }  # fmt: skip

    def config(self, field, value):
        return replace(self.middle, **{field: value}) if field else self.middle


def tables(threads, quick=False):
    """Yield a table for each axis; the last one shows the picture of all."""
    size, effort, curves = Size(quick), QUICK if quick else EFFORT, {}
    drawn = not quick and plots.installed()
    for axis, (field, values) in size.axes.items():
        found = []
        with contextlib.ExitStack() as contests:
            for value in values:
                if field is None or not found:  # another number of threads needs new processes
                    count = threads if field else value
                    contest = contests.enter_context(Contest(count, (TORCH,), effort))
                config = size.config(field, value)
                found += contest.compare(
                    f"{axis} {value}", "training_step",
                    flops=3 * flops_per_token(config) * size.tokens,
                    batch=size.tokens // config.block_size, config=asdict(config),
                )  # fmt: skip
        curves[axis] = _curves(values, found)
        last = drawn and len(curves) == len(size.axes)
        if last:
            _draw(curves)
        text = f"![cost by size](figures/{PICTURE.name})" if last else ""
        yield comparison_table(f"Training step by {axis}", found, text)


def _curves(values, comparisons):
    """name -> (values, milliseconds)"""
    curves = {OURS: (list(values), [1e3 * c.ours for c in comparisons])}
    if all(c.theirs for c in comparisons):
        curves[TORCH] = (list(values), [1e3 * c.theirs for c in comparisons])
    return curves


def _draw(curves):
    drawing, axes = plots.figure(9, 6.5, 2, 2)
    for panel, (axis, lines) in zip(axes.flat, curves.items(), strict=True):
        for (name, (values, times)), colour in zip(lines.items(), plots.COLOURS, strict=False):
            panel.plot(values, times, "o-", markersize=4, color=colour, label=name)
        panel.set(xlabel=axis, ylabel="milliseconds a step", ylim=(0, None))
        if axis == "context length":
            panel.set_xscale("log", base=2)
        panel.set_xticks(values, [str(value) for value in values])
        panel.minorticks_off()
    axes.flat[0].legend(frameon=False)
    plots.save(drawing, PICTURE)
