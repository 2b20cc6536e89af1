"""Train again what CONCEPTS.md quotes, with seeds that no study has used: what holds?

    python -m examples.studies again            trains what is missing; an hour on two cores for all

The trainings are those of the studies, at the rates that these chose. `PLAN.md` has the seeds and
what counts as held.
"""

import importlib
import json

import arms
import numpy as np
import pandas as pd
import study
from ablation_trials import measured
from scipy import stats
from study import key, markdown

parts, ablations, families, scaling = map(importlib.import_module, (
    "12_rows", "08_ablations", "10_families", "09_scaling_laws"))
SEEDS, THREE = {parts: range(21, 26), scaling: (21,)}, (21, 22, 23)
CHOSE = {parts: parts.CHOOSE, ablations: (1,)}  # seeds that chose rates: in no mean of such arms
OF_FAMILIES = "word left nats", "word both nats", "go on whole"
TINY = ablations.TINY


def trials(results):
    return [trial | {"seed": seed} for of in (ablations, parts, families, scaling)
            for seed in SEEDS.get(of, THREE) for trial, _ in arms_of(of)]


def arms_of(of):
    """Return (settings without a seed, seeds that chose the rate) of a study's arms."""
    if of is scaling:
        found = [(trial, ()) for trial in of.grid_trials((1,))]
    elif of is families:
        found = [({"family": name}, ()) for name in of.FAMILIES]
    else:
        known = study.results(of)
        found = [(arm.trial(1, arm.tried(known).idxmin()), CHOSE[of] * (len(arm.rates) > 1))
                 for arm in of.ARMS if arm.label != "SGD"]
    return [({name: x for name, x in trial.items() if name != "seed"}, chose)
            for trial, chose in found]


def measure(settings):
    of = families if "family" in settings else scaling if "channels" in settings else None
    return of.measure(settings) if of else measured(settings)


def values(results, of):
    """Return the numbers of a study's arms, by arm and name of the number."""
    chose, rows = {key(trial): seeds for trial, seeds in arms_of(of)}, []
    for settings, result in results.items():
        arm = json.loads(settings)
        seed = arm.pop("seed", None)
        if (name := key(arm)) in chose and seed not in chose[name]:
            flat = pd.json_normalize(result, sep=" ").iloc[0]
            rows += [(name, x, flat[x]) for x in ("excess", *OF_FAMILIES) if x in flat]
    found = pd.DataFrame(rows, columns=["arm", "number", "value"]).dropna()
    return found.astype({"value": float}).groupby(["arm", "number"]).value


def held(first, again):
    """Return for each number of each arm if its mean of m runs again is within the 95 % prediction
    interval, by Student's t, of its n first runs; for arms with several of these."""
    n, m = first.count(), again.count()
    error = first.std() * (1 / n + 1 / m) ** 0.5
    inside = (first.mean() - again.mean()).abs() <= stats.t.ppf(0.975, n - 1) * error
    return inside[(n > 1) & m.notna()]


def numbers(results):
    rows, flat = [], {}
    for of in (ablations, parts, families, scaling):
        known = study.results(of)
        inside = held(values(known, of), values(results, of))
        row = [of.__name__, len(SEEDS.get(of, THREE)) * len(arms_of(of)),
               f"{inside.sum()} of {len(inside)}", "", ""]
        if of in CHOSE:
            trained_again = [arm for arm in of.ARMS if arm.label != "SGD"]
            before, after, both = (
                {f"{change}, {text}": x for text, some in arms.effects(
                    trained_again, arms.runs_of(trained_again, known | results, seeds)).items()
                 for change, x in some.items()}
                for seeds in (of.SEEDS, SEEDS.get(of, THREE), [*of.SEEDS, *SEEDS.get(of, THREE)]))
            flips = [change for change, x in before.items() if sign(x) != sign(after[change])]
            row[3:] = f"{len(before) - len(flips)} of {len(before)}", ", ".join(flips)
            name = of.__name__.partition("_")[2]
            flat[name] = {change: {"before": x, "again": after[change], "both": both[change]}
                          for change, x in before.items()}
            flat[f"{name}_reversed"] = sum(
                sign(x) * sign(after[change]) < 0 for change, x in before.items())
            flat[f"{name}_table"] = markdown(
                ("change", "first seeds", "new seeds", "all seeds", "by all"),
                [(change, *x.values(), x["both"].word) for change, x in flat[name].items()])
        rows.append(row)
    head = "study", "trainings", "means within the interval", "verdicts again", "not again"
    return flat | {"table": markdown(head, rows)}


def sign(x):
    return np.sign(x.mean) * (x.low * x.high > 0)
