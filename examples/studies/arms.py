"""The arms of a study: settings a change or two from a base, each at the best of the rates tried.

All rates are tried with the seeds that choose, the other seeds only at the best of them. An arm is
compared seed by seed with those that it stands beside: equal seeds read the same batches and, where
the shapes agree, begin with the same weights. The effect is the ratio of their excess losses.
"""

from collections import Counter
from typing import NamedTuple

import numpy as np
import pandas as pd
from ablation_trials import BASE
from intervals import CANNOT_TELL, NOT_SHOWN, SHOWN, ratio
from laboratory import key
from study import markdown

from npgpt.support import plots

LATE = 1.5  # times the median of its arm: where a run ends late
COLOURS = {SHOWN: plots.COLOURS[0], NOT_SHOWN: plots.GREY, CANNOT_TELL: plots.COLOURS[1]}
TICKS = (0.5, 1, 2, 4, 10, 80)


class Arm(NamedTuple):
    """An arm of a study.

    text      that it is trained on
    changes   to the base
    rates     that are tried
    beside    labels of the arms on this text that it is compared with
    chosen_by seeds: the rate with the least geometric mean of their excess is the best
    """

    text: str
    label: str
    changes: dict
    rates: tuple = (BASE["lr"],)
    beside: tuple = ("base",)
    chosen_by: tuple = (1,)

    def trial(self, seed, rate):
        return BASE | self.changes | {"lr": rate, "seed": seed}

    def trials(self, results, seeds):
        """Yield the trials at all rates, then those of the seeds at the best, once it is known."""
        for seed in self.chosen_by:
            yield from (self.trial(seed, rate) for rate in self.rates)
        if (tried := self.tried(results)) is not None:
            yield from (self.trial(seed, tried.idxmin()) for seed in seeds)

    def tried(self, results):
        """Return rate -> the mean that chooses, infinite where a run diverged; None before all are
        tried."""
        trials = [[key(self.trial(seed, rate)) for seed in self.chosen_by] for rate in self.rates]
        if any(trial not in results for some in trials for trial in some):
            return None
        found = pd.DataFrame([[results[trial]["excess"] for trial in some] for some in trials],
                             index=self.rates, dtype=float).fillna(np.inf)
        if len(self.chosen_by) == 1:  # without the mask it is below 0
            return found[0]
        return np.exp(np.log(found).mean(axis=1))

    def runs(self, results, seeds):
        """Return the results at the best rate by seed, a DataFrame, of the seeds that it has."""
        tried = self.tried(results)
        rate = tried.idxmin()
        names = {seed: key(self.trial(seed, rate)) for seed in seeds}
        found = pd.DataFrame.from_dict({seed: results[name] for seed, name in names.items()
                                        if name in results}, "index")
        return found.assign(excess=found.excess.astype(float), rate=rate, near=near(tried, rate))


def near(tried, rate):
    """Return how many times as large a measure is at the next lower and the next higher rate."""
    times = (tried / tried[rate]).sort_index()
    i = times.index.get_loc(rate)
    return ", ".join(f"x {x:.1f}" for x in times.iloc[max(0, i - 1) : i + 2].drop(rate))


def runs_of(arms, results, seeds):
    """Return text -> label -> `Arm.runs`."""
    found = {arm.text: {} for arm in arms}
    for arm in arms:
        found[arm.text][arm.label] = arm.runs(results, seeds)
    return found


def effects(arms, runs):
    """Return text -> comparison -> `intervals.Ratio` of the excess, pair by pair of seeds."""
    found = {text: {} for text in runs}
    for arm in arms:
        for other in arm.beside:
            found[arm.text][difference(arm.label, other)] = ratio(
                runs[arm.text][arm.label].excess, runs[arm.text][other].excess)
    return found


def difference(label, beside):
    """Return the parts of a label that the one beside it lacks, with the name of the latter.

    >>> difference("1 head, undivided", "1 head")
    'undivided (beside 1 head)'
    """
    if beside == "base":
        return label
    parts = [part for part in label.split(", ") if part not in beside.split(", ")]
    return f"{', '.join(parts)} (beside {beside})"


def one_arm(some):
    """Return what a table says of the runs of an arm."""
    ends = some.excess.fillna(np.inf)
    return {"rate": some.rate.iloc[0], "n": len(some), "median": ends.median(), "least": ends.min(),
            "late": int((ends > LATE * abs(ends.median())).sum()), "near": some.near.iloc[0]}


def numbers(arms, runs):
    """Return by text the effects, how many are shown, are not and cannot be told, and what is said
    of each arm; and the tables of effects, in the first text's order, and of arms."""
    by_text = effects(arms, runs)
    summary = {text: {label: one_arm(some) for label, some in of.items()}
               for text, of in runs.items()}
    first, *_ = by_text.values()
    return {
        "effects": by_text, "arms": summary, "words": {
            text: Counter(x.word.partition(" beyond")[0] for x in of.values())
            for text, of in by_text.items()},
        "effects_table": markdown(
            ("change", *(f"{text}: {x}" for text in by_text for x in ("excess", "found"))),
            [(name, *(cell for of in by_text.values() for cell in (of[name], of[name].word)))
             for name in sorted(first, key=first.get, reverse=True)]),
        "arms_table": markdown(
            ("text", "arm", "rate", "rates beside it", "n", "median excess", "end late"),
            [(text, label, f"{of['rate']:g}", of["near"], of["n"], f"{of['median']:.4f}",
              of["late"]) for text, some in summary.items() for label, of in some.items()])}


def draw_effects(arms, seeds, path, results):
    """Draw effects with their intervals, a panel for each text, in the first text's order."""
    by_text = effects(arms, runs_of(arms, results, seeds))
    first, *_ = by_text.values()
    names = sorted(first, key=first.get)
    drawing, axes = plots.figure(
        0.075 * max(map(len, names)) + 2.6 * len(by_text), 0.23 * len(names) + 1.2, 1, len(by_text),
        squeeze=False, sharex=True, sharey=True)
    for panel, (text, of) in zip(axes[0], by_text.items(), strict=True):
        for word, colour in COLOURS.items():
            some = [(i, of[name]) for i, name in enumerate(names) if of[name].word.startswith(word)]
            panel.errorbar([x.mean for _, x in some], [i for i, _ in some],
                           xerr=[x.high - x.mean for _, x in some], fmt="o", color=colour,
                           markersize=4.5, elinewidth=1.8,
                           label=word + (" a third" if word == NOT_SHOWN else ""))
        panel.axvline(0, **plots.LANDMARK_STYLE)
        panel.grid(axis="x", color="#dddddd", linewidth=0.6)
        panel.set_title(text, fontsize=11)
    most = max(x.high for of in by_text.values() for x in of.values())
    ticks = [x for x in TICKS if np.log(x) < most]
    panel.set_xticks(np.log(ticks), ticks)
    panel.set_yticks(range(len(names)), names, fontsize=10)
    drawing.legend(*panel.get_legend_handles_labels(), loc="outside upper center", ncols=3,
                   fontsize=10)
    drawing.supxlabel("excess loss, times that of the base or the named arm", fontsize=10)
    return plots.save(drawing, path)
