"""Which parts of a GPT matter, on a text that needs them: rows of letters, written twice.

    python examples/12_rows.py              the trainings that are missing, then table and picture
    python examples/12_rows.py --report     table and picture from the numbers that are there
    python examples/12_rows.py --quick      a few steps of tiny models

`studies/PLAN.md` has the questions, arms, rates, seeds and tests, written before the first
training; `rows.py` has the text, `ablations.py` the training.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import rows
from ablation_figures import draw_effects
from ablation_tables import effects_table, moderated
from ablations import ROWS, measured
from example import FIGURES, expect, figures_of, into_document, picture, study_arguments
from laboratory import kept, key, run
from scaling_tables import markdown

RESULTS, REPORT = (Path(__file__).with_suffix(end) for end in (".jsonl", ".md"))
UNDIVIDED = {"variant": "undivided"}
ARMS = {  # name -> changes to ROWS
    "base": {},
    "1 block": {"n_layer": 1},
    "1 head": {"n_head": 1},
    "no positions": {"variant": "no positions"},
    "no residuals": {"variant": "no residuals"},
    "1 head, undivided": {"n_head": 1} | UNDIVIDED,
    "4 heads, undivided": UNDIVIDED,
}
CHOICES = {  # name -> the arm without the choice, the arm with it
    "two blocks, not one": ("1 block", "base"),
    "4 heads, not 1": ("1 head", "base"),
    "learned positions, not none": ("no positions", "base"),
    "residual connections, not none": ("no residuals", "base"),
    "scores divided by √D: 1 head, D = 64": ("1 head, undivided", "1 head"),
    "scores divided by √D: 4 heads, D = 16": ("4 heads, undivided", "base"),
}
RATES, SEEDS = (0.5, 1, 2), range(2, 12)  # rates as multiples of the rule's; seed 1 chooses one
LATE = 1.5  # times the median of its arm: where a run ends late
TITLE = "Rows of letters: the loss above the entropy without each part, with 95 % intervals"


def trial(changes, factor, seed):
    return ROWS | changes | {"lr": ROWS["lr"] * factor, "seed": seed}


def best_rate(changes, results):
    """Return (the multiple of the rate that is best with seed 1, the multiples to try next).

    results    `laboratory.key` of the settings -> what was measured
    """
    factors = [2.0**n for n in range(-4, 4)]
    tried = {f: results.get(key(trial(changes, f, 1))) for f in factors}
    excess = {f: r["excess"] or np.inf for f, r in tried.items() if r}
    if missing := [f for f in RATES if f not in excess]:
        return None, missing
    best = min(excess, key=excess.get)
    return best, [f for f in (best / 2, best * 2) if f in factors and f not in excess]


def study(arms=ARMS, seeds=SEEDS, path=RESULTS, workers=None):
    """Run what is missing: all arms with seed 1 and their rates, then all with seed 2, and on."""
    while True:
        results = results_of(path)
        chosen = {name: best_rate(changes, results) for name, changes in arms.items()}
        missing = [trial(arms[name], f, 1) for name, (_, more) in chosen.items() for f in more]
        if not missing:
            break
        run(missing, measured, path, workers)
    run([trial(arms[name], best, seed) for seed in seeds for name, (best, _) in chosen.items()],
        measured, path, workers)


def results_of(path):
    return {key(row["settings"]): row["result"] for row in kept(path)}


def frame(results):
    """Return a line for each arm and seed from 2 on, at the rate that seed 1 chose."""
    lines = []
    for arm, changes in ARMS.items():
        best, _ = best_rate(changes, results)
        for seed in SEEDS if best else ():
            if found := results.get(key(trial(changes, best, seed))):
                lines.append({"arm": arm, "seed": seed, "rate": ROWS["lr"] * best} | found)
    return pd.DataFrame(lines)


def effects(found):
    """Return the `moderated` effects of CHOICES."""
    log = np.log(found.pivot_table("excess", "seed", "arm"))
    return moderated({
        choice: (log[without] - log[base]).dropna().to_numpy()
        for choice, (without, base) in CHOICES.items() if {without, base} <= {*log}
    })


def tables(results):
    """Return name -> table in Markdown."""
    found, (nats, length) = frame(results), rows.expectation()
    found["share"] = 100 * found.excess.astype(float) * length / nats
    arms = [
        (arm, f"{some.rate.iloc[0]:g}", f"{some.parameters.iloc[0]:,}", f"{some.flops.iloc[0]:.2g}",
         len(some), f"{some.excess.median():.4f}", f"{some.share.median():.0f}",
         f"{(some.excess > LATE * some.excess.median()).sum()} of {len(some)}")
        for arm, some in found.groupby("arm", sort=False)
    ]
    head = ("arm", "rate", "parameters", "FLOPs", "n", "median excess", "in % of the entropy",
            "end late")
    rates = {arm: {f: results.get(key(trial(changes, f, 1))) for f in (1 / 8, 1 / 4, *RATES, 4)}
             for arm, changes in ARMS.items()}
    return {
        "effects": effects_table(effects(found)), "arms": markdown(head, arms),
        "rates": markdown(("arm", *(f"{ROWS['lr'] * f:g}" for f in rates["base"])), [
            (arm, *("" if r is None else f"{r['excess']:.4f}" for r in tried.values()))
            for arm, tried in rates.items()
        ]),
    }


def write_report(figures=FIGURES):
    results = results_of(RESULTS)
    for name, table in tables(results).items():
        into_document(REPORT, name, table)
    picture(draw_effects, figures / "12_rows.png", effects(frame(results)), TITLE)


def quick_study(figures):
    """Train two arms for a few steps."""
    few = {"steps": 20, "warm_up": 2, "evaluations": 2, "n_embd": 16}
    arms = {name: ARMS[name] | few for name in ("base", "1 block")}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quick.jsonl"
        run([trial(arms[name], 1, seed) for seed in (2, 3) for name in arms], measured, path, 0)
        found = pd.DataFrame([
            {"arm": arm, "seed": row["settings"]["seed"]} | row["result"]
            for row, arm in zip(kept(path), (*arms, *arms), strict=True)
        ])
    picture(draw_effects, figures / "12_rows.png", effects(found), TITLE)
    return found


def main(quick=False, figures=FIGURES, workers=None):
    expect("""
        GPTs that write each row of letters again. Expect one block, no residuals and undivided
        scores to learn next to nothing of it in a thousand steps, and one head to need longer.
        """)
    if quick:
        return quick_study(figures)
    study(workers=workers)
    return write_report(figures)


if __name__ == "__main__":
    parser = study_arguments(__doc__, quick="tiny models, a few seconds")
    parser.add_argument("--workers", type=int, help="trainings at a time; else one for each core")
    args = parser.parse_args()
    if args.report:
        write_report()
    else:
        main(args.quick, figures_of(not args.quick), args.workers)
