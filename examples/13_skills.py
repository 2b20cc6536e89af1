"""What is learned when? The loss above the entropy, split by what a token needs.

    python examples/13_skills.py              the trainings that are missing, tables and picture
    python examples/13_skills.py --report     tables and picture from the numbers that are there
    python examples/13_skills.py --quick      a few steps of tiny models

`studies/PLAN.md` has the questions, written before the first training; `skills.py` splits the
excess.
"""

from pathlib import Path

import scaling_trials
from ablations import BASE, ROWS, measured
from laboratory import run

RESULTS = Path(__file__).with_suffix(".jsonl")
CHANNELS, SEEDS = (16, 32, 64, 128), (1, 2, 3)
FLOPS = {  # of a training, by the number of channels
    "tales": dict(zip(CHANNELS, (7.74e10, 1.97e11, 5.85e11, 1.96e12), strict=True)),
    "rows": dict(zip(CHANNELS, (8.98e9, 3.09e10, 1.14e11, 4.35e11), strict=True)),
}
STEPS = {"tales": {"init": "1/sqrt(C)", "steps": 1600, "warm_up": 160}, "rows": {}}
EXPONENTS = (1.3, 1.5, 1.8)
BUDGETS, WIDE = (1e11, 4e11, 1.6e12), 64
LARGEST, WIDTHS = 1.6e12, (8, 12, 16, 24)


def over_time(text, channels, seed):
    """Return settings of a training whose skills are measured at 16 steps."""
    rate = 4e-3 * (FLOPS[text][channels] / 2.9e11) ** -0.4
    base = ROWS if text == "rows" else BASE
    return base | STEPS[text] | {
        "n_embd": channels, "lr": round(rate, 6), "evaluations": 16, "seed": seed,
    }


def of_zipf(exponent, channels, flops, seed):
    """Return settings of a training on an almanac."""
    rate = 0.014 * (flops / 4e11) ** -0.4
    return {"text": f"Zipf {exponent}", "channels": channels, "flops": flops,
            "rate": round(rate, 6), "seed": seed, "skills": 1000, "written": 100}


def trials(seed):
    """Return the trials of a seed, those over time first."""
    return [
        *(over_time(text, channels, seed) for channels in CHANNELS for text in ("rows", "tales")),
        *(of_zipf(s, WIDE, flops, seed) for flops in BUDGETS for s in EXPONENTS),
        *(of_zipf(s, channels, LARGEST, seed) for channels in WIDTHS for s in EXPONENTS),
    ]


def measure(settings):
    return (scaling_trials.measure if "channels" in settings else measured)(settings)


def cost(settings):
    return settings.get("flops") or FLOPS[settings.get("text", "tales")][settings["n_embd"]]


def study(seeds=SEEDS, path=RESULTS, workers=None):
    """Run what is missing, all of a seed before the next."""
    run([trial for seed in seeds for trial in trials(seed)], measure, path, workers, cost)
