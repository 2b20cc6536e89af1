"""Three families of one size, GPT, BERT and T5, trained on tales for as many FLOPs each.

A token is a word, so that what models understand shows before they have learned to spell: a story
has 45 tokens, where it has 160 characters. FLOPs are those of the steps as they are run, forward
and backward, padding included (`npgpt.run.profile.Profile`).
"""

import re
from functools import cache
from types import SimpleNamespace

import numpy as np

from npgpt import tales
from npgpt.config import GPTConfig, TrainConfig
from npgpt.models.bert import BertConfig
from npgpt.models.t5 import T5Config
from npgpt.objectives.denoising import MASK, PAD, SENTINELS
from npgpt.optim import make_optimizer
from npgpt.run.profile import Profile
from npgpt.train import training_steps

FAMILIES = ("gpt", "bert", "t5")
SPECIAL = (PAD, MASK, *SENTINELS)
LONGEST = 64  # tokens; a story has at most 53
BATCH = 8  # stories; of a GPT windows, twice as long
# For BERT and T5 the best of those tried for 4e12 FLOPs: of 1.2e-3, 2e-3 and 4e-3 (losses of 1.474,
# 1.471 and 1.533), and of 9e-4, 1.5e-3 and 3e-3 (1.14, 1.12 and 1.52). GPT's was chosen on `tales`.
RATES = {"gpt": 4e-3, "bert": 2e-3, "t5": 1.5e-3}

WORD = re.compile(r" ?[A-Za-z]+|[^A-Za-z]")
NAME = re.compile(r"( ?[A-Z][aeiou])([a-z][aeiou])([a-z](?:o|a|ia))")  # " Badado": " Ba" "da" "do"


class WordTokenizer:
    """A word with the space before it is a token, and each syllable of a name.

    Has what `npgpt.objectives.denoising` asks of a tokenizer. Raises KeyError for other words than
    those of the text it is made from.
    """

    def __init__(self, text, special=SPECIAL):
        self.pieces = [*sorted(set(_pieces(text))), *special]
        self.ids = {piece: i for i, piece in enumerate(self.pieces)}
        self.special_ids = {token: self.ids[token] for token in special}
        self.vocab_size = len(self.pieces)
        self.tokens = [piece.encode() for piece in self.pieces]

    def encode(self, text):
        return np.array([self.ids[piece] for piece in _pieces(text)], np.int32)

    def decode(self, ids):
        return "".join(self.pieces[i] for i in ids)


def _pieces(text):
    for word in WORD.findall(text):
        name = NAME.fullmatch(word)
        yield from name.groups() if name else (word,)


@cache
def told(n_characters, seed):
    """Return whole stories, in a list."""
    return tales.stories(tales.generate(n_characters, seed))


@cache
def tokenizer():
    return WordTokenizer("".join(told(600_000, seed=0)))


def model_config(family, vocab_size, C=128):
    """Return the shape of a family: 0.9 million parameters each, with 128 channels."""
    if family == "gpt":
        return GPTConfig(vocab_size, 2 * LONGEST, n_layer=4, n_head=4, n_embd=C, bias=False)
    if family == "bert":
        return BertConfig(vocab_size, LONGEST, n_layer=4, n_head=8, n_embd=C)
    # an encoder of half the depth, as blocks of the decoder have a second attention
    return T5Config(vocab_size, LONGEST, n_layer=2, n_decoder_layer=3, n_head=8, n_embd=C,
                    n_inner=11 * C // 8, tie_weights=False)


def padded(rows, value):
    """Return rows of ids, made as long as the longest: (B, T) int64."""
    padded_BT = np.full((len(rows), max(map(len, rows))), value, np.int64)
    for row_T, row in zip(padded_BT, rows, strict=True):
        row_T[: len(row)] = row
    return padded_BT


def train(model, text, objective, steps, *, lr, **settings):
    """Train at a rate that falls to a fiftieth of it after a warm-up.

    text       what the objective reads
    settings   others of a `TrainConfig`
    """
    config = TrainConfig(max_iters=steps, lr=lr, min_lr=lr / 50,
                         warmup_iters=min(200, steps // 10), **settings)
    for _ in training_steps(model, make_optimizer(model, config), text, config,
                            objective=objective):
        pass
    model.eval()


def train_for(flops, model, family, text, objective, *, seed):
    """Train for so many FLOPs, and return the number of steps."""
    some = [objective.sample(text, model.config.block_size, BATCH, seed=0, step=step)
            for step in range(10)]
    steps = max(2, round(flops / flops_of_a_step(model, some)))
    train(model, text, objective, steps, lr=RATES[family], seed=seed, arch=family,
          batch_size=BATCH)
    return steps


def flops_of_a_step(model, batches):
    """Return FLOPs of the ops of a step, forward and backward, padding included, in the mean."""
    with Profile(0, SimpleNamespace()) as profile:
        for batch in batches:
            batch.loss(model).backward()
    for weight in model.parameters().values():
        weight.grad = None
    return sum(cost["flops"] for cost in profile.costs.values()) / len(batches)
