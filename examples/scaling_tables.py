"""The tables of `09_scaling_laws.md` and CONCEPTS.md, from 09_scaling_laws.jsonl, by pandas.

`frame` has a row for each training; everything else follows from it. The text around the tables is
written by hand; tests/examples/test_studies.py computes its numbers anew.
"""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from laboratory import kept
from scaling_law import Law, bootstrap, fit, interval, lowest, power
from scaling_trials import BANDS

from npgpt.families.size import flops_per_token, parameters_by_part

RESULTS = Path(__file__).with_name("09_scaling_laws.jsonl")
FITTED = 3  # budgets, the largest, that the law is fitted to
DRAWS = 300  # of the noise of seeds
LOSSES = {"Huber 1e-4": 1e-4, "Huber 1e-3": 1e-3, "Huber 1e-2": 1e-2, "squares of log L": 1e3,
          "squares of L": None}
RANKS = [f"{low + 1:,} to {high:,}" for low, high in zip((0, *BANDS), BANDS, strict=False)]


def frame(rows=None):
    """Return a row for each training: its settings, and what was measured of it."""
    rows = kept(RESULTS) if rows is None else rows
    found = pd.DataFrame([
        r["settings"] | r["result"] | {"row": i}
        for i, r in enumerate(rows) if "predict" not in r["settings"]
    ])
    if "stories" not in found:
        found["stories"] = np.nan
    return found.rename(columns={"parameters": "N", "tokens": "D", "without embeddings": "blocks"})


def predictions(rows=None):
    """Return a row for each run that was predicted before it was trained."""
    rows, found = kept(RESULTS) if rows is None else rows, []
    runs = frame(rows)
    for asked in (r for r in rows if "predict" in r["settings"]):
        text, flops = asked["settings"]["text"], asked["settings"]["predict"]
        told, channels = asked["result"], asked["result"]["channels"]
        same = runs[(runs.text == text) & (runs.flops == flops) & (runs.channels == channels)]
        same = same[same.seed == 1].set_index("rate")
        if same.empty:
            continue
        planned = same.index.max()  # lower ones were tried after it
        later = same.excess.drop(planned)
        found.append({
            "text": text, "flops": flops, "N": told["parameters"], "D": told["tokens"],
            "rate": planned, "excess": same.excess[planned], "entropy": same.entropy[planned],
            "given": told["E given"][0] - same.entropy[planned],
            "fitted": told["E free"][0] - same.entropy[planned],
            "intervals": [[end - same.entropy[planned] for end in told[way][1:]]
                          for way in ("E given", "E free")],
            "later rate": later.idxmin() if len(later) else np.nan,
            "later excess": later.min() if len(later) else np.nan,
        })
    return pd.DataFrame(found)


def at_best_rates(runs):
    """Return the cells of a text's grid: flops, channels, the rate at which seed 1 ends lowest,
    and the mean of all seeds there."""
    runs = runs[runs.stories.isna()]
    first = runs[runs.seed == 1].sort_values("loss").groupby(["flops", "channels"]).rate.first()
    cells = runs.groupby(["flops", "channels", "rate"], as_index=False).agg(
        N=("N", "first"), D=("D", "first"), blocks=("blocks", "first"), loss=("loss", "mean"),
        deviation=("loss", "std"), seeds=("seed", "count"), entropy=("entropy", "first"),
        error=("error", "first"),
    )
    cells = cells.merge(first.reset_index())
    cells["excess"] = cells.loss - cells.entropy
    sizes = cells.groupby("flops").channels.transform("count")
    return cells[sizes > 2].reset_index(drop=True)


def largest(cells, count=FITTED):
    return cells[cells.flops.isin(sorted(set(cells.flops))[-count:])]


def law_of(cells, E=None, count="N", **options):
    return fit(cells[count].to_numpy(float), cells.D.to_numpy(float), cells.loss.to_numpy(float),
               E, **options)


def constants(cells):
    """Return the fits with E given and E fitted: each constant, and 95 % of a bootstrap."""
    found = {}
    for name, E in (("E given", cells.entropy.iloc[0]), ("E fitted", None)):
        law, arrays = law_of(cells, E), (cells[x].to_numpy(float) for x in ("N", "D", "loss"))
        samples = list(bootstrap(*arrays, E))
        found[name] = {
            constant: (getattr(law, constant), *interval([getattr(s, constant) for s in samples]))
            for constant in (*Law._fields, "exponent")
        }
    return found


