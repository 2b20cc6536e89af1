"""The tables and the sentences of `09_scaling_laws.py`, from a `Numbers` alone."""

from itertools import pairwise

from almanac import ALMANAC, MEAN
from example import wrapped
from scaling_fit import SAMPLES, falling
from scaling_numbers import FITTED, NEAREST, Numbers, rms, unknown_share
from scaling_trials import ALMANACS, ASKED, BANDS, BATCH, BLOCK, GROUPS

PUBLISHED = {"without embeddings": ("Kaplan et al.", 0.73), "parameters": ("Hoffmann et al.", 0.5)}
OTHERS_FITS = (
    ("Hoffmann et al., 2022", 1.69, 406.4, 410.7, 0.34, 0.28),
    ("Besiroglu et al., 2024, of the same runs", 1.8172, 482.01, 2085.43, 0.3478, 0.3658),
)
KNOWN = (30, 50, 100, 200, 300, 500, 1000)
TAILS = (*(tuple(almanac.values()) for almanac in ALMANACS.values()), (1.5, 0))
GOAL = 0.03  # of the exact E, and of the excess of a run that was predicted
NOT_WITHIN = f"not within {GOAL:.0%}"
COUNTED = {"parameters": "all parameters", "without embeddings": "without embeddings"}
RANKS = [f"{low + 1:,} to {high:,}" for low, high in zip((0, *BANDS), BANDS, strict=False)]


def shown(value, digits=3):
    """Return a `Value` as text, with its interval."""
    number, low, high = (f"{x:.{digits}f}" for x in value)
    return f"{number} ({low} to {high})"


def flops(C):
    """Return FLOPs as text.

    >>> flops(1.6e12)
    '1.6e12'
    """
    return f"{C:.2g}".replace("e+", "e")


def report(n, others):
    """Return a document in Markdown.    others: text -> its `Numbers`"""
    parts = [_opening(n), _losses(n), _law(n), _exponents(n), _predictions(n), _few(n), _sizes(n),
             _texts(n), *(_of_other(text, other) for text, other in others.items())]
    return "\n".join(wrapped(line) for part in parts for line in part)


def table(head, rows):
    return [
        f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |",
        *(f"| {' | '.join(map(str, row))} |" for row in rows), "",
    ]


def _opening(n):
    sizes = [r["result"]["parameters"] for r in n.runs]
    return [
        "# Scaling laws on an almanac", "",
        "Written by `python examples/09_scaling_laws.py` (`--report` from the numbers in "
        "09_scaling_laws.jsonl). GPTs of two blocks read an almanac of "
        f"{BANDS[-1]:,} people, each with a calling, a land, a pet and a pronoun; whoever is at "
        f"rank n is met in proportion to {often(**ALMANAC)}. The entropy of the text is "
        f"{n.floor:.4f} nats per token, exactly. {len(n.runs)} models, {min(sizes):,} to "
        f"{max(sizes):,} parameters, batches of {BATCH} windows of {BLOCK} tokens, AdamW, the rate "
        f"falling by a cosine to the end of each run. Loss is measured on {ASKED:,} other stories. "
        "The grammar's own loss on the same stories is subtracted; the rest is the excess. The "
        "stories are drawn so that each person appears about as often as is to be expected.", "",
        "![scaling laws](figures/09_scaling_laws.png)", "",
    ]


def _losses(n):
    rows = []
    for budget in n.budgets:
        runs = sorted((r for r in n.runs if r["settings"]["flops"] == budget),
                      key=lambda r: r["result"]["parameters"])
        best = n.best(budget)
        rows += [
            (flops(budget), f"{r['result']['parameters']:,}",
             f"{r['result']['without embeddings']:,}", f"{r['result']['tokens'] / 1e6:.2f} M",
             f"{r['settings']['rate']:g}{'*' * (r['settings']['rate'] in ends(n, r))}", n.seeds(r),
             f"{'**' * (r is best)}{n.excess(r):.4f}{'**' * (r is best)} ± "
             f"{r['result']['error']:.4f}")
            for r in runs
        ]
    head = ("FLOPs", "parameters", "without embeddings", "tokens", "rate", "seeds",
            "excess, nats per token")
    return [
        "## The losses", "",
        "The rate is the best of those tried with the first seed; * marks the lowest or highest of "
        "them, beside which a better one may be. At a budget at which none were tried it is that "
        "of the nearest budget and width. ± is the standard error of the first seed's mean over "
        f"{GROUPS} sets of stories. {_seeds(n)}", "",
        *table(head, rows), *_rates(n),
    ]


