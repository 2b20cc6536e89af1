"""What is learned when? The loss above the entropy, split by what a token needs.

    python examples/13_skills.py              what is missing of 16 to 64 channels with one seed
    python examples/13_skills.py --all        three seeds, 128 channels and almanacs, too
    python examples/13_skills.py --report     tables and picture from the numbers that are there
    python examples/13_skills.py --quick      a few steps of tiny models

`studies/PLAN.md` has the questions, written before the first training; `skills.py` splits the
excess.
"""

import tempfile
from itertools import combinations
from pathlib import Path

import numpy as np
import rows
import scaling_tables
import scaling_trials
from ablations import BASE, ROWS, measured
from example import FIGURES, expect, into_documents, picture, run_study
from laboratory import flops_text, key, markdown, results_of, run
from scaling_law import bootstrap, fit
from scaling_law import interval as percentiles
from scipy import stats
from skills import FACTS, KINDS_OF_TALES

from npgpt import plots

RESULTS, REPORT = (Path(__file__).with_suffix(end) for end in (".jsonl", ".md"))
CHANNELS, SEEDS = (16, 32, 64, 128), (1, 2, 3)
FLOPS = {  # of a training, by the number of channels
    "rows": dict(zip(CHANNELS, (8.98e9, 3.09e10, 1.14e11, 4.35e11), strict=True)),
    "tales": dict(zip(CHANNELS, (7.74e10, 1.97e11, 5.85e11, 1.96e12), strict=True)),
}
BASES = {"rows": ROWS, "tales": BASE | {"init": "1/sqrt(C)", "steps": 1600, "warm_up": 160}}
ANCHORS = {"rows": (2e-3, 1.14e11), "tales": (4e-3, 2.9e11)}  # a rate and its FLOPs
KINDS = {"rows": rows.KINDS, "tales": KINDS_OF_TALES}
EXPONENTS = (1.3, 1.5, 1.8)
BUDGETS, WIDE = (1e11, 4e11, 1.6e12), 64
LARGEST, WIDTHS = 1.6e12, (8, 12, 16, 24)
FIRST = {"almanac": (1.5, 5), "second text": (1.5, 0), "long tail": (1.2, 10),
         "first text": (1.2, 10)}  # of 09_scaling_laws.jsonl: s and the shift
SHOWN = 64  # channels of the runs in the picture


def over_time(text, channels, seed):
    """Return settings of a training whose skills are measured at 16 steps."""
    rate, flops = ANCHORS[text]
    rate *= (FLOPS[text][channels] / flops) ** -0.4
    return BASES[text] | {
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
        *(over_time(text, channels, seed) for channels in CHANNELS for text in BASES),
        *(of_zipf(s, WIDE, flops, seed) for flops in BUDGETS for s in EXPONENTS),
        *(of_zipf(s, channels, LARGEST, seed) for channels in WIDTHS for s in EXPONENTS),
    ]


def measure(settings):
    return (scaling_trials.measure if "channels" in settings else measured)(settings)


def cost(settings):
    return settings.get("flops") or FLOPS[settings.get("text", "tales")][settings["n_embd"]]


# ---- over time


class Learning:
    """The skills of one training.    steps, parts: kind -> excess at each step (nats per token)"""

    def __init__(self, text, skills):
        self.steps = np.array(skills["steps"])
        self.parts = {kind: np.array(skills[kind]) for kind in KINDS[text]}
        self.whole = sum(self.parts.values())
        self.one, self.all = np.array(skills["one"]), np.array(skills["all"])

    def halved(self):
        """Return kind -> the step at which its excess is half of the first (log-linear), or inf."""
        return {kind: self._crossing(part, part[0] / 2) for kind, part in self.parts.items()}

    def _crossing(self, part, level):
        below = np.flatnonzero(part <= level)
        if not len(below):
            return np.inf
        i = below[0]
        share = (part[i - 1] - level) / (part[i - 1] - part[i])
        return float(np.exp(np.interp(share, (0, 1), np.log(self.steps[i - 1 : i + 1]))))

    def alone(self):
        """Return the share of the drop from 90 to 10 % of the whole's in which one kind makes at
        least half of the decrease."""
        left = (self.whole - self.whole[-1]) / (self.whole[0] - self.whole[-1])
        falls = -np.diff([*self.parts.values()])
        inside = (left[:-1] <= 0.9) & (left[1:] >= 0.1) & (np.diff(self.whole) < 0)
        fall = falls.sum(axis=0)
        most = falls.max(axis=0) >= fall / 2
        return float(fall[inside & most].sum() / fall[inside].sum()) if inside.any() else np.nan


def learnings(results):
    """Return (text, channels, seed) -> `Learning`."""
    return {
        (text, channels, seed): Learning(text, results[k]["skills"])
        for text in BASES for channels in CHANNELS for seed in SEEDS
        if (k := key(over_time(text, channels, seed))) in results
    }


