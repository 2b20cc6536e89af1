"""What `09_scaling_laws.py` says in CONCEPTS.md, from a `Numbers` alone."""

from itertools import pairwise

from example import wrapped
from scaling_fit import power
from scaling_report import (
    COUNTED,
    entropy_found,
    flops,
    megabytes,
    prediction_in_words,
    shown,
    table,
)  # fmt: skip


def summary(n, others):
    """The part of CONCEPTS.md, in Markdown.    others: text -> its `Numbers`"""
    parabolas = [f"{v.size:,.0f}" if v.inside else "outside" for v in n.valleys()]
    sizes = dict(zip(n.budgets, parabolas, strict=True))
    rows = [
        (flops(C), f"{r['result']['parameters']:,}" + " (only this one)" * (C not in sizes),
         sizes.get(C, ""), f"{r['result']['tokens'] / 1e6:.1f} M", f"{n.excess(r):.3f}",
         f"{r['result']['written']['form']:.0%}", f"{r['result']['written']['derived']:.0%}")
        for C, r in n.bests()
    ]  # fmt: skip
    head = ("FLOPs", "best of the sizes tried", "best by parabola", "tokens",
            "loss above the entropy", "stories of the right form",
            "and with the right facts")  # fmt: skip
    intro = (
        "**Measured here** (`09_scaling_laws.py`): GPTs of two blocks read an almanac in which "
        "some people are met often and most hardly ever, as words are. Its entropy is exact, so E "
        "is known before anything is fitted. Losses are means of up to "
        f"{max(map(n.seeds, n.runs))} seeds; ± is the standard deviation of differences between "
        "equal seeds, p that of Student's t for pairs; in parentheses what 95 % of bootstrap "
        "samples are in."
    )
    alt = "Losses by size at each budget, the run that was predicted, little text, who is known"
    return "\n".join([
        wrapped(intro), "", f"![{alt}](examples/figures/09_scaling_laws.png)", "",
        *table(head, rows),
        *(wrapped(f"- {line}") for line in sentences(n, others)), "", *_memory(n),
        wrapped("All tables: [examples/09_scaling_laws.md](examples/09_scaling_laws.md)."), "",
    ])  # fmt: skip


def sentences(n, others):
    """Each claim about scaling, and what came of it here."""
    yield entropy_found(n)
    yield from (prediction_in_words(n, found) for found in n.predictions())
    yield from (_of_almanac(other) for other in others.values() if other.floor and other.runs)
    yield _diminishing(n)
    yield _more_compute(n)
    yield _split(n)


def _of_almanac(n):
    told = " ".join(prediction_in_words(n, found) for found in n.predictions())
    return f"In an almanac where rare people are more of the text: {entropy_found(n)} {told}"


def tested(difference):
    """A `Difference` as text."""
    if difference.n < 2:
        return f"{difference.mean:.3f}"
    p = f"p = {difference.p:.3f}" if difference.p >= 0.001 else "p < 0.001"
    return f"{difference.mean:.3f} ± {difference.deviation:.3f}, {p}"


def _diminishing(n):
    C = n.budgets[-1]
    runs = sorted((r for r in n.runs if r["settings"]["flops"] == C),
                  key=lambda r: r["result"]["parameters"])  # fmt: skip
    smallest, best, largest = runs[0], n.best(C), runs[-1]
    alpha = n.constant("alpha", True)
    return (
        f"“Bigger models are generally better, but with diminishing returns”: at equal tokens, yes "
        f"(alpha = {shown(alpha, 2)}: ten times the parameters leave {10**-alpha.value:.0%} of "
        f"the term A/N^alpha). At equal FLOPs there is a best size: for {flops(C)}, "
        f"{best['result']['parameters']:,} parameters end {n.excess(best):.3f} above the "
        f"entropy, {smallest['result']['parameters']:,} end {n.excess(smallest):.3f} and "
        f"{largest['result']['parameters']:,} {n.excess(largest):.3f} above it (the smallest is "
        f"worse by {tested(n.worse(smallest, best))}, the largest by "
        f"{tested(n.worse(largest, best))})."
    )


def _more_compute(n):
    best = [n.excess(n.best(C)) for C in n.budgets]
    _, exponent = power(n.budgets, best)
    return (
        f"“More compute = better model”: with the size chosen for each budget, ten times the FLOPs "
        f"leave {10**exponent:.0%} of the loss above the entropy "
        f"({', '.join(f'{x:.3f}' for x in best)}; from each budget to the next it falls by "
        f"{', '.join(tested(n.worse(n.best(a), n.best(b))) for a, b in pairwise(n.budgets))})."
    )


def _split(n):
    parts = [
        f"{shown(n.by_valleys(count), 2)} by parabolas and "
        f"{shown(n.constant('exponent', True, count), 2)} by the law, {label}"
        for count, label in COUNTED.items()
    ]
    return (
        "The best size grows as a power of the budget, with the exponent "
        f"{parts[0]}; {parts[1]}. Published are 0.5 (Hoffmann et al., all parameters) and 0.73 "
        f"(Kaplan et al., without embeddings). {_counting(n)}"
    )


def _counting(n):
    """Whether the two ways to count parameters differ here as the publications do."""
    all_of_them, without = (n.by_valleys(count) for count in COUNTED)
    if without.value < all_of_them.value:
        return "Here the count without embeddings does not give the larger exponent."
    apart = "apart" if without.low > all_of_them.high else "not apart, so it is no proof"
    return ("The count without embeddings gives the larger exponent here, too; the intervals are "
            f"{apart}.")  # fmt: skip


def _memory(n):
    """Lines on one model and several sizes of text."""
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
            "number, a loss below the grammar's own, is memory."
        ), "",
        *table(("text", "loss above the entropy on other stories", "on those read"), rows),
    ]  # fmt: skip
