"""The figures of `08_ablations.py`: every comparison with its interval; learning rates."""

import numpy as np
from ablation_tables import CANNOT_TELL, NOT_SHOWN, SHOWN
from example import plain_ticks

from npgpt import plots

NATS = (0.03, 0.1, 0.3, 1, 3)
TICKS = {0.5: "-50 %", 1: "0", 2: "+100 %", 4: "x 4", 10: "x 10", 80: "x 80"}


def draw_effects(path, texts, title=""):
    """Draw comparisons as sorted effects with 95 % intervals.

    texts   name -> lines of `effects`; beside one another, in the order of the first
    """
    first = next(iter(texts.values())).sort_values("mean", ignore_index=True)
    places = {choice: y for y, choice in first.choice.items()}
    drawing, axes = plots.figure(5.2 + 3.2 * len(texts), 0.2 * len(first) + 1.4, 1, len(texts),
                                 squeeze=False, sharex=True, sharey=True)
    for panel, (name, lines) in zip(axes[0], texts.items(), strict=True):
        for word, colour, label in ((SHOWN, plots.COLOURS[0], "shown"),
                                    (NOT_SHOWN, plots.GREY, "not shown beyond a third"),
                                    (CANNOT_TELL, plots.COLOURS[1], "cannot be told")):
            some = lines[lines.word.str.startswith(word)]
            panel.errorbar(some["mean"], some.choice.map(places), xerr=some.high - some["mean"],
                           fmt="o", color=colour, markersize=4.5, elinewidth=1.6, label=label)
        panel.axvline(0, **plots.LANDMARK)
        panel.grid(axis="x", color="#dddddd", linewidth=0.6)
        panel.set_title(name, fontsize=10)
        panel.tick_params(axis="x", labelsize=8)
    most = max(lines.high.max() for lines in texts.values())
    ticks = {x: text for x, text in TICKS.items() if np.log(x) < most}
    axes[0, 0].set_xticks(np.log(list(ticks)), ticks.values())
    axes[0, 0].set_yticks(range(len(first)), first.choice, fontsize=8)
    axes[0, 0].set_ylim(-1, len(first))
    axes[0, -1].legend(fontsize=8, loc="lower right")
    axes[0, 0].set_xlabel("excess loss without the choice, beside that with it; 95 % intervals")
    counted = (f"{first.word.str.startswith(SHOWN).sum()} of {len(first)} choices are shown to "
               "matter; the rest, at this size, are not")
    drawing.suptitle(title or counted, fontsize=10)
    return plots.save(drawing, path)


def draw_rates(path, found):
    """Draw the excess by learning rate."""
    drawing, axes = plots.figure(5.4, 3.7)
    found = found.assign(rate=found.label.astype(float), excess=found.excess.astype(float))
    mean, blue = found.groupby("rate").excess.mean(), plots.COLOURS[0]
    lost, mean = mean[mean.isna()], mean.dropna()
    axes.plot(found.rate, found.excess, "o", color=blue, markersize=4, markerfacecolor="none")
    axes.plot(mean.index, mean, color=blue, linewidth=0.9)
    axes.annotate("plateau", (mean.index[-1], mean.iloc[-1]), (-4, -14), ha="right", **plots.NOTE)
    if len(lost):
        above = axes.get_xaxis_transform()  # y = 1: at the upper edge, whatever the losses are
        axes.plot(lost.index, [1] * len(lost), "x", color=blue, transform=above, clip_on=False)
        axes.annotate("NaN", (lost.index[0], 1), (0, -14), xycoords=above, **plots.NOTE)
    axes.axvspan(1e-4, 5e-4, color="#dddddd", linewidth=0)
    axes.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="nats above the entropy")
    axes.set_title("Rates usual for large models (grey) are low here", fontsize=10)
    plain_ticks(axes.xaxis, (0.0001, 0.01, 1, 100))
    plain_ticks(axes.yaxis, NATS)
    return plots.save(drawing, path)
