"""Initial weights: GPT-2's spread of 0.02, or one that goes by the inputs of each matrix.

    python -m examples.studies 15_start    the trainings that are missing, then the table

The end of `PLAN.md` has arms, rates, seeds and what decides. A training is a preset of npgpt.
"""

import math
from contextlib import ExitStack
from itertools import chain

import pandas as pd
from intervals import student
from study import key, markdown

from npgpt import tales
from npgpt.data.tokens import open_dataset
from npgpt.gpt import INIT_STD
from npgpt.models import family
from npgpt.models.presets import from_preset
from npgpt.optim import make_optimizer
from npgpt.train import evaluate, training_steps

STARTS = ("gpt2", "fan_in", "fan_in, branches whole", "fan_in, tables of 0.02")
TEXT, TALES = {"preset": "text", "corpus": ["shakespeare"]}, {"preset": "tales"}
SHORT = [of | {"start": start, "lr": lr, "seed": seed} for seed in (11, 12) for of, rates in (
    (TEXT | {"max_iters": 1000}, (3e-3, 6e-3)),
    (TALES | {"max_iters": 500, "eval_stride": 0}, (4e-3, 6e-3)),
) for start in STARTS for lr in rates]
BEYOND = [of | {"lr": lr} for preset, lr in (("text", 1.2e-2), ("tales", 1e-2)) for of in SHORT
          if (of["preset"], of["start"], of["lr"]) == (preset, "fan_in", 6e-3)]


def pairs(settings, **changes):
    """Return the trials of GPT-2's start and of the chosen one, which may have other settings."""
    return [settings | {"start": start, "seed": seed} | (changes if start != "gpt2" else {})
            for seed in (4, 5, 6) for start in ("gpt2", "fan_in")]


TINY = {"max_iters": 3, "n_embd": 16, "n_layer": 1}
FINAL = {  # the rates are those that the short trainings chose
    "`text`, Shakespeare": pairs(TEXT, lr=6e-3),
    "`tales`": pairs(TALES, lr=6e-3),
    "`text`, 64 channels": pairs(TEXT | {"n_embd": 64, "max_iters": 1000}),
    "`text`, 512 channels": pairs(TEXT | {"n_embd": 512, "max_iters": 150, "lr": 1e-3})[:4],
}


def change(model, start):
    """Change a GPT that was made by `fan_in` if the start is one of the last two."""
    for name, weight in model.parameters().items():
        if start == STARTS[2] and name.endswith("c_proj.weight"):
            weight.data *= math.sqrt(2 * model.config.n_layer)
        if start == STARTS[3] and name in ("wte.weight", "wpe.weight"):
            weight.data *= INIT_STD * model.config.n_embd**0.5


def measure(trial):
    settings = {name: x for name, x in trial.items() if name not in ("preset", "start")}
    preset, init = trial["preset"], trial["start"].partition(",")[0]
    settings |= {"corpus": tuple(trial["corpus"])} if "corpus" in trial else {}
    shape, training = from_preset(preset, init=init, **settings)
    gpt = family("gpt")
    with ExitStack() as stack:
        data = open_dataset(gpt, training, stack, training.corpus, kind="char")
        model = gpt.Model(gpt.Config(data.tokenizer.vocab_size, **shape), training.seed)
        change(model, trial["start"])
        first, *_ = [step.loss for step in training_steps(
            model, make_optimizer(model, training), data.train_ids, training,
            objective=data.objective)]
        loss, _ = evaluate(model, data.val_ids, stride=training.eval_stride or None,
                           seed=training.seed, objective=data.objective)
    found = {"first": first, "uniform": math.log(model.config.vocab_size), "loss": loss}
    if preset == "tales":
        found["stories"], found["right"] = tales.stories_written(model, data.tokenizer)
    return found


def trials(results):
    return [*SHORT, *BEYOND, *chain(*FINAL.values())]


def numbers(results):
    both = {label: [pd.DataFrame([results[key(trial)] for trial in of[i::2]]) for i in (0, 1)]
            for label, of in FINAL.items()}
    differences = {label: student(new.loss - base.loss) for label, (base, new) in both.items()}
    right = {label: [f"{x.right.sum() / x.stories.sum():.0%}" if "right" in x else "" for x in of]
             for label, of in both.items()}
    lines = [(label, *(f"{x.loss.mean():.4f}" for x in of), f"{differences[label]:+.4f}")
             for label, of in both.items()]
    head = "training", "GPT-2's start", "by fan-in", "difference"
    short = pd.DataFrame([trial | results[key(trial)] for trial in SHORT + BEYOND])
    grouped = short.groupby(["preset", "start", "lr"], sort=False).loss
    return {
        "final": markdown((*head, "right", "by fan-in"),
                          [(*line, *right[line[0]]) for line in lines]),
        "summary": markdown(head, lines),
        "choice": markdown(
            ("text", "start", "rate", "loss in the mean", "seeds"),
            [(f"`{text}`", start, f"{lr:g}", f"{loss.mean():.4f}", len(loss))
             for (text, start, lr), loss in grouped]),
        "gained": {label: -x.mean for label, x in differences.items()},
        "of": differences,
    }
