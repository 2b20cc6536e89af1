"""One training of the ablations, from its settings to its measurements.

The text is tales cut into words (`family_models.WordTokenizer`), or the rows of `letter_rows.py`,
and a row of a batch is one story from its beginning: so a model has seen all that its next word
depends on, and the least loss that is possible on these very stories is known exactly,
-ln P(story). The measure is how far a model's loss is above it. No story is read twice unless the
settings say so, or ask for more stories than there are.
"""

import math
from functools import cache
from typing import NamedTuple

import letter_rows
import numpy as np
from family_models import padded, tokenizer, told
from variants import VARIANTS

from npgpt import tales
from npgpt.batches import IGNORE_INDEX, Batch, Objective
from npgpt.config import GPTConfig, TrainConfig
from npgpt.gpt import INIT_STD
from npgpt.optim import AdamW, global_norm
from npgpt.train import training_steps

LONGEST = 53  # tokens of a story
BASE = {
    "variant": "GPT", "n_layer": 2, "n_head": 4, "n_embd": 64, "bias": False, "tied": True,
    "dropout": 0.0, "optimizer": "AdamW", "lr": 4e-3, "warm_up": 80, "decay": 0.1, "clip": 1.0,
    "batch_size": 8, "steps": 800, "stories": 0, "bad_batches": 0, "seed": 1,
}
TINY = {"steps": 20, "warm_up": 2, "n_embd": 16}
ROWS = BASE | {"text": "rows", "init": "1/sqrt(C)", "steps": 1000, "warm_up": 100}
LONGEST_OF = {"tales": LONGEST, "rows": 2 * letter_rows.LONGEST_ROW + 2}
CHARACTERS = {"train": 5_000_000, "test": 165_000}
COUNT = {"train": 40_000, "test": 2_000}  # of rows


class AdamL2(AdamW):
    """Adam with the decay in the gradient, where the division by its usual size gets hold of it."""

    def __init__(self, parameters, weight_decay, **settings):
        super().__init__(parameters, weight_decay=0.0, **settings)
        self.l2 = weight_decay

    def step(self, lr=None):
        for weight in self.parameters.values():
            if weight.ndim == 2:
                weight.grad = weight.grad + weight.dtype.type(self.l2) * weight.data
        return super().step(lr)


class SGD(AdamW):
    """m = momentum m + g, w = w - lr m; the momentum is the first beta."""

    def step(self, lr=None):
        norm = global_norm([weight.grad for weight in self.parameters.values()])
        if not math.isfinite(norm):
            raise FloatingPointError(f"SGD: the gradient norm is {norm}")
        scale = min(1.0, self.grad_clip / norm) if self.grad_clip else 1.0
        for name, weight in self.parameters.items():
            decay = self.weight_decay if weight.ndim == 2 else 0.0
            self.m[name] *= self.betas[0]
            self.m[name] += scale * weight.grad + decay * weight.data
            weight.data -= lr * self.m[name]
        return norm


OPTIMIZERS = {"AdamW": AdamW, "Adam, L2": AdamL2, "SGD": SGD}


class Stories(NamedTuple):
    """Stories as rows of tokens: what is read, what is asked for, -ln P of each story."""

    x_NT: np.ndarray
    y_NT: np.ndarray
    nats_N: np.ndarray

    def batch(self, rows):
        batch = Batch((self.x_NT[rows],), self.y_NT[rows], {})
        return batch._replace(step_targets=batch.n_targets)


@cache
def stories(part, text="tales"):
    """Return `Stories` to train on ("train") or to test on ("test")."""
    seed = ("train", "test").index(part)
    if text == "rows":
        found, encode = letter_rows.rows(COUNT[part], seed), letter_rows.TOKENS.index
        ids = [[encode(token.text) for token in row] for row in found]
        nats, end = [sum(token.nats for token in row) for row in found], encode(letter_rows.END)
    else:
        found = told(CHARACTERS[part], seed)
        ids = [*map(tokenizer().encode, found)]
        nats, end = -np.array([*map(tales.log_probability, found)]), tokenizer().ids["\n"]
    # An end also stands before a story; rows have the width of the longest story of all.
    wide = [[end] * LONGEST_OF[text]]
    y_NT = padded([*ids, *wide], IGNORE_INDEX)[:-1]
    x_NT = padded([[end, *row[:-1]] for row in ids] + wide, end)[:-1]
    return Stories(x_NT, y_NT, np.array(nats))


