"""Questions about tales, and how many of them a small GPT answers right once it has read some.

A row is a story, a question about it, and the answer, a line each. `tale_questions.json` has the
beginnings of stories as patterns, each with its questions and answers.
"""

import json
import random
import re
from functools import cache
from pathlib import Path

import numpy as np
from family_models import Rewriting

from npgpt import GPT, GPTConfig, tales
from npgpt.config import TrainConfig
from npgpt.families.objectives import PAD
from npgpt.optim import make_optimizer
from npgpt.tokenizers import WordTokenizer
from npgpt.train import training_steps

RULES = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))


@cache
def rows(size, seed):
    """Return (story and question, answer) of each story of a text that has questions."""
    rng, found = random.Random(seed), []
    for story in tales.stories(tales.generate(size, seed=seed))[1:]:
        matches = ((re.match(pattern, story), asked) for pattern, *asked in RULES)
        if pair := next((pair for pair in matches if pair[0]), None):
            question, answer = pair[0].expand(rng.choice(pair[1])).split("|")
            found.append((f"{story.strip()}\n{question}\n", f"{answer}\n\n"))
    return found


def measure(init, counted, settings):
    """Return the loss near step 1,000 and at the end, and how many new questions are answered.

    counted    "all": each token has a loss; "answers": those of the answers alone
    settings   of training
    """
    some, test = rows(3_000_000, 1001), rows(120_000, 99)[:300]
    text = "".join(map("".join, some[:8000]))
    tokenizer = WordTokenizer.train([text], "".join(sorted(set(text))), (PAD,))
    pairs = [tuple(map(tokenizer.encode, row)) for row in some]
    T = max(len(prompt) + len(answer) for prompt, answer in pairs) + 8
    if counted == "all":
        pairs = [(row[:1], row[1:]) for row in map(np.concatenate, pairs)]
    config = TrainConfig(batch_size=32, warmup_iters=50, min_lr=settings["lr"] / 20, **settings)
    model = GPT(GPTConfig(tokenizer.vocab_size, T, 2, 4, 128, init=init), config.seed)
    losses = [step.loss for step in training_steps(
        model, make_optimizer(model, config), pairs, config, objective=Rewriting("gpt", tokenizer))]
    right = 0
    for prompt, answer in test:
        ids = tokenizer.encode(prompt)
        written = model.generate(ids, len(tokenizer.encode(answer)) + 4, temperature=0)[len(ids) :]
        right += tokenizer.decode(list(written)).partition("\n")[0] == answer.strip()
    return {"at 1000": np.mean(losses[:1000][-100:]), "loss": np.mean(losses[-100:]),
            "right": right, "stories": len(test)}
