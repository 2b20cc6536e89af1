"""Section 9, scaling laws: what a model's loss owes to its size, its text and its FLOPs.

    python examples/09_scaling_laws.py            the core, or what is left of it
    python examples/09_scaling_laws.py --all      other seeds and another almanac, too
    python examples/09_scaling_laws.py --report   tables and figures from the numbers there are
    python examples/09_scaling_laws.py --quick    a few steps of each: does it run?

The text is an almanac (`almanac.py`) of exactly known entropy: the E of the law
L = E + A/N^alpha + B/D^beta is known before it is fitted. `scaling_trials.py` has the trainings,
`scaling_law.py` the fit, `scaling_tables.py` the tables. It needs the extra `studies`. The largest
run is predicted before it is trained; 09_scaling_laws.jsonl has both, in that order.

Try:
- ALMANAC in `almanac.py`: with an exponent of 2, how do those of the law change?
- Leave two of the BUDGETS out: how much wider are the intervals, and how far off is E?
"""

import tempfile
from pathlib import Path

import numpy as np
from example import FIGURES, expect, into_documents, picture, plain_ticks, run_study
from laboratory import flops_text, kept, run
from scaling_tables import (
    RESULTS,
    at_best_rates,
    best_sizes,
    first,
    frame,
    largest,
    law_of,
    percent,
    predicted,
    predictions,
    tables,
)
from scaling_trials import measure

from npgpt import plots

REPORT = Path(__file__).with_suffix(".md")
BUDGETS = {  # FLOPs -> channels: each budget's best size is inside
    1e11: (8, 12, 16, 24, 32, 48),
    4e11: (12, 16, 24, 32, 48, 64),
    1.6e12: (16, 24, 32, 48, 64, 96),
}
RATES = {  # that are tried with each size at a budget; the best one counts
    1e11: (6e-3, 1.2e-2, 2.4e-2, 4.8e-2),
    4e11: (6e-3, 1.2e-2, 2.4e-2),
    1.6e12: (6e-3, 1.2e-2, 2.4e-2),
}
LARGER = {6.4e12: (32, 48, 64, 96, 128, 192)}  # at the best rates of the largest of BUDGETS
SEVERAL_SEEDS = 1e11, 4e11  # budgets whose models are trained with seeds 2 and 3, too
AHEAD = 4  # by how much the run that is predicted is above the largest budget
TEXTS, READER = (130, 1300, 13_000, 130_000), (48, 1.6e12)  # stories; who reads them, how long
QUICK = {1e9: (8, 12, 16), 2e9: (8, 12, 16), 4e9: (8, 12, 16)}
MARKERS = "osD^vP"
RANKS = "1 to\n10", "11 to\n100", "101 to\n1,000", "1,001 to\n16,384"  # `scaling_trials.BANDS`
ABOVE = "loss above the entropy, nats per token"
TICKS = (0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1, 2, 3, 5)  # nats


class Study:
    """The trials, all kept in one file; `run` does those that it has not."""

    def __init__(self, path, budgets, workers=None, **fixed):
        self.path, self.budgets, self.workers = path, budgets, workers
        self.fixed = {"text": "almanac"} | fixed

    def run(self, trials):
        return run(trials, measure, self.path, self.workers)

    def trial(self, channels, flops, rate=None, seed=1, **more):
        rate = self.rate(channels, flops) if rate is None else rate
        settings = {"channels": channels, "flops": flops, "rate": rate, "seed": seed}
        return self.fixed | settings | more

    def grid(self, budgets, rates=None, **more):
        """Return trials of each size at each budget.    rates: by budget; none: the best known"""
        return [
            self.trial(C, flops, rate, **more)
            for flops, sizes in budgets.items() for C in sizes
            for rate in (rates[flops] if rates else (None,))
        ]

    def rate(self, channels, flops):
        """Return the best rate of the nearest budget and width with which several were tried."""
        runs = frame(kept(self.path))
        best = first(runs[(runs.text == "almanac") & runs.flops.isin([*self.budgets])])
        far = np.abs(np.log(best[["flops", "channels"]] / [flops, channels]))
        return float(best.rate[far.sort_values(["flops", "channels"]).index[0]])

    def predict_and_train(self, flops, text="almanac"):
        """Predict the loss at a budget by the runs of smaller ones, then train; both are stored."""
        runs = frame(kept(self.path))
        runs = runs[(runs.text == text) & (runs.flops < flops)]
        (told,) = run([{"predict": flops, "text": text}], lambda _: predicted(runs, flops),
                      self.path, workers=0)
        self.run([self.trial(told["channels"], flops, text=text)])


