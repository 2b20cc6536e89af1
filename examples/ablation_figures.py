"""The figures of `08_ablations.py`: every comparison with its interval; rates, a leak."""

import numpy as np
from ablation_tables import NOT_SHOWN, SHOWN, B
from ablations import BASE
from example import plain_ticks

from npgpt import plots

NATS = (0.03, 0.1, 0.3, 1, 3)
TICKS = {0.5: "-50 %", 1: "0", 2: "+100 %", 4: "x 4", 10: "x 10", 80: "x 80"}
LEAK = ("Attention", "mask off")


def draw_effects(path, texts, title=""):
    """Draw comparisons as sorted effects with 95 % intervals.

    texts   name -> lines of `effects`; beside one another, in the order of the first
    """
    first = next(iter(texts.values())).sort_values("mean")
    drawing, axes = plots.figure(5.2 + 3.2 * len(texts), 0.2 * len(first) + 1.4, 1, len(texts),
                                 squeeze=False, sharex=True, sharey=True)
    for panel, (name, lines) in zip(axes[0], texts.items(), strict=True):
        _draw_column(panel, lines.set_index("choice").reindex(first.choice).dropna(), first.choice)
        panel.set_title(name, fontsize=10)
        panel.tick_params(axis="x", labelsize=8)
    axes[0, 0].set_yticks(range(len(first)), first.choice, fontsize=8)
    axes[0, 0].set_ylim(-1, len(first))
    most = max(lines.high.max() for lines in texts.values())
    ticks = {x: text for x, text in TICKS.items() if np.log(x) < most}
    axes[0, 0].set_xticks(np.log(list(ticks)), ticks.values())
    for colour, label in ((plots.COLOURS[0], "shown"), (plots.GREY, "not shown beyond a third"),
                          (plots.COLOURS[1], "cannot be told")):
        axes[0, -1].plot([], [], "o-", color=colour, markersize=4.5, label=label)
    axes[0, -1].legend(fontsize=8, loc="lower right")
    axes[0, 0].set_xlabel("excess loss without the choice, beside that with it; 95 % intervals")
    shown = first.word.str.startswith(SHOWN).sum()
    drawing.suptitle(title or f"{shown} of {len(first)} choices are shown to matter; the rest, at "
                     "this size, are not", fontsize=10)
    return plots.save(drawing, path)


def _draw_column(axes, lines, order):
    places = {choice: y for y, choice in enumerate(order)}
    for r in lines.itertuples():
        colour = (plots.GREY if r.word.startswith(NOT_SHOWN) else plots.COLOURS[1]
                  if not r.word.startswith(SHOWN) else plots.COLOURS[0])
        y = places[r.Index]
        axes.plot([r.low, r.high], [y, y], color=colour, linewidth=1.6)
        axes.plot(r.mean, y, "o", color=colour, markersize=4.5)
    axes.axvline(0, **plots.LANDMARK)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)


def draw_details(path, found):
    """Draw the excess by learning rate and the curve of a leak."""
    drawing, axes = plots.figure(8.4, 3.7, 1, 2)
    _draw_rates(axes[0], found[found.group == "Learning rate"])
    _draw_leak(axes[1], found)
    return plots.save(drawing, path)


def _draw_rates(axes, found):
    rates, blue = found.label.astype(float), plots.COLOURS[0]
    axes.plot(rates, found.excess.astype(float), "o", color=blue, markersize=4,
              markerfacecolor="none")
    mean = found.assign(rate=rates).groupby("rate").excess.agg(
        lambda of: of.astype(float).mean(skipna=False))
    lost, mean = mean[mean.isna()], mean.dropna()
    axes.plot(mean.index, mean, color=blue, linewidth=0.9)
    axes.annotate("plateau", (mean.index[-1], mean.iloc[-1]), (-4, -14), ha="right", **plots.NOTE)
    if len(lost):
        above = axes.get_xaxis_transform()  # y = 1: at the upper edge, whatever the losses are
        axes.plot(lost.index, [1] * len(lost), "x", color=blue, transform=above, clip_on=False)
        axes.annotate("NaN", (lost.index[0], 1), (0, -14), xycoords=above, **plots.NOTE)
    axes.axvspan(1e-4, 5e-4, color="#dddddd", linewidth=0)
    axes.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="nats above the entropy",
             title="Rates usual for large models (grey) are low here")
    axes.title.set_fontsize(10)
    plain_ticks(axes.xaxis, (0.0001, 0.01, 1, 100))
    plain_ticks(axes.yaxis, NATS)


def _draw_leak(axes, found):
    for (group, label), name, style in ((B, "causal", "-"), (LEAK, "mask off", "--")):
        some = found[(found.group == group) & (found.label == label)]
        if len(some):
            curve = some.curve.iloc[0]
            steps = [BASE["steps"] * (i + 1) / len(curve) for i in range(len(curve))]
            axes.plot(steps, curve, style, label=name, color=plots.COLOURS[style == "--"])
    axes.axhline(0, **plots.LANDMARK)
    axes.annotate("the entropy", (0, 0), (4, -10), xycoords=("axes fraction", "data"),
                  **plots.NOTE)
    axes.set(xlabel="step", ylabel="nats above the entropy, in training")
    axes.set_title("Without a mask the loss leaks below the entropy", fontsize=10)
    axes.legend(frameon=False, fontsize=8)
