"""Scaling laws once more, by a rule for rates and a fit that were fixed before.

    python examples/15_scaling_again.py            what is missing, one prediction, the report
    python examples/15_scaling_again.py --report   the tables from the numbers that are there
    python examples/15_scaling_again.py --quick    a few steps of tiny models

`studies/PLAN.md` has this question, 10, written before the first training; `09_scaling_laws.py` has
the first edition, `scaling_trials.py` the trainings.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from example import FIGURES, expect, into_document, picture, run_study
from laboratory import kept, run
from scaling_law import bootstrap, fit, interval
from scaling_tables import flops_text, markdown, percent
from scaling_trials import almanac, measure, shape

from npgpt import plots
from npgpt.families.size import flops_per_token, parameters_by_part

RESULTS, REPORT = (Path(__file__).with_suffix(end) for end in (".jsonl", ".md"))
SIZES = {  # FLOPs -> channels
    1e11: (8, 12, 16, 24, 32, 48),
    4e11: (12, 16, 24, 32, 48, 64),
    1.6e12: (16, 24, 32, 48, 64, 96),
    6.4e12: (24, 32, 48, 64, 96),
}
SEEDS = 1, 2, 3
PREDICTED = 2.6e13, 96  # FLOPs and channels
FITS = {  # what is fitted, and how
    "log loss, Huber, E given": {"given": True},
    "log loss, Huber, E fitted": {"given": False},
    "log excess, least squares, E given": {"given": True, "loss": "linear"},
}
TITLE = "The run of 2.6e13 FLOPs, beside what was predicted of it"
QUICK = {1e9: (8, 12, 16), 2e9: (8, 12, 16)}


def rate(flops):
    """Return the registered rate: it falls as FLOPs^-0.4 from 0.014 at 4e11."""
    return float(f"{0.014 * (flops / 4e11) ** -0.4:.2g}")


def trial(channels, flops, seed=1, factor=1, **more):
    return {"text": "almanac", "channels": channels, "flops": flops,
            "rate": float(f"{rate(flops) * factor:.2g}"), "seed": seed} | more


def trials(sizes=SIZES, **more):
    """Return the grid of each seed, and half the rate at the largest budget."""
    return [
        trial(channels, flops, seed, **more)
        for seed in SEEDS for flops, several in sizes.items() for channels in several
    ] + [trial(channels, max(sizes), factor=0.5, **more) for channels in sizes[max(sizes)]]


def frame(rows):
    """Return a row for each training of the grid."""
    found = [row["settings"] | row["result"] for row in rows if "predict" not in row["settings"]]
    return pd.DataFrame(found).rename(columns={"parameters": "N", "tokens": "D"})


def cells(runs):
    """Return the mean of the seeds at each budget and size, at the registered rate."""
    runs = runs[runs.rate == runs.flops.map(rate)]
    return runs.groupby(["flops", "channels"], as_index=False).agg(
        N=("N", "first"), D=("D", "first"), entropy=("entropy", "first"), loss=("loss", "mean"),
        deviation=("loss", "std"), seeds=("seed", "count"))


def fits(found):
    """Yield (name, `Law`, laws of a bootstrap) of each way to fit the cells."""
    arrays, E = [found[x].to_numpy(float) for x in ("N", "D", "loss")], found.entropy.iloc[0]
    for name, options in FITS.items():
        options = dict(options)
        floor = E if options.pop("given") else None
        if options:
            options["of"] = lambda L: np.log(np.maximum(L - E, 1e-9))
        yield name, fit(*arrays, floor, **options), list(bootstrap(*arrays, floor, **options))


def predicted(asked, rows):
    """Return the excess that each fit to some rows predicts for a run that is not trained yet."""
    config = shape(asked["channels"], almanac("almanac").tokenizer.vocab_size)
    N = sum(parameters_by_part(config).values())
    D = asked["predict"] / (3 * flops_per_token(config))
    found = cells(frame(rows))
    E = found.entropy.iloc[0]
    return {"N": N, "D": D} | {
        name: [law.loss(N, D) - E, *interval([each.loss(N, D) - E for each in drawn])]
        for name, law, drawn in fits(found)
    }


def seed_noise(found):
    """Return the standard deviation of the excess between seeds, as a share of it."""
    return float(np.sqrt(np.mean((found.deviation / (found.loss - found.entropy)) ** 2)))


def tables(rows):
    """Return name -> table in Markdown."""
    runs, told = frame(rows), [row for row in rows if "predict" in row["settings"]]
    grid = cells(runs[runs.flops < PREDICTED[0]])
    half = runs[runs.rate < runs.flops.map(rate)].set_index("channels").excess
    E = grid.entropy.iloc[0]
    return {
        "cells": markdown(
            ("FLOPs", "parameters", "tokens", "rate", "seeds", "excess", "seed 1 at half the rate"),
            [(flops_text(r.flops), f"{r.N:,}", f"{r.D / 1e6:.2f} M", f"{rate(r.flops):g}", r.seeds,
              f"{r.loss - E:.4f}",
              f"{half[r.channels]:.4f}" if r.flops == grid.flops.max() and r.channels in half
              else "") for r in grid.itertuples()]),
        "fits": markdown(("fit", "E", "alpha", "beta", "exponent of the best size"), [
            (name, f"{law.E:.3f}", *("{:.2f} ({:.2f} to {:.2f})".format(
                getattr(law, of), *interval([getattr(each, of) for each in drawn]))
                for of in ("alpha", "beta", "exponent")))
            for name, law, drawn in fits(grid)]),
        "prediction": markdown(("fit", "predicted, 95 %", "measured", "error"), [
            (name, "{:.4f} ({:.4f} to {:.4f})".format(*row["result"][name]), f"{excess:.4f}",
             percent(row["result"][name][0] / excess - 1))
            for row in told for excess in runs[runs.flops == row["settings"]["predict"]].excess
            for name in FITS]),
    }


def draw(path, rows):
    """Draw the excess by size at each budget, each seed, and the run that was predicted."""
    runs, told = frame(rows), [row["result"] for row in rows if "predict" in row["settings"]]
    drawing, axes = plots.figure(7.5, 4.4)
    for i, (flops, some) in enumerate(runs.groupby("flops")):
        some = some[some.rate == rate(flops)]
        colour, mean = plots.COLOURS[i % len(plots.COLOURS)], some.groupby("N").excess.mean()
        axes.plot(some.N, some.excess, "o", color=colour, markersize=3.5, markerfacecolor="none")
        axes.plot(mean.index, mean, color=colour, linewidth=1, label=f"{flops_text(flops)} FLOPs")
    for i, name in enumerate(FITS):
        for found in told:
            excess, low, high = found[name]
            x = found["N"] * 1.12 ** (i + 1)  # beside one another
            axes.plot([x, x], [low, high], color=plots.INK, linewidth=1)
            axes.plot(x, excess, "x+*"[i], color=plots.INK, label=f"predicted: {name}")
    axes.set(xscale="log", yscale="log", xlabel="parameters", ylabel="nats above the entropy")
    axes.set_title(TITLE, fontsize=10)
    axes.legend(fontsize=7)
    return plots.save(drawing, path)


def write_report(figures=FIGURES):
    rows = kept(RESULTS)
    for name, table in tables(rows).items():
        into_document(REPORT, name, table)
    picture(draw, figures / "15_scaling_again.png", rows)


def whole(path, workers, sizes, flops, channels, **more):
    """Train the grid, predict a run, and train it."""
    run(trials(sizes, **more), measure, path, workers)
    asked = {"predict": flops, "channels": channels}
    run([asked], lambda asked: predicted(asked, kept(path)), path, workers=0)
    run([trial(channels, flops, **more)], measure, path, workers)


def quick_study(figures):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quick.jsonl"
        whole(path, 0, QUICK, 8e9, 16, asked=200, written=20, pool=20_000)
        rows = kept(path)
    print(*tables(rows).values(), sep="\n")
    picture(draw, figures / "15_scaling_again.png", rows)
    return rows


def main(quick=False, figures=FIGURES, workers=None):
    expect("""
        The grid of 09_scaling_laws.py with one rate for each budget, three seeds, and a run of four
        times the largest budget that is predicted before it is trained.
        """)
    if quick:
        return quick_study(figures)
    whole(RESULTS, workers, SIZES, *PREDICTED)
    return write_report(figures)


if __name__ == "__main__":
    run_study(__doc__, main, write_report, "tiny models, a few seconds")