def ways(runs):
    """Return E by every combination of runs, seeds, rates, counts and losses, a row for each."""
    best, found = at_best_rates(runs), []
    predicted = runs[(runs.flops > best.flops.max()) & (runs.seed == 1)].nsmallest(1, "loss")
    rates = {"best": best} | {
        f"{rate:g}": at_best_rates(runs[runs.rate == rate]) for rate in (0.006, 0.012)
    }
    for (rate, cells), seeds in product(rates.items(), ("mean", "first")):
        if seeds == "first":
            cells = at_best_rates(runs[(runs.seed == 1) & runs.rate.isin(cells.rate)]).merge(
                cells[["flops", "channels", "rate"]])
        for (which, some), count, (loss, delta) in product(
            _subsets(cells, predicted), ("N", "blocks"), LOSSES.items()
        ):
            options = {"of": lambda L: L, "loss": "linear"} if delta is None else {"delta": delta}
            if len(some) >= 9:
                law = law_of(some, count=count, **options)
                found.append({"runs": which, "seeds": seeds, "rate": rate, "count": count,
                              "loss": loss, "E": law.E})
    return pd.DataFrame(found)


def _subsets(cells, predicted):
    budgets = sorted(set(cells.flops))
    near = cells.groupby("flops", group_keys=False).apply(
        lambda some: some.nsmallest(4, "loss"), include_groups=False)
    yield f"all {len(budgets)} budgets", cells
    yield "the 3 largest", largest(cells)
    yield "the 2 largest", largest(cells, 2)
    yield "the 3 smallest", cells[cells.flops.isin(budgets[:3])]
    yield "the 4 best sizes of each", cells.loc[near.index]
    yield "the 3 largest and the run of 2.6e13", pd.concat([largest(cells), predicted])


def best_sizes(cells, count="N"):
    """Return flops -> (size, excess) at the lowest point of a parabola in log N."""
    return {
        flops: lowest(some[count].to_numpy(float), some.excess.to_numpy(float))
        for flops, some in cells.groupby("flops")
    }


def size_exponent(cells, count="N"):
    """Return p, where the best size grows as C**p."""
    found = best_sizes(cells, count)
    return power(np.array(list(found)), np.array([size for size, _ in found.values()]))


def seed_noise(cells):
    """Return the standard deviation of the excess between seeds, as a share of it."""
    again = cells[cells.seeds > 1]
    return float(np.sqrt(np.mean((again.deviation / again.excess) ** 2)))


def exponents(cells):
    """Return counting -> (exponent of the best size, 95 % of draws of the noise of seeds); the
    last row is the difference of the two countings, of the same draws."""
    rng, noise_R = np.random.default_rng(0), seed_noise(cells) / np.sqrt(cells.seeds)
    drawn = []
    for _ in range(DRAWS):
        again = cells.assign(excess=cells.excess * np.exp(rng.normal(0, noise_R)))
        drawn.append([size_exponent(again, count) for count in ("N", "blocks")])
    all_M, blocks_M = np.transpose(drawn)
    values = [size_exponent(cells, count) for count in ("N", "blocks")]
    return {
        "all parameters": (values[0], *interval(all_M)),
        "without embeddings": (values[1], *interval(blocks_M)),
        "difference": (values[1] - values[0], *interval(blocks_M - all_M)),
    }


def predict(runs, config, flops):
    """Return the loss of a shape at a budget by the law of the runs: the row of a prediction."""
    cells = largest(at_best_rates(runs))
    N = sum(parameters_by_part(config).values())
    D = flops / (3 * flops_per_token(config))
    found = {"parameters": N, "tokens": int(D)}
    for name, E in (("E given", cells.entropy.iloc[0]), ("E free", None)):
        arrays = [cells[x].to_numpy(float) for x in ("N", "D", "loss")]
        losses = [law.loss(N, D) for law in bootstrap(*arrays, E)]
        found[name] = [float(law_of(cells, E).loss(N, D)), *interval(losses)]
    return found


# ---- tables in Markdown