def agreement(found, text):
    """Return (mean of Kendall's tau between the orders of kinds of any two runs, its 95 % interval
    by a bootstrap of the runs, the number of pairs)."""
    orders = [list(run.halved().values()) for (of, *_), run in found.items() if of == text]
    if len(orders) < 3:
        return np.nan, np.nan, np.nan, 0
    tau_RR = np.array([[stats.kendalltau(a, b).statistic for b in orders] for a in orders])
    pairs, rng = list(combinations(range(len(orders)), 2)), np.random.default_rng(0)
    means = []
    for drawn_R in rng.integers(0, len(orders), (2000, len(orders))):
        taus = [tau_RR[drawn_R[i], drawn_R[j]] for i, j in pairs if drawn_R[i] != drawn_R[j]]
        means.append(np.mean(taus) if taus else np.nan)
    return np.mean([tau_RR[pair] for pair in pairs]), *percentiles(np.array(means)), len(pairs)


# ---- exponents


def slopes(results):
    """Return (s, "tokens" or "parameters") -> (predicted power, the fit of log excess by log x).

    A fit is scipy's result of linregress, with the number of its runs as `n`.
    """
    found = {}
    for s in EXPONENTS:
        for name, settings, power in (
            ("tokens", [(WIDE, C) for C in BUDGETS], (s - 1) / s),
            ("parameters", [(width, LARGEST) for width in WIDTHS], s - 1),
        ):
            runs = [results[k] for width, C in settings for seed in SEEDS
                    if (k := key(of_zipf(s, width, C, seed))) in results]
            if len({run[name] for run in runs}) > 2:
                x, y = (np.log([run[n] for run in runs]) for n in (name, "excess"))
                found[s, name] = -power, stats.linregress(x, y), len(runs)
    return found


def interval(fit, n):
    """Return the 95 % interval of a slope."""
    reach = stats.t.ppf(0.975, n - 2) * fit.stderr
    return fit.slope - reach, fit.slope + reach


def first_edition():
    """Yield (text, s, shift, cells, {name: (predicted power, fitted, its 95 % interval)}) of the
    almanacs of 09_scaling_laws.jsonl: least squares of log excess, by the law with E given."""
    runs = scaling_tables.frame()
    for text, (s, shift) in FIRST.items():
        cells = scaling_tables.at_best_rates(runs[runs.text == text])
        E, arrays = cells.entropy.iloc[0], [cells[x].to_numpy(float) for x in ("N", "D", "loss")]
        options = {"of": lambda L, E=E: np.log(L - E), "loss": "linear"}
        law, again = fit(*arrays, E, **options), list(bootstrap(*arrays, E, 200, **options))
        yield text, s, shift, len(cells), {
            name: (predicted, getattr(law, power), percentiles([getattr(b, power) for b in again]))
            for name, power, predicted in (
                ("parameters", "alpha", s - 1), ("tokens", "beta", (s - 1) / s))
        }


# ---- tables


def tables(results, first=()):
    """Return name -> table in Markdown.    first: what `first_edition` yields"""
    found, everything = learnings(results), {}
    for text, kinds in KINDS.items():
        everything[f"{text} halved"] = markdown(("channels", "seed", *kinds, "one kind alone"), [
            (channels, seed, *("not yet" if np.isinf(x) else f"{x:.0f}"
                               for x in run.halved().values()), f"{run.alone():.0%}")
            for (of, channels, seed), run in found.items() if of == text
        ])
        everything[f"{text} left"] = markdown(
            ("channels", "seed", *kinds, "excess", "one right", "all right"), [
                (channels, seed, *(f"{part[-1]:.4f}" for part in run.parts.values()),
                 f"{run.whole[-1]:.4f}", f"{run.one[-1]:.1%}", f"{run.all[-1]:.1%}")
                for (of, channels, seed), run in found.items() if of == text
            ])
    everything["agreement"] = markdown(
        ("text", "pairs of runs", "mean of Kendall's tau", "95 %"),
        [(text, n, f"{tau:.2f}", f"{low:.2f} to {high:.2f}")
         for text in BASES for tau, low, high, n in [agreement(found, text)]])
    everything["exponents"] = markdown(("Zipf's s", "by", "runs", "predicted", "slope", "95 %"), [
        (s, name, n, f"{power:.2f}", f"{fit.slope:.2f}",
         "{:.2f} to {:.2f}".format(*interval(fit, n)))
        for (s, name), (power, fit, n) in slopes(results).items()
    ])
    everything["facts"] = _facts(results)
    head = [f"{name}: {what}" for name in ("parameters", "tokens")
            for what in ("predicted", "fitted")]
    everything["first edition"] = markdown(("text", "s", "shift", "cells", *head), [
        (text, s, shift, n, *(cell for predicted, power, ends in powers.values() for cell in (
            f"{predicted:.2f}", "{:.2f} ({:.2f} to {:.2f})".format(power, *ends))))
        for text, s, shift, n, powers in first
    ])
    return {name: text if text.count("\n") > 2 else "No training yet.\n"
            for name, text in everything.items()}


