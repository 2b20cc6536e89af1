"""The tables of `10_families.md` and CONCEPTS.md, and the figure, from 10_families.jsonl.

rows    as `laboratory.kept` has them: the settings are family and seed, the result task -> numbers
"""

import pandas as pd
from families import FAMILIES, NAMES
from scaling_tables import markdown

from npgpt import plots

MARKERS = {"gpt": "o", "bert": "s", "t5": "^"}
WAYS = {  # who finds hidden words, and how: label -> (family, way)
    "GPT, from the left": ("gpt", "left"), "GPT, tries each word": ("gpt", "both"),
    "BERT, from both sides": ("bert", "both"), "T5, from both sides": ("t5", "both"),
}
PROBES = {
    "it": "“it”, at the word", "it, later": "“it”, read four words later", "she": "“she”",
}
ASKS = {
    "gpt": "every next word",
    "bert": "15 % of the words, from both sides",
    "t5": "spans of 1 to 5 words, 15 % of the text, from both sides",
}


def frame(rows):
    """Return a line for each family and seed, a column for each number, as "word left nats"."""
    return pd.DataFrame([
        row["settings"] | pd.json_normalize(row["result"], sep=" ").iloc[0].to_dict()
        for row in rows
    ])


def of(n, family, name):
    return n[n.family == family].set_index("seed")[name].astype(float)


def above_the_optimum(n, family, way):
    return of(n, family, f"word {way} nats") - of(n, family, "word best nats")


def spread(numbers, form="{:.2f}"):
    """Return the mean of the seeds, and the least and the largest if they differ."""
    mean, low, high = (form.format(x) for x in (numbers.mean(), numbers.min(), numbers.max()))
    if low == high:
        return mean
    return f"{mean} ({low.removesuffix(' %')} to {high.removesuffix(' %')})"


def share(numbers):
    return spread(100 * numbers, "{:.0f} %")


def tables(rows):
    """Return name -> table in Markdown, of all that the two documents show."""
    n = frame(rows)
    return {
        "models": markdown(("", "parameters", "steps", "asks, in training, for"), [
            (NAMES[f], f"{of(n, f, 'training parameters').iloc[0]:,.0f}",
             f"{of(n, f, 'training steps').iloc[0]:,.0f}", ASKS[f]) for f in FAMILIES
        ]),
        "words": markdown(("", "nats above the optimum", "words found"), [
            ("the grammar, from both sides", "0", share(of(n, "gpt", "word best share"))),
            ("the grammar, from the left", spread(above_the_optimum(n, "gpt", "guess")),
             share(of(n, "gpt", "word guess share"))),
            *((label, spread(above_the_optimum(n, f, way)), share(of(n, f, f"word {way} share")))
              for label, (f, way) in WAYS.items()),
        ]),
        "stories": markdown(("", "whole stories", "words before the first mistake"), [
            (NAMES[f], share(of(n, f, "go on whole")), share(of(n, f, "go on allowed")))
            for f in FAMILIES
        ]),
        "rewriting": markdown(
            ("", "stories without a fault", "right, of words that change", "of words that stay",
             "pairs learned from"),
            [(NAMES[f], *(share(of(n, f, f"rewrite {x}")) for x in ("exact", "changed", "kept")),
              f"{of(n, f, 'rewrite pairs').iloc[0]:,.0f}") for f in FAMILIES]),
        "pronouns": markdown(
            ("", *(f"{label}; chance {share(of(n, 'gpt', f'pronoun {p} chance'))}"
                   for p, label in PROBES.items())),
            [(f"{NAMES[f]}{', untrained' * (key == 'untrained')}",
              *(share(of(n, f, f"pronoun {p} {key}")) for p in PROBES))
             for f in FAMILIES for key in ("share", "untrained")]),
        "summary": _summary(n),
    }


def _summary(n):
    words = {
        "gpt": f"{spread(above_the_optimum(n, 'gpt', 'left'))} from the left or "
               f"{spread(above_the_optimum(n, 'gpt', 'both'))} by trying each word",
        "bert": spread(above_the_optimum(n, "bert", "both")),
        "t5": spread(above_the_optimum(n, "t5", "both")),
    }
    columns = ("go on whole", "rewrite exact", "pronoun it share", "pronoun it, later share")
    return markdown(
        ("", "a hidden word, nats above the optimum", "stories ended as the grammar does",
         "rewritten without a fault", "what “it” means, read at “it”", "four words later"),
        [(NAMES[f], words[f], *(share(of(n, f, name)) for name in columns)) for f in FAMILIES])


def draw_results(path, rows):
    """Draw a panel for each task, a mark for each seed."""
    n = frame(rows)
    drawing, axes = plots.figure(9.5, 6.6, 2, 2)
    word, story, anew, pronoun = axes.ravel()
    _dots(word, {label: (f, above_the_optimum(n, f, way)) for label, (f, way) in WAYS.items()})
    word.set(title="a hidden word", xlabel="nats above the grammar's odds")
    _landmark(word, above_the_optimum(n, "gpt", "guess").mean(), "best from the left", height=0.5)
    _dots(story, _rows(n, "go on", whole="whole stories", allowed="words allowed"), share=True)
    story.set(title="a story that goes on", xlabel="share that the grammar derives")
    _dots(anew, _rows(n, "rewrite", exact="whole stories", changed="changed words"), share=True)
    anew.set(title="a story told anew: of a queen, not a king", xlabel="share right")
    asked = {}
    for p, label in (("it", "at “it”"), ("it, later", "four words later")):
        asked |= {f"{NAMES[f]}, {label}": (f, of(n, f, f"pronoun {p} share")) for f in FAMILIES}
    _dots(pronoun, asked, share=True)
    pronoun.set(title="what “it” means, by a linear probe", xlabel="share right")
    _landmark(pronoun, of(n, "gpt", "pronoun it chance").mean(), "chance")
    drawing.suptitle(TITLE)
    return plots.save(drawing, path)


TITLE = "Equal parameters and FLOPs: GPT tells stories, T5 and BERT rewrite (a mark for each seed)"


def _rows(n, task, **labels):
    """Return rows of `_dots`: numbers of a task by their label, for one family after the other."""
    return {
        f"{NAMES[f]}, {label}": (f, of(n, f, f"{task} {name}"))
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
