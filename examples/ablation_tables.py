"""The tables of `08_ablations.md`, from 08_ablations.jsonl, by pandas and scipy.

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
from laboratory import key, markdown
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
        if row.rates and any(key(trial) not in results for trial in row.trials(SEEDS[0])):
            continue
        rate = best_rate(row, results)
        for trial in (trial for seed in seeds for trial in row.trials(seed, rate)):
            if result := results.get(key(trial)):
                found.append({
                    "group": row.group, "label": row.label, "seed": trial["seed"],
                    "rate": trial["lr"], "edge": trial["lr"] in (row.rates[:1] + row.rates[-1:]),
                    **result,
                })
    return pd.DataFrame(found)


class Comparison(NamedTuple):
    """A choice, the row that makes it, and the row that does not."""

    choice: str
    low: tuple
    high: tuple


COMPARISONS = [
    *(Comparison(f"pre-norm, not post-norm: {model}", (NORMS, f"pre-norm, {model}"),
                 (NORMS, f"post-norm, {model}"))
      for model in ("4 blocks", "4 blocks, no warm-up", "12 blocks", "12 blocks, no warm-up")),
    *(Comparison(f"LayerNorm, not none: {model}", (NORMS, f"pre-norm, {model}"),
                 (NORMS, f"no-norm, {model}")) for model in ("4 blocks", "12 blocks")),
    *(Comparison(f"warm-up, not none: {model}", (NORMS, model), (NORMS, f"{model}, no warm-up"))
      for model in ("pre-norm, 12 blocks", "post-norm, 4 blocks", "post-norm, 12 blocks")),
    *(Comparison(f"{choice}: text read 50 times", (AGAIN, with_it), (AGAIN, without))
      for choice, with_it, without in (
          ("decay, not none", "as the base", "no decay"),
          ("decay of 1, not 0.1", "decay of 1", "as the base"),
          ("dropout of 0.1, not none", "dropout 0.1", "as the base"),
          ("dropout of 0.3, not none", "dropout 0.3", "as the base"))),
    *(Comparison(choice, B, without) for choice, without in {
        "residual connections, not none": ("Residuals", "none"),
        "learned positions, not none": ("Positions", "none"),
        "4 heads, not 1": ("Heads", "1"),
        "scores divided by √D (D = 16)": ("Attention", "scores undivided"),
        "tied embeddings, not untied": ("Output", "untied"),
        "GELU, not ReLU": ("Activation", "ReLU"),
        "AdamW, not SGD with momentum and clipping": ("Optimizer", "SGD with momentum"),
        "decay of 0.1 beside the gradient, not in it": ("Optimizer", "Adam, L2 of 0.1"),
        "decay beside the gradient, not 1e-4 in it": ("Optimizer", "Adam, L2 of 0.0001"),
        "decay, not none: fresh text": ("Optimizer", "AdamW, no decay"),
        "rate of 0.004, not 0.1": ("Learning rate", "0.1"),
        "rate of 0.004, not 0.0005": ("Learning rate", "0.0005"),
        "rate of 0.004, not 0.0001": ("Learning rate", "0.0001"),
        "8 stories a step, not 32: equal tokens and rate": ("Batches, equal tokens", "32 stories"),
        "8 stories a step, not 32: equal tokens, rate as the root":
            ("Batches, equal tokens, rate as the root", "32 stories at 0.008"),
        "clipping, not none": ("Clipping", "off"),
        "initial weights of 0.02, not 0.2": ("Initial weights", "0.2"),
        "initial weights of 0.02, not 1/√C": ("Initial weights", "1/√C"),
        "smaller weights at the end of a branch": ("Initial weights", "branches not scaled"),
    }.items()),
    *(Comparison(choice, with_it, B) for choice, with_it in {
        "8 heads, not 4": ("Heads", "8"),
        "4 stories a step, not 8: equal tokens and rate": ("Batches, equal tokens", "4 stories"),
        "Llama's block, not GPT's": ("Llama's parts", "all: Llama"),
        "RMSNorm, not LayerNorm": ("Llama's parts", "RMSNorm"),
        "rotary positions, not learned": ("Positions", "rotary"),
        "SwiGLU, not GELU: weights of 0.02": ("Activation", "SwiGLU"),
    }.items()),
    Comparison("tied, not untied: equal parameters", ("Output", "tied, equal parameters"),
               ("Output", "untied")),
    Comparison("clipping, not none: three bad batches", ("Clipping", "on, 3 bad batches"),
               ("Clipping", "off, 3 bad batches")),
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


def mean_and_interval(x):
    """Return (mean, low, high) of a series, 95 % by Student's t."""
    reach = stats.t.ppf(0.975, len(x) - 1) * x.sem()
    return x.mean(), x.mean() - reach, x.mean() + reach


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
    """Return name -> table of the report."""
    found = frame(rows, results)
    return {"effects": effects_table(effects(found)), "rows": _rows(found)}


def percent(log_ratio):
    """Return a ratio as the percent of the excess that is added.

    >>> percent(np.log(1.5)), percent(np.log(20))
    ('+50 %', 'x 20')
    """
    ratio = np.exp(log_ratio)
    return f"x {ratio:.0f}" if ratio >= 10 else f"{100 * (ratio - 1):+.0f} %"


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


def _rows(found):
    lines = []
    shown = found[found.group != "Learning rate"]
    for (group, label), some in shown.groupby(["group", "label"], sort=False):
        first = some.iloc[0]
        lines.append((f"{group}: {label}", f"{first.rate:g}{'*' * bool(first.edge)}",
                      f"{first.parameters:,}", f"{first.flops:.2g}", len(some),
                      _spread(some.excess), _spread(some.steps_to, "{:,.0f}")))
    return markdown(("", "rate", "parameters", "FLOPs", "n", "excess", "steps"), lines)