def entropy(text):
    """Return nats per token: of all rows, of the tales that are measured on."""
    if text == "rows":
        nats, length = letter_rows.expectation()
        return nats / length
    test = stories("test")
    return test.nats_N.sum() / (test.y_NT >= 0).sum()


class InOrder(Objective):
    """The objective: stories in an order that the seed decides, again and again.

    n     how many of the stories; 0: all
    bad   steps whose targets are words at random
    """

    def __init__(self, seed, n=0, bad=(), text="tales"):
        order = np.random.default_rng(seed).permutation(len(stories("train", text).nats_N))
        self.order, self.bad = order[: n or None], bad

    def sample(self, stories, block_size, batch_size, *, seed, step, rows=slice(None)):
        at = (np.arange(batch_size) + step * batch_size) % len(self.order)
        batch = stories.batch(self.order[at])
        if step in self.bad:
            words = np.random.default_rng((seed, step)).integers(0, 400, batch.targets_BT.shape)
            batch = batch._replace(targets_BT=np.where(batch.targets_BT < 0, IGNORE_INDEX, words))
        return batch


def new_model(settings, dtype=np.float32):
    s = BASE | settings
    text = s.get("text", "tales")
    config = GPTConfig(
        len(letter_rows.TOKENS) if text == "rows" else tokenizer().vocab_size, LONGEST_OF[text],
        s["n_layer"], s["n_head"], s["n_embd"],
        dropout=s["dropout"], bias=s["bias"], tie_weights=s["tied"])
    model = VARIANTS[s["variant"]](config, seed=s["seed"], dtype=dtype)
    if s.get("init") == "1/sqrt(C)":
        larger = 1 / (INIT_STD * math.sqrt(s["n_embd"]))
        for weight in model.parameters().values():
            if weight.ndim == 2:
                weight.data *= larger
        if s["variant"] == "sinusoids":
            model.wpe.waves_TC *= model.wpe.waves_TC.dtype.type(larger)
    return model


def measure(settings):
    """Return the measurements of a finished training; no times."""
    model, s = new_model(settings), BASE | settings
    middle, text = s["steps"] // 2, s.get("text", "tales")
    read, bad = stories("train", text), range(middle, middle + s["bad_batches"])
    objective = InOrder(s["seed"], s["stories"], bad, text)
    optimizer = OPTIMIZERS[s["optimizer"]](
        model.parameters(), lr=s["lr"], weight_decay=s["decay"], grad_clip=s["clip"])
    config = TrainConfig(
        max_iters=s["steps"], batch_size=s["batch_size"], lr=s["lr"], warmup_iters=s["warm_up"],
        min_lr=s["lr"] / 50, seed=s["seed"])
    found = {"parameters": model.num_parameters(), "stopped": None}
    try:
        for _ in training_steps(model, optimizer, read, config, objective=objective):
            pass
    except FloatingPointError as error:
        return found | {"stopped": str(error), "excess": None}
    found["excess"] = excess_on(model, stories("test", text))
    if s.get("gap"):
        found["read_excess"] = excess_on(model, Stories(*(part[objective.order] for part in read)))
    return found


def excess_on(model, some):
    """Return nats per token above the least loss that is possible on `Stories`, None for NaN."""
    total, count = 0, 0
    with model.evaluating(), np.errstate(all="ignore"):
        for first in range(0, len(some.nats_N), 64):
            rows = slice(first, first + 64)
            batch = some.batch(rows)
            total += batch.loss(model).item() * batch.n_targets - some.nats_N[rows].sum()
            count += batch.n_targets
    return round(total / count, 5) if math.isfinite(total) else None
