"""The figure of `09_scaling_laws.py`, from a `Numbers` alone."""

import numpy as np
from example import plain_ticks
from scaling_report import RANKS, flops, megabytes

from npgpt import plots

MARKERS = "osD^vP"
ABOVE = "loss above the entropy, nats per token"
TICKS = (0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1, 2, 3, 5)  # nats


def draw_laws(path, n):
    """Draw the budgets' curves, the prediction, memory, and who is known."""
    drawing, axes = plots.figure(10, 7.6, 2, 2)
    _draw_budgets(axes[0, 0], n)
    _draw_prediction(axes[0, 1], n)
    _draw_texts(axes[1, 0], n)
    _draw_people(axes[1, 1], n)
    return plots.save(drawing, path)


def _draw_budgets(axes, n):
    points, law = n.points(), n.law(True)
    for i, (budget, valley) in enumerate(zip(n.budgets, n.valleys(), strict=True)):
        some = points.where(budget == points.C)
        colour, marker = plots.COLOURS[i % 6], MARKERS[i % 6]
        axes.plot(some.N, some.L - n.floor, marker, color=colour, markersize=5)
        if budget in n.fitted_budgets:
            N = np.geomspace(some.N.min(), some.N.max(), 60)
            D = np.exp(np.interp(np.log(N), np.log(some.N), np.log(some.D)))
            axes.plot(N, law.loss(N, D) - n.floor, color=colour, linewidth=1)
        axes.annotate(f"{flops(budget)} FLOPs", (some.N[-1], some.L[-1] - n.floor), (5, 0),
                      va="center", **plots.NOTE)
        if valley.inside:
            axes.plot(valley.size, valley.loss - n.floor, "*", color=plots.INK, markersize=10)
    axes.annotate("lines: the law; stars: parabolas", (0.97, 0.76), (0, 0), ha="right",
                  xycoords="axes fraction", **plots.NOTE)
    axes.set(xscale="log", yscale="log", xlabel="parameters", ylabel=ABOVE)
    _plain_losses(axes)
    axes.set_title("The best size (star) grows with the budget", fontsize=10)
    axes.set_xlim(right=4 * points.N.max())


def _draw_prediction(axes, n):
    points = n.points()
    axes.plot(points.C, points.L - n.floor, ".", color=plots.GREY, label="all runs")
    best = [n.excess(n.best(C)) for C in n.budgets]
    axes.plot(n.budgets, best, "o-", color=plots.COLOURS[0], label="the best of each budget")
    for i, (C, told, run) in enumerate(n.predictions()):
        value, low, high = (x - n.floor for x in told["E given"])
        axes.errorbar([C], [value], [[max(0, value - low)], [max(0, high - value)]], fmt="s",
                      color=plots.COLOURS[1], markersize=8, markerfacecolor="none", capsize=4,
                      label="" if i else "predicted before, with E given")
        axes.plot(C, n.excess(run), "x", color=plots.INK, markersize=8,
                  label="" if i else "measured")
    axes.set(xscale="log", yscale="log", xlabel="FLOPs", ylabel=ABOVE)
    _plain_losses(axes)
    axes.set_title("Runs of four times the FLOPs, predicted", fontsize=10)
    axes.legend(fontsize=8)


def _plain_losses(axes):
    limits = axes.get_ylim()
    plain_ticks(axes.yaxis, TICKS)
    axes.set_ylim(limits)  # ticks outside would widen it


def _draw_texts(axes, n):
    if not n.texts:
        axes.axis("off")
        return
    size = [r["result"]["characters"] for r in n.texts]
    for key, label, marker, colour in (
        ("excess", "on other stories", "o-", plots.COLOURS[0]),
        ("excess on text read", "on the stories read", "s--", plots.COLOURS[1]),
    ):
        axes.plot(size, [r["result"][key] for r in n.texts], marker, color=colour, label=label)
    axes.axhline(0, **plots.LANDMARK)
    axes.annotate("the grammar's loss", (0, 0), (4, 3), xycoords=("axes fraction", "data"),
                  **plots.NOTE)
    axes.set(xscale="log", xlabel="characters of text",
             ylabel="loss above the grammar's, nats per token")
    known = [r for r in n.texts if r["result"]["excess on text read"] < 0]
    axes.set_title(f"A text of {megabytes(known[-1])} is memorised" if known else
                   "No text is memorised", fontsize=10)
    axes.legend(fontsize=8)


def _draw_people(axes, n):
    for i, (C, r) in enumerate(n.bests()):
        axes.plot([share for share, _ in r["result"]["right"]["fact"]], MARKERS[i % 6] + "-",
                  color=plots.COLOURS[i % 6], label=flops(C))
    axes.axhline(1 / 24, **plots.LANDMARK)
    axes.annotate("chance", (0, 1 / 24), (0, 3), **plots.NOTE)
    axes.set_xticks(range(len(RANKS)), [ranks.replace(" to ", " to\n") for ranks in RANKS],
                    fontsize=8)
    axes.set_xlim(-0.3, len(RANKS) - 0.7)
    axes.set(ylim=(0, 1.03), xlabel="rank of the person, by how often it is met",
             ylabel="facts right")
    axes.set_title("With more FLOPs rarer people are known", fontsize=10)
    axes.legend(title="FLOPs, best size", fontsize=8, title_fontsize=8)
