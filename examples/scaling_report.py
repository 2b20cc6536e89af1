"""The tables, the sentences and the figure of `09_scaling_laws.py`, from a `Numbers` alone."""

import numpy as np
from almanac import EXPONENT, MEAN, SHIFT
from example import wrapped
from scaling_fit import bootstrap, fit, interval, power
from scaling_numbers import Value, at_the_best_rate
from scaling_trials import ASKED, BANDS, BATCH, BLOCK

from npgpt import plots

MARKERS = "osD^vP"
TICKS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1, 2, 3, 5)  # nats
PUBLISHED = {"without embeddings": ("Kaplan et al.", 0.73), "parameters": ("Hoffmann et al.", 0.5)}
COUNTED = {"parameters": "all parameters", "without embeddings": "without embeddings"}
RANKS = [f"{low + 1:,} to {high:,}" for low, high in zip((0, *BANDS), BANDS, strict=False)]


def shown(value, digits=3):
    """A `Value` as text, with its interval."""
    number, low, high = (f"{x:.{digits}f}" for x in value)
    return f"{number} ({low} to {high})"


def flops(C):
    """FLOPs as text.

    >>> flops(1.6e12)
    '1.6e12'
    """
    return f"{C:.2g}".replace("e+", "e")


def report(n):
    """A document in Markdown."""
    parts = [_opening(n), _losses(n), _law(n), _exponents(n), _predictions(n), _few(n), _sizes(n),
             _texts(n), _of_file(n)]  # fmt: skip
    return "\n".join(wrapped(line) for part in parts for line in part)


def _table(head, rows):
    return [
        f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |",
        *(f"| {' | '.join(map(str, row))} |" for row in rows), "",
    ]  # fmt: skip


def _opening(n):
    sizes = [r["result"]["parameters"] for r in n.runs]
    return [
        "# Scaling laws on an almanac", "",
        "Written by `python examples/09_scaling_laws.py` (`--report` from the numbers in "
        "09_scaling_laws.jsonl). GPTs of two blocks read an almanac of "
        f"{BANDS[-1]:,} people, each with a calling, a land, a pet and a pronoun; whoever is at "
        f"rank n is met in proportion to (n + {SHIFT})^-{EXPONENT}. The entropy of the text is "
        f"{n.floor:.4f} nats per token, exactly. {len(n.runs)} runs, {min(sizes):,} to "
        f"{max(sizes):,} parameters, batches of {BATCH} windows of {BLOCK} tokens, AdamW, the rate "
        "falling by a cosine to the end of each run. What is given is the excess: the loss on "
        f"{ASKED:,} other stories less that of the grammar on the same ones, as this difference "
        "has little of the chance by which stories are drawn.", "",
        "![scaling laws](figures/09_scaling_laws.png)", "",
    ]  # fmt: skip


def _losses(n):
    rows = []
    for budget in n.budgets:
        runs = sorted((r for r in n.runs if r["settings"]["flops"] == budget),
                      key=lambda r: (r["result"]["parameters"], r["settings"]["seed"]))  # fmt: skip
        best = n.best(budget)
        rows += [
            (flops(budget), f"{r['result']['parameters']:,}",
             f"{r['result']['without embeddings']:,}", f"{r['result']['tokens'] / 1e6:.2f} M",
             f"{r['settings']['rate']:g}",
             f"{'**' * (r is best)}{r['result']['excess']:.4f}{'**' * (r is best)} ± "
             f"{r['result']['error']:.4f}")
            for r in runs
        ]  # fmt: skip
    head = ("FLOPs", "parameters", "without embeddings", "tokens", "rate", "excess, nats per token")
    return ["## The losses", "", *_table(head, rows), *_rates(n)]


def _rates(n):
    tried = {}
    for r in n.tried:
        key = (r["settings"]["channels"], r["settings"]["flops"])
        if r["settings"]["seed"] == 1:
            tried.setdefault(key, []).append((r["settings"]["rate"], r["result"]["excess"]))
    rows = [
        (flops(C), width, ", ".join(f"{excess:.4f} at {rate:g}" for rate, excess in sorted(found)))
        for (width, C), found in sorted(tried.items()) if len(found) > 1
    ]  # fmt: skip
    if not rows:
        return []
    return ["Learning rates that were tried:", "",
            *_table(("FLOPs", "channels", "excess at each rate"), rows)]  # fmt: skip


