"""Section 9, scaling laws: what a model's loss owes to its size, its text and its FLOPs.

    python -m examples.studies 09_scaling_laws            what is missing, a prediction, the report

The text is an almanac (`almanac.py`) of exactly known entropy: the E of the law
L = E + A/N^alpha + B/D^beta is known before it is fitted. `PLAN.md` fixed sizes, rates, seeds
and fits before the first training (question 10). The largest run is predicted before it is
trained; 09_scaling_laws.jsonl has both, in that order. It needs the extra `studies`.
"""

import json

import numpy as np
import pandas as pd
import scaling_trials
import study
from intervals import SAMPLES, Interval, between, bootstrap, lack_of_fit, ratio, student
from scaling_trials import almanac, shape
from study import flops_text, markdown, plain_ticks

from npgpt.models.size import flops_per_token, parameters_by_part
from npgpt.support import plots

SIZES = {  # FLOPs -> channels
    1e11: (8, 12, 16, 24, 32, 48),
    4e11: (12, 16, 24, 32, 48, 64),
    1.6e12: (16, 24, 32, 48, 64, 96),
    6.4e12: (24, 32, 48, 64, 96),
}
SEEDS = 1, 2, 3
PREDICTED = 2.6e13, 96  # FLOPs and channels
ASKED = {"predict": PREDICTED[0], "channels": PREDICTED[1]}
FITS = {  # name -> (is E given?, is the excess fitted, or the loss?)
    "log loss, Huber, E given": (True, False),
    "log loss, Huber, E fitted": (False, False),
    "log excess, least squares, E given": (True, True),
}
TINY = {"flops": 1e8, "pool": 5000, "asked": 80, "written": 2}
TICKS = (0.02, 0.03, 0.05, 0.1, 0.2, 0.4, 1, 2, 3, 5)  # nats


# ---- trainings


def rate(flops):
    """Return the registered rate: it falls as FLOPs^-0.4 from 0.014 at 4e11."""
    return float(f"{0.014 * (flops / 4e11) ** -0.4:.2g}")


def trial(channels, flops, seed=1, factor=1):
    return {"text": "almanac", "channels": channels, "flops": flops,
            "rate": float(f"{rate(flops) * factor:.2g}"), "seed": seed}


ENDLESS = trial(48, 1.6e12) | {"rate": 1.2e-2}
LITTLE = {n: ENDLESS | {"stories": n} for n in (130, 1300, 13_000, 130_000)}  # texts that end


def grid_trials(seeds=SEEDS):
    return [trial(channels, flops, seed)
            for seed in seeds for flops, several in SIZES.items() for channels in several]


def trials(results):
    """Return the grid, half the rate at the largest budget, the texts that end; once the grid is
    there, the prediction, and once that is, its run."""
    grid = grid_trials()
    found = [*grid, *(trial(channels, max(SIZES), factor=0.5) for channels in SIZES[max(SIZES)]),
             ENDLESS, *LITTLE.values()]
    for ready, then in ((grid, ASKED), ([ASKED], trial(*PREDICTED[::-1]))):
        found += [then] if {*map(study.key, ready)} <= results.keys() else []
    return found


def measure(settings):
    if "predict" in settings:
        return predicted(study.results_of(study.HERE / "09_scaling_laws.jsonl"))
    return scaling_trials.measure(settings)


# ---- what follows from them


def frame(results):
    """Return a row for each training on the whole text: is it at the registered rate?"""
    found = [json.loads(settings) | result for settings, result in results.items()]
    found = [row for row in found if "predict" not in row and "stories" not in row]
    runs = pd.json_normalize(found, sep="_")
    return runs.assign(registered=runs.rate == runs.flops.map(rate))


def cells(results):
    """Return the means of the seeds at each budget and size, at the registered rate."""
    runs = frame(results)
    seeds = runs[runs.registered].groupby(["flops", "channels"])
    return seeds.mean(numeric_only=True).assign(
        deviation=seeds.excess.std(), seeds=seeds.size()).reset_index()


def fits(grid, samples):
    """Yield (name, `Law`, laws of a bootstrap) of each way to fit the cells."""
    E = grid.entropy.iloc[0]
    arrays = [grid[x].to_numpy() for x in ("parameters", "tokens", "loss")]
    for name, (given, excess) in FITS.items():
        law, *drawn = bootstrap(*arrays, E if given else None, samples=samples, excess=excess)
        yield name, law, drawn


def predicted(results, samples=500):
    """Return the excess that each fit to the grid predicts for the run that is PREDICTED."""
    flops, channels = PREDICTED
    config = shape(channels, almanac().tokenizer.vocab_size)
    N, D = sum(parameters_by_part(config).values()), flops / (3 * flops_per_token(config))
    grid = cells(results)
    grid, E = grid[grid.flops < flops], grid.entropy.iloc[0]
    return {
        name: [*between(law.loss(N, D) - E, [each.loss(N, D) - E for each in drawn])]
        for name, law, drawn in fits(grid, samples)
    }


def best_sizes(grid):
    """Return each budget's best size, and p, where it grows as FLOPs**p.

    The best is the lowest point of a parabola in logarithms (Hoffmann et al., 2022, approach 2).
    """
    def lowest(some):
        bend, slope, _ = np.polyfit(np.log(some.parameters), np.log(some.excess), 2)
        return np.exp(-slope / (2 * bend))

    sizes = grid.groupby("flops")[["parameters", "excess"]].apply(lowest)
    return sizes, np.polyfit(np.log(sizes.index), np.log(sizes), 1)[0]


