"""How to train: optimizers to the floor, the size of a batch, a text that is read again.

    python examples/14_training.py            what is missing of two seeds, and the report
    python examples/14_training.py --all      of all ten seeds
    python examples/14_training.py --report   tables and picture from the numbers that are there
    python examples/14_training.py --quick    a few steps of tiny models

`studies/PLAN.md` has these questions, 6, 8 and 9, written before the first training; the models and
texts are those of `12_rows.py`.
"""

import importlib
import tempfile
from pathlib import Path

import numpy as np
from ablation_rows import Row, study
from ablation_tables import frame, mean_and_interval
from ablations import AVERAGED, POINTS
from example import FIGURES, expect, into_documents, picture, plain_ticks, run_study
from laboratory import markdown, results_of
from scipy import optimize, stats

from npgpt import plots

parts = importlib.import_module("12_rows")
RESULTS, REPORT = (Path(__file__).with_suffix(end) for end in (".jsonl", ".md"))
SEEDS = range(2, 12)  # seed 1 chooses the rate
LENGTHS = {"Rows": (1000, 4000), "Tales": (800, 3200)}
RATES = {
    ("Rows", "AdamW"): (1e-3, 2e-3, 4e-3, 8e-3), ("Tales", "AdamW"): (1e-3, 2e-3, 4e-3, 8e-3),
    ("Rows", "Muon"): (0.005, 0.01, 0.02, 0.04),
    ("Tales", "Muon"): (0.0025, 0.005, 0.01, 0.02, 0.04),
    ("Rows", "SGD"): (0.03, 0.06, 0.125), ("Tales", "SGD"): (0.1, 0.25, 0.5, 1.0, 2.0),
}
DECAYS = {"AdamW": (0.0, 0.1), "Muon": (0.0, 0.1), "SGD": (0.0,)}
LEVELS = 1.2, 1.05  # times the entropy
GOAL, MOST = 0.2, 8000  # nats above the entropy at which a training ends, else after so many steps
BATCHES = 1, 2, 4, 8, 16, 32, 64, 128
READ, DROPOUT = (64, 200, 640, 2000), (0.0, 0.3)


def optimizer_arms():
    """Yield each optimizer at each decay and length, on each text."""
    for (text, name), rates in RATES.items():
        for steps in LENGTHS[text]:
            for decay in DECAYS[name]:
                yield Row(text, f"{name}, {steps:,} steps, decay {decay:g}", parts.ON[text] | {
                    "optimizer": name, "steps": steps, "warm_up": steps // 10, "decay": decay,
                }, rates)


def batch_arms():
    """Yield each size of a batch, its rates about 0.004 times the root of the size over 8."""
    for B in BATCHES:
        middle = 0.004 * (B / 8) ** 0.5
        yield Row("Batches", f"{B}", parts.ON["Rows"] | {
            "batch_size": B, "goal": GOAL, "steps": MOST, "evaluations": 0,
        }, tuple(round(middle * x, 6) for x in (0.125, 0.25, 0.5, 1, 2)), "steps")


def repeated_arms():
    """Yield texts of so many tales, read until 6,400 are read."""
    for n in READ:
        for dropout in DROPOUT:
            yield Row("Repetition", f"{n} tales, dropout {dropout:g}", parts.ON["Tales"] | {
                "stories": n, "dropout": dropout, "gap": True,
            }, (1.25e-4, 2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3) if n < 500 else (
                1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2, 6.4e-2))


OPTIMIZERS, SIZES, REPEATED = list(optimizer_arms()), list(batch_arms()), list(repeated_arms())
ARMS = OPTIMIZERS + SIZES + REPEATED


# ---- optimizers


def points(curve, steps):
    """Return the steps of a curve's points, each the mean of `AVERAGED` stories, 8 a step."""
    return AVERAGED // 8 + np.arange(len(curve)) * max(1, steps // POINTS)


def steps_to(curve, level, steps):
    """Return after how many steps a loss in training is first below a level, NaN if it never is.

    curve   nats above the entropy, taken to be straight between two points
    """
    y, x = np.array(curve, float), points(curve, steps)
    below = np.flatnonzero(y <= level)
    if not len(below):
        return np.nan
    i = below[0]
    return x[i] if i == 0 else np.interp(level, (y[i], y[i - 1]), (x[i], x[i - 1]))


def optimizers(results, arms=OPTIMIZERS):
    """Return a row for each arm and seed, with the steps to each of LEVELS."""
    found = frame(arms, results, SEEDS)
    for level in LEVELS:
        found[level] = [steps_to(r.curve, (level - 1) * parts.entropy(r.group), r.steps)
                        for r in found.itertuples()]
    return found


