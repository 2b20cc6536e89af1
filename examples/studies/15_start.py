"""Initial weights: GPT-2's spread of 0.02, or one that goes by the inputs of each matrix.

    python examples/studies/15_start.py    the trainings that are missing, then the table

The end of `PLAN.md` has arms, rates, seeds and what decides. A training is a preset of npgpt, or
`tale_questions.py`.
"""

import math
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import pandas as pd
import tale_questions
from ablation_tables import mean_and_interval
from laboratory import key, markdown, results_of, run, tried
from study import expect, into_documents, run_study

from npgpt import tales
from npgpt.families import family
from npgpt.families.presets import PRESETS, from_preset
from npgpt.gpt import INIT_STD
from npgpt.io.tokens import open_dataset
from npgpt.optim import make_optimizer
from npgpt.train import evaluate, training_steps

RESULTS, REPORT = (Path(__file__).with_suffix(end) for end in (".jsonl", ".md"))
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


ASKED = {"preset": "answers", "lr": 2e-3, "max_iters": 3000}
FINAL = {  # the rates are those that the short trainings chose
    "`text`, Shakespeare": pairs(TEXT, lr=6e-3),
    "`tales`": pairs(TALES, lr=6e-3),
    "questions": pairs(ASKED | {"counted": "all"}),
    "questions, loss on answers": pairs(ASKED | {"counted": "answers"}),
    "`tales-llama`, a third": pairs({"preset": "tales-llama", "max_iters": 1000}),
    "`tales-bert`, a third": pairs({"preset": "tales-bert", "max_iters": 4000}),
    "`tales-t5`, a third": pairs({"preset": "tales-t5", "max_iters": 2800}),
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
    settings = {name: x for name, x in trial.items() if name not in ("preset", "start", "counted")}
    preset, init = trial["preset"], trial["start"].partition(",")[0]
    if preset == "answers":
        return tale_questions.measure(init, trial["counted"], settings)
    settings |= {"corpus": tuple(trial["corpus"])} if "corpus" in trial else {}
    shape, training = from_preset(preset, init=init, **settings)
    kind = family(training.arch)
    with ExitStack() as stack:
        data = open_dataset(kind, training, stack, training.corpus,
                            kind=PRESETS[preset].get("tokenizer", "char"))
        model = kind.Model(kind.Config(data.tokenizer.vocab_size, **shape), training.seed)
        change(model, trial["start"])
        first, *_ = [step.loss for step in training_steps(
            model, make_optimizer(model, training), data.train_ids, training,
            objective=data.objective)]
        loss, _ = evaluate(model, data.val_ids, stride=training.eval_stride or None,
                           seed=training.seed, objective=data.objective)
    found = {"first": first, "uniform": math.log(model.config.vocab_size), "loss": loss}
    if preset in ("tales", "tales-llama"):
        found["stories"], found["right"] = tales.stories_written(model, data.tokenizer)
    return found


def write_report():
    lines, results = [], results_of(RESULTS)
    for label, trials in FINAL.items():
        if {*map(key, trials)} <= results.keys():
            base, new = (pd.DataFrame([results[key(t)] for t in trials[i::2]]) for i in (0, 1))
            mean, *ends = (f"{x:+.4f}" for x in mean_and_interval(new.loss - base.loss))
            right = [f"{x.right.sum() / x.stories.sum():.0%}" if "right" in x else ""
                     for x in (base, new)]
            lines.append((label, f"{base.loss.mean():.4f}", f"{new.loss.mean():.4f}",
                          f"{mean} ({' to '.join(ends)})", *right))
    head = ("training", "GPT-2's start", "by fan-in", "difference", "right", "by fan-in")
    into_documents(REPORT, {
        "final": markdown(head, lines), "summary": markdown(
            head[:4], [line[:4] for line in lines if "a third" not in line[0]]),
        "choice": markdown(*choice(results))})


def choice(results):
    """Return the head and lines of the table of the trainings that choose, as far as they are."""
    found = [(t["preset"], t["start"], f"{t['lr']:g}", results[key(t)]["loss"])
             for t in SHORT + BEYOND if key(t) in results]
    grouped = pd.DataFrame(found, columns=("text", "start", "rate", "loss")).groupby(
        ["text", "start", "rate"], sort=False)
    lines = [(f"`{text}`", *rest, f"{loss.mean():.4f}", str(len(loss)))
             for (text, *rest), loss in grouped.loss]
    return ("text", "start", "rate", "loss in the mean", "seeds"), lines


def main(quick=False, figures=None, workers=None):
    expect("Models begin as GPT-2 does, or by the inputs of each matrix. Expect the latter lower.")
    if quick:
        return tried(SHORT[:1], measure, {"max_iters": 3, "n_embd": 16, "n_layer": 1})
    run([*SHORT, *BEYOND, *chain(*FINAL.values())], measure, RESULTS, workers)
    return write_report()


if __name__ == "__main__":
    run_study(__doc__, main, write_report, "a tiny model, a few seconds")
