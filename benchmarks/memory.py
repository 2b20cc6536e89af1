"""Peak memory of a training step: measured, ours and PyTorch's, and as `npgpt info` predicts it.

Measured is the most that a process ever had resident. A first step of a tiny model loads and
compiles what a step needs: what is resident then is the libraries, the rest is the step's.
"""

from dataclasses import asdict

from benchmarks.measure import Comparison, compared
from benchmarks.report import Table, comparison_table
from benchmarks.runners import JAX, OURS, TORCH, Runner, missing
from benchmarks.shapes import TINY, models
from npgpt.families.size import step_memory

BASELINES = (TORCH, JAX)
STEPS, ROUNDS = 3, 3


def tables(threads, quick=False):
    name, (batch, config) = list(models(quick).items())[-1]
    what = f"training step of `{name}`"
    names = [OURS, *(name for name in BASELINES if not missing(name))]
    rounds = [
        {name: peak_memory(name, threads, batch, config) for name in names}
        for _ in range(1 if quick else ROUNDS)
    ]
    before, ours = rounds[0][OURS]
    if ours is None:
        yield Table(
            "Peak memory", ["", ""], [[what, "not measured: this system does not tell a process "
                                             "its peak memory; Linux and macOS do"]],
        )
        return
    peaks = {name: [found[name][1] for found in rounds] for name in names}
    found = [
        compared(what, baseline, peaks[OURS], peaks[baseline], unit="B") if baseline in peaks
        else Comparison(what, baseline, ours, unit="B", note=missing(baseline))
        for baseline in BASELINES
    ]
    yield comparison_table(
        "Peak memory, libraries included", found, "Ratio: how many times as much the peer takes."
    )
    yield prediction(name, step_memory(config, batch), ours - before)


def peak_memory(name, threads, batch, config):
    """Return (bytes of libraries, bytes at the peak) of a new process that trains, or Nones."""
    ask = "benchmarks.machine:peak_memory"
    with Runner(name, threads) as runner:
        tiny_batch, tiny = TINY["tiny"]
        runner.prepare("training_step", {"batch": tiny_batch, "config": asdict(tiny)})
        before = runner.call(ask)
        runner.prepare("training_step", {"batch": batch, "config": asdict(config)})
        runner.time(STEPS)
        return before, runner.call(ask)


def prediction(name, predicted, measured):
    """Return a table of the parts of our step's memory, and the error of their sum."""
    cells = [[part, f"{size / 1e6:,.0f} MB"] for part, size in asdict(predicted).items()]
    cells += [
        ["predicted peak", f"{predicted.total / 1e6:,.0f} MB"],
        ["measured, without the libraries", f"{measured / 1e6:,.0f} MB"],
        ["predicted / measured", f"{predicted.total / measured:.2f}" if measured else "too small"],
    ]
    return Table(f"Memory of our step of `{name}`, by `npgpt.families.size.step_memory`", ["", ""],
                 cells)
