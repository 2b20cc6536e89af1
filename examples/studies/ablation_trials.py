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
import token_kinds
from family_models import WordTokenizer, flops_of_a_step, told
from variants import VARIANTS

from npgpt import tales
from npgpt.batches import NOT_COUNTED, Batch
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
ROWS = BASE | {  # text, first weights and how often skills are measured are of the second edition
    "text": "rows", "init": "1/sqrt(C)", "steps": 1000, "warm_up": 100, "evaluations": 12,
}
LONGEST_OF = {"tales": LONGEST, "rows": 2 * letter_rows.LONGEST_ROW + 2}
AVERAGED = 160  # stories that a point of a curve is the mean of
CHARACTERS = {"train": 5_000_000, "test": 165_000}
COUNT = {"train": 40_000, "test": 2_000}  # of rows
POINTS = 40  # of a curve


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


class Muon(AdamW):
    """A step of equal length in each direction of a hidden matrix; AdamW for all other weights.

    The momentum of a matrix is replaced by the orthogonal matrix nearest to it, by five steps of
    Newton and Schulz. Source: Jordan et al., Muon: An optimizer for hidden layers in neural
    networks, 2024.
    """

    def __init__(self, parameters, lr, **settings):
        self.hidden = {n: w for n, w in parameters.items() if w.ndim == 2 and n.startswith("h.")}
        others = {n: w for n, w in parameters.items() if n not in self.hidden}
        super().__init__(others, lr, **settings)
        self.momentum = {n: np.zeros_like(w.data) for n, w in self.hidden.items()}

    def step(self, lr=None):
        """Take a step; `lr` is that of the hidden matrices, a fifth of it that of the others."""
        for name, weight in self.hidden.items():
            m = self.momentum[name]
            m *= 0.95
            m += weight.grad
            direction = orthogonal(weight.grad + 0.95 * m)
            longer = math.sqrt(max(1.0, weight.shape[1] / weight.shape[0]))
            weight.data *= 1 - lr * self.weight_decay
            weight.data -= lr * longer * direction
        return super().step(lr / 5)

    def zero_grad(self):
        for weight in (*self.hidden.values(), *self.parameters.values()):
            weight.grad = None


def orthogonal(matrix, steps=5):
    """Return a matrix with the same singular vectors, and singular values near 1."""
    x = matrix / (np.linalg.norm(matrix) + 1e-7)
    x = x.T if (tall := x.shape[0] > x.shape[1]) else x
    for _ in range(steps):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.T if tall else x


OPTIMIZERS = {"Muon": Muon, "AdamW": AdamW, "Adam, L2": AdamL2, "SGD": SGD}


class Stories(NamedTuple):
    """Stories as rows of tokens: what is read, what is asked for, -ln P of each story."""

    x_NT: np.ndarray
    y_NT: np.ndarray
    nats_N: np.ndarray

    def batch(self, rows):
        """Return (a `Batch` of these rows, the least loss that is possible on it)"""
        batch = Batch((self.x_NT[rows],), self.y_NT[rows], {})
        count = batch.n_targets
        return batch._replace(step_targets=count), self.nats_N[rows].sum() / count


@cache
def tokenizer():
    return WordTokenizer("".join(told(600_000, seed=0)))


@cache
def stories(part, text="tales"):
    """Return `Stories` to train on ("train") or to test on ("test")."""
    if text == "rows":
        of = token_kinds.of_rows(COUNT[part], seed=("train", "test").index(part))
        return Stories(of.x_NT, of.y_NT, of.nats_NT.sum(axis=1))
    texts = told(CHARACTERS[part], seed=("train", "test").index(part))
    end = tokenizer().ids["\n"]  # also what stands before a story, and after it for the others
    x_NT = np.full((len(texts), LONGEST), end)
    y_NT = np.full((len(texts), LONGEST), NOT_COUNTED)
    for x_T, y_T, text in zip(x_NT, y_NT, texts, strict=True):
        ids = tokenizer().encode(text)
        x_T[1 : len(ids)], y_T[: len(ids)] = ids[:-1], ids
    return Stories(x_NT, y_NT, -np.array([tales.log_probability(text) for text in texts]))


@cache
def tested(text):
    """Return `token_kinds.Told` of the stories to test on."""
    if text == "rows":
        return token_kinds.of_rows(COUNT["test"], seed=1)
    return token_kinds.of_tales(told(CHARACTERS["test"], seed=1), tokenizer())