def draw_laws(path, rows):
    """Draw four panels from the rows of 09_scaling_laws.jsonl."""
    runs = frame(rows)
    runs = runs[runs.text == "almanac"]
    cells, told = at_best_rates(runs), predictions(rows)
    drawing, axes = plots.figure(10, 7.6, 2, 2)
    _draw_budgets(axes[0, 0], cells)
    _draw_predictions(axes[0, 1], cells, told[told.text == "almanac"])
    _draw_texts(axes[1, 0], runs[runs.stories.notna()].sort_values("stories"))
    _draw_people(axes[1, 1], first(runs))
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
    best = cells.groupby("flops").excess.min()
    axes.plot(cells.flops, cells.excess, ".", color=plots.GREY, label="all sizes")
    axes.plot(best.index, best, "o-", color=plots.COLOURS[0], label="the best of each budget")
    for way, marker, va in (("given", "s", "top"), ("fitted", "D", "bottom")):
        axes.plot(told.flops, told[way], marker, color=plots.COLOURS[1], markersize=7,
                  markerfacecolor="none", label=f"predicted, E {way}")
        errors = told[way] / told.excess - 1
        for at, error in zip(zip(told.flops, told[way], strict=True), errors, strict=True):
            axes.annotate(percent(error), at, (8, 0), va=va, **plots.NOTE)
    axes.plot(told.flops, told.excess, "x", color=plots.INK, markersize=9,
              label="measured, at the rate fixed before")
    axes.plot(told.flops, told["later excess"], "+", color=plots.GREY, markersize=8,
              label="at half of it, tried later")
    axes.set(xscale="log", yscale="log", xlabel="FLOPs", ylabel=ABOVE)
    axes.set_xlim(right=4 * max(told.flops.max(), cells.flops.max()))
    _plain_losses(axes)
    axes.set_title("Larger runs, predicted, and the error of the excess", fontsize=10)
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
    axes.set_title("Little text is memorised", fontsize=10)
    axes.legend(fontsize=8)


def _draw_people(axes, runs):
    for i, r in enumerate(runs.loc[runs.groupby("flops").loss.idxmin()].itertuples()):
        axes.plot([share for share, _ in r.right["fact"]], MARKERS[i % 6] + "-",
                  color=plots.COLOURS[i % 6], label=flops_text(r.flops))
    axes.axhline(1 / 24, **plots.LANDMARK)
    axes.annotate("chance", (0, 1 / 24), (0, 3), **plots.NOTE)
    axes.set_xticks(range(len(RANKS)), RANKS, fontsize=8)
    axes.set_xlim(-0.3, len(RANKS) - 0.7)
    axes.set(ylim=(0, 1.03), xlabel="rank of the person, by how often it is met",
             ylabel="facts right")
    axes.set_title("With more FLOPs rarer people are known", fontsize=10)
    axes.legend(title="FLOPs, best size", fontsize=8, title_fontsize=8)


def write_report():
    """Put the tables into the two documents, and draw the picture, from the rows that are there."""
    into_documents(REPORT, tables())
    picture(draw_laws, FIGURES / "09_scaling_laws.png", kept(RESULTS))


def quick_study(figures):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quick.jsonl"
        study = Study(path, QUICK, workers=0, asked=200, written=20, pool=20_000)
        study.run(study.grid(QUICK, dict.fromkeys(QUICK, (6e-3, 1.2e-2))))
        study.run([study.trial(8, 1e9, stories=n) for n in (60, 120)])
        study.predict_and_train(1.6e10)
        rows = kept(path)
    print(*tables(rows).values(), sep="\n")
    picture(draw_laws, figures / "09_scaling_laws.png", rows)
    return rows


def main(quick=False, figures=FIGURES, extra=False, workers=None):
    expect("""
        GPTs of 5,000 to 300,000 parameters: each budget of FLOPs is spent on small models that read
        much and on large ones that read little. Expect the best size to grow with the budget, the
        fit to find the entropy of the text, and the loss of a run of four times the largest budget
        to be predicted.
        """)
    if quick:
        return quick_study(figures)
    study = Study(RESULTS, BUDGETS, workers)
    study.run(study.grid(BUDGETS, RATES))
    study.run([study.trial(*READER, stories=n) for n in TEXTS])
    study.predict_and_train(AHEAD * max(BUDGETS))
    study.run(study.grid(LARGER))
    study.predict_and_train(AHEAD * max(LARGER))
    if extra:
        study.run(study.grid(BUDGETS, text="long tail"))
        study.predict_and_train(AHEAD * max(BUDGETS), text="long tail")
        again = {flops: BUDGETS[flops] for flops in SEVERAL_SEEDS}
        study.run([trial for seed in (2, 3) for trial in study.grid(again, seed=seed)])
    return write_report()


if __name__ == "__main__":
    run_study(__doc__, main, write_report, "a few steps of tiny models",
              "other seeds, another almanac, too")
