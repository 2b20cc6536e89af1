"""What the studies stored and wrote, and their statistics, computed without their own tables."""

import importlib
import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="of the extra 'studies'")
pytest.importorskip("pandas", reason="of the extra 'studies'")
from scipy import optimize, special, stats

STUDIES = Path(__file__).parents[1] / "examples" / "studies"
CONCEPTS = "../../CONCEPTS.md"


@cache
def rows(name):
    """Return (settings, result) of each training in a file."""
    lines = (STUDIES / name).read_text(encoding="utf-8").splitlines()
    return [(row["settings"], row["result"]) for row in map(json.loads, lines)]


@cache
def report(name):
    return (STUDIES / name).read_text(encoding="utf-8")


def tables_of(name):
    """Return name -> the text between its marks in a report."""
    return dict(re.findall(r"<!-- (\S.*?) -->\n(.*?)<!-- end -->", report(name), re.S))


def assert_says(name, *claims):
    """Assert that a document has the words and numbers of each claim, in their order and at most
    80 characters apart; how it puts the rest is free."""
    text = " ".join(report(name).split())

    def pattern(claim):
        tokens = map(re.escape, re.split(r" (?!%)", claim))
        return ".{0,80}?".join(rf"(?<![\w.,]){token}(?!\w|[.,]\d)" for token in tokens)

    missing = [claim for claim in claims if not re.search(pattern(claim), text)]
    assert not missing, f"{name}: {missing}"


def listed(numbers, form):
    return " ".join(format(x, form) for x in numbers)


def student(x):
    """Return the mean of numbers and the ends of its interval, 95 % by Student's t."""
    return np.mean(x), *stats.t.interval(0.95, len(x) - 1, np.mean(x), stats.sem(x))


def moderated(ratios):
    """Return choice -> (mean, low, high) as limma has them, the prior by a root of trigamma."""
    d, s2 = np.array([(len(x) - 1, x.var(ddof=1)) for x in ratios.values()]).T
    z = np.log(s2) - special.digamma(d / 2) + np.log(d / 2)
    spread = z.var(ddof=1) - special.polygamma(1, d / 2).mean()
    if spread <= 0:  # no more than chance: one variance for all
        reach = stats.norm.ppf(0.975) * np.exp(z.mean() / 2)
        return {choice: x.mean() + reach / len(x) ** 0.5 * np.array([0, -1, 1])
                for choice, x in ratios.items()}
    d0 = 2 * optimize.brentq(lambda x: special.polygamma(1, x) - spread, 1e-3, 1e3)
    s0 = np.exp(z.mean() + special.digamma(d0 / 2) - np.log(d0 / 2))
    return {
        choice: (x.mean(), *stats.t.interval(
            0.95, n + d0, x.mean(), np.sqrt((d0 * s0 + n * v) / (d0 + n) / len(x))))
        for (choice, x), n, v in zip(ratios.items(), d, s2, strict=True)
    }


def found_in(mean, low, high):
    """Return what an interval of log ratios says, in the reports' words."""
    if low > 0 or high < 0:
        return "shown"
    far = max(np.expm1(high), -np.expm1(low))
    return "cannot be told" if far > 1 / 3 else f"not shown beyond {100 * far:.0f} %"


def of_percent(x):
    return f"x {np.exp(x):.0f}" if np.exp(x) >= 10 else f"{100 * np.expm1(x):+.0f} %"


def ends_of(excess):
    """Return n, median, least, largest and how many end late, as the tables of arms have them."""
    ends = np.where(np.isnan(excess), np.inf, excess)
    late = int((ends > 1.5 * abs(np.median(ends))).sum())
    return (f"| {len(ends)} | {np.median(ends):.4f} | {min(ends):.4f} | {max(ends):.4f} | "
            f"{late} of {len(ends)} |")


@cache
def entropy_of_tales():
    """Return nats per token of the tales that models are measured on."""
    test = importlib.import_module("ablation_trials").stories("test")
    return test.nats_N.sum() / (test.y_NT >= 0).sum()


# ---- the trainings of 08_ablations


BESIDE = {  # a comparison: the row, and what it is compared with if that is not the base
    "no clipping (beside 3 bad batches)": ("3 bad batches, no clipping", "3 bad batches"),
} | {
    f"{change} (beside read 50 times)": (f"{change}, read 50 times", "read 50 times")
    for change in ("dropout of 0.1", "dropout of 0.3", "no decay", "decay of 1")
} | {
    f"{norm} (beside pre-norm, {depth})": (f"{norm}, {depth}", f"pre-norm, {depth}")
    for norm, depth in (
        ("no norm", "4 blocks"), ("no norm", "12 blocks"), ("post-norm", "4 blocks"),
        ("post-norm", "12 blocks"), ("post-norm", "4 blocks, no warm-up"),
        ("post-norm", "12 blocks, no warm-up"))
} | {
    f"no warm-up (beside {model})": (f"{model}, no warm-up", model)
    for model in ("pre-norm, 4 blocks", "pre-norm, 12 blocks", "post-norm, 4 blocks",
                  "post-norm, 12 blocks")
} | {name: (name, "base") for name in (
    "rate of 0.0001", "rate of 0.0005", "rate of 0.1", "4 stories a step", "32 stories a step",
    "32 stories a step, rate of 0.008", "no decay", "decay of 0.0001 in the gradient",
    "decay of 0.1 in the gradient", "SGD with momentum", "no clipping")}