class InOrder:
    """The objective: stories in an order that the seed decides, again and again.

    n     how many of the stories; 0: all
    bad   steps whose targets are words at random
    """

    def __init__(self, seed, n=0, bad=(), text="tales"):
        order = np.random.default_rng(seed).permutation(len(stories("train", text).nats_N))
        self.order, self.bad = order[: n or None], bad
        self.floor = None  # the least loss that is possible on the batch that was last sampled

    def sample(self, stories, block_size, batch_size, *, seed, step, rows=slice(None)):
        at = (np.arange(batch_size) + step * batch_size) % len(self.order)
        batch, self.floor = stories.batch(self.order[at])
        if step in self.bad:
            words = np.random.default_rng((seed, step)).integers(0, 400, batch.targets_BT.shape)
            batch = batch._replace(targets_BT=np.where(batch.targets_BT < 0, NOT_COUNTED, words))
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


def train(model, settings, watch=lambda step: None):
    """Return (loss of each step, the least that was possible on its batch, what stopped it or None)

    watch    called after each step with its number, from 1 on
    """
    s = BASE | settings
    middle, text, n = s["steps"] // 2, s.get("text", "tales"), AVERAGED // s["batch_size"]
    objective = InOrder(s["seed"], s["stories"], range(middle, middle + s["bad_batches"]), text)
    optimizer = OPTIMIZERS[s["optimizer"]](
        model.parameters(), lr=s["lr"], weight_decay=s["decay"], grad_clip=s["clip"])
    config = TrainConfig(
        max_iters=s["steps"], batch_size=s["batch_size"], lr=s["lr"], warmup_iters=s["warm_up"],
        min_lr=s["lr"] if "goal" in s else s["lr"] / 50, seed=s["seed"])
    losses, floors, stopped = [], [], None
    try:
        for step in training_steps(model, optimizer, stories("train", text), config,
                                   objective=objective):
            losses.append(step.loss)
            floors.append(objective.floor)
            watch(len(losses))
            if ("goal" in s and len(losses) >= n
                    and np.mean(losses[-n:]) - np.mean(floors[-n:]) <= s["goal"]):
                break
    except FloatingPointError as error:
        stopped = str(error)
    return np.array(losses), np.array(floors), stopped


def measured(settings):
    """Return the measurements of a finished training; no times."""
    model, s = new_model(settings), BASE | settings
    text, learning = s.get("text", "tales"), {}
    first, _ = stories("train", text).batch(slice(s["batch_size"]))
    flops = flops_of_a_step(model, [first]) * s["steps"]
    when = np.geomspace(s["steps"] / 50, s["steps"], s.get("evaluations", 0)).round()

    def watch(step):
        if step in when:
            some = slice(None if step == s["steps"] else 10_000 // LONGEST_OF[text])
            learning[step] = token_kinds.measured(model, tested(text), some)

    losses, floors, stopped = train(model, settings, watch)
    n, excess = AVERAGED // s["batch_size"], losses - floors
    test = None if stopped else finite(excess_on(model, stories("test", text)))
    found = {
        "parameters": model.num_parameters(), "flops": flops, "stopped": stopped,
        "steps": len(losses), "excess": test,
        "curve": [finite(excess[i : i + n].mean())
                  for i in range(0, len(excess) - n + 1, max(1, s["steps"] // POINTS))],
    }
    if learning:
        found["skills"] = {"steps": list(learning)} | {
            name: [finite(at[name]) for at in learning.values()]
            for name in learning[max(learning)]
        }
    if s.get("gap"):
        order = InOrder(s["seed"], s["stories"], text=text).order
        read = Stories(*(part[order] for part in stories("train", text)))
        found["read_excess"] = finite(excess_on(model, read))
    return found


def finite(x):
    return round(float(x), 5) if math.isfinite(x) else None


def excess_on(model, some):
    """Return nats per token above the least loss that is possible on `Stories`."""
    total, count = 0, 0
    with model.evaluating(), np.errstate(all="ignore"):
        for first in range(0, len(some.nats_N), 64):
            batch, floor = some.batch(slice(first, first + 64))
            loss = batch.loss(model).item()
            total += (loss - floor) * batch.n_targets
            count += batch.n_targets
    return total / count