def best_decays(results, arms=OPTIMIZERS):
    """Return (text, steps, optimizer) -> the label of the decay that is better with seed 1."""
    first = frame(arms, results, [1]).astype({"excess": float})
    first["optimizer"] = first.label.str.split(",").str[0]
    kept = first.loc[first.groupby(["group", "steps", "optimizer"]).excess.idxmin()]
    return {(r.group, r.steps, r.optimizer): r.label for r in kept.itertuples()}


def speed_up(found, best, text, steps):
    """Return level -> log(steps of AdamW / steps of Muon) of each seed that both have."""
    of = {name: found[(found.group == text) & (found.label == best[text, steps, name])]
          .set_index("seed") for name in ("AdamW", "Muon")}
    return {level: np.log(of["AdamW"][level] / of["Muon"][level]) for level in LEVELS}


# ---- batches and repetition


def critical_batch(found):
    """Return name -> (value, low, high) of steps = S (1 + B_crit / B), by least squares of
    logarithms of each seed's steps; 95 % of the linear approximation."""
    done = found[found.steps < MOST]
    B, steps = done.label.astype(float).to_numpy(), done.steps.to_numpy(float)
    theta, covariance = optimize.curve_fit(
        lambda B, s, b: s + np.log1p(np.exp(b) / B), B, np.log(steps), (5.0, 2.0))
    reach = stats.t.ppf(0.975, len(B) - 2) * np.sqrt(np.diag(covariance))
    return {name: tuple(np.exp((t, t - r, t + r)))
            for name, t, r in zip(("S", "B_crit"), theta, reach, strict=True)}


# ---- tables


def tables(results, arms=ARMS):
    """Return name -> table in Markdown."""
    trained = [arm for arm in arms if arm.group in LENGTHS]
    found, best = optimizers(results, trained), best_decays(results, trained)
    batches, again = (frame([arm for arm in arms if arm.group == name], results, SEEDS)
                      for name in ("Batches", "Repetition"))
    fitted = critical_batch(batches) if batches.label.nunique() > 2 else {}
    return {
        "optimizers": markdown(
            ("text", "optimizer", "rate", "n", "excess", *(f"steps to {x}" for x in LEVELS)),
            [_optimizer(text.lower(), label, some)
             for (text, label), some in found.groupby(["group", "label"], sort=False)]),
        "speed-up": markdown(
            ("text", "steps", *(f"to {x}: AdamW / Muon" for x in LEVELS), "n of both",
             "second beside first"),
            [_speed(text, steps, speed_up(found, best, text, steps)) for text in LENGTHS
             for steps in sorted(set(found[found.group == text].steps))
             if (text, steps, "Muon") in best and (text, steps, "AdamW") in best]),
        "batches": markdown(("rows a step", "rate", "n", f"steps to {GOAL}", "rows read"), [
            (B, f"{some.rate.iloc[0]:g}", len(some), f"{some.steps.median():,.0f}",
             f"{some.steps.median() * int(B):,.0f}")
            for B, some in batches.groupby("label", sort=False)]),
        "critical batch": markdown(("", "value", "95 %"), [
            (name, f"{x:.3g}", f"{low:.3g} to {high:.3g}")
            for name, (x, low, high) in fitted.items()]),
        "repetition": markdown(
            ("text", "times read", "rate", "n", "excess on others", "on those read", "gap", "95 %"),
            [_repeated(label, some) for label, some in again.groupby("label", sort=False)]),
    }


def _optimizer(text, label, some):
    return (text, label, f"{some.rate.iloc[0]:g}", len(some),
            f"{some.excess.astype(float).median():.4f}",
            *(_median(some[level]) for level in LEVELS))


def _median(steps):
    """Return the median, if at least half of the runs came so far, and how many did."""
    known, n = int(steps.notna().sum()), len(steps)
    middle = f"{steps.fillna(np.inf).median():,.0f}" if 2 * known > n else "not reached"
    return middle if known == n else f"{middle} ({known} of {n})"


def _speed(text, steps, ratios):
    cells = [_factor(x.dropna()) for x in ratios.values()]
    more = (ratios[LEVELS[1]] - ratios[LEVELS[0]]).dropna()
    return text.lower(), f"{steps:,}", *cells, len(more), _factor(more)


def _factor(logs):
    if len(logs) < 2:
        return "not reached"
    return "{:.2f} ({:.2f} to {:.2f})".format(*np.exp(mean_and_interval(logs)))


def _repeated(label, some):
    n = int(label.split()[0])
    other, read = some.excess.astype(float), some.read_excess.astype(float)
    gap, low, high = mean_and_interval(other - read)
    return (label, f"{some.steps.iloc[0] * 8 / n:g}", f"{some.rate.iloc[0]:g}", len(some),
            f"{other.mean():.4f}", f"{read.mean():.4f}", f"{gap:.4f}", f"{low:.4f} to {high:.4f}")


