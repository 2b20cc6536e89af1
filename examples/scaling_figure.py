"""The picture of `09_scaling_laws.py`: best sizes, predictions with their errors, little text, who
is known."""

import numpy as np
from example import plain_ticks
from scaling_tables import (
    RANKS,
    at_best_rates,
    best_sizes,
    flops_text,
    frame,
    largest,
    law_of,
    percent,
    predictions,
    size_text,
)

from npgpt import plots

MARKERS = "osD^vP"
ABOVE = "loss above the entropy, nats per token"
TICKS = (0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1, 2, 3, 5)  # nats


def draw_laws(path, rows):
    """Draw four panels from the rows of 09_scaling_laws.jsonl."""
    runs = frame(rows)
    runs = runs[runs.text == "almanac"]
    cells, told = at_best_rates(runs), predictions(rows)
    drawing, axes = plots.figure(10, 7.6, 2, 2)
    _draw_budgets(axes[0, 0], cells)
    _draw_predictions(axes[0, 1], cells, told[told.text == "almanac"])
    _draw_texts(axes[1, 0], runs[runs.stories.notna()].sort_values("stories"))
    _draw_people(axes[1, 1], runs[(runs.seed == 1) & runs.stories.isna()])
    return plots.save(drawing, path)


def _draw_budgets(axes, cells):
    E = cells.entropy.iloc[0]
    fitted, valleys = largest(cells), best_sizes(cells)
    law = law_of(fitted, E)
    for i, (flops, some) in enumerate(cells.groupby("flops")):
        colour = plots.COLOURS[i % 6]
        axes.plot(some.N, some.excess, MARKERS[i % 6], color=colour, markersize=5)
        if flops in set(fitted.flops):
            N = np.geomspace(some.N.min(), some.N.max(), 60)
            D = np.exp(np.interp(np.log(N), np.log(some.N), np.log(some.D)))
            axes.plot(N, law.loss(N, D) - E, color=colour, linewidth=1)
        axes.annotate(f"{flops_text(flops)} FLOPs", (some.N.iloc[-1], some.excess.iloc[-1]),
                      (5, 0), va="center", **plots.NOTE)
        axes.plot(*valleys[flops], "*", color=plots.INK, markersize=10)
    axes.annotate("lines: the law; stars: parabolas", (0.97, 0.76), (0, 0), ha="right",
                  xycoords="axes fraction", **plots.NOTE)
    axes.set(xscale="log", yscale="log", xlabel="parameters", ylabel=ABOVE)
    _plain_losses(axes)
    axes.set_title("The best size (star) grows with the budget", fontsize=10)
    axes.set_xlim(right=4 * cells.N.max())


def _draw_predictions(axes, cells, told):
    axes.plot(cells.flops, cells.excess, ".", color=plots.GREY, label="all sizes")
    best = cells.groupby("flops").excess.min()
    axes.plot(best.index, best, "o-", color=plots.COLOURS[0], label="the best of each budget")
    for i, p in enumerate(told.to_dict("records")):
        def label(text, first=not i):
            return text if first else None
        for way, marker, va in (("given", "s", "top"), ("fitted", "D", "bottom")):
            axes.plot(p["flops"], p[way], marker, color=plots.COLOURS[1], markersize=7,
                      markerfacecolor="none", label=label(f"predicted, E {way}"))
            axes.annotate(percent(p[way] / p["excess"] - 1), (p["flops"], p[way]), (8, 0),
                          va=va, **plots.NOTE)
        axes.plot(p["flops"], p["excess"], "x", color=plots.INK, markersize=9,
                  label=label("measured, at the rate fixed before"))
        axes.plot(p["flops"], p["later excess"], "+", color=plots.GREY, markersize=8,
                  label=label("at half of it, tried later"))
    axes.set(xscale="log", yscale="log", xlabel="FLOPs", ylabel=ABOVE)
    axes.set_xlim(right=4 * max(told.flops.max(), cells.flops.max()))
    _plain_losses(axes)
    wrong = [abs(p[way] / p["excess"] - 1) for p in told.to_dict("records")
             for way in ("given", "fitted")]
    axes.set_title(f"Predictions of larger runs miss the excess by {min(wrong):.0%} to "
                   f"{max(wrong):.0%}", fontsize=10)
    axes.legend(fontsize=8)


def _plain_losses(axes):
    limits = axes.get_ylim()
    plain_ticks(axes.yaxis, TICKS)
    axes.set_ylim(limits)  # ticks outside would widen it


def _draw_texts(axes, runs):
    for key, label, marker, colour in (
        ("excess", "on other stories", "o-", plots.COLOURS[0]),
        ("excess on text read", "on the stories read", "s--", plots.COLOURS[1]),
    ):
        axes.plot(runs.characters, runs[key], marker, color=colour, label=label)
    axes.axhline(0, **plots.LANDMARK)
    axes.annotate("the grammar's loss", (0, 0), (4, 3), xycoords=("axes fraction", "data"),
                  **plots.NOTE)
    axes.set(xscale="log", xlabel="characters of text",
             ylabel="loss above the grammar's, nats per token")
    known = runs[runs["excess on text read"] < 0]
    axes.set_title(f"A text of {size_text(known.characters.max())} is memorised" if len(known)
                   else "No text is memorised", fontsize=10)
    axes.legend(fontsize=8)


def _draw_people(axes, runs):
    for i, r in enumerate(runs.loc[runs.groupby("flops").loss.idxmin()].itertuples()):
        axes.plot([share for share, _ in r.right["fact"]], MARKERS[i % 6] + "-",
                  color=plots.COLOURS[i % 6], label=flops_text(r.flops))
    axes.axhline(1 / 24, **plots.LANDMARK)
    axes.annotate("chance", (0, 1 / 24), (0, 3), **plots.NOTE)
    axes.set_xticks(range(len(RANKS)), [ranks.replace(" to ", " to\n") for ranks in RANKS],
                    fontsize=8)
    axes.set_xlim(-0.3, len(RANKS) - 0.7)
    axes.set(ylim=(0, 1.03), xlabel="rank of the person, by how often it is met",
             ylabel="facts right")
    axes.set_title("With more FLOPs rarer people are known", fontsize=10)
    axes.legend(title="FLOPs, best size", fontsize=8, title_fontsize=8)
