"""How to train: optimizers to the floor, the size of a batch, a text that is read again.

    python examples/studies/14_training.py            what is missing of two seeds, and the report
    python examples/studies/14_training.py --all      of all ten seeds

`PLAN.md` has these questions, 6, 8 and 9, written before the first training; the models and
texts are those of `12_rows.py`.
"""

import importlib
import json
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from ablation_rows import Row, train_missing
from ablation_tables import at_neighbours, frame, mean_and_interval
from ablation_trials import AVERAGED, POINTS, measured
from laboratory import first_below, markdown, results_of, tried
from scipy import optimize
from study import FIGURES, into_documents, log_axes, picture, plain_ticks, run_study

from npgpt import plots

parts = importlib.import_module("12_rows")
RESULTS, REPORT = (Path(__file__).with_suffix(end) for end in (".jsonl", ".md"))
SEEDS, CHOOSE = parts.SEEDS, parts.CHOOSE  # of results, and those that choose a rate
LENGTHS = {"Rows": (1000, 4000), "Tales": (800, 3200)}
RATES = {
    ("Rows", "AdamW"): (1e-3, 2e-3, 4e-3, 8e-3),
    ("Tales", "AdamW"): (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2),
    ("Rows", "Muon"): (0.00125, 0.0025, 0.005, 0.01, 0.02, 0.04),
    ("Tales", "Muon"): (0.0025, 0.005, 0.01, 0.02, 0.04),
    ("Rows", "SGD"): (0.015, 0.03, 0.06, 0.125), ("Tales", "SGD"): (0.1, 0.25, 0.5, 1.0, 2.0),
}
LEVELS = 1.2, 1.05  # times the entropy
GOAL, MOST = 0.2, 8000  # nats above the entropy at which a training ends, else after so many steps
BATCHES = 1, 2, 4, 8, 16, 32, 64, 128
READ, DROPOUT = (64, 200, 640, 2000), (0.0, 0.3)
ARM = ["group", "steps", "optimizer"]  # what has a rate and decay of its own
OPTIMIZERS = [  # each at each rate, decay and length
    Row(text, f"{text}: {name}, {steps} steps, decay {decay:g}, rate {rate:g}", parts.ON[text] | {
        "optimizer": name, "steps": steps, "warm_up": steps // 10, "decay": decay}, (rate,),
        chosen_by=CHOOSE)
    for (text, name), rates in RATES.items()
    for steps, decay, rate in product(LENGTHS[text], (0.0,) if name == "SGD" else (0.0, 0.1), rates)
]
SIZES = [  # of a batch, the rates about 0.004 times the root of the size over 8
    Row("Batches", f"{B}", parts.ON["Rows"] | {
        "batch_size": B, "goal": GOAL, "steps": MOST, "evaluations": 0,
    }, tuple(round(0.004 * (B / 8) ** 0.5 * x, 6) for x in (0.125, 0.25, 0.5, 1, 2)), "steps",
        chosen_by=CHOOSE)
    for B in BATCHES
]
REPEATED = [  # texts of so many tales, read until 6,400 are read
    Row("Repetition", f"{n} tales, dropout {dropout:g}", parts.ON["Tales"] | {
        "stories": n, "dropout": dropout, "gap": True,
    }, tuple((1.25e-4 if n < 500 else 1e-3) * 2**i for i in range(7)),
        chosen_by=CHOOSE)
    for n, dropout in product(READ, DROPOUT)
]


def frames(results, seeds=SEEDS):
    """Return the trainings of the three questions, a line for each: of optimizers at all rates,
    with the steps to each of LEVELS; of batches and of repetition at the best."""
    results = {settings: json.loads(settings) | found for settings, found in results.items()}
    runs = frame(OPTIMIZERS, results, (*CHOOSE, *seeds)).astype({"excess": float})
    runs["x"] = [  # steps of a curve's points, each the mean of so many stories, 8 a step
        AVERAGED // 8 + np.arange(len(r.curve)) * (r.steps // POINTS) for r in runs.itertuples()]
    for level in LEVELS:
        runs[level] = [first_below(r.x, r.curve, (level - 1) * parts.entropy(r.group))
                       for r in runs.itertuples()]
    return runs, frame(SIZES, results, seeds), frame(REPEATED, results, seeds)


# ---- optimizers and batches


def means(runs, by):
    """Return the geometric means of `by`, the excess or one of LEVELS, over the seeds that choose,
    of the rates at which all come so far; by ARM, decay, rate and label."""
    some = runs[runs.seed.isin(CHOOSE)].set_index([*ARM, "decay", "rate", "label"])
    logs = np.log(some[by]).groupby(level=[*range(6)])
    return np.exp(logs.mean()[logs.count() == len(CHOOSE)])


def best(runs, by):
    """Return the labels of the arms at which the mean is least: a rate and decay for each ARM."""
    return [label for *_, label in means(runs, by).groupby(level=ARM).idxmin()]


def quickest(runs):
    """Return the labels of AdamW and Muon on rows with the fewest steps to each of LEVELS."""
    rows = runs[(runs.group == "Rows") & (runs.optimizer != "SGD")]
    return {label for level in LEVELS for label in best(rows, level)}


def at_best(runs, by):
    """Return the runs of these arms, without the seeds that choose."""
    return runs[~runs.seed.isin(CHOOSE) & runs.label.isin(best(runs, by))]


def speed_ups(runs, by=None):
    """Return by text, length and seed log(steps of AdamW / steps of Muon) to each of LEVELS, at
    the arms that are best `by`, or by the steps to the level."""
    steps = {level: at_best(runs, by or level).pivot_table(
        level, ["group", "steps", "seed"], "optimizer").reindex(columns=["AdamW", "Muon"])
        for level in LEVELS}
    return pd.DataFrame({level: np.log(of.AdamW / of.Muon) for level, of in steps.items()})


def critical_batch(batches):
    """Return (S, B_crit) of steps = S (1 + B_crit / B), by least squares of the logarithms of each
    seed's steps."""
    done = batches[batches.steps < MOST]
    B, logs = done.batch_size.to_numpy(float), np.log(done.steps.to_numpy(float))
    return np.exp(optimize.least_squares(
        lambda theta: theta[0] + np.log1p(np.exp(theta[1]) / B) - logs, (5.0, 2.0)).x)


# ---- tables and the picture


def tables(runs, batches, again):
    """Return name -> table in Markdown, of what `frames` returns."""
    ratios = pd.concat({"excess": speed_ups(runs, "excess"),
                        "steps": speed_ups(runs[runs.group == "Rows"])})
    near = means(runs, "excess")
    ratios["more"] = ratios[LEVELS[1]] - ratios[LEVELS[0]]
    return {
        "optimizers": markdown(
            ("text", "steps", "optimizer", "decay", "rate", "n", "excess",
             *(f"steps to {x}" for x in LEVELS), "rates beside it"),
            [(text.lower(), f"{steps:,}", name, some.decay.iloc[0], some.rate.iloc[0], len(some),
              f"{some.excess.median():.4f}",
              *(_steps(some[level].fillna(np.inf).median()) for level in LEVELS),
              at_neighbours(near[text, steps, name, some.decay.iloc[0]].droplevel("label"),
                            some.rate.iloc[0]))
             for (text, steps, name), some in at_best(runs, "excess").groupby(ARM)]),
        "speed-up": markdown(
            ("rates by", "text", "steps", *(f"to {x}: AdamW / Muon" for x in LEVELS),
             "second beside first"),
            [(by, text.lower(), f"{steps:,}", *cells) for (by, text, steps), *cells in
             ratios.groupby(level=[0, 1, 2]).agg(_factor).itertuples()]),
        "batches": markdown(
            ("rows a step", "rate", "n", f"steps to {GOAL}", "rows read", "rates beside it"),
            [(B, f"{some.rate.iloc[0]:g}", len(some), _steps(some.steps.median()),
              _steps(some.steps.median() * B), some.near.iloc[0])
             for B, some in batches.groupby("batch_size")]),
        "repetition": markdown(
            ("tales", "dropout", "times read", "rate", "n", "excess on others", "on those read",
             "gap (95 %)", "rates beside it"),
            [(n, dropout, some.steps.iloc[0] * 8 / n, some.rate.iloc[0], len(some),
              f"{some.excess.mean():.4f}", f"{some.read_excess.mean():.4f}",
              "{:.4f} ({:.4f} to {:.4f})".format(
                  *mean_and_interval(some.excess - some.read_excess)), some.near.iloc[0])
             for (n, dropout), some in again.groupby(["stories", "dropout"])]),
    }


def _steps(count):
    return f"{count:,.0f}" if np.isfinite(count) else "not reached"


def _factor(logs):
    logs = logs.dropna()
    return "{:.2f} ({:.2f} to {:.2f}), n = {}".format(
        *np.exp(mean_and_interval(logs)), len(logs)) if len(logs) > 1 else "not reached"


def draw(path, runs, batches, again):
    """Draw losses by optimizer, steps by batch, and the gap of a text that is read again."""
    drawing, axes = plots.figure(11, 3.6, 1, 3)
    longest = runs[runs.steps == runs.steps[runs.group == "Rows"].max()]
    for colour, (name, some) in zip(plots.COLOURS, at_best(longest, "excess").groupby("optimizer"),
                                    strict=False):
        axes[0].plot(some.x.iloc[0], np.median(some.curve.to_list(), axis=0), color=colour,
                     label=name)
    for level in LEVELS:
        axes[0].axhline((level - 1) * parts.entropy("Rows"), **plots.LANDMARK)
    log_axes(axes[0], "Rows, at the rates of least excess", "step", "nats above the entropy",
             (20, 100, 500, 1000, 4000), (0.01, 0.1, 1))
    B, (S, B_crit) = np.geomspace(1, max(BATCHES)), critical_batch(batches)
    axes[1].plot(batches.batch_size, batches.steps, ".", color=plots.COLOURS[0])
    axes[1].plot(B, S * (1 + B_crit / B), color=plots.COLOURS[0],
                 label=f"{S:.0f} (1 + {B_crit:.0f} / B)")
    inset = axes[1].inset_axes([0.14, 0.05, 0.4, 0.26], xscale="log")
    inset.plot(batches.batch_size, np.log(batches.steps / (S * (1 + B_crit / batches.batch_size))),
               ".", color=plots.COLOURS[0], markersize=3)
    inset.axhline(0, **plots.LANDMARK)
    inset.set_title("log (steps / fit)", fontsize=7)
    inset.set_yticks([-0.2, 0, 0.2, 0.4], ["-0.2", "0", "0.2", "0.4"], fontsize=7)
    plain_ticks(inset.xaxis, [])
    log_axes(axes[1], "Larger batches need fewer steps, up to a point", "B, rows a step",
             f"steps to {GOAL} nats", BATCHES, (150, 300, 600, 1200, 2500, 5000))
    for i, (dropout, some) in enumerate(again.groupby("dropout")):
        axes[2].plot(some.stories, some.excess - some.read_excess, ".x"[i],
                     color=plots.COLOURS[i], label=f"dropout {dropout:g}")
    log_axes(axes[2], "What is read again is memorised", "tales in the text",
             "excess on others less on those read", READ, (0.01, 0.1, 1))
    for panel in axes:
        panel.legend(fontsize=8)
    return plots.save(drawing, path)


def stored():
    return results_of(parts.RESULTS) | results_of(RESULTS)


def write_report(figures=FIGURES):
    found = frames(stored())
    into_documents(REPORT, tables(*found))
    picture(draw, figures / "14_training.png", *found)


def quick_study(figures):
    """Train some of the arms for a few steps, at one rate with one seed."""
    arms = [arm for arm in OPTIMIZERS if arm.changes["steps"] == 1000] + SIZES[:3] + REPEATED[:2]
    found = frames(tried(
        [arm.changes | {"lr": rate, "seed": seed}
         for arm in arms for rate in arm.rates for seed in (*CHOOSE, 2, 3)], measured,
        {"steps": 40, "warm_up": 2, "evaluations": 0, "n_embd": 16, "lr": 1e-3, "seed": 1}))
    print(*tables(*found).values(), sep="\n")
    picture(draw, figures / "14_training.png", *found)
    return found


def main(quick=False, figures=FIGURES, extra=False, workers=None):
    if quick:
        return quick_study(figures)
    train_missing(OPTIMIZERS, RESULTS, workers, (), results_of(parts.RESULTS))
    runs, *_ = frames(stored())
    labels = {*best(runs, "excess"), *quickest(runs)}
    train_missing([arm for arm in OPTIMIZERS if arm.label in labels] + SIZES + REPEATED, RESULTS,
                  workers, SEEDS if extra else SEEDS[:2], results_of(parts.RESULTS))
    return write_report(figures)


if __name__ == "__main__":
    run_study(__doc__, main, write_report, "tiny models, a few seconds", "all ten seeds")
