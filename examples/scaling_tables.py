"""The tables of `09_scaling_laws.md` and CONCEPTS.md, from 09_scaling_laws.jsonl, by pandas.

`frame` has a row for each training; everything else follows from it. The text around the tables is
written by hand; tests/examples/test_studies.py computes its numbers anew.
"""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from laboratory import flops_text, kept, markdown
from scaling_law import Law, bootstrap, fit, interval, lowest
from scaling_trials import almanac, shape

from npgpt.families.size import flops_per_token, parameters_by_part

RESULTS = Path(__file__).with_name("09_scaling_laws.jsonl")
FITTED = 3  # budgets, the largest, that the law is fitted to
DRAWS = 300  # of the noise of seeds
LOSSES = (  # of a fit
    {"delta": 1e-4}, {"delta": 1e-3}, {"delta": 1e-2}, {"loss": "linear"},
    {"of": lambda L: L, "loss": "linear"},
)


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
    """Return a row for each run that was predicted before it was trained; losses are excesses."""
    rows, found = kept(RESULTS) if rows is None else rows, []
    runs = frame(rows)
    runs = runs[runs.seed == 1]
    for told in (r["settings"] | r["result"] for r in rows if "predict" in r["settings"]):
        same = runs[(runs.text == told["text"]) & (runs.flops == told["predict"])
                    & (runs.channels == told["channels"])].sort_values("rate")
        if same.empty:
            continue
        *later, planned = same.to_dict("records")  # lower rates were tried after it
        ways = {name: [loss - planned["entropy"] for loss in told[way]]
                for name, way in (("given", "E given"), ("fitted", "E free"))}
        found.append({
            "text": told["text"], "flops": told["predict"], "N": told["parameters"],
            "D": told["tokens"], "rate": planned["rate"], "excess": planned["excess"],
            **{name: predicted for name, (predicted, *_) in ways.items()},
            "intervals": [ends for _, *ends in ways.values()],
            "later rate": later[0]["rate"] if later else np.nan,
            "later excess": later[0]["excess"] if later else np.nan,
        })
    return pd.DataFrame(found)


def first(runs):
    """Return the runs of seed 1 on text without end, at the rate at which each ends lowest."""
    runs = runs[(runs.seed == 1) & runs.stories.isna()]
    return runs.loc[runs.groupby(["flops", "channels"]).loss.idxmin()]


def at_best_rates(runs, sizes=3):
    """Return the cells of a text's grid: flops, channels, the rate at which seed 1 ends lowest,
    and the mean of all seeds there. Budgets with fewer sizes are left out."""
    best = first(runs)[["flops", "channels", "rate"]]
    cells = runs[runs.stories.isna()].merge(best).groupby(list(best), as_index=False).agg(
        N=("N", "first"), D=("D", "first"), blocks=("blocks", "first"), loss=("loss", "mean"),
        deviation=("loss", "std"), seeds=("seed", "count"), entropy=("entropy", "first"),
        error=("error", "first"), written=("written", "first"),
    )
    cells["excess"] = cells.loss - cells.entropy
    tried = cells.groupby("flops").channels.transform("count")
    return cells[tried >= sizes].reset_index(drop=True)


def largest(cells, count=FITTED):
    return cells[cells.flops.isin(sorted(set(cells.flops))[-count:])]


def arrays(cells, count="N"):
    return [cells[name].to_numpy(float) for name in (count, "D", "loss")]


def law_of(cells, E=None, count="N", **options):
    return fit(*arrays(cells, count), E, **options)


def ways(runs):
    """Return E by every combination of runs, seeds, rates, counts and losses, a row for each.

    usual    at the best rates, all seeds, all parameters
    """
    found, budget = [], at_best_rates(runs).flops.max()
    predicted = first(runs[runs.flops > budget])
    for rate, seeds in product((None, 0.006, 0.012), ("mean", "first")):
        some = runs[(runs.rate == rate) | (rate is None)]
        cells = at_best_rates(some[(some.seed == 1) | (seeds == "mean")])
        for (which, part), count, options in product(
            _subsets(cells, predicted), ("N", "blocks"), LOSSES
        ):
            if len(part) >= 9:
                found.append({"runs": which, "E": law_of(part, count=count, **options).E,
                              "usual": (rate, seeds, count) == (None, "mean", "N")})
    return pd.DataFrame(found)


