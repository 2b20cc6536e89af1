"""Section 9, scaling laws: what a model's loss owes to its size, its text and its FLOPs.

    python examples/09_scaling_laws.py                 the core, or what is left of it
    python examples/09_scaling_laws.py --all           other seeds, too
    python examples/09_scaling_laws.py --corpus FILE   the same on a text whose entropy nobody knows
    python examples/09_scaling_laws.py --report        tables and figures from the numbers there are
    python examples/09_scaling_laws.py --quick         a few steps of each: does it run?

The text is an almanac (`almanac.py`) of exactly known entropy: E of the law L = E + A/N^a + B/D^b is
known before anything is fitted. `scaling_trials.py` has the trainings, `scaling_fit.py` the fit,
`scaling_numbers.py` and `scaling_report.py` what follows. The largest run is predicted before it is
trained; 09_scaling_laws.jsonl has both, in that order.

Try:
- EXPONENT in `almanac.py`: with rarer people, how do the law's exponents change?
- Leave two of the BUDGETS out: how much wider are the intervals, and how far off is E?
"""

import argparse
import os
import tempfile
from pathlib import Path

from example import FIGURES, expect, into_concepts, picture
from laboratory import kept, run
from scaling_numbers import Numbers
from scaling_report import draw_laws, report, summary
from scaling_trials import CORPUS, almanac, measure, shape

from npgpt.files import atomic_write
from npgpt.model.size import parameters_by_part

HERE = Path(__file__).parent
RESULTS, TABLES = HERE / "09_scaling_laws.jsonl", HERE / "09_scaling_laws.md"
BUDGETS = {  # FLOPs -> channels: each budget's best size is inside
    1e11: (8, 12, 16, 24, 32, 48),
    4e11: (12, 16, 24, 32, 48, 64),
    1.6e12: (16, 24, 32, 48, 64, 96),
    6.4e12: (24, 32, 48, 64, 96, 128),
}
HELD_OUT = 4 * max(BUDGETS)
RATES = {16: (1.2e-2, 2.4e-2, 4.8e-2), 32: (6e-3, 1.2e-2, 2.4e-2), 64: (6e-3, 1.2e-2, 2.4e-2)}
TRIED = {16: 1e11, 32: 4e11, 64: 1.6e12}  # the budget at which rates are tried
TEXTS, READER = (130, 1300, 13_000, 130_000), (48, 1.6e12)  # stories; who reads them, how long
QUICK = {1e9: (8, 12, 16), 2e9: (8, 12, 16), 4e9: (8, 12, 16)}


def rate(channels):
    """The learning rate of a width."""
    return 1.2e-2 if channels <= 32 else 6e-3


def trial(channels, flops, seed=1, text="almanac", **more):
    return {"text": text, "channels": channels, "flops": flops, "rate": rate(channels),
            "seed": seed} | more  # fmt: skip


def grid(budgets, **more):
    return [trial(C, flops, **more) for flops, sizes in budgets.items() for C in sizes]


def core():
    rates = [trial(C, TRIED[C]) | {"rate": r} for C, rates in RATES.items() for r in rates]
    texts = [trial(*READER, stories=stories) for stories in TEXTS]
    return rates + grid(BUDGETS) + texts


def others():
    cheap = dict(list(BUDGETS.items())[:3])
    return [trial for seed in (2, 3) for trial in grid(cheap, seed=seed)]


def held_out(path, flops, **more):
    """Predict the loss at a budget by the runs that there are; train; keep both."""
    asked = {"predict": flops} | more
    (told,) = run([asked], lambda _: prediction(kept(path), flops), path, workers=0)
    run([trial(told["channels"], flops, **more)], measure, path, workers=1)


def prediction(rows, flops):
    numbers, vocab_size = Numbers(rows), almanac().tokenizer.vocab_size
    best = numbers.law("given").best_size(flops)
    channels = min(range(8, 513, 8), key=lambda C: abs(_size(C, vocab_size) - best))
    return {"channels": channels} | numbers.predicted(shape(channels, vocab_size), flops)


def _size(channels, vocab_size):
    return sum(parameters_by_part(shape(channels, vocab_size)).values())


def write_report():
    """Make the tables, the figures and the part of CONCEPTS.md from the numbers that are there."""
    numbers = Numbers(kept(RESULTS))
    atomic_write(TABLES, report(numbers).encode())
    into_concepts("09_scaling_laws", summary(numbers))
    picture(draw_laws, FIGURES / "09_scaling_laws.png", numbers)
    print(report(numbers))
    return numbers


def quick_study(figures):
    with tempfile.TemporaryDirectory() as folder:
        path, few = Path(folder) / "quick.jsonl", {"asked": 200, "written": 20, "pool": 20_000}
        texts = [trial(8, 1e9, stories=stories, **few) for stories in (60, 120)]
        run([*grid(QUICK, **few), *texts], measure, path, workers=0)
        held_out(path, 1e10, **few)
        numbers = Numbers(kept(path))
    print(report(numbers))
    picture(draw_laws, figures / "09_scaling_laws.png", numbers)
    return numbers


def main(quick=False, figures=FIGURES, extra=False, corpus=None, workers=None):
    expect("""
        GPTs of 5,000 to 450,000 parameters, each budget of FLOPs spent on small models that read
        much and on large ones that read little. Expect the best size to grow with the budget, the
        fit to find the entropy of the text, and the loss of a run of four times the largest budget
        to be foretold.
        """)
    if quick:
        return quick_study(figures)
    if corpus:
        os.environ[CORPUS] = str(corpus)
        run(grid(BUDGETS, text=Path(corpus).stem), measure, RESULTS, workers)
    else:
        run(core(), measure, RESULTS, workers)
        held_out(RESULTS, HELD_OUT)
        if extra:
            run(others(), measure, RESULTS, workers)
    return write_report()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a few steps of tiny models")
    parser.add_argument("--report", action="store_true", help="no training: tables and figures")
    parser.add_argument("--all", action="store_true", help="two more seeds of the smaller budgets")
    parser.add_argument("--corpus", type=Path, help="the same budgets on a text file")
    parser.add_argument("--workers", type=int, help="trainings at a time; else one for each core")
    args = parser.parse_args()
    if args.report:
        write_report()
    else:
        # a quick picture does not take the place of the study's
        figures = FIGURES / "quick" if args.quick else FIGURES
        main(args.quick, figures, args.all, args.corpus, args.workers)