# ---- the picture


def draw(path, results, arms=ARMS):
    """Draw losses by optimizer, steps by batch, and the gap of a text that is read again."""
    drawing, axes = plots.figure(11, 3.6, 1, 3)
    _draw_optimizers(axes[0], frame([a for a in arms if a.group == "Rows"], results, SEEDS))
    batches = frame([a for a in arms if a.group == "Batches"], results, SEEDS)
    axes[1].plot(batches.label.astype(float), batches.steps, "o", color=plots.COLOURS[0],
                 markersize=3, markerfacecolor="none")
    if batches.label.nunique() > 2:
        fitted = critical_batch(batches)
        B = np.geomspace(1, max(BATCHES))
        axes[1].plot(B, fitted["S"][0] * (1 + fitted["B_crit"][0] / B), color=plots.COLOURS[0])
    axes[1].set(xscale="log", yscale="log", xlabel="rows a step", ylabel=f"steps to {GOAL} nats")
    plain_ticks(axes[1].xaxis, BATCHES)
    plain_ticks(axes[1].yaxis, (150, 300, 600, 1200, 2500, 5000))
    axes[1].set_title("Larger batches need fewer steps, up to a point", fontsize=10)
    again = frame([a for a in arms if a.group == "Repetition"], results, SEEDS)
    for i, dropout in enumerate(DROPOUT):
        some = again[again.label.str.endswith(f"dropout {dropout:g}")]
        size, gap = some.label.str.split().str[0].astype(float), some.excess - some.read_excess
        axes[2].plot(size, gap, "os"[i], color=plots.COLOURS[i], markersize=3,
                     markerfacecolor="none", label=f"dropout {dropout:g}")
    axes[2].set(xscale="log", yscale="log", xlabel="tales in the text",
                ylabel="excess on others less on those read")
    plain_ticks(axes[2].xaxis, READ)
    plain_ticks(axes[2].yaxis, (0.01, 0.1, 1))
    axes[2].set_title("What is read again is memorised", fontsize=10)
    axes[2].legend(fontsize=8)
    return plots.save(drawing, path)


def _draw_optimizers(axes, found):
    longest = found[found.steps == found.steps.max()]
    for i, name in enumerate(("AdamW", "Muon", "SGD")):
        some = longest[longest.label.str.startswith(name)].astype({"excess": float})
        if len(some):
            label = some.groupby("label").excess.median().idxmin()
            for n, r in enumerate(some[some.label == label].itertuples()):
                axes.plot(points(r.curve, r.steps), r.curve, color=plots.COLOURS[i],
                          linewidth=0.8, alpha=0.7,
                          label=label.rsplit(",", 1)[0] if not n else None)
    for level in LEVELS:
        axes.axhline((level - 1) * parts.entropy("Rows"), **plots.LANDMARK)
    axes.set(xscale="log", yscale="log", xlabel="step", ylabel="nats above the entropy")
    plain_ticks(axes.xaxis, (20, 100, 500, 1000, 4000))
    plain_ticks(axes.yaxis, (0.01, 0.1, 1))
    axes.set_title("Muon is ahead at first, AdamW as low in the end", fontsize=10)
    axes.legend(fontsize=8)


def known():
    return results_of(parts.RESULTS)


def write_report(figures=FIGURES):
    results = known() | results_of(RESULTS)
    into_documents(REPORT, tables(results))
    picture(draw, figures / "14_training.png", results)


def quick_study(figures):
    """Train each kind of arm for a few steps."""
    few = {"steps": 40, "warm_up": 2, "evaluations": 0, "n_embd": 16}
    arms = [arm._replace(changes=arm.changes | few, rates=arm.rates[:1])
            for arm in OPTIMIZERS[::4] + SIZES[:2] + REPEATED[:2]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quick.jsonl"
        study(arms, path, 0, (2, 3))
        results = results_of(path)
    print(*tables(results, arms).values(), sep="\n")
    picture(draw, figures / "14_training.png", results, arms)
    return results


def main(quick=False, figures=FIGURES, extra=False, workers=None):
    expect("""
        AdamW, Muon and SGD to 1.05 times the entropy; batches of 1 to 128 rows; tales that are
        read 3 to 100 times. Expect Muon first, and a batch beyond which more rows save no step.
        """)
    if quick:
        return quick_study(figures)
    study(ARMS, RESULTS, workers, SEEDS if extra else SEEDS[:2], known())
    return write_report(figures)


if __name__ == "__main__":
    run_study(__doc__, main, write_report, "tiny models, a few seconds", "all ten seeds")