def ends(n, row):
    """Return the lowest and the highest of the rates that were tried in the place of a run."""
    rates = list(n.at_each_rate(row))
    return (rates[0], rates[-1]) if len(rates) > 1 else ()


def _seeds(n):
    if not n.repeated():
        return "One seed."
    return (f"With several seeds it is their mean; their standard deviation is {n.spread():.1%} of "
            "the excess (root of the mean square).")


def _rates(n):
    tried = {}
    for r in n.tried:
        place = tried.setdefault((r["settings"]["flops"], r["result"]["parameters"]), {})
        place[r["settings"]["rate"]] = f"{r['result']['excess']:.4f}"
    rates = sorted({rate for found in tried.values() if len(found) > 1 for rate in found})
    rows = [
        (flops(C), f"{size:,}", *(found.get(rate, "") for rate in rates))
        for (C, size), found in sorted(tried.items()) if len(found) > 1
    ]
    head = ("FLOPs", "parameters", *(f"rate {rate:g}" for rate in rates))
    return ["The excess at each rate, first seed:", "", *table(head, rows)]


def _law(n):
    names = ("E", "A", "B", "alpha", "beta")
    rows = []
    for known, label in ((True, "E given"), (False, "E fitted")):
        values = [n.constant(name, known) for name in names]
        texts = [shown(v, 3) if name in ("E", "alpha", "beta") else
                 f"{v.value:.3g} ({v.low:.3g} to {v.high:.3g})"
                 for name, v in zip(names, values, strict=True)]
        rows.append((label, "given" if known else texts[0], *texts[1:]))
    rows += [(who, *constants) for who, *constants in OTHERS_FITS]
    return [
        "## The law", "",
        f"L = E + A / N^alpha + B / D^beta, fitted to the {len(n.fitted)} models of the "
        f"{FITTED} largest budgets by Huber's loss of log L; in parentheses what 95 % of {SAMPLES} "
        "bootstrap samples of them are in. Below it, fits to other people's texts of words, in "
        "nats per token of theirs.", "",
        *table(("", *names), rows), entropy_found(n), "",
        "E in other ways, none of which is told it:", "", *table(("", "E", "error"), _ways(n)),
        _how_well(n), "",
    ]


def _how_well(n):
    """Return a sentence on how far the law, E given, is from the runs."""
    missed = n.missed()
    best = [x for x, r in zip(missed, n.fitted, strict=True) if r is n.best(r["settings"]["flops"])]
    return (
        "The law of which E is given misses the excess of the runs by "
        f"{rms(missed):.0%} (root of the mean square), that of each budget's best by "
        f"{', '.join(f'{100 * x:+.0f} %' for x in best)}."
    )


def _ways(n):
    ways = [
        ("Huber's loss of log L, as above", n.constant("E", False)),
        ("least squares of log L", n.by_squares()),
    ]
    if len(n.budgets) > 3:  # three constants: three budgets leave nothing to tell an error by
        ways.append(("the least loss of each budget, E + K / FLOPs^g", n.by_the_best()))
    return [(way, shown(E), f"{100 * (E.value / n.floor - 1):+.1f} %") for way, E in ways]


def entropy_found(n):
    """Return the sentence on whether the fit finds the entropy."""
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
        law = ["", ""]  # it takes the FLOPs to be 6 N D, and N then has the embeddings
        if count == "parameters":
            law = [shown(n.constant("exponent", known), 2) for known in (True, False)]
        rows.append((label, shown(n.by_valleys(count), 2), *law, f"{exponent} ({who})"))
    valleys = [
        (flops(C), f"{v.size:,.0f}", f"{v.loss - n.floor:.4f}", "yes" if v.inside else "no",
         f"{n.law(True).best_size(C):,.0f}")
        for C, v in zip(n.budgets, n.valleys(), strict=True)
    ]
    return [
        "## The best size of a budget", "",
        "By the lowest point of a parabola in log N through the four sizes about each budget's "
        "best:", "",
        *table(("FLOPs", "best size", "its excess", "inside the sizes tried", "by the law"),
                valleys),
        "It grows as a power of the budget, with the exponent", "",
        *table(("parameters counted", "by parabolas", "by the law, E given",
                 "by the law, E fitted", "published"), rows),
        "Embeddings grow as the width, the blocks as its square. Where embeddings are much of a "
        "model, the count without them grows faster for the same models: by "
        f"{shown(n.counting(), 2)} in the exponent, for losses that are drawn again with the noise "
        "of seeds and counted in both ways.", "",
    ]


