"""Learning from a reward, with everything exact: does it sharpen or teach, and what does it cost?

    python -m examples.studies 11_reward    some minutes

`reward_language.py` has the grammar and what is exact, `reward_trials.py` the trainings.
`PLAN_REWARD.md` was written before the first of them.
"""

import json

import numpy as np
import pandas as pd
from intervals import student
from reward_language import KS
from reward_trials import trained
from scipy.special import rel_entr
from study import markdown, plain_ticks

from npgpt.support import plots

NONE, LONG = {"reward_advantage": "none"}, {"batch_size": 256}
REJECTION = NONE | {"reward_draws": "start"}
ARMS = {
    "mean": {}, "reward 0.1": {"reward_kl": 0.1, "reward_kl_estimator": "reward"},
    "rejection": REJECTION, "none": NONE, "std": {"reward_advantage": "std"},
    "blame": {"reward_credit": "token"}, "DPO": {"reward_loss": "dpo", "reward_kl": 0.1},
    "mean, long": LONG, "rejection, long": LONG | REJECTION,
    "full 0.2, long": LONG | {"reward_kl": 0.2, "reward_kl_estimator": "full"},
}
RATE, RATES = 3e-3, (1e-3, 3e-3, 1e-2)
AT_ALL_RATES = "mean", "reward 0.1", "rejection"
TINY = {"steps": 4, "every": 2}


def trial(arm, lr, seed):
    more = {"switches": ARMS[arm], "pool": arm == "DPO" and "pairs", "steps": "long" in arm and 120}
    return {"arm": arm, "seed": seed, "lr": lr} | {name: x for name, x in more.items() if x}


def trials(results):
    return [trial(arm, lr, seed) for arm in ARMS
            for lr in (RATES if arm in AT_ALL_RATES else [RATE]) for seed in range(1, 11)]


def measure(settings):
    """Return the measures of a trial, in five digits."""
    return json.loads(json.dumps(trained(settings), default=float),
                      parse_float=lambda text: float(f"{float(text):.5g}"))


def frame(results):
    """Return a row for each evaluation of each trial, in the order of steps.

    spent, least   KL to the start at the trial's end, and the least at a share of right stories:
                   between two coins
    """
    found = pd.DataFrame([
        json.loads(settings) | at | {"spent": of["kl"], "V0": of["at"][0]["valid"],
                                     "last": at is of["at"][-1]}
        for settings, of in results.items() for at in of["at"]])
    V, V0 = found.valid, found.V0
    return found.assign(least=rel_entr(V, V0) + rel_entr(1 - V, 1 - V0))


def numbers(results):
    found = frame(results)
    start, ends = found[found.step == 0], found[found["last"]]
    of = {(arm, lr): some.set_index("seed").sort_index()
          for (arm, lr), some in ends.groupby(["arm", "lr"])}
    more = {f"{lr:g}": student(of["reward 0.1", lr].effective - of["mean", lr].effective)
            for lr in RATES}
    passed = {f"{arm} {lr:g}": np.mean(some["pass"].tolist(), axis=0)
              for (arm, lr), some in of.items()}
    first = start[start.arm == "mean"].drop_duplicates("seed")
    return {
        "arms": markdown(
            ("arm", "rate", "right, %", "effective stories", "different in 1,000",
             "KL to the start", "least at that share", "KL to the filter", "pass@1", "pass@1024",
             "beginnings lost, %"),
            [(arm, f"{lr:g}", *(f"{student(x):.0f}" for x in (100 * end.valid, end.effective)),
              f"{end.distinct.mean():.0f}",
              *(f"{end[name].mean():.2f}" for name in ("spent", "least", "to filter")),
              *(f"{passed[f'{arm} {lr:g}'][i]:.2f}" for i in (0, -1)),
              f"{100 * end.lost.mean():.0f}")
             for arm, lr in ((arm, lr) for arm in ARMS for lr in RATES) if (arm, lr) in of
             for end in [of[arm, lr]]]),
        "start": first.mean(numeric_only=True), "more": more,
        "pass0": np.mean(first["pass"].tolist(), axis=0), "passed": passed,
        "mean": of["mean", RATE].mean(numeric_only=True),
        "dpo": {name: (start[start.arm == "DPO"][name].mean(), of["DPO", RATE][name].mean())
                for name in ("chosen", "rejected", "valid")},
        "gain": {arm: student(100 * (of[arm, RATE].valid - of["mean", RATE].valid))
                      for arm in ("none", "std")},
    }


def draw(path, results):
    """Draw effective stories against the share of right ones; pass@k before and after."""
    drawing, (left, right) = plots.figure(9.5, 4.0, 1, 2)
    found = frame(results)
    found = found[found.lr == RATE]
    start, ends = found[found.step == 0], found[found["last"]]
    names = {"mean": "REINFORCE", "reward 0.1": "KL penalty 0.1 in the reward",
             "full 0.2, long": "KL penalty 0.2 in the loss, longer",
             "rejection, long": "rejection sampling, longer"}
    for (arm, name), colour in zip(names.items(), plots.COLOURS, strict=False):
        mean = found[found.arm == arm].groupby("step")[["valid", "effective"]].mean()
        left.plot(100 * mean.valid, mean.effective, "o-", color=colour, label=name, markersize=3)
    V0, level = 100 * start.valid.mean(), start.effective.mean()
    left.plot([V0, 100], [level] * 2, **plots.LANDMARK_STYLE)
    left.annotate("best of n, the filter: nothing lost", (V0, level), (4, 4), **plots.NOTE_STYLE)
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
