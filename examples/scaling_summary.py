"""The part of CONCEPTS.md by `09_scaling_laws.py`, from `Numbers` alone."""

from itertools import pairwise
from typing import NamedTuple

from example import wrapped
from laboratory import p_text
from scaling_fit import power
from scaling_report import (
    GOAL,
    NOT_WITHIN,
    flops,
    megabytes,
    of_the_goal,
    shown,
    table,
    where_memory_begins,
)

HOLDS, IN_PART, REVERSE = "holds here", "holds in part", "the reverse is so here"
BY_THE_LAW = "holds by the law, which no two runs test"


class Row(NamedTuple):
    """A sentence about scaling, and what came of it."""

    sentence: str
    n: str
    found: str
    spread: str
    p: str
    verdict: str


def summary(n, others):
    """Return the part of CONCEPTS.md, in Markdown.    others: text -> its `Numbers`"""
    parabolas = [f"{v.size:,.0f}" if v.inside else "outside" for v in n.valleys()]
    sizes = dict(zip(n.budgets, parabolas, strict=True))
    rows = [
        (flops(C), f"{r['result']['parameters']:,}" + " (only this one)" * (C not in sizes),
         sizes.get(C, ""), f"{r['result']['tokens'] / 1e6:.1f} M", f"{n.excess(r):.3f}",
         f"{r['result']['written']['form']:.0%}", f"{r['result']['written']['derived']:.0%}")
        for C, r in n.bests()
    ]
    head = ("FLOPs", "best of the sizes tried", "best by parabola", "tokens",
            "loss above the entropy", "stories of the right form",
            "and with the right facts")
    alt = "Losses by size at each budget, the run that was predicted, little text, who is known"
    return "\n".join([
        wrapped(
            "**Measured here** (`09_scaling_laws.py`): GPTs of two blocks read an almanac in which "
            "some people are met often and most hardly ever, as words are. Its entropy is exact, "
            "so E is known before anything is fitted."
        ), "", f"![{alt}](examples/figures/09_scaling_laws.png)", "", *table(head, rows),
        wrapped(
            "Sentence by sentence; n counts seeds, or the runs that a law is fitted to. Of seeds, "
            "the spread is the standard deviation of the differences between equal seeds, and p is "
            "that of Student's t for pairs. Of a law, it is what 95 % of the samples of a "
            "bootstrap are in."
        ), "", *table(Row._fields, sentences(n, others)), *_memory(n),
        wrapped("All tables: [examples/09_scaling_laws.md](examples/09_scaling_laws.md)."), "",
    ])


def sentences(n, others):
    """Yield the `Row` of each sentence."""
    yield from _law("the almanac", n)
    for text, other in others.items():
        if other.floor and len(other.budgets) > 1:
            yield from _law(f"an almanac with a {text}", other)
        elif len(other.budgets) > 1:
            E = other.constant("E", False)
            yield Row(
                f"E of {text}, whose entropy nobody knows", f"{len(other.fitted)} runs",
                f"{E.value:.2f} nats per character", f"{E.low:.2f} to {E.high:.2f}", "",
                "anything in this interval",
            )
    yield from _sizes(n)
    yield _more_compute(n)
    yield from _split(n)
    yield from _texts(n)


def _law(text, n):
    """Yield whether the law finds the entropy of a text, and what lies beyond its runs."""
    E, runs = n.constant("E", False), f"{len(n.fitted)} runs"
    yield Row(
        f"E is the entropy of the text, as far as a fit can tell: {text}", runs,
        f"{E.value:.3f} for the exact {n.floor:.3f}, {100 * (E.value / n.floor - 1):+.1f} %",
        f"{E.low:.3f} to {E.high:.3f}", "", _within(E.value / n.floor - 1),
    )
    for C, told, run in n.predictions():
        excess = n.excess(run)
        given, fitted = ([x - n.floor for x in told[way]] for way in ("E given", "E free"))
        yield Row(
            f"A run of {flops(C)} FLOPs is predicted, then trained: {text}", "1 run",
            f"above the entropy {excess:.4f} measured, {given[0]:.4f} predicted with E given "
            f"({100 * (given[0] / excess - 1):+.1f} %), {fitted[0]:.4f} with E fitted "
            f"({100 * (fitted[0] / excess - 1):+.1f} %)",
            ", ".join(f"{low:.3f} to {high:.3f}" for _, low, high in (given, fitted)), "",
            of_the_goal(n, told, run),
        )


def _within(error):
    return f"{HOLDS}, within {GOAL:.0%}" if abs(error) <= GOAL else NOT_WITHIN


