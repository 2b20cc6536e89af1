"""Section 9, scaling laws: what a model's loss owes to its size, its text and its FLOPs.

    python examples/09_scaling_laws.py                 the core, or what is left of it
    python examples/09_scaling_laws.py --all           other seeds and another almanac, too
    python examples/09_scaling_laws.py --corpus FILE   the same on a text whose entropy nobody knows
    python examples/09_scaling_laws.py --report        tables and figures from the numbers there are
    python examples/09_scaling_laws.py --quick         a few steps of each: does it run?

The text is an almanac (`almanac.py`) of exactly known entropy: the E of the law
L = E + A/N^alpha + B/D^beta is known before it is fitted. `scaling_trials.py` has the trainings,
`scaling_fit.py` the fit, `scaling_numbers.py` what follows; `scaling_report.py`,
`scaling_summary.py` and `scaling_figure.py` show it. The largest run is predicted before it is
trained; 09_scaling_laws.jsonl has both, in that order.

Try:
- ALMANAC in `almanac.py`: with an exponent of 2, how do those of the law change?
- Leave two of the BUDGETS out: how much wider are the intervals, and how far off is E?
"""

import math
import os
import tempfile
from pathlib import Path

from example import FIGURES, expect, figures_of, into_concepts, picture, study_arguments
from laboratory import kept, run
from scaling_figure import draw_laws
from scaling_numbers import Numbers
from scaling_report import report
from scaling_summary import summary
from scaling_trials import ALMANACS, CORPUS, almanac, measure, shape

from npgpt.families.size import parameters_by_part
from npgpt.files import atomic_write

HERE = Path(__file__).parent
RESULTS, TABLES = HERE / "09_scaling_laws.jsonl", HERE / "09_scaling_laws.md"
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
        """The best learning rate of the nearest budget and width with which all were tried."""
        def distance(row):
            own = row["settings"]
            return (abs(math.log(own["flops"] / flops)), abs(math.log(own["channels"] / channels)),
                    row["result"]["loss"])

        rows = Numbers(kept(self.path)).tried
        rows = [row for row in rows if row["settings"]["flops"] in self.budgets]
        return min(rows, key=distance)["settings"]["rate"]

    def predict_and_train(self, flops, text="almanac"):
        """Predict the loss at a budget by the runs of smaller ones; train; both are kept.

        The best rate falls as budgets grow, so half of the one that is known is tried, too.
        """
        (told,) = run([{"predict": flops, "text": text}], self.predicted, self.path, workers=0)
        rate = self.rate(told["channels"], flops)
        self.run([self.trial(told["channels"], flops, r, text=text) for r in (rate, rate / 2)])

    def predicted(self, asked):
        flops, text = asked["predict"], asked["text"]
        rows = [row for row in kept(self.path) if row["settings"].get("flops", flops) < flops]
        numbers, vocab_size = Numbers(rows, text), almanac(text).tokenizer.vocab_size
        best = numbers.law(True).best_size(flops)
        channels = min(range(8, 513, 8), key=lambda C: abs(_size(C, vocab_size) - best))
        return {"channels": channels} | numbers.predicted(shape(channels, vocab_size), flops)


def _size(channels, vocab_size):
    return sum(parameters_by_part(shape(channels, vocab_size)).values())


def by_text():
    """Return the `Numbers` of the almanac, and those of the other texts by their names."""
    rows = kept(RESULTS)
    found = {text: Numbers(rows, text) for text in sorted({r["settings"]["text"] for r in rows})}
    return found.pop("almanac"), found


def write_report():
    """Make the tables, the figures and the part of CONCEPTS.md from the numbers that are there."""
    numbers, others = by_text()
    tables = report(numbers, others)
    atomic_write(TABLES, tables.encode())
    into_concepts("09_scaling_laws", summary(numbers, others))
    picture(draw_laws, FIGURES / "09_scaling_laws.png", numbers)
    print(tables)
    return numbers


def quick_study(figures):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quick.jsonl"
        study = Study(path, QUICK, workers=0, asked=200, written=20, pool=20_000)
        study.run(study.grid(QUICK, dict.fromkeys(QUICK, (6e-3, 1.2e-2))))
        study.run([study.trial(8, 1e9, stories=n) for n in (60, 120)])
        study.predict_and_train(1.6e10)
        numbers = Numbers(kept(path))
    print(report(numbers, {}))
    picture(draw_laws, figures / "09_scaling_laws.png", numbers)
    return numbers


def of_corpus(path):
    """Return settings of trials on a text file; a file of other content has other settings."""
    if not path.is_file() or path.stem in ALMANACS:
        raise SystemExit(f"--corpus {path}: give a text file whose name is not "
                         f"{' or '.join(ALMANACS)}")
    os.environ[CORPUS] = str(path)
    return {"text": path.stem, "bytes": path.stat().st_size}


def main(quick=False, figures=FIGURES, extra=False, corpus=None, workers=None):
    expect("""
        GPTs of 5,000 to 300,000 parameters: each budget of FLOPs is spent on small models that read
        much and on large ones that read little. Expect the best size to grow with the budget, the
        fit to find the entropy of the text, and the loss of a run of four times the largest budget
        to be predicted.
        """)
    if quick:
        return quick_study(figures)
    of_text = corpus and of_corpus(corpus)  # before the hours that come first
    study = Study(RESULTS, BUDGETS, workers)
    study.run(study.grid(BUDGETS, RATES))
    if of_text:
        study.run(study.grid(BUDGETS, **of_text))
        return write_report()
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
    parser = study_arguments(__doc__, quick="a few steps of tiny models")
    parser.add_argument("--all", action="store_true", help="other seeds, another almanac, too")
    parser.add_argument("--corpus", type=Path, help="the same budgets on a text file")
    parser.add_argument("--workers", type=int, help="trainings at a time; else one for each core")
    args = parser.parse_args()
    if args.report:
        write_report()
    else:
        main(args.quick, figures_of(not args.quick), args.all, args.corpus, args.workers)