def _law(n):
    names = ("E", "A", "B", "alpha", "beta")
    rows = []
    for known, label in ((True, "E given"), (False, "E fitted")):
        values = [n.constant(name, known) for name in names]
        rows.append((label, *(shown(v, 3) if name in ("E", "alpha", "beta") else
                              f"{v.value:.3g} ({v.low:.3g} to {v.high:.3g})"
                              for name, v in zip(names, values, strict=True))))  # fmt: skip
    return [
        "## The law", "",
        "L = E + A / N^alpha + B / D^beta, Huber's loss of log L; in parentheses what 95 % of 500 "
        "bootstrap samples are in.", "",
        *_table(("", *names), rows), entropy_found(n), "",
        f"The runs miss the law of which E is given by {n.missed():.1%} of their loss (root mean "
        "square), from which the intervals come: one seed of each, and rates between those of the "
        "widths for which rates were tried.", "",
    ]  # fmt: skip


def entropy_found(n):
    """The sentence on whether the fit finds the entropy."""
    E = n.constant("E", False)
    inside = "holds" if E.low <= n.floor <= E.high else "does not hold"
    return (
        f"The fit that does not know E finds {E.value:.3f} for the exact {n.floor:.3f}, "
        f"{100 * (E.value / n.floor - 1):+.1f} %; its interval, {E.low:.3f} to {E.high:.3f}, "
        f"{inside} it."
    )


def _exponents(n):
    rows = []
    for count, label in COUNTED.items():
        who, exponent = PUBLISHED[count]
        rows.append((
            label, shown(n.by_valleys(count), 2), shown(n.constant("exponent", True, count), 2),
            shown(n.constant("exponent", False, count), 2), f"{exponent} ({who})",
        ))  # fmt: skip
    valleys = [
        (flops(C), f"{v.size:,.0f}", f"{v.loss - n.floor:.4f}", "yes" if v.inside else "no",
         f"{n.law(True).best_size(C):,.0f}")
        for C, v in zip(n.budgets, n.valleys(), strict=True)
    ]  # fmt: skip
    return [
        "## The best size of a budget", "",
        "By the lowest point of a parabola in log N through the four sizes about each budget's "
        "best:", "",
        *_table(("FLOPs", "best size", "its excess", "inside the sizes tried", "by the law"),
                valleys),
        "It grows as a power of the budget, with the exponent", "",
        *_table(("parameters counted", "by parabolas", "by the law, E given",
                 "by the law, E fitted", "published"), rows),
        "Embeddings grow as the width, the blocks as its square. At sizes where embeddings are "
        "much of a model, the count without them grows faster for the same models.", "",
    ]  # fmt: skip


def _predictions(n):
    lines = []
    for C, told, run in n.predictions():
        given, free, excess = told["E given"], told["E free"], run["result"]["excess"]
        rows = [
            (label, f"{v[0]:.4f} ({v[1]:.4f} to {v[2]:.4f})", f"{v[0] - n.floor:.4f}",
             f"{100 * ((v[0] - n.floor) / excess - 1):+.1f} %")
            for label, v in (("E given", given), ("E fitted", free))
        ]  # fmt: skip
        rows.append(("measured", f"{run['result']['loss']:.4f}",
                     f"{excess:.4f} ± {run['result']['error']:.4f}", ""))  # fmt: skip
        lines += [
            "## A run that was predicted, and then trained", "",
            f"{flops(C)} FLOPs, {C / n.budgets[-1]:g} times the largest budget, on "
            f"{run['result']['parameters']:,} parameters and {run['result']['tokens'] / 1e6:.1f} "
            "million tokens. The prediction stands in 09_scaling_laws.jsonl before the run.", "",
            *_table(("", "loss", "excess", "error of the excess"), rows),
        ]  # fmt: skip
    return lines


def _few(n):
    rows = []
    for last in range(2, len(n.budgets) + 1):
        E, exponent = n.of_few(n.budgets[:last])
        rows.append((f"the {last} smallest budgets", shown(E), shown(exponent, 2)))
    own = n.law(True).exponent
    return [
        "## How such fits go wrong", "",
        f"Few points: E (exactly {n.floor:.3f}) and the exponent of the best size, fitted to some "
        "of the budgets.", "",
        *_table(("runs", "E", "exponent"), rows),
        "Parabolas: of losses that follow the fitted law itself, at the sizes that were run, the "
        f"exponent is {own:.3f}; parabolas through all sizes of each budget find "
        f"{n.of_the_laws_own(None):.3f}, through the {4} about the best "
        f"{n.of_the_laws_own(4):.3f}. Through the measured losses they find "
        f"{n.by_valleys(nearest=None).value:.3f} and {n.by_valleys().value:.3f}.", "",
        "Counting: the two rows of the table above.", "",
    ]  # fmt: skip