@cache
def of_settings(seeds=(1, 2, 3)):
    """Return comparison -> log ratios of the excess, by seed."""
    return {name: np.log(by_seed(row, seeds) / by_seed(other, seeds))
            for name, (row, other) in BESIDE.items()}


def by_seed(label, seeds=(1, 2, 3)):
    """Return the excess of a row for each seed, at the rate that is best with the first."""
    return at_rates(label, seeds)[0]


def at_rates(label, seeds=(1,)):
    """Return (the excess of a row for each seed at its best rate, what rates beside it do)."""
    found = {json.dumps(s, sort_keys=True): r for name in ("", "again/")
             for s, r in rows(f"{name}08_ablations.jsonl")}
    row = next(row for row in importlib.import_module("08_ablations").ROWS if row.label == label)

    def excess(seed, rate):
        return found[json.dumps(row.trial(seed, rate), sort_keys=True)]["excess"]

    first = {rate: np.inf if (x := excess(1, rate)) is None else x for rate in row.rates}
    rate = min(first, key=first.get)
    assert len(row.rates) == 1 or min(row.rates) < rate < max(row.rates), f"{label}: at an edge"
    return np.array([excess(seed, rate) for seed in seeds], float), beside(first, rate)  # NaN: None


def beside(first, rate):
    """Return how many times as large what seed 1 has is at the rates beside a rate.

    first   rate -> what seed 1 has
    """
    rates = sorted(first)
    i = rates.index(rate)
    return ", ".join(f"x {first[x] / first[rate]:.1f}" for x in rates[max(0, i - 1) : i + 2]
                     if x != rate)


# ---- the trainings of 12_rows and 14_training


ARMS = {  # an arm's settings beside the base's
    "base": {}, "1 block": {"n_layer": 1}, "1 head": {"n_head": 1}, "2 heads": {"n_head": 2},
    "8 heads": {"n_head": 8}, "4 blocks": {"n_layer": 4}, "8 blocks": {"n_layer": 8},
    "8 blocks, post-norm": {"n_layer": 8, "variant": "post-norm"},
    "1 head, undivided": {"n_head": 1, "variant": "undivided"},
    "4 heads, undivided": {"variant": "undivided"}, "untied": {"tied": False},
    "weights of 0.02": {"init": "0.02"}, "no warm-up": {"warm_up": 0},
} | {name: {"variant": name} for name in (
    "no positions", "no residuals", "rotary", "sinusoids", "post-norm", "no norm", "ReLU",
    "squared ReLU", "SwiGLU", "QK-norm", "Llama")}
EFFECTS = {name: (name, "base") for name in ARMS if name[0] != "8" or name == "8 heads"}
del EFFECTS["base"], EFFECTS["1 head, undivided"]
EFFECTS["undivided (beside 1 head)"] = "1 head, undivided", "1 head"
BASES = {
    "rows": {"text": "rows", "steps": 1000, "warm_up": 100},
    "tales": {"text": "tales", "steps": 800, "warm_up": 80},
}
USUAL = {"variant": "GPT", "n_layer": 2, "n_head": 4, "tied": True, "init": "1/sqrt(C)"}
FINER = 0.0014, 0.0028  # rates of some arms on rows that three seeds choose from, too
CHOOSE = 1, 12, 13  # seeds that are in no result


def arms(seeds=range(2, 12)):
    """Return (text, arm) -> {seed: excess} at the rate at which seed 1 ends lowest."""
    return {at: runs for at, (runs, _) in arms_and_rates(seeds).items()}


@cache
def arms_and_rates(seeds=range(2, 12)):
    """Return (text, arm) -> (these, what the rates beside do to the excess of seed 1)."""
    found = {}
    for text, base in BASES.items():
        for arm, changes in ARMS.items():
            wanted = USUAL | {"optimizer": "AdamW", "decay": 0.1} | base | changes
            runs = [(s, r["excess"]) for name in ("", "again/")
                    for s, r in rows(f"{name}12_rows.jsonl") if s["lr"] not in FINER
                    and all(({"text": "tales"} | s)[name] == x for name, x in wanted.items())]
            first = {s["lr"]: np.inf if x is None else x for s, x in runs if s["seed"] == 1}
            if not first:
                continue
            rate = min(first, key=first.get)
            assert min(first) < rate < max(first), f"{text}, {arm}: the best rate is at an edge"
            found[text, arm] = ({s["seed"]: x for s, x in runs if s["lr"] == rate
                                 and s["seed"] in seeds}, beside(first, rate))
    return found


