"""Effects of changes, their tables and their picture, for `08_ablations.py` and `12_rows.py`.

A row is compared seed by seed with those that it stands beside: equal seeds read the same batches
and, where the shapes agree, begin with the same weights. The effect is the ratio of their excess
losses. Few seeds tell little of how far seeds differ, so the variance of each comparison is moved
towards that of all of them (Smyth, Linear Models and Empirical Bayes Methods for Assessing
Differential Expression, 2004, sections 3 and 6).
"""

import numpy as np
import pandas as pd
from ablation_rows import by_rate
from laboratory import flops_text, key, markdown
from scipy import optimize, stats
from scipy.special import polygamma

from npgpt import plots

LIMIT = 1 / 3  # of the excess: an interval that reaches beyond cannot tell
LATE = 1.5  # times the median of its row: where a run ends late
SHOWN, NOT_SHOWN, CANNOT_TELL = "shown", "not shown beyond", "cannot be told"
COLOURS = {SHOWN: plots.COLOURS[0], NOT_SHOWN: plots.GREY, CANNOT_TELL: plots.COLOURS[1]}
TICKS = (0.5, 1, 2, 4, 10, 80)


def frame(rows, results, seeds):
    """Return a line for each row and seed at the best rate; none for rows with untried rates.

    results   `laboratory.key` of the settings -> what was measured
    """
    lines = []
    for row in rows:
        if (means := by_rate(row, results)) is None:
            continue
        rate = min(means, key=means.get)
        lines += [row._asdict() | {"rate": rate, "seed": seed, "near": at_neighbours(means, rate)}
                  | results[name] for seed in seeds
                  if (name := key(row.trial(seed, rate))) in results]
    return pd.DataFrame(lines)


def at_neighbours(found, rate):
    """Return how many times as large a measure is at the next lower and the next higher rate tried.

    found   rate -> the measure, infinite or NaN where a run diverged
    """
    i = (rates := sorted(found.keys())).index(rate)
    beside = rates[max(0, i - 1) : i] + rates[i + 1 : i + 2]
    ratios = (f"x {found[x] / found[rate]:.1f}" for x in beside)
    return ", ".join(ratios).replace("nan", "inf")


def effects_by_text(found):
    """Return group -> `effects` of its lines."""
    return {text: effects(some) for text, some in found.groupby("group", sort=False)}


def effects(found):
    """Return a line for each comparison: n, mean log ratio, its interval, a word, rates beside it.

    found   lines of `frame`

    A variance s2 with d degrees of freedom becomes (d0 s0 + d s2) / (d0 + d), where d0 and s0 are
    those of the prior that fits all the s2.
    """
    excess = found.pivot(index="seed", columns="label", values="excess").astype(float)
    pairs = found.drop_duplicates("label").explode("beside").dropna(subset="beside")
    ratios = pd.DataFrame({
        difference(r.label, r.beside): np.log(excess[r.label] / excess[r.beside])
        for r in pairs.itertuples()
    })
    n, mean, s2 = ratios.count(), ratios.mean(), ratios.var()
    d0, s0 = prior(s2, n - 1)
    variance = (d0 * s0 + (n - 1) * s2) / (d0 + n - 1)
    reach = stats.t.ppf(0.975, n - 1 + d0) * np.sqrt(variance / n)
    lines = pd.DataFrame({"n": n, "mean": mean, "low": mean - reach, "high": mean + reach})
    return lines.assign(word=[word(r.low, r.high) for r in lines.itertuples()],
                        near=[*pairs.near])


def difference(label, beside):
    """Return the parts of a label that the one beside it lacks, with the name of the latter.

    >>> difference("1 head, undivided", "1 head")
    'undivided (beside 1 head)'
    """
    if beside == "base":
        return label
    parts = [part for part in label.split(", ") if part not in beside.split(", ")]
    return f"{', '.join(parts)} (beside {beside})"


def prior(s2, df):
    """Return (d0, s0) of the scaled inverse chi-square distribution that the s2 come from."""
    z = np.log(s2) - polygamma(0, df / 2) + np.log(df / 2)
    spread = max(1e-4, z.var() - polygamma(1, df / 2).mean())  # beyond that of chance
    half = optimize.brentq(lambda x: polygamma(1, x) - spread, 1e-5, 1e5)
    return 2 * half, np.exp(z.mean() + polygamma(0, half) - np.log(half))


def word(low, high):
    """Return what an interval of log ratios says."""
    if low > 0 or high < 0:
        return SHOWN
    beyond = max(np.expm1(high), -np.expm1(low))
    return CANNOT_TELL if beyond > LIMIT else f"{NOT_SHOWN} {100 * beyond:.0f} %"