def _abilities(rows, first):
    """Rows of what models can do.    first: label of a row"""
    head = ("", "excess", "stories of the right form", "and with the right facts",
            *(f"facts of people {ranks}" for ranks in RANKS), "second pronoun agrees")  # fmt: skip
    table = []
    for label, r in rows:
        right, written = r["result"]["right"], r["result"]["written"]
        second = right["second pronoun"]
        agree = sum(share * count for share, count in second) / sum(count for _, count in second)
        table.append((
            label, f"{r['result']['excess']:.3f}", f"{written['form']:.0%}",
            f"{written['derived']:.0%}", *(f"{share:.0%}" for share, _ in right["fact"]),
            f"{agree:.0%}",
        ))  # fmt: skip
    return _table((first, *head[1:]), table)


def _sizes(n):
    largest = n.budgets[-1]
    by_size = [
        (f"{r['result']['parameters']:,}", r) for r in n.runs if r["settings"]["flops"] == largest
    ]
    by_budget = [(flops(C), n.best(C)) for C in n.budgets]
    by_budget += [(flops(C), run) for C, _, run in n.predictions()]
    return [
        "## What models can do, by size and by budget", "",
        "The document's tables say “1M: basic patterns, 10M: simple coherence, ...”. Here each "
        "step has a number: the share of stories a model writes that have the form of one, the "
        "share in which every fact is right as well (the grammar derives them), facts right by how "
        "rare a person is (by chance 4 %), and how often the second pronoun of a story is that of "
        "the first, which only needs looking back (by chance 50 %).", "",
        f"By size, each trained for {flops(largest)} FLOPs:", "",
        *_abilities(by_size, "parameters"),
        "By budget, each with its best size:", "", *_abilities(by_budget, "FLOPs"),
    ]  # fmt: skip


def _texts(n):
    if not n.texts:
        return []
    first, rows = n.texts[0], []
    for r in n.texts:
        rows.append((
            _megabytes(r), f"{r['result']['tokens'] / MEAN / r['settings']['stories']:,.1f}",
            f"{r['result']['excess']:.3f}", f"{r['result']['excess on text read']:.3f}",
        ))  # fmt: skip
    return [
        "## The same model on little text and on much", "",
        f"{first['result']['parameters']:,} parameters, {flops(first['settings']['flops'])} FLOPs. "
        "A loss below that of the grammar (a negative excess) is memory: no one who knows the "
        "grammar alone could tell which story comes next.", "",
        *_table(("text", "times read", "excess on other stories", "excess on the stories read"),
                rows),
        *_abilities([(_megabytes(r), r) for r in n.texts], "text"),
    ]  # fmt: skip


def _of_file(n):
    """The law of a text whose entropy nobody knows: how uncertain E is then."""
    if len(n.of_file) < 9:
        return []
    points = n.points(rows=at_the_best_rate(n.of_file))
    law, samples = fit(*points[1:]), bootstrap(*points[1:])
    return [
        f"## The same on {n.of_file[0]['settings']['text']}", "",
        f"{len(points.N)} runs on characters; the loss is that of the last tenth of the text. E is "
        f"{shown(Value(law.E, *interval(samples.E)))} nats per character, alpha "
        f"{shown(Value(law.alpha, *interval(samples.alpha)), 2)} and beta "
        f"{shown(Value(law.beta, *interval(samples.beta)), 2)}.", "",
        *_table(("FLOPs", "parameters", "loss"),
                [(flops(C), f"{N:,.0f}", f"{L:.3f}") for C, N, _, L in zip(*points, strict=True)]),
    ]  # fmt: skip


