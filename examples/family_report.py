"""The tables, the verdicts and the figure of `10_families.py`, made from its numbers alone.

results   family -> seed -> task -> numbers, as examples/10_families.json has them
"""

from example import wrapped
from families import FAMILIES, NAMES

from npgpt import plots

MARKERS = {"gpt": "o", "bert": "s", "t5": "^"}
WAYS = {  # who finds hidden words, and how: label -> (family, way)
    "GPT, from the left": ("gpt", "left"), "GPT, tries each word": ("gpt", "both"),
    "BERT, from both sides": ("bert", "both"), "T5, from both sides": ("t5", "both"),
}
PROBES = {
    "it": "“it”, at the word", "it, later": "“it”, read four words later", "she": "“she”",
}


class Seeds(tuple):
    """One number for each seed."""

    @property
    def mean(self):
        return sum(self) / len(self)

    def nats(self):
        return self._text("{:.2f}", "")

    def percent(self):
        return Seeds(100 * x for x in self)._text("{:.0f}", " %")

    def _text(self, form, unit):
        """Return the mean, and the least and the largest if they differ."""
        mean, least, largest = (form.format(x) for x in (self.mean, min(self), max(self)))
        return f"{mean}{unit}" + (f" ({least} to {largest})" if least != largest else "")

    def above(self, others):
        """Return whether the least of these is more than the largest of the others."""
        return min(self) > max(others)


class Numbers:
    """The results, by what a reader wants to know."""

    def __init__(self, results):
        self.results, self.seeds = results, list(results["gpt"])

    def of(self, family, task, *keys):
        found = []
        for seed in self.seeds:
            value = self.results[family][seed][task]
            for key in keys:
                value = value[key]
            found.append(value)
        return Seeds(found)

    def nats(self, family, way):
        """Above what the grammar's odds lose."""
        found, best = self.of(family, "word", f"{way} nats"), self.of(family, "word", "best nats")
        return Seeds(a - b for a, b in zip(found, best, strict=True))

    def found(self, family, way):
        return self.of(family, "word", f"{way} share")


def report(results):
    """Return a document in Markdown."""
    n = Numbers(results)
    flops, more = n.of("gpt", "training", "flops")[0], n.of("gpt", "rewrite", "flops")[0]
    lines = [
        "# BERT, T5 and GPT on the tales", "",
        "Written by `python examples/10_families.py` (`--report` from the numbers in "
        f"10_families.json). Every model is trained for {flops:.2g} FLOPs on tales cut into words, "
        f"and for {more:.2g} more to rewrite; "
        f"{len(n.seeds)} seed{'s' * (len(n.seeds) > 1)}. A number is the mean over the seeds, in "
        "parentheses the least and the largest. Learning rates: for BERT and T5 the best of three "
        "that were tried for 4e12 FLOPs, for GPT that of the preset `tales`.", "",
        "![four tasks](figures/10_families.png)", "",
        "| | parameters | steps | asks, in training, for |", "| --- | --- | --- | --- |",
        *(f"| {NAMES[f]} | {n.of(f, 'training', 'parameters')[0]:,} | "
          f"{n.of(f, 'training', 'steps')[0]:,} | {ASKS[f]} |" for f in FAMILIES), "",
        *_words(n), *_stories(n), *_rewriting(n), *_pronouns(n), *_verdicts(n),
    ]
    return "\n".join(map(wrapped, lines))


def summary(results):
    """Return the numbers that CONCEPTS.md has, in Markdown."""
    n = Numbers(results)
    ways = {
        f: " or ".join(
            f"{n.nats(*way).nats()}{HOW[label]}" for label, way in WAYS.items()
            if way[0] == f
        )
        for f in FAMILIES
    }
    rows = [
        (NAMES[f], ways[f], n.of(f, "go on", "whole").percent(),
         n.of(f, "rewrite", "exact").percent(), n.of(f, "pronoun", "it", "share").percent(),
         n.of(f, "pronoun", "it, later", "share").percent())
        for f in FAMILIES
    ]
    return "\n".join([
        "| | a hidden word, nats above the optimum | stories ended as the grammar does | rewritten "
        "without a fault | what “it” means, read at “it” | four words later |",
        "| --- | --- | --- | --- | --- | --- |",
        *(f"| {' | '.join(row)} |" for row in rows), "",
        f"Mean of {len(n.seeds)} seeds, least and largest. By these numbers, at this size and for "
        f"{n.of('gpt', 'training', 'flops')[0]:.2g} FLOPs:", "",
        *(f"- {sentence}: {verdict}" for sentence, verdict, _ in verdicts(n)), "",
    ])


