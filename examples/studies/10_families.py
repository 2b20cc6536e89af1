"""Why decoder-only? BERT, T5 and GPT of one size, trained for as many FLOPs, on two tasks.

    python -m examples.studies 10_families               the trainings that 10_families.jsonl lacks

It is said that an encoder (BERT) is good for understanding and not for generation, and a decoder
(GPT) best for generation, though it can do understanding tasks, too. The tales' grammar knows every
right answer, so each of these can be measured: `family_tasks.py` has the tasks, `family_models.py`
the models.
"""

import json

import family_tasks as tasks
import pandas as pd
from family_models import FAMILIES, model_config, tokenizer, told, train_for
from intervals import Interval, student

from npgpt.models import architecture as record
from npgpt.support import plots

SEEDS = 1, 2, 3
# FLOPs of a training, characters to train on and to test on, words to find, stories to continue
SIZES = {"flops": 7.5e12, "channels": 128, "train": 10_000_000, "test": 1_200_000, "words": 400,
         "stories": 100}
TINY = {"flops": 1, "channels": 32, "train": 60_000, "test": 200_000, "words": 8, "stories": 4}
TO_CONTINUE = "t5, prefixes"  # a T5 that is trained to continue stories
PANELS = {  # title -> (unit, arms, column -> label)
    "a hidden word": ("nats above the grammar's odds", FAMILIES, {
        "left": "from the left", "both": "from both sides"}),
    "a story that goes on": ("share that the grammar derives", ("gpt", "bert", TO_CONTINUE), {
        "go on whole": "whole stories", "go on allowed": "words before the first mistake"}),
}
NAMES = {"gpt": "GPT", "bert": "BERT", "t5": "T5", TO_CONTINUE: "T5, trained\nto continue"}


def measure(settings):
    """Train a family, and return task -> numbers."""
    arm, seed, sizes = settings["family"], settings["seed"], SIZES | settings
    family, words = arm.split(",")[0], tokenizer()
    read, stories = told(sizes["train"], seed=0), told(sizes["test"], seed=1)
    config = model_config(family, words.vocab_size, sizes["channels"])
    model = record(family).Model(config, seed=seed)
    if arm == TO_CONTINUE:
        text, objective = tasks.beginnings(words, read), tasks.Continuing(words)
    else:
        text, objective = words.encode("".join(read)), record(family).Objective(words)
    steps = train_for(sizes["flops"], model, family, text, objective, seed=seed)
    found = {"training": {"parameters": model.num_parameters(), "flops": sizes["flops"],
                          "steps": steps}}
    if arm != "t5":  # which fills spans
        found["go on"] = tasks.go_on(family, model, words, stories[: sizes["stories"]],
                                     seed=1000 * seed)
    if arm != TO_CONTINUE:
        hidden = tasks.hidden_words(words, stories[: 2 * sizes["words"]])[: sizes["words"]]
        found["word"] = tasks.find_words(family, model, words, hidden)
    return found


def trials(results):
    return [{"family": arm, "seed": seed} for seed in SEEDS for arm in NAMES]


def frame(results):
    """Return a row for each training; "left" and "both" are nats above the best possible."""
    n = pd.json_normalize([json.loads(settings) | of for settings, of in results.items()], sep=" ")
    for way in ("left", "both"):
        n[way] = n[f"word {way} nats"] - n["word best nats"]
    return n


def numbers(results):
    """Return arm -> column -> mean, least and largest of the seeds."""
    n = frame(results)
    found = {arm: {name: Interval(x.mean(), x.min(), x.max()) for name, x in of.select_dtypes(
        "number").items()} for arm, of in n.groupby("family")}
    allowed = n.pivot(index="seed", columns="family", values="go on allowed")
    return {"of": found, "allowed": student(allowed[TO_CONTINUE] - allowed["gpt"])}


def draw(path, results):
    """Draw a panel for each task, a mark for each seed."""
    n = frame(results)
    drawing, panels = plots.figure(9, 3.4, 1, 2)
    for axes, (title, (unit, arms, labels)) in zip(panels, PANELS.items(), strict=True):
        for marker, colour, (column, label) in zip("o^", plots.COLOURS, labels.items(),
                                                   strict=False):
            some = n[n.family.isin(arms)]
            axes.plot(some[column], some.family.map(NAMES), marker, color=colour, label=label,
                      markerfacecolor="none", clip_on=False)
        axes.set(title=title, xlabel=unit, xlim=(0, None if "nats" in unit else 1),
                 ylim=(len(arms), -0.5))
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        axes.legend(fontsize=8, loc="lower center", ncols=2, frameon=False)
    drawing.suptitle("Equal parameters and FLOPs; a mark for each seed")
    return plots.save(drawing, path)
