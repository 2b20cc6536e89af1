"""Tables and figures of the reward study, from its rows."""

import numpy as np
import pandas as pd
from example import plain_ticks
from reward_trials import KS
from scipy import stats

from npgpt import plots

RATE = 3e-3  # of the tables: the middle one
SHOWN = ("mean", "reward 0.1", "full 0.2, long", "rejection, long")


def frame(rows):
    """Return a DataFrame with a row for each evaluation of each trial, in the order of steps."""
    pairs = [(row["settings"], row["result"]) for row in rows if "at" in row["result"]]
    return pd.DataFrame([
        {"arm": s["arm"], "seed": s["seed"], "lr": s["lr"], "last": at is r["at"][-1],
         "final kl": r["kl"], **at}
        for s, r in pairs for at in r["at"]
    ])


def interval(values, digits):
    """Return "mean (low to high)": 95 % by Student's t."""
    mean = np.mean(values)
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return f"{mean:.{digits}f} ({mean - half:.{digits}f} to {mean + half:.{digits}f})"


def coins(V, V0):
    """Return the least KL to the start at a validity V: that of a coin from a coin."""
    return V * np.log(V / V0) + (1 - V) * np.log((1 - V) / (1 - V0))


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def arms(found):
    """Return a row for each arm at the end, means of the seeds; V with its interval."""
    V0 = found[(found.step == 0)].groupby("seed").valid.first()
    rows = []
    for (arm, lr), end in found[found["last"]].groupby(["arm", "lr"], sort=False):
        least = coins(end.valid.to_numpy(), V0[end.seed].to_numpy())
        rows.append([
            arm, f"{lr:g}", interval(100 * end.valid, 0), interval(end.effective, 0),
            f"{end.distinct.mean():.0f}", f"{end['final kl'].mean():.2f}", f"{least.mean():.2f}",
            f"{end['to filter'].mean():.2f}", f"{end['from filter'].mean():.2f}",
            f"{end['from grammar'].mean():.2f}",
        ])
    return table(["arm", "rate", "right, %", "effective stories", "different in 1,000",
                  "KL to the start", "least at that share", "KL to the filter", "from it",
                  "from the grammar"], rows)


def gradient(rows):
    """Return a row for each estimator: the mean of many estimates, the cosine of one."""
    found = [row["result"] for row in rows if row["settings"]["arm"] == "gradient"]
    lines = []
    for name in ("none", "mean", "std", "token", "1/length"):
        factors = [r[name] for r in found]
        cosines = pd.DataFrame([g for r in found for g in r["groups"] if g["estimator"] == name])
        theory = factors[0]["theory"] and f"{np.mean([f['theory'] for f in factors]):.3f}"
        error = np.sqrt(np.sum([f["error"] ** 2 for f in factors])) / len(factors)
        lines.append([
            name, f"{np.mean([f['factor'] for f in factors]):.3f} +- {error:.3f}", theory or "-",
            *(f"{x:.2f}" for x in cosines.groupby("N").cosine.mean())])
    return table(["advantage", "length along the gradient", "theory",
                  *(f"cosine, group of {N}" for N in (4, 16, 64, 256))], lines)


def passes(found):
    """Return pass@k of beginnings before and after, and their paired difference."""
    lines = []
    for arm in ("mean", "reward 0.1", "rejection"):
        own = found[(found.arm == arm) & (found.lr == RATE)].sort_values("seed")
        before, after = (np.array(own[part]["pass"].tolist())
                         for part in (own.step == 0, own["last"]))
        if arm == "mean":
            lines.append(["start", *(f"{x:.3f}" for x in before.mean(axis=0)), "0"])
        lines.append([arm, *(interval(x, 2) for x in after.T),
                      f"{100 * own[own['last']].lost.mean():.0f} %"])
    return table(["", *(f"pass@{k}" for k in KS), "beginnings lost"], lines)


def lost(rows):
    """Return the parts of KL(policy || filter) by list of words, means of the seeds."""
    parts = pd.DataFrame([row["result"]["lost"] for row in rows
                          if row["settings"]["arm"] == "mean" and row["settings"]["lr"] == RATE])
    mean = parts.mean().sort_values(ascending=False)
    return table(["list", "nats"], [[name, f"{x:.2f}"] for name, x in mean.items() if x >= 0.005])


def overoptimised(found):
    """Return (d, score, gold, both forms of Gao et al. fitted to the gold) of the proxy's arm.

    d      the root of the KL to the start, at each evaluation
    gold   different right stories in 1,000 draws
    """
    own = found[found.arm == "proxy"].groupby("step")[["kl", "reward", "distinct"]].mean().iloc[1:]
    d, start = np.sqrt(own.kl), found[found.step == 0].distinct.mean()
    forms = {"d (a - b d)": d, "d (a - b ln d)": np.log(d)}
    fits = {}
    for name, falls in forms.items():
        terms = np.stack([d, -d * falls], axis=1)
        fits[name] = start + terms @ np.linalg.lstsq(terms, own.distinct - start)[0]
    return d, own.reward, own.distinct, fits


def masses(found):
    """Return where the probability of DPO's policy is, before and after."""
    own = found[found.arm == "DPO"]
    lines = []
    for name, part in (("before", own.step == 0), ("after", own["last"])):
        mean = own[part][["chosen", "rejected", "other"]].mean()
        lines.append([name, *(f"{x:.4f}" for x in mean), f"{1 - mean.sum():.4f}"])
    return table(["", "chosen", "rejected", "other right", "other wrong"], lines)


