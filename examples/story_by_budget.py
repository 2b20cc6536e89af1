"""One story for each budget: models trained with ten times the FLOPs of the one before.

    python examples/story_by_budget.py     trains them, some two minutes, and draws them

The larger budget goes into a wider model and more steps, as the scaling laws have it. From the
first word that the grammar of the tales could not have written, a story is in another colour.
"""

import re
import textwrap
from itertools import chain, repeat

import numpy as np
from example import FIGURES, picture, run
from small_model import tokenized_tales, train

from npgpt import GPT, GPTConfig, TrainConfig
from npgpt.batches import NextToken
from npgpt.models.size import flops_per_token
from npgpt.reward.verify import derivable
from npgpt.support import plots
from npgpt.train import evaluate

WIDTHS = {1e9: 8, 1e10: 16, 1e11: 48, 1e12: 96, 1e13: 128}  # FLOPs -> channels
TOKENS, BLOCK, BATCH = 60, 64, 12  # of a story at most; of a window; windows of a step
WIDTH, SIZE, LINE = 88, 8, 12  # characters of a line; points of a letter and between lines
MONOSPACE = 0.602  # width of a letter, of its size
RIGHT = {"style": "normal", "color": plots.INK}
WRONG = {"style": "italic", "color": plots.COLOURS[1]}


def right_words(story):
    """Return how many words of a story, from the first, the grammar can write."""
    story += "\n\n"
    return len((story[: derivable(story)] + "|").split()) - 1  # a word ends where the next begins


def story_of(FLOPs, channels, tokenizer, train_ids, val_ids):
    """Return (parameters, steps, validation loss, the story told) of a model so trained."""
    config = GPTConfig(tokenizer.vocab_size, BLOCK, 2, 4, channels, bias=False)
    steps = max(1, round(FLOPs / (3 * flops_per_token(config) * BATCH * BLOCK)))
    rate = 0.04 / channels**0.5
    training = TrainConfig(max_iters=steps, batch_size=BATCH, lr=rate, min_lr=rate / 10,
                           warmup_iters=min(20, steps // 10), seed=1)
    model = train(GPT(config, seed=1), train_ids, training)
    loss, _ = evaluate(model, val_ids)
    told = model.generate(tokenizer.encode("\n\n"), TOKENS, seed=1)
    story = tokenizer.decode(told).strip().split("\n\n")[0]
    return model.num_parameters(), steps, loss, re.sub("[^ -~]", "·", story)


def draw(path, found, grammar):
    """Draw the stories, one above the other.    found: FLOPs -> what story_of returned"""
    drawing, page = plots.figure(WIDTH * MONOSPACE * SIZE / 72 + 0.3, 4.9 * LINE * len(found) / 72)
    page.axis("off")
    y = 0
    for FLOPs, (parameters, steps, loss, story) in found.items():
        heading = (f"1e{np.log10(FLOPs):.0f} FLOPs: {parameters:,} parameters, {steps:,} steps, "
                   f"{loss:.2f} nats per token (the grammar: {grammar:.2f})")
        _write(page, 0, y, heading, weight="bold")
        looks = chain(repeat(RIGHT, right_words(story)), repeat(WRONG))
        for line in textwrap.wrap(story, WIDTH):
            y -= LINE
            for match in re.finditer(r"\S+", line):
                _write(page, match.start(), y, match[0], **next(looks))
        y -= 2 * LINE
    drawing.suptitle("Ten times the budget each: words, then phrases, then nearly a story",
                     fontsize=11)
    return plots.save(drawing, path)


def _write(page, column, y, text, **font):
    page.annotate(text, (0, 1), (column * MONOSPACE * SIZE, y), va="top", family="monospace",
                  xycoords="axes fraction", textcoords="offset points", fontsize=SIZE, **font)


def main(quick=False, figures=FIGURES):
    tokenizer, train_ids, val_ids = tokenized_tales(quick, n_characters=4_000_000)
    val_ids = val_ids[:8_000]
    grammar = NextToken(tokenizer).grammar_loss(val_ids, BLOCK, before=train_ids).nats
    found = {}
    for FLOPs, channels in list(WIDTHS.items())[: 3 if quick else None]:
        found[FLOPs] = story_of(FLOPs, channels, tokenizer, train_ids, val_ids)
        print(f"{FLOPs:.0e} FLOPs, loss {found[FLOPs][2]:.3f}: {found[FLOPs][3]}\n")
    picture(draw, figures / "story_by_budget.png", found, grammar)
    return found


if __name__ == "__main__":
    run(main)
