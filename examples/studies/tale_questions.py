"""Questions about tales, and how often a GPT answers right that was trained on some.

A row is a story, a question about it and the answer, a line each. Most answers are copied from the
story; "What was too tired?" asks what its *it* stands for.
"""

import random
import re
from functools import cache

import numpy as np
from family_models import Rewriting

from npgpt import GPT, GPTConfig, tales
from npgpt.config import TrainConfig
from npgpt.families.objectives import PAD
from npgpt.optim import make_optimizer
from npgpt.tokenizers import WordTokenizer
from npgpt.train import training_steps

WAS = (r"A (\S+) (\S+) (\S+) of (\S+) did not cross the (\S+) (\S+) because it was too {}, so it .*"
       r"\. Soon (a \S+ \S+ \S+) led it to (\S+)\.")
LED = r"Who led it?|\8", r"Where did it go?|\9"
RULES = [  # the beginning of a story; questions and their answers
    (r"One (\S+) (\S+) (\S+ \S+) of (\S+) lost (his|her) (\S+) (\S+) in (\S+)\. (A \S+ \S+ \S+) ",
     r"Who lost the \7?|\3", r"Who found the \7?|\9", r"Where was it lost?|In \8",
     r"What was lost?|\5 \6 \7"),
    (WAS.format("(tired|hungry|thirsty|cold|sad|scared)"), r"What was too \7?|The \3.", *LED),
    (WAS.format(r"(\S+)"), r"What was too \7?|The \6.", *LED),
    (r"Once a (\S+) (\S+) (\S+) \S+ in (\S+) because it was (\S+)\. All fled, but (\S+ \S+ \S+) of",
     r"Who helped?|\6", r"Why was it loud?|It was \5", r"Where was it?|In \4"),
    (r"Long ago there (?:was a|were \S+) (\S+) (\S+) (\S+) in (\S+)\. (?:It was|They were) (\S+), "
     r"so .* Then (\S+ \S+ \S+) of (\S+) led",
     r"Who helped?|\6", r"Where was it?|In \4", r"What animal was it?|\3"),
    (r"In (\S+) (\S+ \S+ \S+) of (\S+) met (\S+) (\S+ \S+) of (\S+)\. .*? gave \S+ (a \S+ \S+) and",
     r"Who met \5?|\2", r"Where did they meet?|In \1", r"What was the gift?|\7"),
    (r'"Who ate my (\S+) (\S+)\?" asked (\S+ \S+ \S+) of (\S+)\. "Not I," said the .*?But the '
     r"(\S+ \S+ \S+) had", r"Who ate the \2?|\5", r"What was eaten?|\1 \2", r"Who asked?|\3"),
]


@cache
def rows(size, seed):
    """Return (story and question, answer) of each tale of a text that has questions."""
    rng, found = random.Random(seed), []
    for story in map(str.strip, tales.stories(tales.generate(size, seed=seed))[1:]):
        for pattern, *questions in RULES:
            if match := re.match(pattern, story):
                question, answer = match.expand(rng.choice(questions)).split("|")
                found.append((f"{story}\n{question}\n", f"{answer}\n\n"))
                break
    return found


def measure(init, counted, settings):
    """Return the loss after 1,000 steps and at the end, and how many answers are right.

    counted    "all": each token has a loss; "answers": those of the answers alone
    settings   of training
    """
    train, test = rows(3_000_000, 1001), rows(120_000, 99)[:300]
    text = "".join(map("".join, train[:8000]))
    tokenizer = WordTokenizer.train([text], "".join(sorted(set(text))), (PAD,))
    pairs = [tuple(map(tokenizer.encode, row)) for row in train]
    block_size = max(map(len, map(np.concatenate, pairs))) + 8
    if counted == "all":
        pairs = [(row[:1], row[1:]) for row in map(np.concatenate, pairs)]
    config = TrainConfig(batch_size=32, warmup_iters=50, min_lr=settings["lr"] / 20, **settings)
    model = GPT(GPTConfig(tokenizer.vocab_size, block_size, 2, 4, 128, init=init), config.seed)
    losses = [step.loss for step in training_steps(
        model, make_optimizer(model, config), pairs, config,
        objective=Rewriting("gpt", tokenizer))]
    model.eval()
    right = 0
    for prompt, answer in test:
        ids = tokenizer.encode(prompt)
        written = model.generate(ids, len(tokenizer.encode(answer)) + 4, temperature=0)[len(ids) :]
        right += tokenizer.decode(list(written)).partition("\n")[0] == answer.strip()
    return {"at 1000": np.mean(losses[:1000][-100:]), "loss": np.mean(losses[-100:]),
            "right": right, "stories": len(test)}
