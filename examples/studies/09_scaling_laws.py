"""Section 9, scaling laws: what a model's loss owes to its size, its text and its FLOPs.

    python examples/studies/09_scaling_laws.py            what is missing, a prediction, the report

The text is an almanac (`almanac.py`) of exactly known entropy: the E of the law
L = E + A/N^alpha + B/D^beta is known before it is fitted. `PLAN.md` fixed sizes, rates, seeds
and fits before the first training (question 10). The largest run is predicted before it is
trained; 09_scaling_laws.jsonl has both, in that order. It needs the extra `studies`.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from laboratory import flops_text, kept, markdown, run
from scaling_fit import SAMPLES, bootstrap, interval, lack_of_fit
from scaling_trials import almanac, measure, shape
from study import FIGURES, into_documents, picture, plain_ticks, run_study

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
FITS = {  # name -> (is E given?, is the excess fitted, or the loss?)
    "log loss, Huber, E given": (True, False),
    "log loss, Huber, E fitted": (False, False),
    "log excess, least squares, E given": (True, True),
}
QUICK = {1e8: (8, 12, 16), 2e8: (8, 12, 16)}
TICKS = (0.02, 0.03, 0.05, 0.1, 0.2, 0.4, 1, 2, 3, 5)  # nats


# ---- trainings


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


def whole(path, workers, sizes, flops, channels, samples=SAMPLES, **more):
    """Train the grid, predict a run, and train it."""
    run(trials(sizes, **more), measure, path, workers)
    asked = {"predict": flops, "channels": channels}
    run([asked], lambda asked: predicted(asked, kept(path), samples), path, workers=0)
    run([trial(channels, flops, **more)], measure, path, workers)


# ---- what follows from them


def frame(rows):
    """Return a row for each training."""
    found = [row["settings"] | row["result"] for row in rows if "predict" not in row["settings"]]
    return pd.json_normalize(found, sep="_")


def cells(runs):
    """Return the means of the seeds at each budget and size, at the registered rate."""
    seeds = runs[runs.rate == runs.flops.map(rate)].groupby(["flops", "channels"])
    return seeds.mean(numeric_only=True).assign(
        deviation=seeds.excess.std(), seeds=seeds.size()).reset_index()


def fits(grid, samples):
    """Yield (name, `Law`, laws of a bootstrap) of each way to fit the cells."""
    E = grid.entropy.iloc[0]
    arrays = [grid[x].to_numpy() for x in ("parameters", "tokens", "loss")]
    for name, (given, excess) in FITS.items():
        law, *drawn = bootstrap(*arrays, E if given else None, samples=samples, excess=excess)
        yield name, law, drawn


def predicted(asked, rows, samples=SAMPLES):
    """Return the excess that each fit to some rows predicts for a run that is not trained yet."""
    config = shape(asked["channels"], almanac("almanac").tokenizer.vocab_size)
    N = sum(parameters_by_part(config).values())
    D = asked["predict"] / (3 * flops_per_token(config))
    grid = cells(frame(rows))
    E = grid.entropy.iloc[0]
    return {"N": N, "D": D} | {
        name: [law.loss(N, D) - E, *interval([each.loss(N, D) - E for each in drawn])]
        for name, law, drawn in fits(grid, samples)
    }


def seed_noise(grid):
    """Return the standard deviation of the excess between seeds, as a share of it."""
    return float(np.sqrt(np.mean((grid.deviation / grid.excess) ** 2)))


def best_sizes(grid, count):
    """Return each budget's best size, and p, where it grows as FLOPs**p.    count: column of sizes

    The best is the lowest point of a parabola in logarithms (Hoffmann et al., 2022, approach 2).
    """
    def lowest(some):
        bend, slope, _ = np.polyfit(np.log(some[count]), np.log(some.excess), 2)
        return np.exp(-slope / (2 * bend))

    sizes = grid.groupby("flops")[[count, "excess"]].apply(lowest)
    return list(sizes), np.polyfit(np.log(sizes.index), np.log(sizes), 1)[0]


# ---- tables and picture


def ahead_of(rows):
    """Return (cells of the grid, the cell of the run that was predicted, its prediction)."""
    (told,) = (row["result"] for row in rows if "predict" in row["settings"])
    every = cells(frame(rows))
    return every.iloc[:-1], every.iloc[-1], told  # it is the largest budget


def tables(rows, samples=SAMPLES):
    """Return name -> table in Markdown."""
    grid, ahead, told = ahead_of(rows)
    runs = frame(rows)
    runs = runs[(runs.rate == runs.flops.map(rate)) & (runs.flops <= grid.flops.max())]
    best = pd.concat([grid.loc[grid.groupby("flops").excess.idxmin()], ahead.to_frame().T])
    return {
        "summary": markdown(
            ("FLOPs", "best of the sizes tried", "tokens", "loss above the entropy",
             "stories of the right form", "and with the right facts"),
            [(flops_text(r.flops), f"{r.parameters:,.0f}", f"{r.tokens / 1e6:.1f} M",
              f"{r.excess:.3f}", f"{r.written_form:.0%}", f"{r.written_derived:.0%}")
             for r in best.itertuples()]),
        "cells": markdown(
            ("FLOPs", "parameters", "tokens", "rate", "excess", "deviation of the seeds"),
            [(flops_text(r.flops), f"{r.parameters:,.0f}", f"{r.tokens / 1e6:.2f} M", f"{r.rate:g}",
              f"{r.excess:.4f}", f"{r.deviation:.4f}") for r in grid.itertuples()]),
        "fits": markdown(
            ("fit", "E", "alpha", "beta", "misfit"),
            [(name, *(with_interval(getattr(law, of), [getattr(each, of) for each in drawn])
                      for of in ("E", "alpha", "beta")),
              lack_of_fit(residuals(runs, law), runs.groupby(["flops", "channels"]).ngroup(),
                          len(law) - FITS[name][0]))
             for name, law, drawn in fits(grid, samples)]),
        "sizes": markdown(
            ("counted", *map(flops_text, grid.flops.unique()), "exponent"),
            list(_sizes(grid, samples))),
        "prediction": markdown(
            ("fit", "excess predicted", "95 %", "measured", "error", "error of the loss"),
            [(name, f"{value:.4f}", f"{low:.4f} to {high:.4f}", f"{ahead.excess:.4f}",
              f"{value / ahead.excess - 1:+.0%}",
              f"{(value + ahead.entropy) / ahead.loss - 1:+.1%}")
             for name in FITS for value, low, high in [told[name]]]),
    }


def residuals(runs, law):
    """Return log(excess) of some runs less that of a law."""
    return np.log(runs.excess / (law.loss(runs.parameters, runs.tokens) - runs.entropy))


def with_interval(value, samples):
    return "{:.3f} ({:.3f} to {:.3f})".format(value, *interval(samples))


def _sizes(grid, samples):
    """Yield the best sizes and their exponent, with 95 % of draws of the noise of seeds."""
    noise, rng = seed_noise(grid) / np.sqrt(grid.seeds), np.random.default_rng(0)
    drawn = [grid.assign(excess=grid.excess * np.exp(rng.normal(0, noise))) for _ in range(samples)]
    for count in ("parameters", "without embeddings"):
        sizes, power = best_sizes(grid, count)
        powers = [best_sizes(each, count)[1] for each in drawn]
        yield count, *(f"{size:,.0f}" for size in sizes), with_interval(power, powers)


def draw(path, rows):
    """Draw the excess of every run at the registered rate, and what the fit of the log excess
    leaves of it; the largest run is not in the fit."""
    drawing, (left, right) = plots.figure(10, 4.2, 1, 2)
    *_, (_, law, _) = fits(ahead_of(rows)[0], 0)
    runs = frame(rows).assign(left=lambda runs: residuals(runs, law))
    for i, (flops, some) in enumerate(runs[runs.rate == runs.flops.map(rate)].groupby("flops")):
        for axes, name in ((right, "left"), (left, "excess")):
            mean = some.groupby("parameters")[name].mean()
            axes.plot(some.parameters, some[name], "o", color=plots.COLOURS[i], markersize=4,
                      markerfacecolor="none")
            axes.plot(mean, color=plots.COLOURS[i], linewidth=1)
        left.annotate(f"{flops_text(flops)} FLOPs", (mean.index[-1], mean.iloc[-1]), (7, 0),
                      va="center", **plots.NOTE)
    left.set(xscale="log", yscale="log", xlabel="parameters",
             ylabel="loss above the entropy, nats per token")
    left.set_xlim(right=5 * some.parameters.max())
    limits = left.get_ylim()
    plain_ticks(left.yaxis, TICKS)
    left.set_ylim(limits)  # ticks outside would widen it
    left.set_title("Every budget has a best size", fontsize=10)
    right.axhline(0, **plots.LANDMARK)
    right.set(xscale="log", xlabel="parameters", ylabel="log (excess / fit)")
    right.set_title("What the fit of the log excess leaves", fontsize=10)
    return plots.save(drawing, path)


def write_report(figures=FIGURES):
    rows = kept(RESULTS)
    into_documents(REPORT, tables(rows))
    picture(draw, figures / "09_scaling_laws.png", rows)


def quick_study(figures):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quick.jsonl"
        whole(path, 0, QUICK, 8e8, 16, samples=10, asked=80, written=2, pool=5000)
        rows = kept(path)
    print(*tables(rows, samples=10).values(), sep="\n")
    picture(draw, figures / "09_scaling_laws.png", rows)
    return rows


def main(quick=False, figures=FIGURES, workers=None):
    if quick:
        return quick_study(figures)
    whole(RESULTS, workers, SIZES, *PREDICTED)
    return write_report(figures)


if __name__ == "__main__":
    run_study(__doc__, main, write_report, "tiny models, a few seconds")
