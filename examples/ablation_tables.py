"""The tables of `08_ablations.md` and CONCEPTS.md, from 08_ablations.jsonl, by pandas and scipy.

A comparison is of two rows, seed by seed: equal seeds read the same batches and, where the shapes
agree, begin with the same weights. Its effect is the ratio of their excess losses, in
percent. Three seeds tell little of how far seeds differ, so the variance of each comparison is
moved towards that of all of them (Smyth, Linear Models and Empirical Bayes Methods for Assessing
Differential Expression, 2004, sections 3 and 6).
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from ablation_rows import AGAIN, NORMS, SEEDS, best_rate
from laboratory import key
from scaling_tables import markdown
from scipy import stats
from scipy.special import polygamma

B = ("Base", "GPT: pre-norm, GELU, tied")
LIMIT = 1 / 3  # of the excess: an interval that reaches beyond cannot tell
SHOWN, NOT_SHOWN, CANNOT_TELL = "shown", "not shown", "cannot be told"


def frame(rows, results, seeds=SEEDS):
    """Return a line for each row and seed, at the rate that is best with the first seed.

    results    `laboratory.key` of the settings -> what was measured
    """
    found = []
    for row in rows:
        rate = best_rate(row, results)
        if row.rates and any(key(trial) not in results for trial in row.trials(SEEDS[0])):
            continue
        for seed in seeds:
            (trial,) = row.trials(seed, rate)
            if result := results.get(key(trial)):
                found.append({
                    "group": row.group, "label": row.label, "seed": seed,
                    "rate": trial["lr"], "edge": trial["lr"] in (row.rates[:1] + row.rates[-1:]),
                    **result,
                })
    return pd.DataFrame(found)


class Comparison(NamedTuple):
    """A choice, the row that makes it, and the row that does not."""

    choice: str
    low: tuple
    high: tuple


def _norm(name):
    return NORMS, name


def _again(name):
    return AGAIN, name


COMPARISONS = [
    Comparison("pre-norm, not post-norm: 4 blocks", _norm("pre-norm, 4 blocks"),
               _norm("post-norm, 4 blocks")),
    Comparison("pre-norm, not post-norm: 4 blocks, no warm-up",
               _norm("pre-norm, 4 blocks, no warm-up"), _norm("post-norm, 4 blocks, no warm-up")),
    Comparison("pre-norm, not post-norm: 12 blocks", _norm("pre-norm, 12 blocks"),
               _norm("post-norm, 12 blocks")),
    Comparison("pre-norm, not post-norm: 12 blocks, no warm-up",
               _norm("pre-norm, 12 blocks, no warm-up"), _norm("post-norm, 12 blocks, no warm-up")),
    Comparison("LayerNorm, not none: 4 blocks", _norm("pre-norm, 4 blocks"),
               _norm("no-norm, 4 blocks")),
    Comparison("LayerNorm, not none: 12 blocks", _norm("pre-norm, 12 blocks"),
               _norm("no-norm, 12 blocks")),
    Comparison("residual connections, not none", B, ("Residuals", "none")),
    Comparison("learned positions, not none", B, ("Positions", "none")),
    Comparison("4 heads, not 1", B, ("Heads", "1")),
    Comparison("8 heads, not 4", ("Heads", "8"), B),
    Comparison("scores divided by √D (D = 16)", B, ("Attention", "scores undivided")),
    Comparison("tied embeddings, not untied", B, ("Output", "untied")),
    Comparison("tied, not untied: equal parameters", ("Output", "tied, equal parameters"),
               ("Output", "untied")),
    Comparison("GELU, not ReLU", B, ("Activation", "ReLU")),
    Comparison("AdamW, not SGD with momentum and clipping", B, ("Optimizer", "SGD with momentum")),
    Comparison("decay of 0.1 beside the gradient, not in it", B, ("Optimizer", "Adam, L2 of 0.1")),
    Comparison("decay beside the gradient, not 1e-4 in it", B,
               ("Optimizer", "Adam, L2 of 0.0001")),
    Comparison("decay, not none: fresh text", B, ("Optimizer", "AdamW, no decay")),
    Comparison("decay, not none: text read 50 times", _again("as the base"), _again("no decay")),
    Comparison("decay of 1, not 0.1: text read 50 times", _again("decay of 1"),
               _again("as the base")),
    Comparison("dropout of 0.1, not none: text read 50 times", _again("dropout 0.1"),
               _again("as the base")),
    Comparison("dropout of 0.3, not none: text read 50 times", _again("dropout 0.3"),
               _again("as the base")),
    Comparison("rate of 0.004, not 0.1", B, ("Learning rate", "0.1")),
    Comparison("rate of 0.004, not 0.0005", B, ("Learning rate", "0.0005")),
    Comparison("rate of 0.004, not 0.0001", B, ("Learning rate", "0.0001")),
    Comparison("8 stories a step, not 32: equal tokens and rate", B,
               ("Batches, equal tokens", "32 stories")),
    Comparison("8 stories a step, not 32: equal tokens, rate as the root", B,
               ("Batches, equal tokens, rate as the root", "32 stories at 0.008")),
    Comparison("4 stories a step, not 8: equal tokens and rate",
               ("Batches, equal tokens", "4 stories"), B),
    Comparison("clipping, not none", B, ("Clipping", "off")),
    Comparison("clipping, not none: three bad batches", ("Clipping", "on, 3 bad batches"),
               ("Clipping", "off, 3 bad batches")),
    Comparison("warm-up, not none: pre-norm, 12 blocks", _norm("pre-norm, 12 blocks"),
               _norm("pre-norm, 12 blocks, no warm-up")),
    Comparison("warm-up, not none: post-norm, 4 blocks", _norm("post-norm, 4 blocks"),
               _norm("post-norm, 4 blocks, no warm-up")),
    Comparison("warm-up, not none: post-norm, 12 blocks", _norm("post-norm, 12 blocks"),
               _norm("post-norm, 12 blocks, no warm-up")),
    Comparison("initial weights of 0.02, not 0.2", B, ("Initial weights", "0.2")),
    Comparison("initial weights of 0.02, not 1/√C", B, ("Initial weights", "1/√C")),
    Comparison("smaller weights at the end of a branch", B,
               ("Initial weights", "branches not scaled")),
    Comparison("Llama's block, not GPT's", ("Llama's parts", "all: Llama"), B),
    Comparison("RMSNorm, not LayerNorm", ("Llama's parts", "RMSNorm"), B),
    Comparison("rotary positions, not learned", ("Positions", "rotary"), B),
    Comparison("SwiGLU, not GELU: weights of 0.02", ("Activation", "SwiGLU"), B),
]


def log_ratios(found, comparison):
    """Return log(excess of the other row / excess of the choice) of each seed that both have."""
    low, high = (
        found[(found.group == group) & (found.label == label)].set_index("seed").excess
        for group, label in comparison[1:]
    )
    return np.log((high / low).dropna().astype(float).to_numpy())


def effects(found, comparisons=None):
    """Return a line for each comparison of several seeds: n, mean log ratio, interval, p, word.

    The variance s2 of each, with d degrees of freedom, becomes (d0 s0 + d s2) / (d0 + d), where d0
    and s0 are those of the prior that fits all the s2.
    """
    ratios = {c.choice: log_ratios(found, c) for c in comparisons or COMPARISONS}
    lines = pd.DataFrame([
        {"choice": choice, "n": len(x), "mean": x.mean(), "s2": x.var(ddof=1)}
        for choice, x in ratios.items() if len(x) > 1
    ])
    df = lines.n - 1
    d0, s0 = prior(lines.s2, df)
    variance = (d0 * s0 + df * lines.s2) / (d0 + df) if np.isfinite(d0) else s0
    error = np.sqrt(variance / lines.n)
    reach = stats.t.ppf(0.975, df + d0) * error
    lines["low"], lines["high"] = lines["mean"] - reach, lines["mean"] + reach
    lines["p"] = 2 * stats.t.sf(np.abs(lines["mean"]) / error, df + d0)
    lines["word"] = [word(low, high) for low, high in zip(lines.low, lines.high, strict=True)]
    return lines


def prior(s2, df):
    """Return (d0, s0) of the scaled inverse chi-square distribution that the s2 come from."""
    z = np.log(s2) - polygamma(0, df / 2) + np.log(df / 2)
    excess = z.var(ddof=1) - polygamma(1, df / 2).mean()
    if excess <= 0:
        return np.inf, float(np.exp(z.mean()))
    half = 0.5 + 1 / excess  # Newton's steps for trigamma(half) = excess
    for _ in range(50):
        half += polygamma(1, half) * (1 - polygamma(1, half) / excess) / polygamma(2, half)
    return 2 * half, float(np.exp(z.mean() + polygamma(0, half) - np.log(half)))


def word(low, high):
    """Return what an interval of log ratios says."""
    if low > 0 or high < 0:
        return SHOWN if low > 0 else f"{SHOWN}, the reverse"
    beyond = max(np.expm1(high), -np.expm1(low))
    return CANNOT_TELL if beyond > LIMIT else f"{NOT_SHOWN} beyond {beyond:.0%}"


# ---- tables in Markdown


def tables(rows, results):
    """Return name -> table, of all that the two documents show."""
    found = frame(rows, results)
    everything = {
        "effects": _effects, "rows": _rows, "learning rates": _learning_rates, "batches": _batches,
    }
    return {name: table(found) for name, table in everything.items()} | {
        "norms": _norms([row for row in rows if row.group == NORMS], results)
    }


def percent(log_ratio):
    """Return a ratio as the percent of the excess that is added.

    >>> percent(np.log(1.5)), percent(np.log(20))
    ('+50 %', 'x 20')
    """
    ratio = np.exp(log_ratio)
    return f"x {ratio:.0f}" if ratio >= 10 else f"{100 * (ratio - 1):+.0f} %"


def _effects(found):
    return effects_table(effects(found))


def effects_table(lines):
    return markdown(("choice", "n", "excess without it", "95 % interval", "p", ""), [
        (r.choice, r.n, percent(r.mean), f"{percent(r.low)} to {percent(r.high)}",
         "< 0.001" if r.p < 0.001 else f"{r.p:.3f}", r.word)
        for r in lines.sort_values("mean", ascending=False).itertuples()
    ])


def _spread(numbers, form="{:.4f}"):
    """Return a mean, and the least and largest, of the numbers of the seeds that have one."""
    known = numbers.dropna().astype(float)
    if len(known) < len(numbers):
        return f"{len(known)} of {len(numbers)}" if len(known) else "none"
    mean, low, high = (form.format(x) for x in (known.mean(), known.min(), known.max()))
    return f"{mean} ({low} to {high})" if len(known) > 1 else mean


def _by_row(found):
    return found.groupby(["group", "label"], sort=False)


def _rows(found):
    lines = []
    for (group, label), some in _by_row(found[found.group != "Learning rate"]):
        first = some.iloc[0]
        lines.append((f"{group}: {label}", f"{first.rate:g}{'*' * bool(first.edge)}",
                      f"{first.parameters:,}", f"{first.flops:.2g}", len(some),
                      _spread(some.excess), _spread(some.steps_to, "{:,.0f}")))
    return markdown(("", "rate", "parameters", "FLOPs", "n", "excess", "steps"), lines)


def _learning_rates(found):
    return markdown(("rate", "n", "excess", "steps", "diverged"), [
        (label, len(some), _spread(some.excess), _spread(some.steps_to, "{:,.0f}"),
         "; ".join(some.stopped.dropna()) or "no")
        for (_, label), some in _by_row(found[found.group == "Learning rate"])
    ])


def _batches(found):
    base = found.group == "Base"
    return markdown(("", "rate", "steps", "tokens", "excess"), [
        (f"{group}: {label}", f"{some.rate.iloc[0]:g}", _spread(some.steps_to, "{:,.0f}"),
         _spread(some.tokens_to, "{:,.0f}"), _spread(some.excess))
        for (group, label), some in _by_row(found[base | found.group.str.startswith("Batches")])
    ])


def _norms(rows, results):
    """Return the excess of seed 1 at every rate; bold where 1.05 times the entropy is reached."""
    rates = sorted({rate for row in rows for rate in row.rates})
    lines = []
    for row in rows:
        tried = {t["lr"]: results[key(t)] for t in row.trials(SEEDS[0]) if key(t) in results}
        lines.append((row.label, *(_cell(tried.get(rate)) for rate in rates)))
    return markdown(("", *(f"{rate:g}" for rate in rates)), lines)


def _cell(result):
    if result is None:
        return ""
    if (excess := result["excess"]) is None:
        return "diverged"
    text = f"{excess:.4f}" if excess < 1000 else f"{excess:.0e}"
    return f"**{text}**" if result["steps_to"] else text
