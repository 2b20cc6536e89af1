"""Train again what CONCEPTS.md quotes, and compare: do the numbers hold?

    python examples/again.py            trains, an hour on two cores, and writes the table
    python examples/again.py --report   the table from what is there

The trainings are those of the studies, at the rates that these chose, with three seeds. Results go
into runs/again/, one file for each study, and the table into README.md here.
"""

import argparse
import importlib
import time
from pathlib import Path

import pandas as pd
from ablation_rows import other_trials
from example import into_document
from laboratory import key, markdown, results_of, run
from scipy import stats

HERE = Path(__file__).parent
FOLDER = HERE.parent / "runs" / "again"
SEEDS = 2, 3, 4  # of studies whose seed 1 chose a rate
OF_FAMILIES = ("word left nats", "word both nats", "go on whole", "rewrite exact",
               "pronoun it share", "pronoun it, later share")


def quoted():
    """Yield (name of a study, its trials that CONCEPTS.md quotes, their `measure`)."""
    ablations, parts, skills, training, families, scaling = (
        importlib.import_module(name) for name in (
            "08_ablations", "12_rows", "13_skills", "14_training", "10_families",
            "09_scaling_laws"))
    yield "08_ablations", other_trials(
        ablations.ROWS, results_of(ablations.RESULTS), ablations.SEEDS), skills.measure
    kept = results_of(parts.RESULTS)
    yield "12_rows", other_trials(parts.ARMS + parts.TALES, kept, SEEDS), skills.measure
    kept = kept | results_of(training.RESULTS)
    best = training.best_decays(kept).values()
    yield "14_training", other_trials(
        [arm for arm in training.OPTIMIZERS if arm.group == "Rows" and arm.label in best],
        kept, SEEDS), skills.measure
    yield "13_skills", [skills.over_time(text, skills.SHOWN, seed)
                        for text in skills.BASES for seed in skills.SEEDS], skills.measure
    yield "10_families", [{"family": family, "seed": seed} for seed in families.SEEDS
                          for family in families.FAMILIES], families.measure
    yield "09_scaling_laws", scaling.trials(), scaling.measure


def numbers(result):
    """Return name -> what is compared: the excess, or what is counted of a family."""
    if "excess" in result:
        return {"excess": result["excess"]}
    flat = pd.json_normalize(result, sep=" ").iloc[0]
    return {name: float(flat[name]) for name in OF_FAMILIES if name in flat}


def compared(trials, first, again):
    """Return a line for each number of each arm, and one for each run, of the runs that ended.

    An arm's number is held if its mean again is within the 95 % interval, by Student's t, of its
    first runs with the same seeds.
    """
    found = pd.DataFrame([
        {"arm": key(trial | {"seed": None}), "number": name, "first": x,
         "again": numbers(again[key(trial)])[name]}
        for trial in trials for name, x in numbers(first[key(trial)]).items()
    ]).astype({"first": float, "again": float}).dropna()
    lines = found.groupby(["arm", "number"]).agg(
        n=("first", "count"), first=("first", "mean"), error=("first", "sem"),
        again=("again", "mean"))
    lines = lines[lines.n > 1]
    reach = stats.t.ppf(0.975, lines.n - 1) * lines.error
    return lines.assign(held=(lines["again"] - lines["first"]).abs() <= reach), found


def report():
    rows = []
    for name, trials, _ in quoted():
        first, again = (results_of(folder / f"{name}.jsonl") for folder in (HERE, FOLDER))
        lines, found = compared(trials, first, again)
        apart = (found["again"] / found["first"] - 1).abs()
        rows.append((name, len(trials), f"{lines.held.sum()} of {len(lines)}",
                     f"{apart.median():.1%}", f"{(apart == 0).mean():.0%}"))
    head = "study", "trainings", "means within 95 %", "a run differs by, median", "to the bit"
    into_document(HERE / "README.md", "again", markdown(head, rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", action="store_true", help="no training")
    if not parser.parse_args().report:
        started = time.perf_counter()
        for name, trials, measure in quoted():
            run(trials, measure, FOLDER / f"{name}.jsonl")
        print(f"{(time.perf_counter() - started) / 60:.0f} minutes")
    report()


if __name__ == "__main__":
    main()
