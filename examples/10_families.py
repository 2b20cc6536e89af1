"""Why decoder-only? BERT, T5 and GPT of one size, trained for as many FLOPs, on four tasks.

    python examples/10_families.py               the study, or what is left of it
    python examples/10_families.py --report      tables and figure from the numbers that are there
    python examples/10_families.py --quick       tiny models for a few steps: does it run?

It is said that an encoder (BERT) is good for understanding and not for generation, an
encoder-decoder (T5) for translation and summarization, and a decoder (GPT) best for generation,
though it can do understanding tasks, too. The tales' grammar knows every right answer, so each of
these can be measured: `family_tasks.py` has the tasks, `families.py` the models.

Each family and seed is a trial of `laboratory.py`. Numbers go into examples/10_families.jsonl,
tables into examples/10_families.md.

Try:
- FLOPS = 4e12: which family suffers most from a smaller budget?
- RATES in `families.py`: does a family lose because its learning rate is wrong?
- another task with one right answer, in `family_tasks.py`: tell a story of one animal of several.
"""

import tempfile
from functools import cache
from pathlib import Path

import family_tasks as tasks
import pandas as pd
from example import FIGURES, expect, into_documents, picture, run_study
from families import BATCH, FAMILIES, NAMES, Rewriting, WordTokenizer, model_config, told, train_for
from laboratory import kept, markdown, run

from npgpt import plots
from npgpt.families import family as record

RESULTS, REPORT = (Path(__file__).with_suffix(end) for end in (".jsonl", ".md"))
SEEDS = (1, 2, 3)
FLOPS, REWRITE_FLOPS = 7.5e12, 2.5e12  # of a run: its training, and its training to rewrite
SIZES = {  # characters to train on and to test on, stories of a task, stories to learn to rewrite
    False: {"train": 10_000_000, "test": 1_200_000, "words": 400, "stories": 100,
            "rewritten": 300, "pairs": 20_000},
    True: {"train": 60_000, "test": 200_000, "words": 8, "stories": 4, "rewritten": 4, "pairs": 50},
}
QUICK_FLOPS = 3e8
LONGER, TIMES = "gpt, longer", 4  # a GPT that learns to rewrite for so many times the FLOPs
PREFIXES = "t5, prefixes"  # a T5 that was trained to continue stories
ARMS = {LONGER: f"GPT, {TIMES} times as long", PREFIXES: "T5, trained to continue"}
MARKERS = {"gpt": "o", "bert": "s", "t5": "^"}
WAYS = {  # who finds hidden words, and how: label -> (family, way)
    "GPT, from the left": ("gpt", "left"), "GPT, tries each word": ("gpt", "both"),
    "BERT, from both sides": ("bert", "both"), "T5, from both sides": ("t5", "both"),
}
PROBES = {"it": "“it”, at the word", "it, later": "“it”, read four words later"}  # half by chance
TITLE = "Equal parameters and FLOPs: GPT tells stories, T5 and BERT rewrite (a mark for each seed)"


@cache
def texts(quick):
    """Return (tokenizer, token ids to train on, stories of these to rewrite, stories to test)."""
    tokenizer, sizes = WordTokenizer("".join(told(600_000, seed=0))), SIZES[quick]
    ids_N = tokenizer.encode("".join(told(sizes["train"], seed=0)))
    # a story has about 160 characters
    to_rewrite = told(170 * sizes["pairs"], seed=0)[: sizes["pairs"]]
    return tokenizer, ids_N, to_rewrite, told(sizes["test"], seed=1)