def _subsets(cells, predicted):
    budgets = sorted(set(cells.flops))
    yield f"all {len(budgets)} budgets", cells
    yield "the 3 largest", largest(cells)
    yield "the 2 largest", largest(cells, 2)
    yield "the 3 smallest", cells[cells.flops.isin(budgets[:3])]
    yield "the 4 best sizes of each", cells.sort_values(["flops", "loss"]).groupby("flops").head(4)
    yield "the 3 largest and the run of 2.6e13", pd.concat([largest(cells), predicted])


def best_sizes(cells, count="N"):
    """Return flops -> (size, excess) at the lowest point of a parabola in log N."""
    return {
        flops: lowest(some[count].to_numpy(float), some.excess.to_numpy(float))
        for flops, some in cells.groupby("flops")
    }


def size_exponent(cells, count="N"):
    """Return p, where the best size grows as C**p."""
    sizes = pd.Series({C: size for C, (size, _) in best_sizes(cells, count).items()}).dropna()
    return np.polyfit(np.log(sizes.index), np.log(sizes), 1)[0] if len(sizes) > 1 else np.nan


def predicted(runs, flops):
    """Return the best size at a budget and its loss, by the law of smaller runs of a text."""
    cells = largest(at_best_rates(runs))
    entropy, vocab_size = cells.entropy.iloc[0], almanac(runs.text.iloc[0]).tokenizer.vocab_size

    def size(channels):
        return sum(parameters_by_part(shape(channels, vocab_size)).values())

    best = law_of(cells, entropy).best_size(flops)
    channels = min(range(8, 513, 8), key=lambda channels: abs(size(channels) - best))
    N, D = size(channels), flops / (3 * flops_per_token(shape(channels, vocab_size)))
    found = {"channels": channels, "parameters": N, "tokens": int(D)}
    for name, E in (("E given", entropy), ("E free", None)):
        losses = [law.loss(N, D) for law in bootstrap(*arrays(cells), E)]
        found[name] = [float(law_of(cells, E).loss(N, D)), *interval(losses)]
    return found


# ---- tables in Markdown


def percent(share):
    return f"{100 * share:+.1f} %"


def tables(rows=None):
    """Return name -> table in Markdown, of all that the two documents show."""
    rows = kept(RESULTS) if rows is None else rows
    runs = frame(rows)
    runs = runs[runs.text == "almanac"]
    cells = at_best_rates(runs)
    found = {
        "losses": _losses(cells, runs), "rates": _rates(runs), "exponents": _exponents(cells),
        "predictions": _predictions(rows), "summary": _summary(runs),
    }
    if cells.flops.nunique() > FITTED:
        found |= {"law": _law(largest(cells)), "ways": _ways(runs)}
    return found