@cache
def of_parts(seeds=range(2, 12)):
    """Return text -> change -> (mean log ratio of the seeds, low, high)"""
    found, runs = {}, arms(seeds)
    for text in BASES:
        ratios = {
            name: np.log([x / runs[text, other][s] for s, x in sorted(runs[text, arm].items())])
            for name, (arm, other) in EFFECTS.items()}
        assert {len(x) for x in ratios.values()} == {len(seeds)}
        found[text] = moderated(ratios)
    return found


@cache
def between():
    """Return seed -> the excess of the base on rows at the rate that three seeds choose."""
    return finer()["base"][1]


@cache
def finer():
    """Return arm -> (its best rate by the means of three seeds, {seed: excess} there, what rates
    beside it do to these means), of the arms on rows that were tried at FINER."""
    found = {}
    for arm in ("base", "1 head", "2 heads", "8 heads", "ReLU"):
        wanted = USUAL | {"optimizer": "AdamW", "decay": 0.1} | BASES["rows"] | ARMS[arm]
        runs = {(s["seed"], s["lr"]): r["excess"] for s, r in rows("12_rows.jsonl")
                if all(({"text": "tales"} | s)[name] == x for name, x in wanted.items())}
        means = {rate: stats.gmean([runs[seed, rate] for seed in CHOOSE])
                 for rate in (*FINER, 2e-3, 4e-3)}
        rate = min(means, key=means.get)
        assert min(means) < rate < max(means), f"{arm}: the best rate is at an edge"
        found[arm] = rate, {s: x for (s, at), x in sorted(runs.items())
                            if at == rate and s not in CHOOSE}, beside(means, rate)
    return found


def beside_the_base():
    """Return arm -> (mean log ratio of ten seeds, low, high), both at rates that three chose."""
    _, base, _ = finer()["base"]
    return {arm: student(np.log([x / base[seed] for seed, x in excess.items()]))
            for arm, (_, excess, _) in finer().items() if arm != "base"}


def misfit(residuals, constants):
    """Return how a law's misfit is said: the means of cells beside the noise of seeds within.

    residuals   an array of seeds for each cell
    constants   of the law, that were fitted
    """
    n = sum(map(len, residuals))
    df = len(residuals) - constants, n - len(residuals)
    whole, noise = (sum(((x - middle) ** 2).sum() for x, middle in zip(residuals, of, strict=True))
                    for of in ([0] * len(residuals), [x.mean() for x in residuals]))
    F = (whole - noise) / df[0] / (noise / df[1])
    p = 1 - special.betainc(df[0] / 2, df[1] / 2, df[0] * F / (df[0] * F + df[1]))
    return f"F{df} = {F:.1f}, p = {p:.1g}".replace("e-0", "e-")


def at_best(by, seeds=CHOOSE, **settings):
    """Return (decay, rate) of the run with these settings of which the seeds have the least `by`,
    its results by seed, without CHOOSE, and the mean of `by` of each.    by: result -> number"""
    usual = USUAL | {"text": "tales", "stories": 0, "dropout": 0.0} | settings
    found = {}
    for s, r in rows("12_rows.jsonl") + rows("14_training.jsonl"):
        if (all(({"text": "tales"} | s).get(name) == x for name, x in usual.items())
                and ("goal" in s) == ("goal" in settings) and s["warm_up"]
                and s["lr"] not in FINER):
            found.setdefault((s["decay"], s["lr"]), {})[s["seed"]] = r
    some = {arm: np.array([by(runs[seed]) for seed in seeds if runs.get(seed, {}).get("excess")])
            for arm, runs in found.items()}
    mean = {arm: stats.gmean(x[np.isfinite(x)]) if np.isfinite(x).sum() > 0.8 * len(seeds)
            else np.inf for arm, x in some.items()}
    best = min((arm for arm in mean if np.isfinite(mean[arm])), key=mean.get)
    return best, {s: r for s, r in sorted(found[best].items()) if s not in CHOOSE}, mean


def of_sgd(text, steps):
    """Return mean, low and high of the log ratio of the excess of SGD to that of AdamW."""
    adam, sgd = (at_best(lambda r: r["excess"], optimizer=name, text=text, steps=steps)[1]
                 for name in ("AdamW", "SGD"))
    return student(np.log([r["excess"] / adam[seed]["excess"] for seed, r in sgd.items()]))
