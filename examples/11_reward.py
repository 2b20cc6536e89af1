"""Learning from a reward, with everything exact: does it sharpen or teach, and what does it cost?

    python examples/11_reward.py            level A, ten minutes on two cores, or what is left of it
    python examples/11_reward.py --tales    level B: the run of the tales, some twelve minutes more
    python examples/11_reward.py --report   tables and figures from the numbers that are there
    python examples/11_reward.py --quick    few steps, one seed: does it run?

`reward_trials.py` has the grammar, the models and the measures. Numbers go into 11_reward.jsonl
and, of level B, 11_reward_tales.jsonl; tables into 11_reward.md.

Try:
- another verdict in `Verifier`: what would you have it write?
- an arm of your own: a line in ARMS.
"""

import tempfile
from pathlib import Path

from example import FIGURES, expect, figures_of, into_document, picture, study_arguments
from laboratory import kept, key, run
from reward_tables import draw_details, draw_sharpening, draw_tales, tables, tales_table
from reward_tales import METHODS, measure_tales
from reward_trials import measured

RESULTS, TALES, REPORT = (
    Path(__file__).with_name(f"11_reward{end}") for end in (".jsonl", "_tales.jsonl", ".md"))
SEEDS = range(1, 11)
RATES = 1e-3, 3e-3, 1e-2  # all tables are of the middle one
ROUND = {"batch_size": 256}
KL = "reward_kl", "reward_kl_estimator"


def kl(weight, estimator="full"):
    return dict(zip(KL, (weight, estimator), strict=True))


ARMS = {
    "mean": {},
    "none": {"switches": {"reward_advantage": "none"}},
    "std": {"switches": {"reward_advantage": "std"}},
    "1/length": {"switches": {"reward_length": "mean"}},
    "blame": {"switches": {"reward_credit": "token"}},
    "4 updates": {"switches": {"reward_updates": 4}},
    "entropy bonus": {"switches": {"reward_entropy": 0.02}},
    "rejection": {"switches": {"reward_draws": "start", "reward_advantage": "none"}},
    **{f"{estimator} {weight:g}": {"switches": kl(weight, estimator)}
       for estimator in ("reward", "k1", "k2", "k3") for weight in (0.1, 1.0, 10.0)},
    "DPO": {"pool": "pairs", "switches": {"reward_loss": "dpo", "reward_kl": 0.1}},
    "proxy": {"verify": "proxy", "steps": 120, "switches": {"reward_advantage": "std"}},
    "rare by reward": {"verify": "rare"},
    "rare by text": {"pool": "another writer", "switches": {"reward_advantage": "none"}},
    "mean, long": {"steps": 120, "switches": ROUND},
    "full 0.2, long": {"steps": 120, "switches": ROUND | kl(0.2)},
    "rejection, long": {"steps": 120, "switches": ROUND | {
        "reward_draws": "start", "reward_advantage": "none"}},
}
AT_ALL_RATES = "mean", "reward 0.1", "rejection"
GRADIENT_SEEDS = 3
QUICK_ARMS = "mean", "reward 0.1", "rejection", "DPO", "proxy", "4 updates", "rare by text"


def trials(seeds=SEEDS):
    rows = [{"arm": arm, "seed": seed, "lr": lr, **settings}
            for arm, settings in ARMS.items()
            for lr in (RATES if arm in AT_ALL_RATES else RATES[1:2]) for seed in seeds]
    return rows + [{"arm": "gradient", "seed": seed} for seed in seeds[:GRADIENT_SEEDS]]


def quick_trials():
    few = {"steps": 4, "every": 2}
    rows = [row | few for row in trials(range(1, 3)) if row["arm"] in QUICK_ARMS
            and row["lr"] == RATES[1]]
    for row in rows:
        row["switches"] = row.get("switches", {}) | {"batch_size": 8}
    return [*rows, {"arm": "gradient", "seed": 1, "size": {"drawn": 1000, "groups": 2}}]


def cost(settings):
    """Return how long a trial takes beside one of 60 steps of 64 stories."""
    if settings["arm"] == "gradient":
        return 25
    return settings.get("steps", 60) / 60 * settings.get("switches", {}).get("batch_size", 64) / 64


def write_report(rows, figures):
    for name, text in tables(rows).items():
        into_document(REPORT, name, text)
    draw(rows, figures)
    if TALES.exists():
        order = list(map(key, METHODS))
        found = sorted(kept(TALES), key=lambda row: order.index(key(row["settings"])))
        into_document(REPORT, "tales", tales_table(found))
        picture(draw_tales, figures / "11_tales.png", found)


def draw(rows, figures):
    picture(draw_sharpening, figures / "11_reward.png", rows)
    picture(draw_details, figures / "11_details.png", rows)


def main(quick=False, figures=FIGURES, workers=None, tales=False, report=False):
    expect("""
        Tiny GPTs that write one right story in six learn from a reward. Expect nine in ten to be
        right soon, and few different ones to be left; with a KL penalty more, and with rejection
        sampling most. The penalty k1, put into the loss, pulls nowhere: with a large weight its
        noise ruins the model.
        """)
    if quick:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "quick.jsonl"
            run(quick_trials(), measured, path, workers=0)
            rows = kept(path)
            tables(rows)
            draw(rows, figures)
        return rows
    if tales:
        run(METHODS, measure_tales, TALES, workers=0)
    elif not report:
        run(trials(), measured, RESULTS, workers, cost)
    wanted = set(map(key, trials()))
    rows = [row for row in kept(RESULTS) if key(row["settings"]) in wanted]
    write_report(rows, figures)
    return rows


if __name__ == "__main__":
    parser = study_arguments(__doc__, quick="few steps, half a minute")
    parser.add_argument("--tales", action="store_true", help="level B, in runs/")
    args = parser.parse_args()
    main(args.quick, figures_of(not args.quick), args.workers, args.tales, args.report)