def markdown(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def flops_text(C):
    """Return FLOPs as text.

    >>> flops_text(1.6e12)
    '1.6e12'
    """
    return f"{C:.2g}".replace("e+", "e")


def percent(share):
    return f"{100 * share:+.1f} %"


def tables(rows=None):
    """Return name -> table in Markdown, of all that the two documents show."""
    rows = kept(RESULTS) if rows is None else rows
    everything = frame(rows)
    runs = everything[everything.text == "almanac"]
    cells = at_best_rates(runs)
    found = {
        "losses": _losses(cells, runs), "rates": _rates(runs), "best sizes": _best_sizes(cells),
        "exponents": _exponents(cells), "predictions": _predictions(rows),
        "abilities": _abilities(cells, runs), "texts": _texts(runs),
        "summary": _summary(cells, runs),
    }
    if cells.flops.nunique() > FITTED:
        found |= {"law": _law(cells), "ways": _ways(runs), "other texts": _other_texts(everything)}
    return found


def _losses(cells, runs):
    lowest = cells.groupby("flops").excess.transform("min")
    rows = []
    for cell, best in zip(cells.itertuples(), cells.excess == lowest, strict=True):
        tried = runs[(runs.flops == cell.flops) & (runs.channels == cell.channels)
                     & runs.stories.isna()].rate
        edge = tried.nunique() > 1 and cell.rate in (tried.min(), tried.max())
        bold = "**" * best
        rows.append((flops_text(cell.flops), f"{cell.N:,}", f"{cell.blocks:,}",
                     f"{cell.D / 1e6:.2f} M", f"{cell.rate:g}{'*' * edge}", cell.seeds,
                     f"{bold}{cell.excess:.4f}{bold} ± {cell.error:.4f}"))
    return markdown(("FLOPs", "parameters", "without embeddings", "tokens", "rate", "seeds",
                     "excess, nats per token"), rows)


def _rates(runs):
    runs = runs[(runs.seed == 1) & runs.stories.isna()]
    wide = runs.pivot_table("excess", ["flops", "N"], "rate")
    wide = wide[wide.notna().sum(axis=1) > 1].dropna(axis=1, how="all")
    rows = [
        (flops_text(C), f"{N:,}", *("" if np.isnan(x) else f"{x:.4f}" for x in row))
        for (C, N), row in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    return markdown(("FLOPs", "parameters", *(f"rate {rate:g}" for rate in wide)), rows)


def _law(cells):
    names, rows = Law._fields, []
    for label, found in constants(largest(cells)).items():
        given = label == "E given"
        text = ["{:.3f} ({:.3f} to {:.3f})" if name in ("E", "alpha", "beta") else
                "{:.3g} ({:.3g} to {:.3g})" for name in names]
        values = [form.format(*found[name]) for form, name in zip(text, names, strict=True)]
        rows.append((label, "given" if given else values[0], *values[1:],
                     "{:.2f} ({:.2f} to {:.2f})".format(*found["exponent"])))
    rows += [("Hoffmann et al., 2022", 1.69, 406.4, 410.7, 0.34, 0.28, 0.45),
             ("Besiroglu et al., 2024, the same runs", 1.8172, 482.01, 2085.43, 0.3478, 0.3658,
              0.51)]
    return markdown(("", *names, "exponent of the best size"), rows)


def _ways(runs):
    found = ways(runs)
    usual = found[(found.rate == "best") & (found.seeds == "mean") & (found["count"] == "N")]
    entropy, rows = runs.entropy.iloc[0], []
    for which, some in [*usual.groupby("runs", sort=False), (f"all {len(found)} fits", found)]:
        E = some.E
        low, high = (E.min(), E.max()) if len(some) < 10 else interval(E)
        rows.append((which, f"{len(some)}", f"{E.median():.3f}", f"{low:.3f} to {high:.3f}",
                     f"{percent(low / entropy - 1)} to {percent(high / entropy - 1)}"))
    return markdown(("fitted to", "fits", "E, median", "range (of the last row: 95 %)",
                     "beside the exact E"), rows)


def _best_sizes(cells):
    law, rows = law_of(largest(cells), cells.entropy.iloc[0]), []
    for flops, (size, excess) in best_sizes(cells).items():
        rows.append((flops_text(flops), "outside" if np.isnan(size) else f"{size:,.0f}",
                     f"{excess:.4f}", f"{law.best_size(flops):,.0f}"))
    return markdown(("FLOPs", "best size", "its excess", "by the law, E given"), rows)


def _exponents(cells):
    rows = [(label, "{:.2f} ({:.2f} to {:.2f})".format(*found))
            for label, found in exponents(cells).items()]
    return markdown(("parameters counted", "exponent of the best size"), rows)


def _predictions(rows):
    lines = []
    for p in predictions(rows).to_dict("records"):
        errors = [percent(p[way] / p["excess"] - 1) for way in ("given", "fitted")]
        later = ["", ""]
        if not np.isnan(p["later rate"]):
            later = [f"{p['later excess']:.4f} at {p['later rate']:g}", ", ".join(
                percent(p[way] / p["later excess"] - 1) for way in ("given", "fitted"))]
        told = [f"{p[way]:.4f} ({low:.3f} to {high:.3f})"
                for way, (low, high) in zip(("given", "fitted"), p["intervals"], strict=True)]
        lines.append((p["text"], flops_text(p["flops"]), f"{p['N']:,}", *told,
                      f"{p['excess']:.4f} at {p['rate']:g}", *errors, *later))
    return markdown(("text", "FLOPs", "parameters", "predicted, E given", "predicted, E fitted",
                     "measured, at the rate fixed before", "error, E given", "error, E fitted",
                     "tried later", "its errors"), lines)


def _shares(r):
    """Return the cells of a run in the tables of abilities."""
    second = r.right["second pronoun"]
    agree = sum(share * count for share, count in second) / sum(count for _, count in second)
    return (f"{r.excess:.3f}", f"{r.written['form']:.0%}", f"{r.written['derived']:.0%}",
            *(f"{share:.0%}" for share, _ in r.right["fact"]), f"{agree:.0%}")


ABILITIES = ("excess", "stories of the right form", "and with the right facts",
             *(f"facts of people {ranks}" for ranks in RANKS), "second pronoun agrees")


def _abilities(cells, runs):
    """Return what models of each size do at the largest budget, and the best of each budget."""
    first = runs[(runs.seed == 1) & runs.stories.isna()]
    first = first.merge(first.groupby(["flops", "channels"], as_index=False).loss.min())
    best = first.loc[first.groupby("flops").loss.idxmin()]
    same = first[first.flops == cells.flops.max()].sort_values("N")
    rows = [(flops_text(r.flops), f"{r.N:,}", *_shares(r))
            for some in (best, same) for r in some.itertuples()]
    return markdown(("FLOPs", "parameters", *ABILITIES), rows)


def _summary(cells, runs):
    """Return the best size of each budget, and the predicted run of the largest."""
    sizes = best_sizes(cells)
    best = cells.loc[cells.groupby("flops").excess.idxmin()].to_dict("records")
    best += runs[runs.flops > cells.flops.max()].nsmallest(1, "loss").to_dict("records")
    rows = []
    for cell in best:
        same = runs[(runs.flops == cell["flops"]) & (runs.channels == cell["channels"])
                    & (runs.rate == cell["rate"]) & (runs.seed == 1) & runs.stories.isna()]
        size, written = sizes.get(cell["flops"], (np.nan,))[0], same.written.iloc[0]
        rows.append((flops_text(cell["flops"]), f"{cell['N']:,}",
                     "" if np.isnan(size) else f"{size:,.0f}", f"{cell['D'] / 1e6:.1f} M",
                     f"{cell['excess']:.3f}", f"{written['form']:.0%}",
                     f"{written['derived']:.0%}"))
    return markdown(("FLOPs", "best of the sizes tried", "best by parabola", "tokens",
                     "loss above the entropy", "stories of the right form",
                     "and with the right facts"), rows)


def size_text(characters):
    return f"{characters / 1e3:.0f} kB" if characters < 1e6 else f"{characters / 1e6:.1f} MB"


def _texts(runs):
    runs = runs[runs.stories.notna()].sort_values("stories")
    rows = [(size_text(r.characters), f"{r.excess:.3f}", f"{r.read:.3f}", *_shares(r)[1:])
            for r in runs.rename(columns={"excess on text read": "read"}).itertuples()]
    return markdown(("text", "excess on other stories", "excess on the stories read",
                     *ABILITIES[1:]), rows)


def _other_texts(everything):
    rows = []
    for text, runs in everything[everything.stories.isna()].groupby("text", sort=False):
        cells = largest(at_best_rates(runs))
        if np.isfinite(entropy := runs.entropy.iloc[0]) and len(cells) > 8:
            E = law_of(cells).E
            rows.append((text, f"{len(runs)}", f"{len(cells)}", f"{entropy:.4f}", f"{E:.3f}",
                         percent(E / entropy - 1)))
    return markdown(("text", "trainings", "cells fitted", "exact E", "E fitted", "error"), rows)