def _losses(cells, runs):
    tried = runs[runs.stories.isna()].groupby(["flops", "channels"]).rate.agg(["min", "max"])
    rows = []
    for cell in cells.itertuples():
        low, high = tried.loc[(cell.flops, cell.channels)]
        edge = "*" if low < high and cell.rate in (low, high) else ""
        bold = "**" if cell.excess == cells[cells.flops == cell.flops].excess.min() else ""
        rows.append((flops_text(cell.flops), f"{cell.N:,}", f"{cell.blocks:,}",
                     f"{cell.D / 1e6:.2f} M", f"{cell.rate:g}{edge}", cell.seeds,
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
    rows = []
    for label, E in (("E given", cells.entropy.iloc[0]), ("E fitted", None)):
        law, samples = law_of(cells, E), list(bootstrap(*arrays(cells), E))
        rows.append([label])
        for name, form in (("E", ".3f"), ("A", ".3g"), ("B", ".3g"), ("alpha", ".3f"),
                           ("beta", ".3f"), ("exponent", ".2f")):
            ends = interval([getattr(sample, name) for sample in samples])
            value, low, high = (f"{x:{form}}" for x in (getattr(law, name), *ends))
            rows[-1].append("given" if E and name == "E" else f"{value} ({low} to {high})")
    rows += [("Hoffmann et al., 2022", 1.69, 406.4, 410.7, 0.34, 0.28, 0.45),
             ("Besiroglu et al., 2024, the same runs", 1.8172, 482.01, 2085.43, 0.3478, 0.3658,
              0.51)]
    return markdown(("", *Law._fields, "exponent of the best size"), rows)


def _ways(runs):
    found, entropy, rows = ways(runs), runs.entropy.iloc[0], []
    usual = found[found.usual].groupby("runs", sort=False)
    for which, some in [*usual, (f"all {len(found)} fits", found)]:
        E = some.E
        low, high = (E.min(), E.max()) if len(some) < 10 else interval(E)
        rows.append((which, len(some), f"{E.median():.3f}", f"{low:.3f} to {high:.3f}",
                     f"{percent(low / entropy - 1)} to {percent(high / entropy - 1)}"))
    return markdown(("fitted to", "fits", "E, median", "range (of the last row: 95 %)",
                     "beside the exact E"), rows)


def _exponents(cells):
    """Return the exponents of the best size by either count of parameters, with 95 % of draws of
    the noise of seeds, and the difference of the two counts in the same draws."""
    again = cells[cells.seeds > 1]
    noise = np.sqrt(np.mean((again.deviation / again.excess) ** 2)) / np.sqrt(cells.seeds)

    def exponents(excess):
        found = [size_exponent(cells.assign(excess=excess), count) for count in ("N", "blocks")]
        return *found, found[1] - found[0]

    rng = np.random.default_rng(0)
    drawn = [exponents(cells.excess * np.exp(rng.normal(0, noise))) for _ in range(DRAWS)]
    names = "all parameters", "without embeddings", "difference"
    return markdown(("parameters counted", "exponent of the best size"), [
        (name, "{:.2f} ({:.2f} to {:.2f})".format(value, *interval(samples)))
        for name, value, samples in zip(
            names, exponents(cells.excess), np.transpose(drawn), strict=True)
    ])


def _predictions(rows):
    lines = []
    for p in predictions(rows).to_dict("records"):
        told = zip((p["given"], p["fitted"]), p["intervals"], strict=True)
        later = f"{p['later excess']:.4f} at {p['later rate']:g}"
        lines.append((p["text"], flops_text(p["flops"]), f"{p['N']:,}",
                      *(f"{x:.4f} ({low:.3f} to {high:.3f})" for x, (low, high) in told),
                      f"{p['excess']:.4f} at {p['rate']:g}", *_errors(p, "excess"),
                      *(("", "") if np.isnan(p["later rate"]) else
                        (later, ", ".join(_errors(p, "later excess"))))))
    return markdown(("text", "FLOPs", "parameters", "predicted, E given", "predicted, E fitted",
                     "measured, at the rate fixed before", "error, E given", "error, E fitted",
                     "tried later", "its errors"), lines)


def _errors(p, measured):
    return [percent(p[way] / p[measured] - 1) for way in ("given", "fitted")]


def _summary(runs):
    """Return the best size of each budget, and the predicted run of the largest."""
    sizes, cells = best_sizes(at_best_rates(runs)), at_best_rates(runs, sizes=1)
    rows = []
    for cell in cells.loc[cells.groupby("flops").excess.idxmin()].itertuples():
        size, _ = sizes.get(cell.flops, (np.nan, np.nan))
        rows.append((flops_text(cell.flops), f"{cell.N:,}",
                     "" if np.isnan(size) else f"{size:,.0f}", f"{cell.D / 1e6:.1f} M",
                     f"{cell.excess:.3f}", f"{cell.written['form']:.0%}",
                     f"{cell.written['derived']:.0%}"))
    return markdown(("FLOPs", "best of the sizes tried", "best by parabola", "tokens",
                     "loss above the entropy", "stories of the right form",
                     "and with the right facts"), rows)
