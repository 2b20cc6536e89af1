"""Why decoder-only? BERT, T5 and GPT of one size, trained for as many FLOPs, on four tasks.

    python examples/studies/10_families.py               the trainings that 10_families.jsonl lacks

It is said that an encoder (BERT) is good for understanding and not for generation, an
encoder-decoder (T5) for translation and summarization, and a decoder (GPT) best for generation,
though it can do understanding tasks, too. The tales' grammar knows every right answer, so each of
these can be measured: `family_tasks.py` has the tasks, `family_models.py` the models. The tables of
10_families.md are text; a test computes them again from the numbers.
"""

from functools import cache
from pathlib import Path

import family_tasks as tasks
import pandas as pd
from family_models import BATCH, FAMILIES, Rewriting, WordTokenizer, model_config, told, train_for
from laboratory import kept, key, run, tried
from study import FIGURES, picture, run_study

from npgpt import plots
from npgpt.families import family as record

RESULTS = Path(__file__).with_suffix(".jsonl")
SEEDS = (1, 2, 3)
SIZES = {  # FLOPs of a training, and of one to rewrite; characters to train on and to test on;
    # words to find, stories to continue, stories to rewrite, and to learn it from
    False: {"flops": 7.5e12, "rewrite flops": 2.5e12, "channels": 128, "train": 10_000_000,
            "test": 1_200_000, "words": 400, "stories": 100, "rewritten": 300, "pairs": 20_000},
    True: {"flops": 1, "rewrite flops": 1, "channels": 32, "train": 60_000,
           "test": 200_000, "words": 8, "stories": 4, "rewritten": 4, "pairs": 50},
}
TO_CONTINUE = "t5, prefixes"  # a T5 that is trained to continue stories
LONGER, TIMES = "gpt, longer", 4  # a GPT that learns to rewrite for so many times the FLOPs
PANELS = {  # title -> (unit, arms, column -> label)
    "a hidden word": ("nats above the grammar's odds", FAMILIES, {
        "left": "from the left", "both": "from both sides"}),
    "a story that goes on": ("share that the grammar derives", ("gpt", "bert", TO_CONTINUE), {
        "go on whole": "whole stories", "go on allowed": "words before the first mistake"}),
    "a story told anew: of a queen, not a king": ("share right", (*FAMILIES, LONGER), {
        "rewrite exact": "whole stories", "rewrite changed": "words that change"}),
    "what “it” means, by a linear probe": ("share right; chance: 0.5", FAMILIES, {
        "pronoun it share": "at “it”", "pronoun it, later share": "four words later"}),
}
NAMES = {"gpt": "GPT", "bert": "BERT", "t5": "T5", TO_CONTINUE: "T5, trained\nto continue",
         LONGER: f"GPT, {TIMES} times\nas long"}


@cache
def texts(quick):
    """Return (tokenizer, stories to train on, stories to test on)."""
    tokenizer = WordTokenizer("".join(told(600_000, seed=0)))
    return tokenizer, told(SIZES[quick]["train"], seed=0), told(SIZES[quick]["test"], seed=1)


def measure(settings):
    """Train a family, and return task -> numbers."""
    arm, seed, quick = settings["family"], settings["seed"], settings.get("quick", False)
    family, sizes, (tokenizer, read, stories) = arm.split(",")[0], SIZES[quick], texts(quick)
    config = model_config(family, tokenizer.vocab_size, sizes["channels"])
    model, untrained = (record(family).Model(config, seed=seed) for _ in range(2))
    if arm == TO_CONTINUE:
        text, objective = tasks.beginnings(tokenizer, read), Rewriting(family, tokenizer)
    else:
        text, objective = tokenizer.encode("".join(read)), record(family).Objective(tokenizer)
    steps = train_for(sizes["flops"], model, family, text, objective, seed=seed)
    found = {"training": {"parameters": model.num_parameters(), "flops": sizes["flops"],
                          "steps": steps}}
    if arm != "t5":  # which fills spans
        found["go on"] = tasks.go_on(family, model, tokenizer, stories[: sizes["stories"]],
                                     seed=1000 * seed)
    if arm == TO_CONTINUE:
        return found
    hidden = tasks.hidden_words(tokenizer, stories[: 2 * sizes["words"]])[: sizes["words"]]
    found["word"] = tasks.find_words(family, model, tokenizer, hidden)
    begun = tasks.crossings(tokenizer, stories)
    found["pronoun"] = {
        name: {"share": tasks.probe(model, at, *begun), "tested": len(begun[0]),
               "untrained": tasks.probe(untrained, at, *begun)}
        for name, at in tasks.READ_AT.items()
    }
    pairs = tasks.pairs_to_rewrite(tokenizer, read[: sizes["pairs"]])
    flops = sizes["rewrite flops"] * (TIMES if arm == LONGER else 1)
    steps = train_for(flops, model.train(), family, pairs, Rewriting(family, tokenizer), seed=seed,
                      rate=0.5)  # changes the model, so it comes last
    pairs = tasks.pairs_to_rewrite(tokenizer, stories)[: sizes["rewritten"]]
    found["rewrite"] = tasks.rewrite(family, model, tokenizer, pairs) | {
        "flops": flops, "steps": steps, "pairs": steps * BATCH}
    return found


def draw(path, rows):
    """Draw a panel for each task, a mark for each seed."""
    n = pd.json_normalize([row["settings"] | row["result"] for row in rows], sep=" ")
    for way in ("left", "both"):
        n[way] = n[f"word {way} nats"] - n["word best nats"]
    drawing, panels = plots.figure(9.5, 6, 2, 2)
    for axes, (title, (unit, arms, labels)) in zip(panels.flat, PANELS.items(), strict=True):
        for marker, colour, (column, label) in zip("o^", plots.COLOURS, labels.items(),
                                                   strict=False):
            some = n[n.family.isin(arms)]
            axes.plot(some[column], some.family.map(NAMES), marker, color=colour, label=label,
                      markerfacecolor="none", clip_on=False)
        axes.set(title=title, xlabel=unit, xlim=(0, None if "nats" in unit else 1),
                 ylim=(len(arms), -0.5))
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        axes.legend(fontsize=8, loc="lower center", ncols=2, frameon=False)
    drawing.suptitle("Equal parameters and FLOPs, but for the last GPT; a mark for each seed")
    return plots.save(drawing, path)


def write_report(figures=FIGURES):
    picture(draw, figures / "10_families.png", kept(RESULTS))


def main(quick=False, figures=FIGURES, workers=None):
    if not quick:
        run([{"family": arm, "seed": seed} for seed in SEEDS for arm in NAMES], measure, RESULTS,
            workers)
        return write_report(figures)
    trials = [{"family": arm, "seed": 1} for arm in NAMES if arm != LONGER]
    found = tried(trials, measure, {"quick": True})
    rows = [{"settings": trial, "result": found[key(trial)]} for trial in trials]
    picture(draw, figures / "10_families.png", rows)
    return rows


if __name__ == "__main__":
    run_study(__doc__, main, write_report, "tiny models, a few seconds")
