"""Train again what CONCEPTS.md quotes, with seeds that no study has used: what holds?

    python examples/studies/again.py            trains what is missing; an hour on two cores for all
    python examples/studies/again.py --report   the table from what is there

The trainings are those of the studies, at the rates that these chose. `PLAN.md` has the seeds and
what counts as held. Results go into again/, a file for each study, the table into README.md.
"""

import importlib
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from ablation_rows import best_rate
from ablation_tables import effects_by_text, frame, mean_and_interval
from ablation_trials import measured
from laboratory import kept, key, markdown, results_of, run
from scipy import stats
from study import into_document

HERE = Path(__file__).parent
FOLDER = HERE / "again"
ablations, parts, skills, training, families, scaling = (importlib.import_module(name) for name in (
    "08_ablations", "12_rows", "13_skills", "14_training", "10_families", "09_scaling_laws"))
SEEDS = {"12_rows": range(21, 26), "09_scaling_laws": (21,)}  # by study; else:
THREE = 21, 22, 23
CHOSE = dict.fromkeys(("12_rows", "14_training"), training.CHOOSE)  # rates; in no result
ROWS = {"08_ablations": ablations.ROWS, "12_rows": parts.ARMS + parts.TALES}
OF_FAMILIES = ("word left nats", "word both nats", "go on whole", "rewrite exact",
               "pronoun it share", "pronoun it, later share")


def quoted():
    """Yield (name of a study, what CONCEPTS.md quotes with new seeds, the trials' `measure`)."""
    known = results_of(ablations.RESULTS) | training.stored()
    labels = training.quickest(training.frames(known)[0])
    optimizers = [row for row in training.OPTIMIZERS if row.label in labels]
    first = {name: ([row.trial(1, best_rate(row, known)) for row in rows], measured)
             for name, rows in (ROWS | {"14_training": optimizers}).items()} | {
        "13_skills": ([skills.OVER_TIME[text, skills.SHOWN, 1] for text in skills.KINDS], measured),
        "10_families": ([{"family": name} for name in families.FAMILIES], families.measure),
        "09_scaling_laws": ([scaling.trial(channels, flops) for flops, sizes in
                             scaling.SIZES.items() for channels in sizes], scaling.measure)}
    for name, (trials, measure) in first.items():
        yield name, [trial | {"seed": seed} for seed in SEEDS.get(name, THREE)
                     for trial in trials], measure


def numbers(result):
    """Return name -> what is compared: the excess, or what is counted of a family."""
    if "excess" in result:
        return {"excess": result["excess"]}
    flat = pd.json_normalize(result, sep=" ").iloc[0]
    return {name: float(flat[name]) for name in OF_FAMILIES if name in flat}


def runs_of(paths, arms, without=()):
    """Return (arm, number, seed) -> value of the runs of some arms that files have, without some
    seeds. An arm is `key` of settings without a seed."""
    rows = [(key(row["settings"] | {"seed": None}), name, row["settings"]["seed"], x)
            for row in chain(*map(kept, paths))
            if row["settings"].get("seed") not in (None, *without)
            for name, x in numbers(row["result"]).items()]
    found = pd.DataFrame(rows, columns=["arm", "number", "seed", "value"])
    found = found[found.arm.isin(arms)].set_index(["arm", "number", "seed"])
    return found.value.astype(float).dropna()


def held(first, again):
    """Return for each number of each arm if its mean of m runs again is within the 95 % prediction
    interval, by Student's t, of its n first runs; for arms with several of these."""
    lines = first.groupby(["arm", "number"]).agg(n="count", mean="mean", deviation="std")
    lines = lines.join(again.groupby(["arm", "number"]).agg(m="count", again="mean"), how="inner")
    lines = lines[lines.n > 1]
    error = lines.deviation * (1 / lines.n + 1 / lines.m) ** 0.5
    return (lines["again"] - lines["mean"]).abs() <= stats.t.ppf(0.975, lines.n - 1) * error


def verdicts(name, results, seeds):
    """Return comparison -> 1 or -1 if an excess, or a number of steps, is shown to be larger or
    smaller with these seeds, else 0."""
    ends = {}
    if name == "14_training":
        runs = training.frames(results, seeds)[0]
        ups = training.speed_ups(runs[(runs.group == "Rows") & (runs.steps == 4000)])
        ends = {f"AdamW's steps to {x}": mean_and_interval(ups[x].dropna())[1:] for x in ups}
    elif name in ROWS:
        ends = {f"{r.Index}, {text.lower()}": (r.low, r.high) for text, lines in effects_by_text(
            frame(ROWS[name], results, seeds)).items() for r in lines.itertuples()}
    return pd.Series({what: np.sign(low) * (low * high > 0) for what, (low, high) in ends.items()},
                     dtype=float)


def report():
    rows, known = [], results_of(ablations.RESULTS) | training.stored()
    for name, trials, _ in quoted():
        path, seeds = FOLDER / f"{name}.jsonl", SEEDS.get(name, THREE)
        again = runs_of([path], arms := {key(trial | {"seed": None}) for trial in trials})
        first = [HERE / path.name] + [parts.RESULTS] * (name == "14_training")
        if len({*again.index.get_level_values("seed")}) == len(seeds):  # else not trained yet
            inside = held(runs_of(first, arms, CHOSE.get(name, ())), again)
            before, after = (verdicts(name, *of) for of in (
                (known, importlib.import_module(name).SEEDS),
                (known | results_of(path), seeds)))
            rows.append((name, len(trials), f"{inside.sum()} of {len(inside)}",
                         f"{(before == after).sum()} of {len(before)}",
                         ", ".join(before.index[before != after])))
    head = "study", "trainings", "means within the interval", "verdicts again", "not again"
    into_document(HERE / "README.md", "again", markdown(head, rows) if rows else
                  "No row of the new seeds is there yet.\n")


def main(flags):
    if "--report" not in flags:
        for name, trials, measure in quoted():
            run(trials, measure, FOLDER / f"{name}.jsonl")
    report()


if __name__ == "__main__":
    main(sys.argv[1:])