def measure(settings):
    """Train a family, and return task -> numbers."""
    arm, seed, quick = settings["family"], settings["seed"], settings.get("quick", False)
    if arm == PREFIXES:
        return continuing(seed, quick)
    family, times = arm.split(",")[0], TIMES if arm == LONGER else 1
    flops, rewrite_flops = (QUICK_FLOPS,) * 2 if quick else (FLOPS, times * REWRITE_FLOPS)
    (tokenizer, ids_N, to_rewrite, stories), sizes = texts(quick), SIZES[quick]
    config = model_config(family, tokenizer.vocab_size, quick)
    model, untrained = (record(family).Model(config, seed=seed) for _ in range(2))
    steps = train_for(flops, model, family, ids_N, record(family).Objective(tokenizer), seed=seed)
    hidden = tasks.hidden_words(tokenizer, stories[: 2 * sizes["words"]])[: sizes["words"]]
    found = {
        "training": {"parameters": model.num_parameters(), "flops": flops, "steps": steps},
        "word": tasks.find_words(family, model, tokenizer, hidden),
        "go on": tasks.go_on(family, model, tokenizer, stories[: sizes["stories"]],
                             seed=1000 * seed),
        "pronoun": {
            name: tasks.probe(family, model, tokenizer, rows)
            | {"untrained": tasks.probe(family, untrained.eval(), tokenizer, rows)["share"]}
            for name, rows in tasks.pronouns(tokenizer, stories).items()
        },
    }
    steps = train_for(rewrite_flops, model.train(), family,  # changes the model, so it comes last
                      tasks.pairs_to_rewrite(tokenizer, to_rewrite), Rewriting(family, tokenizer),
                      seed=seed, rate=0.5)
    pairs = tasks.pairs_to_rewrite(tokenizer, stories)[: sizes["rewritten"]]
    return found | {"rewrite": tasks.rewrite(family, model, tokenizer, pairs) | {
        "flops": rewrite_flops, "steps": steps, "pairs": steps * BATCH[family]}}


def continuing(seed, quick):
    """Train a T5 to continue stories, for as many FLOPs, and return how it does."""
    (tokenizer, *_, stories), sizes = texts(quick), SIZES[quick]
    pairs = tasks.beginnings(tokenizer, told(sizes["train"], seed=0))
    model = record("t5").Model(model_config("t5", tokenizer.vocab_size, quick), seed=seed)
    steps = train_for(QUICK_FLOPS if quick else FLOPS, model, "t5", pairs,
                      Rewriting("t5", tokenizer), seed=seed)
    return {"training": {"parameters": model.num_parameters(), "steps": steps},
            "go on": tasks.go_on(PREFIXES, model.eval(), tokenizer, stories[: sizes["stories"]],
                                 seed=1000 * seed)}


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


def by_family(n, *columns, also=()):
    """Return a row of shares for each family.    also: arms that are shown if they were trained"""
    families = (*FAMILIES, *(arm for arm in also if arm in set(n.family)))
    return [((NAMES | ARMS)[f], *(share(of(n, f, name)) for name in columns)) for f in families]


def tables(rows):
    """Return name -> table in Markdown, of all that the two documents show."""
    n = frame(rows)
    trained, untrained = (by_family(n, *(f"pronoun {probe} {key}" for probe in PROBES))
                          for key in ("share", "untrained"))
    return {
        "words": markdown(("", "nats above the optimum", "words found"), [
            ("the grammar, from both sides", "0", share(of(n, "gpt", "word best share"))),
            *((label, spread(above_the_optimum(n, f, way)), share(of(n, f, f"word {way} share")))
              for label, (f, way) in
              ({"the grammar, from the left": ("gpt", "guess")} | WAYS).items()),
        ]),
        "stories": markdown(("", "whole stories", "words before the first mistake"),
                            by_family(n, "go on whole", "go on allowed", also=[PREFIXES])),
        "rewriting": markdown(
            ("", "stories without a fault", "right, of words that change", "of words that stay"),
            by_family(n, "rewrite exact", "rewrite changed", "rewrite kept", also=[LONGER])),
        "pronouns": markdown(
            ("", *(f"{label}; chance 50 %" for label in PROBES.values())),
            [row for after, (name, *before) in zip(trained, untrained, strict=True)
             for row in (after, (f"{name}, untrained", *before))]),
        "summary": _summary(n),
    }


