"""What is learned when? The loss above the entropy, split by what a token needs.

    python examples/studies/13_skills.py              what is missing of rows and tales, one seed
    python examples/studies/13_skills.py --all        three seeds, and almanacs

`PLAN.md` has the questions, written before the first training; `token_kinds.py` splits the
excess.
"""

from itertools import chain
from pathlib import Path

import letter_rows
import numpy as np
import pandas as pd
import scaling_trials
from ablation_trials import BASE, ROWS, measured
from laboratory import first_below, key, markdown, results_of, run, tried
from scaling_fit import lack_of_fit
from scipy import stats
from study import FIGURES, into_documents, log_axes, picture, plain_ticks, run_study
from token_kinds import KINDS_OF_TALES

from npgpt import plots

RESULTS, REPORT = (Path(__file__).with_suffix(end) for end in (".jsonl", ".md"))
SEEDS = (1, 2, 3)
KINDS = {"rows": list(letter_rows.KINDS), "tales": list(KINDS_OF_TALES)}
ON = {"rows": ROWS, "tales": BASE | {"init": "1/sqrt(C)", "steps": 1600, "warm_up": 160}}
RATES = {  # by channels, as FLOPs^-0.4
    "rows": {16: 0.005527, 32: 0.003371, 64: 0.002, 128: 0.001171},
    "tales": {16: 0.006785, 32: 0.004669, 64: 0.003021, 128: 0.001863},
}
OVER_TIME = {  # (text, channels, seed): settings, skills measured at 16 steps
    (text, channels, seed): ON[text] | {
        "n_embd": channels, "lr": rate, "evaluations": 16, "seed": seed}
    for seed in SEEDS for text, rates in RATES.items() for channels, rate in rates.items()
}
EXPONENTS = (1.3, 1.5, 1.8)  # Zipf's s
BUDGETS = {1e11: 0.024375, 4e11: 0.014, 1.6e12: 0.008041}  # of almanacs: FLOPs, rate
CELLS = {  # by the size that grows: channels and FLOPs
    "tokens": [(64, flops) for flops in BUDGETS],
    "parameters": [(channels, 1.6e12) for channels in (8, 12, 16, 24)],
}
ALMANACS = {  # (size that grows, s): settings
    (size, s): [
        {"text": f"Zipf {s}", "channels": channels, "flops": flops, "rate": BUDGETS[flops],
         "seed": seed, "skills": 1000, "written": 100}
        for seed in SEEDS for channels, flops in cells]
    for size, cells in CELLS.items() for s in EXPONENTS
}
PREDICTED = {"tokens": lambda s: (1 - s) / s, "parameters": lambda s: 1 - s}  # slopes
SHOWN = 64  # channels of the runs in the picture


def measure(settings):
    return (scaling_trials.measure if "channels" in settings else measured)(settings)


# ---- over time


def learned(results, text):
    """Return (channels, seed) -> the parts of the excess by step and kind, in nats per token, and
    the chances of one token and of all."""
    return {
        tuple(at): pd.DataFrame(results[key(settings)]["skills"]).set_index("steps")
        for (of, *at), settings in OVER_TIME.items() if of == text and key(settings) in results
    }


def halved(parts):
    """Return by kind the step at which its excess is half of the first (log-linear), or inf."""
    at = parts.apply(lambda y: first_below(np.log(parts.index), y.to_numpy(), y.iloc[0] / 2))
    return np.exp(at).fillna(np.inf)


# ---- exponents


def slopes(results):
    """Return a line for each s and size that grows: predicted slope of log excess, slope fitted to
    the cells' means, its interval, the s predicted inside, local slopes, misfit, residuals."""
    lines = []
    for (size, s), trials in ALMANACS.items():
        runs = np.log([[results[key(trial)][name] for name in (size, "excess")]
                       for trial in trials if key(trial) in results]).reshape(-1, 2)
        means = pd.DataFrame(runs, columns=["x", "y"]).groupby("x").y.mean()
        if len(means) > 2:
            fit = stats.linregress(means.index, means)
            reach = stats.t.ppf(0.975, len(means) - 2) * fit.stderr
            low, high = fit.slope - reach, fit.slope + reach
            inside = [x for x in EXPONENTS if low < PREDICTED[size](x) < high]
            left = runs[:, 1] - fit.intercept - fit.slope * runs[:, 0]
            lines.append((s, size, f"{len(runs)} in {len(means)}", PREDICTED[size](s), fit.slope,
                          low, high, inside, np.diff(means) / np.diff(means.index),
                          lack_of_fit(left, runs[:, 0], 2), (runs[:, 0], left)))
    return pd.DataFrame(lines, columns=["s", "size", "n", "predicted", "slope", "low", "high",
                                        "inside", "local", "misfit", "left"])


