"""How the cost of a training step grows with context length, width, depth and number of threads.

One model in the middle, and from it one size changed at a time. The number of tokens in a batch
stays the same, so that a longer context means fewer sequences: what grows is attention's part.
"""

import contextlib
import os
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path

from benchmarks.measure import QUICK, Contest, Effort
from benchmarks.report import comparison_table
from benchmarks.runners import OURS, TORCH_TUNED
from npgpt import plots
from npgpt.config import GPTConfig
from npgpt.families.size import flops_per_token

PICTURE = Path(__file__).parent / "figures" / "scaling.png"
EFFORT = Effort(seconds=1.5, least=3, most=9)
MIDDLE = GPTConfig(vocab_size=65, block_size=256, n_layer=4, n_head=4, n_embd=256)
TINY = GPTConfig(vocab_size=65, block_size=16, n_layer=1, n_head=2, n_embd=16)
CORES = [n for n in (1, 2, 4, 8, 16) if n <= os.cpu_count()]
# axis: (the setting that is varied, its values, those of a quick run)
AXES = {
    "context length": ("block_size", (64, 128, 256, 512, 1024, 2048), (16, 32)),
    "width": ("n_embd", (64, 128, 256, 512, 768), (16, 32)),
    "depth": ("n_layer", (1, 2, 4, 8), (1, 2)),
    "threads": (None, CORES, CORES),
}
TITLES = {
    "context length": "32 times the context, less than twice the time",
    "width": "Twice the width, two to four times the time",
    "depth": "Twice the blocks, twice the time",
    "threads": "Twice the threads, about half the time",
}


def tables(threads, quick=False):
    """Yield a table for each axis; the last one shows the picture of all."""
    middle, tokens, effort = (TINY, 64, QUICK) if quick else (MIDDLE, 2048, EFFORT)
    drawn, curves = not quick and find_spec("matplotlib"), {}
    for axis, (field, values, few) in AXES.items():
        values = few if quick else values
        found = []
        with contextlib.ExitStack() as contests:
            for value in values:
                if field is None or not found:  # another number of threads needs new processes
                    count = threads if field else value
                    contest = contests.enter_context(Contest(count, (TORCH_TUNED,), effort))
                config = replace(middle, **{field: value}) if field else middle
                found += contest.compare(
                    f"{axis} {value}", "training_step",
                    flops=3 * flops_per_token(config) * tokens,
                    batch=tokens // config.block_size, config=asdict(config),
                )
        ours, theirs = [c.ours for c in found], [c.theirs for c in found]
        curves[axis] = values, {OURS: ours, TORCH_TUNED: theirs}
        last = drawn and len(curves) == len(AXES)
        if last:
            _draw(curves)
        text = f"![cost by size](figures/{PICTURE.name})" if last else ""
        yield comparison_table(f"Training step by {axis}", found, text)


def _draw(curves):
    drawing, axes = plots.figure(9, 6.5, 2, 2)
    for panel, (axis, (values, lines)) in zip(axes.flat, curves.items(), strict=True):
        looks = zip(plots.COLOURS, plots.LINES, strict=False)
        for (name, seconds), (colour, line) in zip(lines.items(), looks, strict=False):
            if all(seconds):  # None where it is not installed
                times = [1e3 * s for s in seconds]
                panel.plot(values, times, line, markersize=4, color=colour, label=name)
        panel.set(xlabel=axis, ylabel="milliseconds a step", ylim=(0, None))
        panel.set_title(TITLES[axis], fontsize=10)
        if axis == "context length":
            panel.set_xscale("log", base=2)
        panel.set_xticks(values, [str(value) for value in values])
        panel.minorticks_off()
    axes.flat[0].legend(frameon=False)
    drawing.suptitle("Depth costs in proportion, width more than that, context little until it is "
                     "long", fontsize=11)
    plots.save(drawing, PICTURE)