def _facts(results):
    lines = []
    for s in EXPONENTS:
        for channels, C in [(WIDE, C) for C in BUDGETS] + [(width, LARGEST) for width in WIDTHS]:
            if found := results.get(key(of_zipf(s, channels, C, 1))):
                parts = found["skills"]
                facts = sum(parts[kind] for kind in FACTS)
                lines.append((s, flops_text(C), channels, f"{found['excess']:.4f}",
                             f"{facts / sum(parts.values()):.0%}",
                             *(f"{parts[kind]:.4f}" for kind in FACTS)))
    return markdown(("Zipf's s", "FLOPs", "channels", "excess", "of it facts", *FACTS), lines)


# ---- the picture


def draw(path, results, first=()):
    """Draw the skills of both texts over time, chances of one token and of all, exponents."""
    found = learnings(results)
    drawing, axes = plots.figure(9.5, 6.4, 2, 2)
    for panel, text in zip(axes[0], BASES, strict=True):
        runs = {at: run for at, run in found.items() if at[:2] == (text, SHOWN)}
        for i, kind in enumerate(KINDS[text]):
            for n, learning in enumerate(runs.values()):
                part = learning.parts[kind]
                panel.plot(learning.steps, np.where(part > 0, part, np.nan), linewidth=1.4,
                           color=plots.COLOURS[i % 6], alpha=1 if n == 0 else 0.4,
                           label=kind if n == 0 else None, linestyle="-" if i < 6 else ":")
        panel.set(xscale="log", yscale="log", xlabel="step", ylim=(1e-4, None),
                  ylabel="excess, nats per token")
        panel.set_title(f"{text}, {SHOWN} channels: the excess by kind", fontsize=10)
        if runs:
            panel.legend(fontsize=8)
    _draw_chances(axes[1, 0], found)
    _draw_exponents(axes[1, 1], first)
    return plots.save(drawing, path)


def _draw_chances(axes, found):
    for i, text in enumerate(BASES):
        if learning := found.get((text, SHOWN, 1)):
            for name, style in (("one", "--"), ("all", "-")):
                axes.plot(learning.steps, getattr(learning, name), style, color=plots.COLOURS[i],
                          label=f"{text}: {name} right")
    axes.set(xscale="log", xlabel="step", ylabel="chance", ylim=(0, 1.02))
    axes.set_title("One token that follows, and all of a story", fontsize=10)
    axes.legend(fontsize=8)


def _draw_exponents(axes, first):
    lines = [(f"{name}, (n + {shift})^-{s}", *powers[name]) for name in ("tokens", "parameters")
             for _, s, shift, _, powers in first]
    for y, (_, predicted, power, ends) in enumerate(lines):
        axes.plot(ends, [y, y], color=plots.COLOURS[0], linewidth=1.6)
        axes.plot(power, y, "o", color=plots.COLOURS[0], label="fitted, 95 %" if not y else None)
        axes.plot(predicted, y, "x", color=plots.INK, label="predicted" if not y else None)
    axes.set_yticks(range(len(lines)), [name for name, *_ in lines], fontsize=8)
    axes.set(xlim=(0, 2.3), xlabel="power of the excess")
    axes.set_title("Almanacs: exponents beside those of Zipf's law", fontsize=10)
    if lines:
        axes.legend(fontsize=8)


def write_report(figures=FIGURES):
    results, first = results_of(RESULTS), list(first_edition())
    into_documents(REPORT, tables(results, first))
    picture(draw, figures / "13_skills.png", results, first)


def quick_study(figures):
    """Train tiny models on both texts for a few steps."""
    few = {"steps": 30, "warm_up": 3, "evaluations": 4, "n_embd": 16}
    with tempfile.TemporaryDirectory() as folder:
        found = run([over_time(text, SHOWN, 1) | few for text in BASES], measure,
                    Path(folder) / "quick.jsonl", workers=0)
    results = {key(over_time(text, SHOWN, 1)): result
               for text, result in zip(BASES, found, strict=True)}
    print(*tables(results).values(), sep="\n")
    picture(draw, figures / "13_skills.png", results)
    return results


def main(quick=False, figures=FIGURES, extra=False, workers=None):
    expect("""
        The excess of each kind of token as training goes on. Expect words and sentences to be
        learned first, what has to be looked up in the text later, and facts by how often they are
        told.
        """)
    if quick:
        return quick_study(figures)
    asked = [trial for seed in SEEDS for trial in trials(seed)]
    run(asked if extra else asked[:6], measure, RESULTS, workers, cost)
    return write_report(figures)


if __name__ == "__main__":
    run_study(__doc__, main, write_report, "tiny models, a few seconds", "all of the plan")
