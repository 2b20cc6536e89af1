"""Which parts of a GPT matter, on a text that needs them: rows of letters, written twice.

    python examples/12_rows.py              the trainings of two seeds that are missing, the report
    python examples/12_rows.py --all        of all ten seeds
    python examples/12_rows.py --report     table and picture from the numbers that are there
    python examples/12_rows.py --quick      a few steps of tiny models

`studies/PLAN.md` has the questions, arms, rates, seeds and tests, written before the first
training; `rows.py` has the text, `ablations.py` the training.
"""

import tempfile
from pathlib import Path

import rows
from ablation_figures import draw_effects
from ablation_rows import Row, study
from ablation_tables import Comparison, effects, effects_table, frame
from ablations import ROWS
from example import FIGURES, expect, into_document, picture, run_study
from laboratory import kept, key
from scaling_tables import markdown

RESULTS, REPORT = (Path(__file__).with_suffix(end) for end in (".jsonl", ".md"))
SEEDS = range(2, 12)  # seed 1 chooses the rate
TRIED = (2e-3, 4e-3, 8e-3)  # each arm's rates; more where the best one was an edge


def arm(label, *lower, rates=TRIED, **changes):
    return Row("Rows", label, ROWS | changes, (*lower, *rates))


PARTS = [  # of question 1
    arm("base", 1e-3),
    arm("1 block", n_layer=1),
    arm("1 head", 1e-3, n_head=1),
    arm("no positions", variant="no positions"),
    arm("no residuals", 5e-4, 1e-3, variant="no residuals"),
    arm("1 head, undivided", n_head=1, variant="undivided"),
    arm("4 heads, undivided", 1e-3, variant="undivided"),
]
OTHERS = [  # of question 4
    arm("rotary", 1e-3, variant="rotary"),
    arm("sinusoids", 1e-3, variant="sinusoids"),
    arm("post-norm", 1e-3, variant="post-norm"),
    arm("no norm", 1e-3, variant="no norm"),
    arm("ReLU", 1e-3, variant="ReLU"),
    arm("squared ReLU", 1e-3, variant="squared ReLU"),
    arm("SwiGLU", 1e-3, variant="SwiGLU"),
    arm("untied", 1e-3, tied=False),
    arm("weights of 0.02", 1e-3, init="0.02"),
    arm("no warm-up", 1e-3, warm_up=0),
    arm("QK-norm", 1e-3, variant="QK-norm"),
    arm("Llama", 1e-3, variant="Llama"),
    arm("2 heads", 1e-3, n_head=2),
    arm("8 heads", 1e-3, n_head=8),
    arm("4 blocks", 1e-3, n_layer=4),
]
DEPTHS = [  # of question 7, with base and post-norm
    arm("8 blocks", rates=(1e-3, 2e-3, 4e-3), n_layer=8),
    arm("8 blocks, post-norm", rates=(1e-3, 2e-3, 4e-3), n_layer=8, variant="post-norm"),
]
LONG = {"steps": 4000, "warm_up": 400}
OPTIMIZERS = [  # of question 6
    arm("Muon", rates=(0.01, 0.02, 0.04), optimizer="Muon"),
    arm("Muon, no decay", rates=(0.01, 0.02, 0.04), optimizer="Muon", decay=0.0),
    arm("AdamW, no decay", 1e-3, decay=0.0),
    arm("SGD", rates=(0.5, 1.0, 2.0), optimizer="SGD", decay=0.0),
]
LONGER = [
    arm("base, 4,000 steps", rates=(1e-3, 2e-3, 4e-3), **LONG),
    arm("Muon, 4,000 steps", rates=(0.005, 0.01, 0.02), optimizer="Muon", **LONG),
    arm("SGD, 4,000 steps", rates=(0.25, 0.5, 1.0), optimizer="SGD", decay=0.0, **LONG),
]
ARMS = PARTS + OTHERS + DEPTHS + OPTIMIZERS
CHOICES = [
    Comparison(choice, ("Rows", with_it), ("Rows", without)) for choice, with_it, without in (
        ("two blocks, not one", "base", "1 block"),
        ("4 heads, not 1", "base", "1 head"),
        ("learned positions, not none", "base", "no positions"),
        ("residual connections, not none", "base", "no residuals"),
        ("scores divided by √D: 1 head, D = 64", "1 head", "1 head, undivided"),
        ("scores divided by √D: 4 heads, D = 16", "base", "4 heads, undivided"),
        ("Muon, not AdamW", "Muon", "base"),
        ("AdamW, not SGD with momentum and clipping", "base", "SGD"),
    )
]
LATE = 1.5  # times the median of its arm: where a run ends late
TITLE = "Rows of letters: how much larger the loss above the entropy is without each part"


def results_of(path):
    return {key(row["settings"]): row["result"] for row in kept(path)}


def tables(results, arms=ARMS):
    """Return name -> table in Markdown."""
    found, (nats, length) = frame(arms, results, SEEDS), rows.expectation()
    found["share"] = 100 * found.excess.astype(float) * length / nats
    lines = [
        (label, f"{some.rate.iloc[0]:g}", f"{some.parameters.iloc[0]:,}",
         f"{some.flops.iloc[0]:.2g}", len(some), f"{some.excess.median():.4f}",
         f"{some.share.median():.0f}",
         f"{(some.excess > LATE * some.excess.median()).sum()} of {len(some)}")
        for label, some in found.groupby("label", sort=False)
    ]
    tried = [(arm.label, [(t["lr"], results[key(t)]["excess"]) for t in arm.trials(1)
                          if key(t) in results]) for arm in arms]
    return {
        "effects": effects_table(effects(found, CHOICES)),
        "arms": markdown(("arm", "rate", "parameters", "FLOPs", "n", "median excess",
                          "in % of the entropy", "end late"), lines),
        "rates": markdown(("arm", "rate: excess"), [
            (label, "; ".join(f"{rate:g}: {excess:.4f}" for rate, excess in of))
            for label, of in tried
        ]),
    }


def write_report(figures=FIGURES):
    results = results_of(RESULTS)
    for name, table in tables(results).items():
        into_document(REPORT, name, table)
    picture(draw_effects, figures / "12_rows.png", effects(frame(ARMS, results, SEEDS), CHOICES),
            TITLE)


def quick_study(figures):
    """Train the arms for a few steps."""
    few = {"steps": 20, "warm_up": 2, "evaluations": 2, "n_embd": 16}
    arms = [arm._replace(changes=arm.changes | few, rates=arm.rates[:1]) for arm in ARMS]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quick.jsonl"
        study(arms, path, 0, (2, 3))
        results = results_of(path)
    print(*tables(results, arms).values(), sep="\n")
    found = frame(arms, results, SEEDS)
    picture(draw_effects, figures / "12_rows.png", effects(found, CHOICES), TITLE)
    return found


def main(quick=False, figures=FIGURES, extra=False, workers=None):
    expect("""
        GPTs that write each row of letters again. Expect one block, no residuals and undivided
        scores to learn next to nothing of it in a thousand steps, and one head to need longer.
        """)
    if quick:
        return quick_study(figures)
    study(ARMS, RESULTS, workers, SEEDS if extra else SEEDS[:2])
    return write_report(figures)


if __name__ == "__main__":
    run_study(__doc__, main, write_report, "tiny models, a few seconds", "all ten seeds")
