"""Learning from a reward, with everything exact: does it sharpen or teach, and what does it cost?

    python examples/studies/11_reward.py            level A, under ten minutes on two quiet cores
    python examples/studies/11_reward.py --all      level B too: the run of tales, twelve minutes

`reward_language.py` has the grammar and what is exact, `reward_trials.py` the trainings. Numbers go
into 11_reward.jsonl and, of level B, 11_reward_tales.jsonl; a table into 11_reward.md.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from ablation_tables import mean_and_interval
from laboratory import kept, key, markdown, run
from reward_gradient import gradients
from reward_language import KS
from reward_tales import METHODS, measure_tales
from reward_trials import trained
from scipy.special import rel_entr
from study import FIGURES, into_document, picture, plain_ticks, run_study

from npgpt import plots

RESULTS, TALES, REPORT = (
    Path(__file__).with_name(f"11_reward{end}") for end in (".jsonl", "_tales.jsonl", ".md"))


def switched(switches, **settings):
    return {"switches": switches, **settings}


def kl(weight, estimator):
    return {"reward_kl": weight, "reward_kl_estimator": estimator}


NONE, STD, LONG = {"reward_advantage": "none"}, {"reward_advantage": "std"}, {"batch_size": 256}
REJECTION = NONE | {"reward_draws": "start"}
ARMS = {
    "mean": {}, "reward 0.1": switched(kl(0.1, "reward")), "rejection": switched(REJECTION),
    "none": switched(NONE), "std": switched(STD),
    "1/length": switched({"reward_length": "mean"}), "blame": switched({"reward_credit": "token"}),
    "entropy bonus": switched({"reward_entropy": 0.02}), "reward 1": switched(kl(1.0, "reward")),
    **{f"{by} {weight:g}": switched(kl(weight, by))
       for by in ("k1", "k2", "k3") for weight in (0.1, 1.0, 10.0)},
    "DPO": switched({"reward_loss": "dpo", "reward_kl": 0.1}, pool="pairs"),
    **{proxy: switched(STD, verify=proxy, steps=120) for proxy in ("proxy", "5-gram")},
    "rare by reward": {"verify": "rare"}, "rare by text": switched(NONE, pool="another writer"),
    "mean, long": switched(LONG, steps=120),
    "full 0.2, long": switched(LONG | kl(0.2, "full"), steps=120),
    "rejection, long": switched(LONG | REJECTION, steps=120),
}
RATE, RATES = 3e-3, (1e-3, 3e-3, 1e-2)
AT_ALL_RATES = "mean", "reward 0.1", "rejection"
QUICK = "mean", "rejection", "DPO", "5-gram", "rare by text"
TINY = {"steps": 4, "every": 2}


def trials():
    rows = [{"arm": arm, "seed": seed, "lr": lr, **ARMS[arm]}
            for arm in ARMS for lr in (RATES if arm in AT_ALL_RATES else [RATE])
            for seed in range(1, 11)]
    return rows + [{"arm": "gradient", "seed": seed} for seed in range(1, 11)]


def quick_trials():
    rows = [{"arm": arm, "seed": seed, "lr": RATE, **ARMS[arm], **TINY, "switches":
             ARMS[arm].get("switches", {}) | {"batch_size": 8}} for arm in QUICK for seed in (1, 2)]
    return [*rows, {"arm": "gradient", "seed": 1, "size": {"drawn": 1000, "groups": 2}}]


def measured(settings):
    """Return the measures of a trial, in five digits."""
    if settings["arm"] == "gradient":
        found = gradients(settings["seed"], **settings.get("size", {}))
    else:
        found = trained(settings)
    return json.loads(json.dumps(found, default=float),
                      parse_float=lambda text: float(f"{float(text):.5g}"))


def frame(rows):
    """Return a DataFrame with a row for each evaluation of each trial, in the order of steps.

    spent, least   KL to the start at the trial's end, and the least at a share of right stories:
                   between two coins
    """
    found = pd.DataFrame([
        row["settings"] | at | {"spent": r["kl"], "V0": r["at"][0]["valid"],
                                "last": at is r["at"][-1]}
        for row in rows if "at" in (r := row["result"]) for at in r["at"]
    ])
    V, V0 = found.valid, found.V0
    return found.assign(least=rel_entr(V, V0) + rel_entr(1 - V, 1 - V0))


def table(rows):
    """Return the table of the report: means of the seeds, two of them with intervals."""
    found = frame(rows)
    ends = found[found["last"] & found.arm.isin(AT_ALL_RATES)].groupby(["arm", "lr"], sort=False)
    return markdown(
        ("arm", "rate", "right, %", "effective stories", "different in 1,000", "KL to the start",
         "least at that share", "KL to the filter", "from it", "from the grammar"),
        [(arm, f"{lr:g}", *("{:.0f} ({:.0f} to {:.0f})".format(*mean_and_interval(x))
                            for x in (100 * end.valid, end.effective)),
          f"{end.distinct.mean():.0f}", *(f"{end[name].mean():.2f}" for name in (
              "spent", "least", "to filter", "from filter", "from grammar")))
         for (arm, lr), end in ends])


def draw_sharpening(path, found):
    """Draw effective stories against the share of right ones; pass@k before and after."""
    drawing, (left, right) = plots.figure(9.5, 4.0, 1, 2)
    found = found[found.lr == RATE]
    start, ends = found[found.step == 0], found[found["last"]]
    names = {"mean": "REINFORCE", "reward 0.1": "KL penalty 0.1 in the reward",
             "full 0.2, long": "KL penalty 0.2 in the loss, longer",
             "rejection, long": "rejection sampling, longer"}
    for (arm, name), colour in zip(names.items(), plots.COLOURS, strict=False):
        mean = found[found.arm == arm].groupby("step")[["valid", "effective"]].mean()
        left.plot(100 * mean.valid, mean.effective, "o-", color=colour, label=name, markersize=3)
    V0, level = 100 * start.valid.mean(), start.effective.mean()
    left.plot([V0, 100], [level] * 2, **plots.LANDMARK)
    left.annotate("best of n, the filter: nothing lost", (V0, level), (4, 4), **plots.NOTE)
    left.set(xlabel="right stories, %", ylabel="effective right stories", yscale="log")
    plain_ticks(left.yaxis, (30, 50, 100, 200, 300))
    for name, own, colour in (("start", start, plots.GREY),
                              ("REINFORCE", ends[ends.arm == "mean"], plots.COLOURS[0]),
                              ("rejection sampling", ends[ends.arm == "rejection"],
                               plots.COLOURS[3])):
        right.plot(KS, np.mean(own["pass"].tolist(), axis=0), "o-", markersize=3, label=name,
                   color=colour)
    right.set(xlabel="k", xscale="log", ylabel="pass@k of a story's beginning", ylim=(0, 1.02))
    plain_ticks(right.xaxis, KS)
    for axes in left, right:
        axes.legend(frameon=False, fontsize=8)
    return plots.save(drawing, path)


def draw_tales(path, rows):
    """Draw the share of right tales against their entropy, over the steps of each method."""
    drawing, axes = plots.figure(7.0, 4.0)
    names = "start", "REINFORCE", "KL penalty 0.1,\ntokens up to the first fault"
    for row, name, colour in zip(rows, names, plots.COLOURS, strict=False):
        at, found = row["result"]["steps"], row["result"]
        axes.plot(100 * np.array(at["valid"]), at["entropy"], color=colour, alpha=0.5)
        axes.errorbar(100 * found["valid"], found["entropy"], 1.96 * found["entropy error"],
                      fmt="o", color=colour, label=name)
    for share in (0.85, 1):
        axes.axhline(share * rows[0]["result"]["grammar"], **plots.LANDMARK)
    axes.set(xlabel="right stories, %", ylabel="entropy of the right ones, nats per story")
    axes.legend(frameon=False)
    return plots.save(drawing, path)


def rows_of(path, wanted):
    """Return the rows of the wanted trials that a file has, in their order."""
    found = {key(row["settings"]): row for row in kept(path)}
    return [found[key(trial)] for trial in wanted if key(trial) in found]


def write_report(figures=FIGURES):
    rows, tales = rows_of(RESULTS, trials()), rows_of(TALES, METHODS)
    into_document(REPORT, "arms", table(rows))
    picture(draw_sharpening, figures / "11_reward.png", frame(rows))
    picture(draw_tales, figures / "11_tales.png", tales)


def main(quick=False, figures=FIGURES, extra=False, workers=None):
    if quick:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "quick.jsonl"
            run(quick_trials(), measured, path, workers=0)
            rows = kept(path)
        print(table(rows))
        picture(draw_sharpening, figures / "11_reward.png", frame(rows))
        return rows
    run(trials(), measured, RESULTS, workers)
    if extra:
        run(METHODS, measure_tales, TALES, workers=0)
    return write_report(figures)


if __name__ == "__main__":
    run_study(__doc__, main, write_report, "few steps, half a minute", "level B, in runs/")