def summary(n):
    """The part of CONCEPTS.md, in Markdown."""
    parabolas = [f"{v.size:,.0f}" if v.inside else "outside" for v in n.valleys()]
    best = [(C, n.best(C), size) for C, size in zip(n.budgets, parabolas, strict=True)]
    best += [(C, run, "") for C, _, run in n.predictions()]
    rows = [
        (flops(C), f"{r['result']['parameters']:,}" + " (only this one)" * (n.sizes(C) == 1), size,
         f"{r['result']['tokens'] / 1e6:.1f} M", f"{r['result']['excess']:.3f}",
         f"{r['result']['written']['form']:.0%}", f"{r['result']['written']['derived']:.0%}")
        for C, r, size in best
    ]  # fmt: skip
    head = ("FLOPs", "best of the sizes tried", "best by parabola", "tokens",
            "loss above the entropy", "stories of the right form",
            "and with the right facts")  # fmt: skip
    intro = (
        "**Measured here** (`09_scaling_laws.py`): GPTs of two blocks read an almanac in which "
        "some people are met often and most hardly ever, as words are. Its entropy is exact, so E "
        "is known before anything is fitted."
    )
    alt = "Losses by size at each budget, the run that was predicted, little text, who is known"
    return "\n".join([
        wrapped(intro), "", f"![{alt}](examples/figures/09_scaling_laws.png)", "",
        *_table(head, rows),
        *(wrapped(f"- {line}") for line in sentences(n)), "", *_memory(n),
        wrapped("All tables: [examples/09_scaling_laws.md](examples/09_scaling_laws.md)."), "",
    ])  # fmt: skip


def sentences(n):
    """Each claim about scaling, and what came of it here."""
    yield entropy_found(n)
    yield from map(_prediction_in_words, [n] * len(n.predictions()), n.predictions())
    yield _diminishing(n)
    yield _more_compute(n)
    yield _split(n)


def _prediction_in_words(n, found):
    C, told, run = found
    excess = run["result"]["excess"]
    value, low, high = (x - n.floor for x in told["E given"])
    error = value / excess - 1
    return (
        f"A run of {flops(C)} FLOPs was predicted from smaller ones before it was trained: "
        f"{value:.3f} above the entropy ({low:.3f} to {high:.3f}), and {excess:.3f} was measured; "
        f"the prediction is {abs(error):.1%} too {'high' if error > 0 else 'low'}."
    )


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
        f"{best['result']['parameters']:,} parameters end {best['result']['excess']:.3f} above the "
        f"entropy, {smallest['result']['parameters']:,} end {smallest['result']['excess']:.3f} and "
        f"{largest['result']['parameters']:,} {largest['result']['excess']:.3f} above it."
    )


def _more_compute(n):
    best = [n.best(C)["result"]["excess"] for C in n.budgets]
    _, exponent = power(n.budgets, best)
    return (
        f"“More compute = better model”: with the size chosen for each budget, ten times the FLOPs "
        f"leave {10**exponent:.0%} of the loss above the entropy "
        f"({', '.join(f'{x:.3f}' for x in best)})."
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
        "(Kaplan et al., without embeddings): how parameters are counted is part of the difference."
    )


def _memory(n):
    """Lines on one model and several sizes of text."""
    if not n.texts:
        return []
    first = n.texts[0]
    rows = [
        (_megabytes(r), f"{r['result']['excess']:.2f}", f"{r['result']['excess on text read']:.2f}")
        for r in n.texts
    ]
    return [
        wrapped(
            f"“1 MB: very limited”: a model of {first['result']['parameters']:,} parameters reads "
            f"for {flops(first['settings']['flops'])} FLOPs, a small text many times. A negative "
            "number, a loss below the grammar's own, is memory."
        ), "",
        *_table(("text", "loss above the entropy on other stories", "on those read"), rows),
    ]  # fmt: skip


def _megabytes(row):
    size = row["result"]["characters"]
    return f"{size / 1e3:.0f} kB" if size < 1e6 else f"{size / 1e6:.1f} MB"


def draw_laws(path, n):
    """Budgets' curves, the prediction, memory, and who is known."""
    drawing, axes = plots.figure(10, 7.6, 2, 2)
    _draw_budgets(axes[0, 0], n)
    _draw_prediction(axes[0, 1], n)
    _draw_texts(axes[1, 0], n)
    _draw_people(axes[1, 1], n)
    return plots.save(drawing, path)


