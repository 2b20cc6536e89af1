"""Section 9, scaling laws: what a model's loss owes to its size, its text and its FLOPs.

    python examples/09_scaling_laws.py            the core, or what is left of it
    python examples/09_scaling_laws.py --all      other seeds and another almanac, too
    python examples/09_scaling_laws.py --report   tables and figures from the numbers there are
    python examples/09_scaling_laws.py --quick    a few steps of each: does it run?

The text is an almanac (`almanac.py`) of exactly known entropy: the E of the law
L = E + A/N^alpha + B/D^beta is known before it is fitted. `scaling_trials.py` has the trainings,
`scaling_law.py` the fit, `scaling_tables.py` the tables, `scaling_figure.py` the picture. It needs
the extra `studies`. The largest run is predicted before it is trained; 09_scaling_laws.jsonl has
both, in that order.

Try:
- ALMANAC in `almanac.py`: with an exponent of 2, how do those of the law change?
- Leave two of the BUDGETS out: how much wider are the intervals, and how far off is E?
"""

import math
import tempfile
from pathlib import Path

from example import (
    FIGURES,
    expect,
    into_concepts,
    into_document,
    picture,
    run_study,
)
from laboratory import kept, run
from scaling_figure import draw_laws
from scaling_tables import RESULTS, at_best_rates, frame, largest, law_of, predict, tables
from scaling_trials import almanac, measure, shape

from npgpt.families.size import parameters_by_part

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
        """Trials of each size at each budget.    rates: by budget; none: the best known one"""
        return [
            self.trial(C, flops, rate, **more)
            for flops, sizes in budgets.items() for C in sizes
            for rate in (rates[flops] if rates else (None,))
        ]

    def rate(self, channels, flops):
        """Return the best rate of the nearest budget and width with which several were tried."""
        runs = frame(kept(self.path))
        runs = runs[(runs.seed == 1) & (runs.text == "almanac") & runs.stories.isna()
                    & runs.flops.isin(list(self.budgets))]
        nearest = (runs.flops / flops).map(math.log).abs(), (
            runs.channels / channels).map(math.log).abs()
        runs = runs.assign(budget=nearest[0], width=nearest[1])
        return float(runs.sort_values(["budget", "width", "loss"]).rate.iloc[0])

    def predict_and_train(self, flops, text="almanac"):
        """Predict the loss at a budget by the runs of smaller ones, then train; both are stored."""
        (told,) = run([{"predict": flops, "text": text}], self.predicted, self.path, workers=0)
        self.run([self.trial(told["channels"], flops, text=text)])

    def predicted(self, asked):
        flops, vocab_size = asked["predict"], almanac(asked["text"]).tokenizer.vocab_size
        runs = frame(kept(self.path))
        runs = runs[(runs.text == asked["text"]) & (runs.flops < flops)]
        cells = largest(at_best_rates(runs))
        best = law_of(cells, cells.entropy.iloc[0]).best_size(flops)
        channels = min(range(8, 513, 8), key=lambda C: abs(_size(C, vocab_size) - best))
        return {"channels": channels} | predict(runs, shape(channels, vocab_size), flops)


def _size(channels, vocab_size):
    return sum(parameters_by_part(shape(channels, vocab_size)).values())


def write_report():
    """Put the tables into the two documents, and draw the picture, from the rows that are there."""
    found = tables()
    into_concepts("09_scaling_laws", found.pop("summary"))
    for name, table in found.items():
        into_document(REPORT, name, table)
    picture(draw_laws, FIGURES / "09_scaling_laws.png", kept(RESULTS))
    return found


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