def forgotten(found, success=0.2):
    """Return {arm: excess on the old stories for each seed, at an equal share of wanted ones}."""
    return {arm: [np.interp(success, own.wanted, own.old) for _, own in
                  found[(found.arm == arm) & (found.lr == RATE)].groupby("seed")]
            for arm in ("rare by reward", "rare by text")}


def tables(rows):
    found = frame(rows)
    return {"arms": arms(found), "gradient": gradient(rows), "pass": passes(found),
            "lost": lost(rows), "DPO": masses(found)}


def tales_table(rows):
    """Return a row for the start and for each method on the tales."""
    lines = []
    for row in rows:
        r = row["result"]
        error = np.sqrt(r["valid"] * (1 - r["valid"]) / r["stories"])
        lines.append([
            row["settings"]["method"], f"{100 * r['valid']:.1f} +- {196 * error:.1f}",
            f"{r['entropy']:.1f} +- {1.96 * r['entropy error']:.1f}",
            f"{100 * r['entropy'] / r['grammar']:.0f} %", f"{r['loss']:.1f} +- "
            f"{1.96 * r['loss error']:.1f}", r["options"]])
    return table(["method", "right, %", "entropy, nats per story", "of the grammar's",
                  "loss on true stories, nats", "options used"], lines)


def draw_sharpening(path, rows):
    """Draw effective stories against the share of right ones; pass@k before and after."""
    found = frame(rows)
    drawing, (left, right) = plots.figure(9.5, 4.0, 1, 2)
    start = found[found.step == 0]
    for arm, colour in zip(SHOWN, plots.COLOURS, strict=False):
        own = found[(found.arm == arm) & (found.lr == RATE)].groupby("step")[
            ["valid", "effective"]]
        mean = own.mean()
        left.plot(100 * mean.valid, mean.effective, "o-", color=colour, label=arm, markersize=3)
    V0, level = 100 * start.valid.mean(), start.effective.mean()
    left.plot([V0, 100], [level] * 2, **plots.LANDMARK)
    left.annotate("best of n, the filter: nothing lost", (V0, level), (4, 4), **plots.NOTE)
    left.set(xlabel="right stories, %", ylabel="effective right stories", yscale="log")
    plain_ticks(left.yaxis, (30, 50, 100, 200, 300))
    left.legend(frameon=False, fontsize=8)
    for name, own in (("start", start), *((arm, found[(found.arm == arm) & found["last"]
                       & (found.lr == RATE)]) for arm in ("mean", "rejection"))):
        right.plot(KS, np.mean(own["pass"].tolist(), axis=0), "o-", markersize=3, label=name)
    right.set(xlabel="k", xscale="log", ylabel="pass@k of a story's beginning", ylim=(0, 1.02))
    plain_ticks(right.xaxis, KS)
    right.legend(frameon=False, fontsize=8)
    return plots.save(drawing, path)


def draw_details(path, rows):
    """Draw the proxy's over-optimisation, and V by KL estimator and weight."""
    found = frame(rows)
    drawing, (left, right) = plots.figure(9.5, 4.0, 1, 2)
    d, proxy, gold, fits = overoptimised(found)
    left.plot(d, gold, "o", color=plots.COLOURS[0], label="different right ones in 1,000")
    for (name, fitted), line in zip(fits.items(), ("-", "--"), strict=True):
        left.plot(d, fitted, line, color=plots.COLOURS[1], label=f"fit of {name}")
    other = left.twinx()
    other.plot(d, proxy, color=plots.COLOURS[2])
    left.set(xlabel="root of the KL to the start", ylabel="stories")
    left.legend(frameon=False, fontsize=8, loc="center left")
    other.set_ylabel("the trigram's score, nats a word (green)")
    ends = found[found["last"] & (found.lr == RATE)].groupby("arm").valid.mean()
    for estimator in ("reward", "k1", "k2", "k3"):
        weights = [w for w in (0.1, 1, 10) if f"{estimator} {w:g}" in ends]
        right.plot(weights, [100 * ends[f"{estimator} {w:g}"] for w in weights], "o-",
                   label=estimator)
    right.axhline(100 * found[found.step == 0].valid.mean(), **plots.LANDMARK)
    right.set(xlabel="weight of the KL", xscale="log", ylabel="right stories, %")
    right.legend(frameon=False, fontsize=8)
    return plots.save(drawing, path)


def draw_tales(path, rows):
    """Draw the share of right tales against their entropy, over the steps of each method."""
    drawing, axes = plots.figure(7.0, 4.0)
    for row, colour in zip(rows, plots.COLOURS, strict=False):
        at, found = row["result"]["steps"], row["result"]
        axes.plot(100 * np.array(at["valid"]), at["entropy"], color=colour, alpha=0.5)
        axes.errorbar(100 * found["valid"], found["entropy"], 1.96 * found["entropy error"],
                      fmt="o", color=colour, label=row["settings"]["method"])
    axes.axhline(rows[0]["result"]["grammar"], **plots.LANDMARK)
    axes.axhline(0.85 * rows[0]["result"]["grammar"], **plots.LANDMARK)
    axes.set(xlabel="right stories, %", ylabel="entropy of the right ones, nats per story")
    axes.legend(frameon=False)
    return plots.save(drawing, path)