HOW = {
    "GPT, from the left": " from the left", "GPT, tries each word": " by trying each word",
    "BERT, from both sides": "", "T5, from both sides": "",
}
ASKS = {
    "gpt": "every next word",
    "bert": "15 % of the words, from both sides",
    "t5": "spans of 1 to 5 words, 15 % of the text, from both sides",
}


def _words(n):
    best, guess = n.nats("gpt", "guess"), n.found("gpt", "guess")
    rows = [
        ("the grammar, from both sides", "0", n.of("gpt", "word", "best share").percent()),
        ("the grammar, from the left", best.nats(), guess.percent()),
        *((label, n.nats(*way).nats(), n.found(*way).percent())
          for label, way in WAYS.items()),
    ]
    return [
        "## A hidden word", "",
        f"In {n.of('gpt', 'word', 'words')[0]} stories one word is hidden of which the words after "
        "it tell something. What could be there are the words of the grammar's choice, and each is "
        "as likely as the grammar makes the story with it: the exact optimum. From the left alone "
        "all of them are as likely. A decoder can still use both sides: it tries each word, and "
        "compares how likely the whole story is.", "",
        "| | nats above the optimum | words found |", "| --- | --- | --- |",
        *(f"| {' | '.join(row)} |" for row in rows), "",
    ]


def _stories(n):
    return [
        "## A story that goes on", "",
        f"A third of each of {n.of('gpt', 'go on', 'stories')[0]} stories is given, the rest drawn "
        "at temperature 1. GPT writes word by word. BERT is given as many masks as the true story "
        "has words, and fills them in from left to right. T5 is given a span to fill at the end, "
        "and another after it, until the story ends. The second number is how much of what was "
        "written comes before the first word that the grammar does not allow.", "",
        "| | whole stories | words before the first mistake |", "| --- | --- | --- |",
        *(f"| {NAMES[f]} | {n.of(f, 'go on', 'whole').percent()} | "
          f"{n.of(f, 'go on', 'allowed').percent()} |" for f in FAMILIES), "",
    ]


def _rewriting(n):
    return [
        "## A story told anew", "",
        "A story of a king is told of a queen, or the other way round: title, the end of the name, "
        "and each word for the hero change, “her” to “his” or to “him”; whom the hero meets, too. "
        "The right answer is the one that the grammar derives by the same dice. It is fair, as all "
        "learn from the same pairs for the same FLOPs, each from the model of its training, and "
        "answer with the likeliest words. GPT continues the story with the answer; T5 reads the "
        "one and writes the other; BERT answers at each position, which it can only because every "
        "word keeps its place. What they begin with is not the same: a T5 of npgpt starts with a "
        "decoder that looks at the same word in the source, and a BERT has it in place, while a "
        "GPT has to find out how to copy; and its text is twice as long, so that it sees half as "
        "many pairs.", "",
        "| | stories without a fault | right, of words that change | of words that stay | pairs "
        "learned from |",
        "| --- | --- | --- | --- | --- |",
        *(f"| {NAMES[f]} | {n.of(f, 'rewrite', 'exact').percent()} | "
          f"{n.of(f, 'rewrite', 'changed').percent()} | "
          f"{n.of(f, 'rewrite', 'kept').percent()} | "
          f"{n.of(f, 'rewrite', 'pairs')[0]:,} |" for f in FAMILIES), "",
    ]