def _predictions(n):
    lines = []
    for C, told, run in n.predictions():
        given, free, excess = told["E given"], told["E free"], n.excess(run)
        tried = ", ".join(f"{x:.4f} at {rate:g}" for rate, x in n.at_each_rate(run).items())
        below = max(budget for budget in n.budgets if budget < C)
        rows = [
            (label, f"{v[0]:.4f} ({v[1]:.4f} to {v[2]:.4f})", f"{v[0] - n.floor:.4f}",
             f"{100 * ((v[0] - n.floor) / excess - 1):+.1f} %")
            for label, v in (("E given", given), ("E fitted", free))
        ]
        rows.append(("measured", f"{n.loss(run):.4f}",
                     f"{excess:.4f} ± {run['result']['error']:.4f}", ""))
        lines += [
            f"## A run of {flops(C)} FLOPs that was predicted, and then trained"
            + f" ({n.text})" * (n.text != "almanac"), "",
            f"That is {C / below:g} times the largest budget whose runs were known then; on "
            f"{run['result']['parameters']:,} parameters and {run['result']['tokens'] / 1e6:.1f} "
            "million tokens. The prediction stands in 09_scaling_laws.jsonl before the runs, at "
            "the rate that was best at the nearest budget and at half of it, as best rates fall "
            f"when budgets grow. The better one counts; the excess is {tried}.", "",
            *table(("", "loss", "excess", "error of the excess"), rows),
            f"The error is {of_the_goal(n, told, run)}. {_why(n, C)}", "",
        ]
    return lines


def of_the_goal(n, told, run):
    """Return which of the two predictions of a run are within the goal."""
    errors = {
        way: (told[name][0] - n.floor) / n.excess(run) - 1
        for way, name in (("E given", "E given"), ("E fitted", "E free"))
    }
    right = [way for way, error in errors.items() if abs(error) <= GOAL]
    return f"within {GOAL:.0%}, with {' and with '.join(right)}" if right else NOT_WITHIN


def _why(n, C):
    """Return how well a prediction could have been, as far as the runs before it tell."""
    known = Numbers([r for r in n.tried if r["settings"]["flops"] < C], n.text)
    return (
        f"The law with E given misses the excess of the {len(known.fitted)} runs that it was "
        f"fitted to by {rms(known.missed()):.0%} (root of the mean square): a prediction from "
        "beyond them is no better, but by luck."
    )


def _few(n):
    some = [(f"the {k} smallest budgets", n.budgets[:k]) for k in range(2, len(n.budgets))]
    some += [(f"the {k} largest budgets", n.budgets[-k:]) for k in range(2, len(n.budgets))]
    rows = []
    for label, budgets in [*some, ("all budgets", n.budgets)]:
        E, exponent = n.of_few(budgets)
        rows.append((label, shown(E), shown(exponent, 2)))
    own = n.law(True).exponent
    at_one_rate = ", ".join(f"{x:.2f} at {rate:g}" for rate, x in n.at_one_rate().items())
    return [
        "## How such fits go wrong", "",
        f"Few points: E (exactly {n.floor:.3f}) and the exponent of the best size, fitted to some "
        "of the budgets.", "",
        *table(("runs", "E", "exponent"), rows),
        "Parabolas: of losses that follow the fitted law itself, at the sizes that were run, the "
        f"exponent is {own:.3f}; parabolas through all sizes of each budget find "
        f"{n.of_the_laws_own(None):.3f}, through the {NEAREST} about the best "
        f"{n.of_the_laws_own(NEAREST):.3f}. Through the measured losses they find "
        f"{n.by_valleys(nearest=None).value:.3f} and {n.by_valleys().value:.3f}.", "",
        f"Rates: by parabolas the exponent would be {at_one_rate}, were all models trained at one "
        f"rate; at the best rate of each it is {n.by_valleys().value:.2f}.", "",
        "Counting: see the two rows of the table of exponents.", "",
        "The form: suppose a model knows the K people met most often and no others. What it still "
        "gets wrong is the share of meetings with everyone else. Fit c + a / K^b to that share for "
        f"K = {KNOWN[0]} to {KNOWN[-1]:,}. The true limit is 0, as all people can be known; a c "
        "below 0 means that such a fit puts E too low, by that share of what is to be learnt about "
        "people. So even perfect memory is no exact power law. With the smallest budget "
        "in the fit as well (all budgets) E comes out higher, for another reason: how sentences go "
        "is learnt first, and faster than people are.", "",
        *table(("people are met in proportion to", "c"), [
            (often(*law), f"{falling(KNOWN, unknown_share(*law, KNOWN))[0]:.3f}") for law in TAILS
        ]),
    ]