def exponent(grid):
    """Return the exponent with 95 % of draws of the noise of seeds."""
    rng, spread = np.random.default_rng(0), noise_of(grid) / np.sqrt(grid.seeds)
    drawn = [grid.assign(excess=grid.excess * np.exp(rng.normal(0, spread)))
             for _ in range(SAMPLES)]
    return between(best_sizes(grid)[1], [best_sizes(each)[1] for each in drawn])


def residuals(runs, law):
    """Return log(excess) of some runs less that of a law."""
    return np.log(runs.excess / (law.loss(runs.parameters, runs.tokens) - runs.entropy))


def noise_of(grid):
    """Return the standard deviation of the excess between seeds, as a share of it."""
    return np.sqrt(np.mean((grid.deviation / grid.excess) ** 2))


# ---- numbers and picture


def numbers(results):
    every, runs = cells(results), frame(results)
    grid, ahead = every.iloc[:-1], every.iloc[-1]  # the run that was predicted has most FLOPs
    runs = runs[runs.flops <= max(SIZES)].set_index(["flops", "parameters", "seed"]).sort_index()
    half = runs[~runs.registered & (runs.rate < 1e-2)].excess
    runs = runs[runs.registered]
    told, fit = results[study.key(ASKED)], {}
    for name, law, drawn in fits(grid, SAMPLES):
        left = residuals(runs.reset_index(), law)
        fit[name] = {x: between(getattr(law, x), [getattr(each, x) for each in drawn])
                     for x in ("E", "alpha", "beta")} | {
            "misfit": lack_of_fit(left, runs.groupby(level=[0, 1]).ngroup(),
                                  len(law) - FITS[name][0]),
            "predicted": Interval(*told[name]), "error": told[name][0] / ahead.excess - 1,
            "of loss": (told[name][0] + ahead.entropy) / ahead.loss - 1}
    best = grid.loc[grid.groupby("flops").excess.idxmin()]
    sizes, facts = best_sizes(grid)[0], np.mean(runs.right_fact[6.4e12, 79536].tolist(), axis=0)
    return {
        "summary": markdown(
            ("FLOPs", "best size tried, parameters", "tokens", "loss above the entropy",
             "stories with the right facts"),
            [(flops_text(r.flops), f"{r.parameters:,.0f}", f"{r.tokens / 1e6:.1f} M",
              f"{r.excess:.3f}", f"{r.written_derived:.0%}")
             for r in best.itertuples()]),
        "cells": markdown(
            ("FLOPs", "parameters", "tokens", "rate", "excess", "deviation of the seeds",
             "stories with the right facts"),
            [(flops_text(r.flops), f"{r.parameters:,.0f}", f"{r.tokens / 1e6:.2f} M", f"{r.rate:g}",
              f"{r.excess:.4f}", f"{r.deviation:.4f}", f"{r.written_derived:.0%}")
             for r in grid.itertuples()]),
        "fit": fit, "ahead": ahead, "best": [*best.excess], "sizes": [*sizes],
        "power": exponent(grid), "powers": np.diff(np.log(sizes)) / np.diff(np.log(sizes.index)),
        "told": {flops_text(flops): some.set_index("parameters").written_derived
                 for flops, some in grid.groupby("flops")},
        "noise": noise_of(grid), "noise_largest": noise_of(grid[grid.flops == max(SIZES)]),
        "half": ratio(half, runs.excess),
        "above": {size: student(runs.excess[4e11, size] - runs.excess[4e11, 25944])
                  for size in (130624, 9516)},
        "facts": [np.average(facts[:2, 0], weights=facts[:2, 1]), *facts[2:, 0]],
        "endless": results[study.key(ENDLESS)],
        "little": {n: results[study.key(of)] for n, of in LITTLE.items()}}


def draw(path, results):
    """Draw the excess of every run at the registered rate, and what the fit of the log excess
    leaves of it; the largest run is not in the fit."""
    drawing, (left, right) = plots.figure(10, 4.2, 1, 2)
    *_, (_, law, _) = fits(cells(results).iloc[:-1], 0)
    runs = frame(results).assign(left=lambda runs: residuals(runs, law))
    for i, (flops, some) in enumerate(runs[runs.registered].groupby("flops")):
        for axes, name in ((right, "left"), (left, "excess")):
            mean = some.groupby("parameters")[name].mean()
            axes.plot(some.parameters, some[name], "o", color=plots.COLOURS[i], markersize=4,
                      markerfacecolor="none")
            axes.plot(mean, color=plots.COLOURS[i], linewidth=1)
        left.annotate(f"{flops_text(flops)} FLOPs", (mean.index[-1], mean.iloc[-1]), (7, 0),
                      va="center", **plots.NOTE_STYLE)
    left.set(xscale="log", yscale="log", xlabel="parameters",
             ylabel="loss above the entropy, nats per token")
    left.set_xlim(right=5 * some.parameters.max())
    limits = left.get_ylim()
    plain_ticks(left.yaxis, TICKS)
    left.set_ylim(limits)  # ticks outside would widen it
    left.set_title("Every budget has a best size", fontsize=10)
    right.axhline(0, **plots.LANDMARK_STYLE)
    right.set(xscale="log", xlabel="parameters", ylabel="log (excess / fit)")
    right.set_title("What the fit of the log excess leaves", fontsize=10)
    return plots.save(drawing, path)
