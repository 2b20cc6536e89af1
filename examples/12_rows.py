"""Which parts of a GPT matter: on rows of letters, written twice, and on tales.

    python examples/12_rows.py              the trainings of two seeds that are missing, the report
    python examples/12_rows.py --all        of all ten seeds
    python examples/12_rows.py --report     table and picture from the numbers that are there
    python examples/12_rows.py --quick      a few steps of tiny models

`studies/PLAN.md` has the questions, arms, rates, seeds and tests, written before the first
training; `rows.py` has the text, `ablations.py` the training.
"""

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import rows
from ablation_figures import draw_effects
from ablation_rows import Row, study
from ablation_tables import Comparison, effects, frame, mean_and_interval, percent
from ablations import BASE, ROWS, stories
from example import FIGURES, expect, into_documents, picture, run_study
from laboratory import key, markdown, results_of

RESULTS, REPORT = (Path(__file__).with_suffix(end) for end in (".jsonl", ".md"))
SEEDS = range(2, 12)  # seed 1 chooses the rate


ON = {"Rows": ROWS, "Tales": BASE | {"init": "1/sqrt(C)"}}  # what each text's base is
CHANGES = {
    "base": {},
    "1 block": {"n_layer": 1},  # question 1
    "1 head": {"n_head": 1},
    "no positions": {"variant": "no positions"},
    "no residuals": {"variant": "no residuals"},
    "1 head, undivided": {"n_head": 1, "variant": "undivided"},
    "4 heads, undivided": {"variant": "undivided"},
    "rotary": {"variant": "rotary"},  # question 4, and 5 on tales
    "sinusoids": {"variant": "sinusoids"},
    "post-norm": {"variant": "post-norm"},
    "no norm": {"variant": "no norm"},
    "ReLU": {"variant": "ReLU"},
    "squared ReLU": {"variant": "squared ReLU"},
    "SwiGLU": {"variant": "SwiGLU"},
    "untied": {"tied": False},
    "weights of 0.02": {"init": "0.02"},
    "no warm-up": {"warm_up": 0},
    "QK-norm": {"variant": "QK-norm"},
    "Llama": {"variant": "Llama"},
    "2 heads": {"n_head": 2},
    "8 heads": {"n_head": 8},
    "4 blocks": {"n_layer": 4},
}
DEEP = {"8 blocks": {"n_layer": 8}, "8 blocks, post-norm": {"n_layer": 8, "variant": "post-norm"}}
TRIED = (1e-3, 2e-3, 4e-3, 8e-3)  # rates; more where the best one was an edge
OTHER_RATES = {
    ("Rows", "1 block"): TRIED[1:], ("Rows", "no positions"): TRIED[1:],
    ("Rows", "1 head, undivided"): TRIED[1:], ("Rows", "no residuals"): (5e-4, *TRIED),
    ("Rows", "weights of 0.02"): (2.5e-4, 5e-4, *TRIED), ("Rows", "8 blocks"): TRIED[:3],
    ("Rows", "8 blocks, post-norm"): (2.5e-4, 5e-4, *TRIED[:3]),
} | {("Tales", label): (*TRIED, 1.6e-2) for label in (
    "1 block", "no positions", "rotary", "sinusoids", "post-norm", "no norm", "weights of 0.02",
    "no warm-up", "Llama", "2 heads")} | {("Tales", label): (*TRIED, 1.6e-2, 3.2e-2) for label in (
    "no positions", "sinusoids", "2 heads")}


def arms_on(text, changes):
    return [Row(text, label, ON[text] | change, OTHER_RATES.get((text, label), TRIED))
            for label, change in changes.items()]


ARMS = arms_on("Rows", CHANGES | DEEP)
TALES = arms_on("Tales", CHANGES)
CHOICES = (
    ("two blocks, not one", "base", "1 block"),
    ("two blocks, not four", "base", "4 blocks"),
    ("4 heads, not 1", "base", "1 head"),
    ("4 heads, not 2", "base", "2 heads"),
    ("4 heads, not 8", "base", "8 heads"),
    ("learned positions, not none", "base", "no positions"),
    ("rotary positions, not learned", "rotary", "base"),
    ("learned positions, not sinusoids", "base", "sinusoids"),
    ("residual connections, not none", "base", "no residuals"),
    ("scores divided by √D: 1 head, D = 64", "1 head", "1 head, undivided"),
    ("scores divided by √D: 4 heads, D = 16", "base", "4 heads, undivided"),
    ("QK-norm, not none", "QK-norm", "base"),
    ("pre-norm, not post-norm", "base", "post-norm"),
    ("LayerNorm, not none", "base", "no norm"),
    ("GELU, not ReLU", "base", "ReLU"),
    ("GELU, not squared ReLU", "base", "squared ReLU"),
    ("SwiGLU, not GELU", "SwiGLU", "base"),
    ("Llama's block, not GPT's", "Llama", "base"),
    ("tied embeddings, not untied", "base", "untied"),
    ("first weights of 1/√C, not 0.02", "base", "weights of 0.02"),
    ("warm-up, not none", "base", "no warm-up"),
)
LATE = 1.5  # times the median of its arm: where a run ends late
TITLE = "How much larger the loss above the entropy is without each choice; 95 % intervals"


