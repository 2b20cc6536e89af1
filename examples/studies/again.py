"""Train again what CONCEPTS.md quotes, with seeds that no study has used: what holds?

    python -m examples.studies again            trains what is missing; an hour on two cores for all

The trainings are those of the studies, at the rates that these chose. `PLAN.md` has the seeds and
what counts as held.
"""

import importlib

import arms
import numpy as np
import pandas as pd
import study
from ablation_trials import TINY  # noqa: F401
from scipy import stats
from study import key, markdown

parts, ablations, families = map(importlib.import_module, (
    "12_rows", "08_ablations", "10_families"))
SEEDS = {ablations: range(21, 24), parts: range(21, 26), families: range(21, 24)}
COMPARED = "excess", "word left nats", "word both nats", "go on whole"


def trials(results):
    return [trial | {"seed": seed} for of, seeds in SEEDS.items() for seed in seeds
            for trial, _ in arms_of(of)]


def arms_of(of):
    """Return (settings with any seed, seeds that chose the rate) of a study's arms."""
    if of is families:
        return [({"family": name}, ()) for name in of.FAMILIES]
    known = study.results(of)
    return [(arm.trial(1, arm.tried(known).idxmin()), arm.chosen_by * (len(arm.rates) > 1))
            for arm in trained_again(of)]


def trained_again(of):
    return [arm for arm in of.ARMS if arm.label != "SGD"]


def measure(settings):
    return (families if "family" in settings else ablations).measure(settings)


def values(results, of, seeds):
    """Return the numbers of a study's arms, by arm and name of the number."""
    runs = pd.json_normalize([
        {"arm": key(trial)} | results[key(trial | {"seed": seed})]
        for trial, chose in arms_of(of) for seed in seeds if seed not in chose], sep=" ")
    found = runs.set_index("arm").filter(COMPARED).stack().dropna().astype(float)
    return found.groupby(level=[0, 1])


def held(first, again):
    """Return for each number of each arm if its mean of m runs again is within the 95 % prediction
    interval, by Student's t, of its n first runs; for arms with several of these."""
    n, m = first.count(), again.count()
    error = first.std() * (1 / n + 1 / m) ** 0.5
    inside = (first.mean() - again.mean()).abs() <= stats.t.ppf(0.975, n - 1) * error
    return inside[(n > 1) & m.notna()]


def numbers(results):
    rows, flat = [], {}
    for of, seeds in SEEDS.items():
        inside = held(values(study.results(of), of, of.SEEDS), values(results, of, seeds))
        row = [of.__name__, len(seeds) * len(arms_of(of)), f"{inside.sum()} of {len(inside)}"]
        if of is families:
            rows.append([*row, "", ""])
            continue
        found = pd.DataFrame({"before": effects(of, {}, of.SEEDS),
                              "again": effects(of, results, seeds),
                              "both": effects(of, results, [*of.SEEDS, *seeds])})
        signs = found.map(sign)
        flips = found.index[signs.before != signs.again]
        rows.append([*row, f"{len(found) - len(flips)} of {len(found)}", ", ".join(flips)])
        name = of.__name__.partition("_")[2]
        flat |= {
            name: found.T, f"{name}_reversed": (signs.before * signs.again < 0).sum(),
            f"{name}_table": markdown(
                ("change", "first seeds", "new seeds", "all seeds", "by all"),
                [(*line, line[-1].word) for line in found.itertuples(name=None)])}
    head = "study", "trainings", "means within the interval", "verdicts again", "not again"
    return flat | {"table": markdown(head, rows)}


def effects(of, results, seeds):
    """Return comparison and text -> `intervals.Ratio` by some seeds, at the rates of the study."""
    some = trained_again(of)
    by_text = arms.effects(some, arms.runs_of(some, study.results(of) | results, seeds))
    return {f"{change}, {text}": x for text, found in by_text.items()
            for change, x in found.items()}


def sign(x):
    return np.sign(x.mean) * (x.low * x.high > 0)
