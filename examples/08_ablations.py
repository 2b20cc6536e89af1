"""Why these choices? Some ninety small GPTs, each with one part or setting replaced.

    python examples/08_ablations.py              the core of the study, or what is left of it
    python examples/08_ablations.py --report     tables and figures from the numbers that are there
    python examples/08_ablations.py --quick      tiny models for a few steps: does it run?

Each is trained on 6,400 tales with three seeds, by `laboratory.py`. `variants.py` has the models,
`ablations.py` the training and its measure, the loss above the least that is possible, and
`ablation_rows.py` the rows of the study. Numbers go into examples/08_ablations.jsonl, tables into
examples/08_ablations.md.

Try:
- a variant of your own: a subclass in `variants.py`, a row in `ablation_rows.py`.
- BASE in `ablations.py` with 12 blocks: which effects change?
"""

import tempfile
from pathlib import Path

from ablation_figures import draw_effects, draw_rates
from ablation_rows import ROWS, SEEDS, study
from ablation_tables import effects, frame, tables
from ablations import BASE, measured
from example import FIGURES, expect, into_documents, picture, run_study
from laboratory import key, results_of, run

RESULTS, REPORT = (Path(__file__).with_suffix(end) for end in (".jsonl", ".md"))
QUICK_GROUPS = "Base", "Attention", "Learning rate"
QUICK = {"steps": 20, "warm_up": 2, "n_layer": 1}


def quick_study(folder):
    """Return two groups of rows, and results of a few steps of each."""
    rows = [row._replace(changes=row.changes | QUICK) for row in ROWS if row.group in QUICK_GROUPS]
    trials = [row.trials(seed)[0] for seed in SEEDS[:2] for row in rows]
    results = run(trials, measured, folder / "quick.jsonl", workers=0)
    return rows, dict(zip(map(key, trials), results, strict=True))


def write_report():
    """Put the tables into the report, and draw the figures, from the rows that are there."""
    results = results_of(RESULTS)
    into_documents(REPORT, tables(ROWS, results))
    return draw(FIGURES, ROWS, results)


def draw(figures, rows, results):
    """Draw both figures; return the line of each row and seed."""
    found = frame(rows, results)
    picture(draw_effects, figures / "08_ablations.png", {"": effects(found)})
    picture(draw_rates, figures / "08_details.png", found[found.group == "Learning rate"])
    return found


def main(quick=False, figures=FIGURES, workers=None):
    expect(f"""
        GPTs of {BASE["n_layer"]} blocks, each with one thing replaced. Expect most to end within
        thousandths of a nat of one another; a missing mask, missing residuals, decay in the
        gradient and wrong learning rates to stand out.
        """)
    if not quick:
        study(ROWS, RESULTS, workers)
        return write_report()
    with tempfile.TemporaryDirectory() as folder:
        return draw(figures, *quick_study(Path(folder)))


if __name__ == "__main__":
    run_study(__doc__, main, write_report, "tiny models, less than a minute")