def mean_and_interval(x):
    """Return (mean, low, high) of a series, 95 % by Student's t."""
    reach = stats.t.ppf(0.975, len(x) - 1) * x.sem()
    return x.mean(), x.mean() - reach, x.mean() + reach


def percent(log_ratio):
    """Return a ratio as the percent of the excess that is added.

    >>> percent(np.log(1.5)), percent(np.log(20))
    ('+50 %', 'x 20')
    """
    ratio = np.exp(log_ratio)
    return f"x {ratio:.0f}" if ratio >= 10 else f"{100 * (ratio - 1):+.0f} %"


def tables(found):
    """Return name -> table in Markdown, of lines of `frame`; effects in the first text's order."""
    by_text = effects_by_text(found)
    first, *_ = by_text.values()
    columns = [f"{text}: {column}" for text in by_text
               for column in ("n", "excess", "95 % interval", "found", "rates beside it")]
    return {
        "effects": markdown(
            ("change", *columns),
            [(name, *(cell for lines in by_text.values() for cell in _effect(lines.loc[name])))
             for name in first.sort_values("mean", ascending=False).index]),
        "arms": markdown(
            ("text", "arm", "rate", "rates tried", "parameters", "FLOPs", "n", "median excess",
             "least", "largest", "end late"),
            [_row(*name, some) for name, some in found.groupby(["group", "label"], sort=False)]),
    }


def at_best_rates(found):
    """Return a table of lines of `frame` beside those of the base, seed by seed."""
    excess = found.pivot(index="seed", columns="label", values="excess").astype(float)
    lines = []
    for label, some in found.groupby("label", sort=False):
        ends = mean_and_interval(np.log(excess[label] / excess["base"]))
        effect = percent(ends[0]), f"{percent(ends[1])} to {percent(ends[2])}", word(*ends[1:])
        lines.append((label, f"{some.rate.iloc[0]:g}", some.near.iloc[0], len(some),
                      f"{excess[label].median():.4f}", *("" if label == "base" else x
                                                         for x in effect)))
    return markdown(("arm", "rate", "rates beside it", "n", "median excess", "beside the base",
                     "95 % interval", "found"), lines)


def _effect(line):
    interval = f"{percent(line.low)} to {percent(line.high)}"
    return line.n, percent(line["mean"]), interval, line.word, line.near


def _row(group, label, some):
    rates, excess = some.rates.iloc[0], some.excess.astype(float).fillna(np.inf)
    late = excess > LATE * abs(excess.median())  # without the mask it is below 0
    return (group, label, f"{some.rate.iloc[0]:g}", " ".join(f"{rate:g}" for rate in rates),
            f"{some.parameters.iloc[0]:,}", flops_text(some.flops.iloc[0]), len(some),
            *(f"{x:.4f}" for x in (excess.median(), excess.min(), excess.max())),
            f"{late.sum()} of {len(some)}")


def draw_effects(path, found):
    """Draw the effects with their intervals, a panel for each text, in the first text's order."""
    by_text = effects_by_text(found)
    first, *_ = by_text.values()
    names = first.sort_values("mean").index
    place = pd.Series(range(len(names)), names)
    drawing, axes = plots.figure(
        0.075 * max(map(len, names)) + 2.6 * len(by_text), 0.23 * len(names) + 1.2, 1, len(by_text),
        squeeze=False, sharex=True, sharey=True)
    for panel, (text, lines) in zip(axes[0], by_text.items(), strict=True):
        for name, colour in COLOURS.items():
            some = lines[lines.word.str.startswith(name)]
            panel.errorbar(some["mean"], place[some.index], xerr=some.high - some["mean"], fmt="o",
                           color=colour, markersize=4.5, elinewidth=1.8,
                           label=name + (" a third" if name == NOT_SHOWN else ""))
        panel.axvline(0, **plots.LANDMARK)
        panel.grid(axis="x", color="#dddddd", linewidth=0.6)
        panel.set_title(text, fontsize=11)
    most = max(lines.high.max() for lines in by_text.values())
    ticks = [x for x in TICKS if np.log(x) < most]
    panel.set_xticks(np.log(ticks), ticks)
    panel.set_yticks(place, names, fontsize=10)
    drawing.legend(*panel.get_legend_handles_labels(), loc="outside upper center", ncols=3,
                   fontsize=10)
    drawing.supxlabel("excess loss, times that of the base or the named row", fontsize=10)
    return plots.save(drawing, path)