# ---- tables and the picture


def tables(results):
    """Return name -> table in Markdown."""
    found = {}
    for text in KINDS:
        runs = learned(results, text)
        steps = pd.DataFrame({at: halved(parts[KINDS[text]]) for at, parts in runs.items()})
        left = pd.DataFrame({at: parts.iloc[-1] for at, parts in runs.items()})
        left.loc["excess"] = left.loc[KINDS[text]].sum()
        found |= {f"{text} halved": by_channels(steps, "{:.0f}"),
                  f"{text} left": by_channels(left, "{:.3f}")}
    found["exponents"] = markdown(
        ("Zipf's s", "by", "runs in cells", "predicted", "slope", "95 %",
         "predictions inside, by s", "from cell to cell", "misfit"),
        [(r.s, r.size, r.n, f"{r.predicted:.2f}", f"{r.slope:.2f}", f"{r.low:.2f} to {r.high:.2f}",
          ", ".join(map(str, r.inside)) or "none", ", ".join(f"{x:.2f}" for x in r.local), r.misfit)
         for r in slopes(results).itertuples()])
    return found


def by_channels(values, form):
    """Return a table of medians over the seeds of each size, with the least and the largest."""
    def spread(x):
        three = f"{form} ({form} to {form})".format(x.median(), x.min(), x.max())
        return three.replace("inf", "not yet")

    table = values.T.groupby(level=0).agg(spread).T
    return markdown(("", *(f"{C} channels" for C in table)), table.itertuples())


def draw(path, results):
    """Draw the skills of both texts over time, chances of one token and of all, and what the slopes
    of almanacs leave."""
    drawing, axes = plots.figure(9.5, 6.4, 2, 2)
    chances, left = axes[1]
    for panel, colour, text in zip(axes[0], plots.COLOURS, KINDS, strict=False):
        shown = {seed: parts for (channels, seed), parts in learned(results, text).items()
                 if channels == SHOWN}
        for kind, look in zip(KINDS[text], [*plots.COLOURS, plots.GREY], strict=False):
            for seed, parts in shown.items():
                panel.plot(parts.index, parts[kind].where(parts[kind] > 0), color=look,
                           alpha=1 if seed == 1 else 0.4, label=kind if seed == 1 else None)
        log_axes(panel, f"{text}, {SHOWN} channels: the excess by kind", "step",
                 "excess, nats per token", (30, 100, 300, 1000), (0.0001, 0.001, 0.01, 0.1, 1))
        panel.set_ylim(1e-4, None)
        for name, style in (("one", "--"), ("all", "-")):
            chances.plot(shown[1].index, shown[1][name], style, color=colour,
                         label=f"{text}: {name} right")
    chances.set(xscale="log", xlabel="step", ylabel="chance", ylim=(0, 1.02))
    chances.set_title("One token that follows, and all of a story", fontsize=10)
    for r in slopes(results).itertuples():
        left.plot(np.exp(r.left[0] - r.left[0].min()), r.left[1], "os"[r.size == "tokens"],
                  color=plots.COLOURS[EXPONENTS.index(r.s)], markerfacecolor="none", markersize=4,
                  label=f"{r.size}, s = {r.s}")
    left.axhline(0, **plots.LANDMARK)
    left.set(xscale="log", xlabel="times the smallest size", ylabel="log (excess / fit)")
    plain_ticks(left.xaxis, (1, 2, 4, 8, 16))
    left.set_title("Almanacs: what the slopes leave", fontsize=10)
    for panel in axes.flat if left.lines[1:] else axes.flat[:3]:  # without almanacs no label
        panel.legend(fontsize=8)
    return plots.save(drawing, path)


def write_report(figures=FIGURES):
    results = results_of(RESULTS)
    into_documents(REPORT, tables(results))
    picture(draw, figures / "13_skills.png", results)


def quick_study(figures):
    """Train tiny models on both texts for a few steps."""
    results = tried([OVER_TIME[text, SHOWN, 1] for text in KINDS], measure,
                    {"steps": 30, "warm_up": 3, "evaluations": 4, "n_embd": 16})
    print(*tables(results).values(), sep="\n")
    picture(draw, figures / "13_skills.png", results)
    return results


def main(quick=False, figures=FIGURES, extra=False, workers=None):
    if quick:
        return quick_study(figures)
    trials = sorted([*OVER_TIME.values(), *chain(*ALMANACS.values())], key=lambda s: s["seed"])
    run(trials if extra else trials[:8], measure, RESULTS, workers)  # 8: over time with seed 1
    return write_report(figures)


if __name__ == "__main__":
    run_study(__doc__, main, write_report, "tiny models, a few seconds", "all seeds, and almanacs")