def _abilities(labelled, first):
    """A table of what models can do.    labelled: (label, run)    first: what the labels are"""
    head = ("excess", "stories of the right form", "and with the right facts",
            *(f"facts of people {ranks}" for ranks in RANKS), "second pronoun agrees")
    rows = []
    for label, r in labelled:
        right, written = r["result"]["right"], r["result"]["written"]
        second = right["second pronoun"]
        agree = sum(share * count for share, count in second) / sum(count for _, count in second)
        rows.append((
            label, f"{r['result']['excess']:.3f}", f"{written['form']:.0%}",
            f"{written['derived']:.0%}", *(f"{share:.0%}" for share, _ in right["fact"]),
            f"{agree:.0%}",
        ))
    return table((first, *head), rows)


def _sizes(n):
    largest = n.budgets[-1]
    by_size = [
        (f"{r['result']['parameters']:,}", r) for r in n.runs if r["settings"]["flops"] == largest
    ]
    by_budget = [(flops(C), run) for C, run in n.bests()]
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
    ]


def _texts(n):
    if not n.texts:
        return []
    first, rows = n.texts[0], []
    for r in n.texts:
        rows.append((
            megabytes(r), f"{r['result']['tokens'] / MEAN / r['settings']['stories']:,.1f}",
            f"{r['result']['excess']:.3f}", f"{r['result']['excess on text read']:.3f}",
        ))
    return [
        "## The same model on little text and on much", "",
        f"{first['result']['parameters']:,} parameters, {flops(first['settings']['flops'])} FLOPs. "
        "A loss below that of the grammar (a negative excess) is memory: no one who knows the "
        f"grammar alone could tell which story comes next. {where_memory_begins(n.texts)}", "",
        *table(("text", "times read", "excess on other stories", "excess on the stories read"),
                rows),
        *_abilities([(megabytes(r), r) for r in n.texts], "text"),
    ]


def where_memory_begins(texts):
    """Return a sentence on the texts, by size, between which the loss on what was read passes 0."""
    for smaller, larger in pairwise(texts):
        if smaller["result"]["excess on text read"] < 0 <= larger["result"]["excess on text read"]:
            return (f"So memorising begins between {megabytes(larger)} and {megabytes(smaller)} "
                    "of text.")
    return "Where memorising begins is outside the sizes of text that were tried."


def _of_other(text, n):
    """The law of another text: of one whose entropy is known, or of one where nobody knows it."""
    if len(n.runs) < 9:
        return []
    if n.floor:
        return [f"## An almanac with a {text}", "", *_of_almanac(text, n), *_losses_alone(n)]
    alpha, beta = (shown(n.constant(name, False), 2) for name in ("alpha", "beta"))
    return [
        f"## The same on {text}", "",
        f"{len(n.runs)} runs on characters, at the rates that are best in the almanac; the loss is "
        "that of the last tenth of the text, whose entropy nobody knows. E is "
        f"{shown(n.constant('E', False))} nats per character, alpha "
        f"{alpha} and beta {beta}.", "", *_losses_alone(n),
    ]


def _losses_alone(n):
    rows = [(flops(C), f"{N:,.0f}", f"{L:.3f}") for C, N, _, L in zip(*n.points(), strict=True)]
    return table(("FLOPs", "parameters", "loss"), rows)


def _of_almanac(text, n):
    first = 1 - float(unknown_share(**ALMANACS[text], known=1))
    return [
        f"Whoever is at rank n is met in proportion to {often(**ALMANACS[text])} here, the first "
        f"in {first:.0%} of all meetings. The rates are those that are best in the almanac above. "
        f"{entropy_found(n)} {_how_well(n)}", "", *_predictions(n),
    ]


def often(exponent, shift):
    """Return how often people are met, as a formula of their rank."""
    return f"(n + {shift})^-{exponent}" if shift else f"n^-{exponent}"


def megabytes(row):
    size = row["result"]["characters"]
    return f"{size / 1e3:.0f} kB" if size < 1e6 else f"{size / 1e6:.1f} MB"