def _summary(n):
    gpt, tries, bert, t5 = (spread(above_the_optimum(n, *who)) for who in WAYS.values())
    shares = by_family(n, "go on whole", "rewrite exact", "pronoun it share",
                       "pronoun it, later share")
    return markdown(
        ("", "a hidden word, nats above the optimum", "stories ended as the grammar does",
         "rewritten without a fault", "what “it” means, read at “it”", "four words later"),
        [(name, word, *of) for word, (name, *of) in zip(
            (f"{gpt} from the left or {tries} by trying each word", bert, t5), shares,
            strict=True)])


def draw_results(path, rows):
    """Draw a panel for each task, a mark for each seed."""
    n = frame(rows)
    drawing, axes = plots.figure(9.5, 6.6, 2, 2)
    word, story, anew, pronoun = axes.ravel()
    _dots(word, {label: (f, above_the_optimum(n, f, way)) for label, (f, way) in WAYS.items()})
    word.set(title="a hidden word", xlabel="nats above the grammar's odds", xlim=(0, None))
    _landmark(word, above_the_optimum(n, "gpt", "guess").mean(), "best from the left", height=0.5)
    for panel, title, xlabel, columns in (
        (story, "a story that goes on", "share that the grammar derives",
         {"go on whole": "whole stories", "go on allowed": "words allowed"}),
        (anew, "a story told anew: of a queen, not a king", "share right",
         {"rewrite exact": "whole stories", "rewrite changed": "changed words"}),
        (pronoun, "what “it” means, by a linear probe", "share right",
         {"pronoun it share": "at “it”", "pronoun it, later share": "four words later"}),
    ):
        _dots(panel, {f"{NAMES[f]}, {label}": (f, of(n, f, name))
                      for f in FAMILIES for name, label in columns.items()})
        panel.set(title=title, xlabel=xlabel, xlim=(0, 1))
    _landmark(pronoun, 1 / 2, "chance")
    drawing.suptitle(TITLE)
    return plots.save(drawing, path)


def _dots(axes, rows):
    """Draw rows of marks, the first on top.    rows: label -> (family, numbers)"""
    for y, (family, numbers) in enumerate(rows.values()):
        colour = plots.COLOURS[FAMILIES.index(family)]
        axes.plot(numbers, [y] * len(numbers), MARKERS[family], color=colour, markersize=6,
                  markerfacecolor="none", clip_on=False)
    axes.set_yticks(range(len(rows)), rows)
    axes.invert_yaxis()
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.tick_params(labelsize=8)


def _landmark(axes, x, name, height=0.0):
    axes.axvline(x, **plots.LANDMARK)
    axes.annotate(name, (x, height), (-3, 3), xycoords=("data", "axes fraction"), ha="right",
                  **plots.NOTE)


def write_report():
    """Put the tables into the two documents, and draw the figure, from the numbers there are."""
    rows = kept(RESULTS)
    into_documents(REPORT, tables(rows))
    picture(draw_results, FIGURES / "10_families.png", rows)
    return rows


def main(quick=False, figures=FIGURES, workers=None):
    expect(f"""
        Three families of 0.9 million parameters, each trained on tales for {FLOPS:.2g} FLOPs.
        Expect GPT to tell stories that the grammar derives, and the others hardly any; a GPT that
        tries each word to find hidden words better than BERT and T5, which see both sides in one
        pass, and these better than a GPT that sees the left; T5 and BERT to rewrite, and GPT not.
        """)
    if quick:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "quick.jsonl"
            run([{"family": f, "seed": 1, "quick": True} for f in FAMILIES], measure, path, 0)
            rows = kept(path)
        print(*tables(rows).values(), sep="\n")
        picture(draw_results, figures / "10_families.png", rows)
        return rows
    run([{"family": f, "seed": seed} for seed in SEEDS for f in (*FAMILIES, PREFIXES, LONGER)],
        measure, RESULTS, workers)
    return write_report()


if __name__ == "__main__":
    run_study(__doc__, main, write_report, "tiny models, a few seconds")