def _pronouns(n):
    head = [
        f"{label}; chance {n.of('gpt', 'pronoun', p, 'chance').percent()}, majority "
        f"{n.of('gpt', 'pronoun', p, 'majority').percent()}" for p, label in PROBES.items()
    ]
    rows = []
    for f in FAMILIES:
        for name, key in ((NAMES[f], "share"), (f"{NAMES[f]}, untrained", "untrained")):
            found = (n.of(f, "pronoun", p, key).percent() for p in PROBES)
            rows.append(f"| {name} | {' | '.join(found)} |")
    return [
        "## What a pronoun means", "",
        "“A dog did not cross the street because it was too tired, so ...”: “it” is the dog, or, "
        "were it too noisy, the street; as many stories of either kind, read up to the comma. “One "
        "dawn a Queen lost her ring ..., so she ...”: the Queen, the Dame or the Lady. A linear "
        "probe reads the hidden state there, of the block that suits it best (of T5, the "
        "encoder's). It counts on reasons that it was not fitted on, as it is to find what they "
        "have in common: an untrained model has words to read off, too, but not what they mean. "
        "For “she” there is no such test, since the title is a word itself: an untrained model "
        "passes it on as well, and these numbers say nothing of understanding. "
        f"{n.of('gpt', 'pronoun', 'it', 'tested')[0]} and "
        f"{n.of('gpt', 'pronoun', 'she', 'tested')[0]} stories, in six folds.", "",
        f"| | {' | '.join(head)} |", "| --- | --- | --- | --- |", *rows, "",
    ]


def _verdicts(n):
    lines = [
        "## The document's sentences", "",
        "Here means: at this size, after so many FLOPs, on this text. GPT learns from every word "
        "of a story, BERT and T5 from 15 % of them, so that a larger budget leaves more to gain "
        "to these. “Holds in part”: some of the comparisons named come out so, not all.", "",
    ]
    for sentence, verdict, why in verdicts(n):
        lines.append(f"- **{sentence}**: {verdict}. {why}")
    return [*lines, ""]


def verdicts(n):
    """Return (sentence, whether it holds, the numbers) each. What is to be better has to be so in
    its worst seed, against the best of the other."""
    return [_understanding(n), _not_generation(n), _translation(n), _generation(n), _decoder(n)]


def _holds(*conditions):
    if all(conditions):
        return "holds here"
    return "holds in part" if any(conditions) else "does not hold here"


def _understanding(n):
    bert, left, both = n.nats("bert", "both"), n.nats("gpt", "left"), n.nats("gpt", "both")
    it, untrained = (n.of("bert", "pronoun", "it", key) for key in ("share", "untrained"))
    return (
        "Encoder-only: good for understanding",
        _holds(left.above(bert), both.above(bert), it.above(untrained)),
        f"In one pass, BERT loses {bert.nats()} nats more on a hidden word than the "
        f"optimum; a decoder that sees the left loses {left.nats()}, but one that tries "
        f"each word {both.nats()}. At the word “it” a probe reads off what it means in "
        f"{it.percent()} of stories, of an untrained BERT in {untrained.percent()}.",
    )


def _not_generation(n):
    whole, gpt = (n.of(f, "go on", "whole") for f in ("bert", "gpt"))
    allowed = n.of("bert", "go on", "allowed")
    return (
        "Encoder-only: not generation", _holds(gpt.above(whole), whole.mean < gpt.mean / 2),
        f"BERT, though it is told how long the story is, ends {whole.percent()} of stories as the "
        f"grammar does, GPT {gpt.percent()}; {allowed.percent()} of its words come before the "
        "first mistake.",
    )


def _translation(n):
    t5, gpt, bert = (n.of(f, "rewrite", "exact") for f in ("t5", "gpt", "bert"))
    kept = n.of("gpt", "rewrite", "kept")
    return (
        "Encoder-decoder: good for translation/summarization",
        _holds(t5.above(gpt), t5.above(bert)),
        f"T5 rewrites {t5.percent()} of stories without a fault, GPT {gpt.percent()}: of the words "
        f"that stay as they are GPT gets {kept.percent()} right, which is copying. BERT, which "
        f"answers word for word in place, rewrites {bert.percent()}; it could not if the answer "
        "had another length. Summarization was not tried.",
    )


