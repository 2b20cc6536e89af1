"""Trainings for `09_scaling_laws.py`: a size, a budget, a text; what the loss comes to."""

import math
from functools import cache
from pathlib import Path

import numpy as np
from almanac import LINE_END, LONGEST, Almanac
from families import padded

from npgpt import GPT, GPTConfig, TrainConfig
from npgpt.data.batches import NOT_COUNTED
from npgpt.data.objectives import Batch
from npgpt.model.size import flops_per_token, parameters_by_part
from npgpt.training.loop import training_steps
from npgpt.training.optim import make_optimizer

BLOCK, BATCH = 3 * LONGEST, 8


class FromLineStarts:
    """The objective: windows that begin where a story does, so that nothing is asked of which the
    reason stands before the window."""

    def __init__(self, ids_N, line_end):
        starts = np.flatnonzero(ids_N == line_end)
        self.starts = starts[starts < len(ids_N) - BLOCK]

    def sample(self, ids_N, block_size, batch_size, *, seed, step, rows=slice(None)):
        drawn = np.random.default_rng((seed, step)).integers(0, len(self.starts), batch_size)[rows]
        ids_BT1 = ids_N[self.starts[drawn, None] + np.arange(block_size + 1)].astype(np.int64)
        return Batch((ids_BT1[:, :-1],), ids_BT1[:, 1:], {}, asked=drawn.size * block_size)


@cache
def almanac():
    return Almanac()


@cache
def text(stories):
    return almanac().ids(stories, seed=0)


def shape(channels, vocab_size):
    return GPTConfig(vocab_size, BLOCK, 2, 4 if channels >= 64 else 2, channels, bias=False)


def trained(settings):
    C, flops = settings["channels"], settings["flops"]
    config = shape(C, almanac().tokenizer.vocab_size)
    steps = max(2, round(flops / (3 * flops_per_token(config) * BLOCK * BATCH)))
    training = TrainConfig(
        max_iters=steps, batch_size=BATCH, lr=settings["lr"], min_lr=settings["lr"] / 50,
        warmup_iters=min(200, steps // 10), seed=settings["seed"], weight_decay=settings.get("wd", 0.1)
    )  # fmt: skip
    ids_N = text(settings["stories"])
    model = GPT(config, seed=settings["seed"])
    objective = FromLineStarts(ids_N, almanac().tokenizer.ids[LINE_END])
    losses = [s.loss for s in training_steps(model, make_optimizer(model, training), ids_N, training, objective=objective)]
    return model.eval(), steps, losses


def excess(model, stories):
    """By how much the loss on whole stories lies above that of the grammar on the same, in nats per
    token, and its standard error."""
    tokenizer, over = almanac().tokenizer, []
    for first in range(0, len(stories), 64):
        some = [tokenizer.encode(LINE_END + story) for story in stories[first : first + 64]]
        inputs_BT = padded([ids[:-1] for ids in some], 0)
        targets_BT = padded([ids[1:] for ids in some], NOT_COUNTED)
        from autograd import log_softmax, Tensor
        with model.evaluating():
            logs = log_softmax(model(inputs_BT)[0]).data
        kept = np.take_along_axis(logs, np.maximum(targets_BT, 0)[:, :, None], 2)[:, :, 0]
        over += list(-(kept * (targets_BT >= 0)).sum(1))
    best = np.array([almanac().grammar.log_probability(story) for story in stories])
    over_N = np.array(over) + best
    return float(over_N.mean() / almanac().mean_length), float(over_N.std() / math.sqrt(len(stories)) / almanac().mean_length)
