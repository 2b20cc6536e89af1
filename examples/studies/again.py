"""Train again what CONCEPTS.md quotes, and compare: do the numbers hold?

    python examples/studies/again.py            trains, an hour on two cores, and writes the table
    python examples/studies/again.py --report   the table from what is there

The trainings are those of the studies, at the rates that these chose, with three seeds, of scaling
with one. Results go into runs/again/, a file for each study, and the table into README.md here.
"""

import importlib
import sys
from pathlib import Path

import pandas as pd
from ablation_rows import best_rate
from ablation_trials import measured
from laboratory import kept, key, markdown, results_of, run
from scipy import stats
from study import into_document

HERE = Path(__file__).parent
FOLDER = HERE.parents[1] / "runs" / "again"
ablations, parts, skills, training, families, scaling = (importlib.import_module(name) for name in (
    "08_ablations", "12_rows", "13_skills", "14_training", "10_families", "09_scaling_laws"))
OF_FAMILIES = ("word left nats", "word both nats", "go on whole", "rewrite exact",
               "pronoun it share", "pronoun it, later share")


def quoted():
    """Yield (name of a study, its trials that CONCEPTS.md quotes, their `measure`)."""
    def at_best(rows, results, seeds):
        return [row.trial(seed, best_rate(row, results)) for seed in seeds for row in rows]

    yield "08_ablations", at_best(
        ablations.ROWS, results_of(ablations.RESULTS), ablations.SEEDS), measured
    seeds = parts.SEEDS[:3]  # as seed 1 only chose a rate
    yield "12_rows", at_best(
        parts.ARMS + parts.TALES, results_of(parts.RESULTS), seeds), measured
    results = training.stored()
    labels = training.quickest(training.frames(results)[0])
    yield "14_training", at_best(
        [row for row in training.OPTIMIZERS if row.label in labels], results, seeds), measured
    yield "13_skills", [trial for (_, channels, _), trial in skills.OVER_TIME.items()
                        if channels == skills.SHOWN], measured
    yield "10_families", [{"family": family, "seed": seed} for seed in families.SEEDS
                          for family in families.FAMILIES], families.measure
    yield "09_scaling_laws", [t for t in scaling.trials() if t["seed"] == 1], scaling.measure


def numbers(result):
    """Return name -> what is compared: the excess, or what is counted of a family."""
    if "excess" in result:
        return {"excess": result["excess"]}
    flat = pd.json_normalize(result, sep=" ").iloc[0]
    return {name: float(flat[name]) for name in OF_FAMILIES if name in flat}


def runs_of(path, arms):
    """Return (arm, number, seed) -> value of the runs of some arms, whatever their seed, that a
    file has. An arm is `key` of settings without a seed."""
    rows = [(key(row["settings"] | {"seed": None}), name, row["settings"]["seed"], x)
            for row in kept(path) if "seed" in row["settings"]
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


def report():
    rows = []
    for name, trials, _ in quoted():
        arms = {key(trial | {"seed": None}) for trial in trials}
        first, again = (runs_of(folder / f"{name}.jsonl", arms) for folder in (HERE, FOLDER))
        inside, apart = held(first, again), (again / first - 1).abs().dropna()
        rows.append((name, len(trials), f"{inside.sum()} of {len(inside)}",
                     f"{apart.median():.1%}", f"{(apart == 0).mean():.0%}"))
    head = ("study", "trainings", "means within the interval", "a run differs by, median",
            "equal to the bit")
    into_document(HERE / "README.md", "again", markdown(head, rows))


def main(flags):
    if "--report" not in flags:
        for name, trials, measure in quoted():
            run(trials, measure, FOLDER / f"{name}.jsonl")
    report()


if __name__ == "__main__":
    main(sys.argv[1:])