def _draw_budgets(axes, n):
    points, law = n.points(), n.law(True)
    for i, (budget, valley) in enumerate(zip(n.budgets, n.valleys(), strict=True)):
        some = points.where(budget == points.C)
        colour, marker = plots.COLOURS[i % 6], MARKERS[i % 6]
        axes.plot(some.N, some.L - n.floor, marker, color=colour, markersize=5)
        N = np.geomspace(some.N.min(), some.N.max(), 60)
        axes.plot(N, law.loss(N, np.exp(np.interp(np.log(N), np.log(some.N), np.log(some.D))))
                  - n.floor, color=colour, linewidth=1)  # fmt: skip
        axes.annotate(f"{flops(budget)} FLOPs", (some.N[-1], some.L[-1] - n.floor), (5, 0),
                      va="center", **plots.NOTE)  # fmt: skip
        if valley.inside:
            axes.plot(valley.size, valley.loss - n.floor, "*", color=plots.INK, markersize=10)
    axes.set(xscale="log", yscale="log", xlabel="parameters", ylabel="loss above the entropy, nats")
    _plain_ticks(axes)
    axes.set_title("Each budget has a best size (star), larger for more", fontsize=10)
    axes.set_xlim(right=4 * points.N.max())


def _draw_prediction(axes, n):
    points = n.points()
    axes.plot(points.C, points.L - n.floor, ".", color=plots.GREY, label="all runs")
    best = [n.best(C)["result"]["excess"] for C in n.budgets]
    axes.plot(n.budgets, best, "o-", color=plots.COLOURS[0], label="the best of each budget")
    for C, told, run in n.predictions():
        value, low, high = (x - n.floor for x in told["E given"])
        axes.errorbar([C], [value], [[max(0, value - low)], [max(0, high - value)]], fmt="s",
                      color=plots.COLOURS[1], markersize=8, markerfacecolor="none", capsize=4,
                      label="predicted before the training")  # fmt: skip
        axes.plot(C, run["result"]["excess"], "x", color=plots.INK, markersize=8, label="measured")
    axes.set(xscale="log", yscale="log", xlabel="FLOPs", ylabel="loss above the entropy, nats")
    _plain_ticks(axes)
    axes.set_title("A run of four times the largest budget, predicted", fontsize=10)
    axes.legend(fontsize=8)


def _plain_ticks(axes):
    """On a logarithmic axis of losses 0.6, not a power of ten."""
    limits = axes.get_ylim()
    axes.set_yticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes.set_yticks([], minor=True)
    axes.set_ylim(limits)  # ticks outside would widen it


def _draw_texts(axes, n):
    if not n.texts:
        axes.axis("off")
        return
    size = [r["result"]["characters"] for r in n.texts]
    for key, label, marker, colour in (
        ("excess", "on other stories", "o-", plots.COLOURS[0]),
        ("excess on text read", "on the stories read", "s--", plots.COLOURS[1]),
    ):
        axes.plot(size, [r["result"][key] for r in n.texts], marker, color=colour, label=label)
    axes.axhline(0, **plots.LANDMARK)
    axes.annotate("the grammar's loss", (0, 0), (4, 3), xycoords=("axes fraction", "data"),
                  **plots.NOTE)  # fmt: skip
    axes.set(xscale="log", xlabel="characters of text", ylabel="loss above the grammar's, nats")
    axes.set_title("A small text is memorised", fontsize=10)
    axes.legend(fontsize=8)


def _draw_people(axes, n):
    rows = [(f"{flops(C)}", n.best(C)) for C in n.budgets]
    rows += [(f"{flops(C)}", run) for C, _, run in n.predictions()]
    for i, (label, r) in enumerate(rows):
        axes.plot([share for share, _ in r["result"]["right"]["fact"]], MARKERS[i % 6] + "-",
                  color=plots.COLOURS[i % 6], label=label)  # fmt: skip
    axes.axhline(1 / 24, **plots.LANDMARK)
    axes.annotate("chance", (0, 1 / 24), (0, 3), **plots.NOTE)
    axes.set_xticks(range(len(RANKS)), [ranks.replace(" to ", " to\n") for ranks in RANKS],
                    fontsize=8)  # fmt: skip
    axes.set_xlim(-0.3, len(RANKS) - 0.7)
    axes.set(ylim=(0, 1.03), xlabel="rank of the person, by how often it is met",
             ylabel="facts right")  # fmt: skip
    axes.set_title("More FLOPs: rarer people are known", fontsize=10)
    axes.legend(title="FLOPs, best size", fontsize=8, title_fontsize=8)