def _generation(n):
    gpt, bert, t5 = (n.of(f, "go on", "whole") for f in ("gpt", "bert", "t5"))
    return (
        "Decoder-only: best for generation", _holds(gpt.above(bert), gpt.above(t5)),
        f"GPT ends {gpt.percent()} of stories as the grammar does, BERT {bert.percent()}, T5 "
        f"{t5.percent()}; before the first mistake come "
        + ", ".join(f"{n.of(f, 'go on', 'allowed').percent()} ({NAMES[f]})" for f in FAMILIES)
        + " of the words.",
    )


def _decoder(n):
    both, bert, guess = n.nats("gpt", "both"), n.nats("bert", "both"), n.nats("gpt", "guess")
    at, later = (n.of("gpt", "pronoun", p, "share") for p in ("it", "it, later"))
    untrained = n.of("gpt", "pronoun", "it, later", "untrained")
    return (
        "Decoder-only: can also do understanding tasks",
        _holds(guess.above(both), later.above(untrained)),
        f"Trying each word, GPT loses {both.nats()} nats above the optimum, BERT "
        f"{bert.nats()}; it pays with a pass for each word. What “it” means can be read "
        f"off in {later.percent()} of stories once what tells it has been said (of an untrained "
        f"GPT in {untrained.percent()}). Where it does not: at the word itself, before that, in "
        f"{at.percent()}, by chance one half.",
    )


def draw_results(path, results):
    """Return a panel for each task, a mark for each seed."""
    n = Numbers(results)
    drawing, axes = plots.figure(9.5, 6.6, 2, 2)
    word, story, anew, pronoun = axes.ravel()
    _dots(word, {label: (f, n.nats(f, way)) for label, (f, way) in WAYS.items()})
    word.set(title="a hidden word", xlabel="nats above the grammar's odds")
    _landmark(word, n.nats("gpt", "guess")[0], "best from the left", height=0.5)
    _dots(story, _rows(n, "go on", whole="whole stories", allowed="words allowed"), share=True)
    story.set(title="a story that goes on", xlabel="share that the grammar derives")
    _dots(anew, _rows(n, "rewrite", exact="whole stories", changed="changed words"), share=True)
    anew.set(title="a story told anew: of a queen, not a king", xlabel="share right")
    rows = {}
    for p, label in (("it", "at “it”"), ("it, later", "four words later")):
        rows |= {f"{NAMES[f]}, {label}": (f, n.of(f, "pronoun", p, "share")) for f in FAMILIES}
    _dots(pronoun, rows, share=True)
    pronoun.set(title="what “it” means, by a linear probe", xlabel="share right")
    _landmark(pronoun, n.of("gpt", "pronoun", "it", "chance")[0], "chance")
    drawing.suptitle(TITLE)
    return plots.save(drawing, path)


TITLE = "Equal parameters and FLOPs: GPT tells stories, T5 and BERT rewrite (a mark for each seed)"


def _rows(n, task, **labels):
    """Return rows of `_dots`: numbers of a task by their label, for one family after the other."""
    return {
        f"{NAMES[f]}, {label}": (f, n.of(f, task, name))
        for f in FAMILIES for name, label in labels.items()
    }


def _dots(axes, rows, share=False):
    """rows: label -> (family, numbers); the first on top."""
    for y, (family, numbers) in enumerate(rows.values()):
        colour = plots.COLOURS[FAMILIES.index(family)]
        axes.plot(numbers, [y] * len(numbers), MARKERS[family], color=colour, markersize=6,
                  markerfacecolor="none", clip_on=False)
    axes.set_yticks(range(len(rows)), rows)
    axes.invert_yaxis()
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.tick_params(labelsize=8)
    axes.set_xlim(0, 1 if share else None)


def _landmark(axes, x, name, height=0.0):
    axes.axvline(x, **plots.LANDMARK)
    axes.annotate(name, (x, height), (-3, 3), xycoords=("data", "axes fraction"), ha="right",
                  **plots.NOTE)