def _sizes(n):
    C = (n.repeated() or n.budgets)[-1]
    runs = sorted((r for r in n.runs if r["settings"]["flops"] == C),
                  key=lambda r: r["result"]["parameters"])
    best, alpha = n.best(C), n.constant("alpha", True)
    name = f"{best['result']['parameters']:,}"
    for where, other, verdict in (("up to", runs[0], HOLDS), ("beyond", runs[-1], REVERSE)):
        worse = n.worse(other, best)
        yield Row(
            f"Bigger models are generally better: {where} the best size of {flops(C)} FLOPs",
            str(worse.n),
            f"{other['result']['parameters']:,} parameters instead of {name}: {worse.mean:+.4f} "
            "nats", *_of_seeds(worse), _verdict(worse, verdict),
        )
    least, middle, most = (10 ** -float(x) for x in (alpha.high, alpha.value, alpha.low))
    yield Row(
        "Diminishing returns of size, at equal tokens", f"{len(n.fitted)} runs",
        f"ten times the parameters leave {middle:.0%} of A/N^alpha, alpha = {alpha.value:.2f}",
        f"{least:.0%} to {most:.0%}", "", BY_THE_LAW,
    )


def _verdict(difference, verdict):
    if difference.n < 2:
        return "one seed: no verdict"
    return verdict if difference.low > 0 else "no difference found"


def _of_seeds(difference):
    """Return (spread, p) as text."""
    if difference.n < 2:
        return "one seed", ""
    return f"{difference.deviation:.4f}", p_text(difference.p)


def _more_compute(n):
    budgets = n.repeated() or n.budgets
    falls = [n.worse(n.best(a), n.best(b)) for a, b in pairwise(budgets)]
    best = [n.excess(n.best(C)) for C in n.budgets]
    spreads, ps = zip(*map(_of_seeds, falls), strict=True)
    return Row(
        "More compute = better model", str(min(fall.n for fall in falls)),
        f"{', '.join(f'{x:.3f}' for x in best)} above the entropy, each budget four times the one "
        f"before; ten times the FLOPs leave {10 ** power(n.budgets, best)[1]:.0%}",
        ", ".join(spreads), ", ".join(ps),
        HOLDS if all(fall.low > 0 for fall in falls) else IN_PART,
    )


def _split(n):
    parabolas, law = n.by_valleys(), n.constant("exponent", True)
    counted = n.counting()
    yield Row(
        "Balance model size, data and compute: the best size grows as a power of the budget",
        f"{len(n.budgets)} budgets",
        f"exponent {parabolas.value:.2f} by parabolas, {shown(law, 2)} by the law; published 0.5 "
        "(Hoffmann et al.)", f"{parabolas.low:.2f} to {parabolas.high:.2f}", "",
        HOLDS if parabolas.low > 0 and parabolas.high < 1 else IN_PART,
    )
    yield Row(
        "How parameters are counted parts 0.73 (Kaplan et al.) from 0.5",
        f"{len(n.budgets)} budgets",
        f"{n.by_valleys('without embeddings').value:.2f} without embeddings, "
        f"{counted.value:+.2f}", f"{counted.low:+.2f} to {counted.high:+.2f}", "",
        HOLDS if counted.low > 0 else "no difference found",
    )


def _texts(n):
    if not n.texts:
        return
    excess = [r["result"]["excess"] for r in n.texts]
    right = [n.best(C)["result"]["written"]["derived"] for C in n.budgets]
    yield Row(
        "A table of text sizes: 1 MB is very limited, more is better", "1 run each",
        ", ".join(f"{megabytes(r)} {x:.2f}" for r, x in zip(n.texts, excess, strict=True))
        + " above the entropy", "one seed", "",
        HOLDS if all(a > b for a, b in pairwise(excess)) else IN_PART,
    )
    yield Row(
        "A table of sizes tells what a model can do", "1 run each",
        "stories with all facts right, of the best size for each budget: "
        + ", ".join(f"{n.best(C)['result']['parameters']:,} {share:.0%}"
                    for C, share in zip(n.budgets, right, strict=True)), "one seed", "",
        f"{HOLDS}, if size grows with compute" if right == sorted(right) else IN_PART,
    )


def _memory(n):
    """Return lines on one model and several sizes of text."""
    if not n.texts:
        return []
    first = n.texts[0]
    rows = [
        (megabytes(r), f"{r['result']['excess']:.2f}", f"{r['result']['excess on text read']:.2f}")
        for r in n.texts
    ]
    return [
        wrapped(
            f"“1 MB: very limited”: a model of {first['result']['parameters']:,} parameters reads "
            f"for {flops(first['settings']['flops'])} FLOPs, a small text many times. A negative "
            f"number, a loss below the grammar's own, is memory. {where_memory_begins(n.texts)}"
        ), "",
        *table(("text", "loss above the entropy on other stories", "on those read"), rows),
    ]