def effects_on(found, text):
    """Return a line for each choice, as in 08_ablations.md, by the runs on one text."""
    return effects(found, [Comparison(choice, (text, low), (text, high))
                           for choice, low, high in CHOICES])


def interaction(found):
    """Return (n, mean, low, high) of how much more post-norm adds to log excess with 8 blocks than
    with 2, by Student's t."""
    on_rows = found[found.group == "Rows"].astype({"excess": float})
    of = np.log(on_rows.pivot_table("excess", "seed", "label"))
    more = (of["8 blocks, post-norm"] - of["8 blocks"] - of["post-norm"] + of["base"]).dropna()
    return len(more), *mean_and_interval(more)


def tables(results, arms=ARMS + TALES):
    """Return name -> table in Markdown."""
    found = frame(arms, results, SEEDS)
    by_choice = {text: effects_on(found, text).set_index("choice")
                 for text in ON if text in set(found.group)}
    cells = {
        (text, r.Index): (r.n, percent(r.mean), f"{percent(r.low)} to {percent(r.high)}", r.word)
        for text, lines in by_choice.items() for r in lines.itertuples()
    }
    order = by_choice["Rows"].sort_values("mean", ascending=False).index
    head = "n", "excess without it", "95 % interval", ""
    n, mean, low, high = interaction(found)
    return {
        "effects": markdown(
            ("choice", *(f"{text.lower()}: {what}".rstrip(": ") for text in ON for what in head)), [
                (choice, *(cell for text in ON for cell in cells.get((text, choice), [""] * 4)))
                for choice in order
            ]),
        "arms": markdown(
            ("text", "arm", "rate", "parameters", "FLOPs", "n", "median excess",
             "in % of the entropy", "end late"),
            [_arm(*of) for of in found.groupby(["group", "label"], sort=False)]),
        "rates": markdown(("text", "arm", "rate: excess"), [
            (arm.group.lower(), arm.label, "; ".join(
                f"{t['lr']:g}: {_number(results[key(t)]['excess'])}" for t in arm.trials(1)
                if key(t) in results))
            for arm in arms
        ]),
        "interaction": markdown(("n", "post-norm adds with 8 blocks, beside with 2", "95 %"), [
            (n, percent(mean), f"{percent(low)} to {percent(high)}")]),
    }


def _arm(name, some):
    text, label = name
    excess = some.excess.astype(float)
    return (text.lower(), label, f"{some.rate.iloc[0]:g}", f"{some.parameters.iloc[0]:,}",
            f"{some.flops.iloc[0]:.2g}", len(some), f"{excess.median():.4f}",
            f"{100 * excess.median() / entropy(text):.1f}",
            f"{(excess > LATE * excess.median()).sum()} of {len(some)}")


@cache
def entropy(text):
    """Return nats per token: of all rows, of the tales that are measured on."""
    if text == "Rows":
        nats, length = rows.expectation()
        return nats / length
    test = stories("test")
    return test.nats_N.sum() / (test.y_NT >= 0).sum()


def _number(excess):
    return "diverged" if excess is None else f"{excess:.4f}"


def write_report(figures=FIGURES):
    results = results_of(RESULTS)
    into_documents(REPORT, tables(results))
    draw(figures, frame(ARMS + TALES, results, SEEDS))


def draw(figures, found):
    picture(draw_effects, figures / "12_rows.png",
            {text: effects_on(found, text) for text in ON}, TITLE)


def quick_study(figures):
    """Train the arms for a few steps."""
    few = {"steps": 20, "evaluations": 2, "n_embd": 16}
    arms = [arm._replace(changes=arm.changes | few | {"warm_up": arm.changes["warm_up"] and 2},
                         rates=arm.rates[:1]) for arm in ARMS + TALES]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quick.jsonl"
        study(arms, path, 0, (2, 3))
        results = results_of(path)
    print(*tables(results, arms).values(), sep="\n")
    found = frame(arms, results, SEEDS)
    draw(figures, found)
    return found


def main(quick=False, figures=FIGURES, extra=False, workers=None):
    expect("""
        GPTs that write each row of letters again, and GPTs that read tales. Expect one block, no
        residuals and undivided scores to learn next to nothing of rows in a thousand steps.
        """)
    if quick:
        return quick_study(figures)
    study(ARMS + TALES, RESULTS, workers, SEEDS if extra else SEEDS[:2])
    return write_report(figures)


if __name__ == "__main__":
    run_study(__doc__, main, write_report, "tiny models, a few seconds", "all ten seeds")
