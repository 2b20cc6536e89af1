"""Initial weights: a spread of 0.02, as GPT-2's, or by the inputs of each matrix.

    python examples/studies/15_start.py            what is missing, in the order of the plan
    python examples/studies/15_start.py --report   the tables alone

The end of `PLAN.md` has arms, rates, seeds and what decides. A training is a preset of npgpt, or
the questions of `tale_questions.py`.
"""

import math
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import pandas as pd
import tale_questions
from ablation_tables import mean_and_interval
from laboratory import key, markdown, results_of, run, tried
from study import expect, into_document, run_study

from npgpt import tales
from npgpt.families import family
from npgpt.families.presets import PRESETS, from_preset
from npgpt.gpt import INIT_STD
from npgpt.io.tokens import open_dataset
from npgpt.optim import make_optimizer
from npgpt.train import evaluate, training_steps

RESULTS, REPORT = (Path(__file__).with_suffix(end) for end in (".jsonl", ".md"))
STARTS = ("gpt2", "fan_in", "fan_in, branches whole", "fan_in, tables of 0.02")
SEEDS, CHOOSING = (4, 5, 6), (11, 12)
TEXT, TALES = {"preset": "text", "corpus": ["shakespeare"]}, {"preset": "tales"}
SHORT = [of | {"start": start, "lr": lr, "seed": seed} for of, rates in (
    (TEXT | {"max_iters": 1000}, (3e-3, 6e-3)),
    (TALES | {"max_iters": 500, "eval_stride": 0}, (4e-3, 6e-3)),
) for seed in CHOOSING for start in STARTS for lr in rates]


def pairs(settings, **changes):
    """Return the trials of GPT-2's start and of the chosen one, which may have other settings."""
    return [settings | {"start": start, "seed": seed} | (changes if start != "gpt2" else {})
            for seed in SEEDS for start in ("gpt2", "fan_in")]


ANSWERS = {"preset": "answers", "lr": 2e-3, "max_iters": 3000}
FINAL = {
    "Shakespeare, `text`": pairs(TEXT),
    "tales, `tales`": pairs(TALES),
    "questions about tales": pairs(ANSWERS | {"counted": "all"}),
    "the same, loss on answers alone": pairs(ANSWERS | {"counted": "answers"}),
    "tales, `tales-llama`": pairs({"preset": "tales-llama", "max_iters": 1000}),
    "tales, `tales-bert`": pairs({"preset": "tales-bert", "max_iters": 4000}),
    "tales, `tales-t5`": pairs({"preset": "tales-t5", "max_iters": 2800}),
    "Shakespeare, 64 channels": pairs(TEXT | {"n_embd": 64, "max_iters": 1000}),
    "Shakespeare, 512 channels": pairs(
        TEXT | {"n_embd": 512, "n_head": 8, "max_iters": 150, "lr": 1e-3})[:4],
}


def started(Model, config, start, seed):
    """Return a new model with one of STARTS."""
    model, larger = Model(config, seed), config.n_embd**0.5 * INIT_STD
    for name, weight in model.parameters().items():
        if start == STARTS[2] and name.endswith("c_proj.weight"):
            weight.data *= math.sqrt(2 * config.n_layer)
        if start == STARTS[3] and name in ("wte.weight", "wpe.weight"):
            weight.data *= larger
    return model


def measure(trial):
    settings = {name: x for name, x in trial.items() if name not in ("preset", "start", "counted")}
    init = trial["start"].partition(",")[0]
    if trial["preset"] == "answers":
        return tale_questions.measure(init, trial["counted"], settings)
    settings |= {"corpus": tuple(settings["corpus"])} if "corpus" in settings else {}
    shape, training = from_preset(trial["preset"], init=init, **settings)
    kind, tokens = family(training.arch), PRESETS[trial["preset"]].get("tokenizer", "char")
    with ExitStack() as stack:
        data = open_dataset(kind, training, stack, training.corpus, kind=tokens)
        config = kind.Config(vocab_size=data.tokenizer.vocab_size, **shape)
        model = started(kind.Model, config, trial["start"], training.seed)
        first, *_ = [step.loss for step in training_steps(
            model, make_optimizer(model, training), data.train_ids, training,
            objective=data.objective)]
        model.eval()
        loss, _ = evaluate(model, data.val_ids, stride=training.eval_stride or None,
                           seed=training.seed, objective=data.objective)
        floor = data.objective.floor(data.val_ids, config.block_size, data.source.entropy_rate,
                                     seed=training.seed)
    found = {"first": first, "uniform": math.log(config.vocab_size), "loss": loss}
    if floor:
        found["excess"] = loss - floor.nats
    if floor and data.objective.every_token:
        found["stories"], found["right"] = tales.stories_written(model, data.tokenizer)
    return found


def write_report():
    lines, results = [], results_of(RESULTS)
    for label, trials in FINAL.items():
        both = zip(*(map(results.get, map(key, trials[i::2])) for i in (0, 1)), strict=True)
        both = [pair for pair in both if None not in pair]
        if len(both) > 1:
            by = "excess" if "excess" in both[0][0] else "loss"
            nats = pd.DataFrame([[result[by] for result in pair] for pair in both])
            mean, low, high = mean_and_interval(nats[1] - nats[0])
            right = [sum(r.get("right", 0) for r in each) / sum(r.get("stories", 0) for r in each)
                     if "stories" in each[0] else None for each in zip(*both, strict=True)]
            lines.append((label, len(both), by, *(f"{x:.4f}" for x in nats.mean()),
                          f"{mean:+.4f} ({low:+.4f} to {high:+.4f})",
                          "" if right[0] is None else "{:.1%}, {:.1%}".format(*right)))
    head = ("training", "seeds", "nats", "GPT-2's start", "by inputs", "difference", "right")
    into_document(REPORT, "final", markdown(head, lines))


def main(quick=False, figures=None, workers=None):
    expect("Models begin as GPT-2 does, or by the inputs of each matrix. Expect the latter lower.")
    if quick:
        return tried([SHORT[0], SHORT[7]], measure, {"max_iters": 3, "n_embd": 16, "n_layer": 1})
    run([*SHORT, *chain(*FINAL.values())], measure, RESULTS, workers)
    return write_report()


if __name__ == "__main__":
    run_study(__doc__, main, write_report, "tiny models, a few seconds")
