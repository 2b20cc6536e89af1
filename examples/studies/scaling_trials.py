"""The trainings of `09_scaling_laws.py`: settings in, measured numbers out.

    channels   of a GPT with two blocks; its parameters follow
    flops      of the training, forward and backward; with the size it says how many tokens are read
    rate       of learning, at its peak
    stories    how many the text to read has; none: `pool`, else POOL
    asked      stories to measure the loss on; none: ASKED
    written    stories that the model writes; none: WRITTEN
    seed       of the first weights and of the order of the text
"""

import io
from functools import cache
from pathlib import Path

import numpy as np
from almanac import LINE_END, LONGEST, Almanac
from family_models import padded, train

from autograd import log_softmax
from npgpt import GPT, GPTConfig
from npgpt.batches import IGNORE_INDEX, Batch, Objective
from npgpt.models.size import flops_per_token
from npgpt.support.files import atomic_write

BLOCK = 3 * LONGEST  # tokens: three stories
BATCH = 8
POOL = 1_200_000  # stories of the text that has no end
ASKED, WRITTEN = 16_000, 300  # stories to measure the loss on, and to let a model write
GROUPS = 8  # of the stories asked, each from a seed
BANDS = (10, 100, 1000, 128 * 128)  # up to which rank a person is in a band


def shape(channels, vocab_size):
    heads = 2 if channels < 64 else 4
    return GPTConfig(vocab_size, BLOCK, 2, heads, channels, bias=False)


class FromLineStarts(Objective):
    """The objective to go on with stories, in windows that begin where a story does: what a word
    depends on is in the window."""

    def __init__(self, ids_N, line_end):
        starts = np.flatnonzero(ids_N == line_end)
        self.starts = starts[starts < len(ids_N) - BLOCK]

    def sample(self, ids_N, block_size, batch_size, *, seed, step, rows=slice(None)):
        drawn = np.random.default_rng((seed, step)).integers(0, len(self.starts), batch_size)[rows]
        ids_BT1 = ids_N[self.starts[drawn, None] + np.arange(block_size + 1)].astype(np.int64)
        return Batch((ids_BT1[:, :-1],), ids_BT1[:, 1:], {}, drawn.size * block_size)


almanac = cache(Almanac)


@cache
def text(stories):
    """Return token ids of so many stories, kept in a file under runs/ if they are many."""
    if stories < POOL:
        return almanac().ids(stories, seed=0)
    kept = Path(__file__).parents[2] / "runs" / f"almanac-{stories}.npy"
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        np.save(file := io.BytesIO(), almanac().ids(stories, seed=0))
        atomic_write(kept, file.getvalue())  # as other workers ask for it, too
    return np.load(kept, mmap_mode="r")


def measure(settings):
    """Train, and return what was measured."""
    al, ids_N = almanac(), text(settings.get("stories", settings.get("pool", POOL)))
    objective = FromLineStarts(ids_N, al.tokenizer.ids[LINE_END])
    config = shape(settings["channels"], al.tokenizer.vocab_size)
    model, step = GPT(config, seed=settings["seed"]), BATCH * BLOCK
    steps = max(2, round(settings["flops"] / (3 * flops_per_token(config) * step)))
    train(model, ids_N, objective, steps, lr=settings["rate"], seed=settings["seed"],
          batch_size=BATCH, weight_decay=0.01)
    result = {"parameters": model.num_parameters(), "tokens": steps * step}
    asked = settings.get("asked", ASKED) // GROUPS
    told = [story for seed in range(GROUPS) for story in al.stories(asked, 1 + seed, even=True)]
    result |= compared(al, model, told)
    result |= {"entropy": al.entropy, "loss": al.entropy + result["excess"]}
    if "stories" in settings:
        read = al.stories(min(settings["stories"], len(told)), seed=0)
        result["excess on text read"] = compared(al, model, read)["excess"]
        result["characters"] = sum(map(len, al.stories(settings["stories"], seed=0)))
    return result | {"written": written(al, model, settings.get("written", WRITTEN))}


def compared(al, model, told):
    """Return the loss on stories less the grammar's, in nats per token, and shares of right facts.

    The difference to the grammar's loss has little of the chance by which stories are drawn, so the
    loss is taken to be the exact entropy and this difference, `excess`.
    """
    over, right = [], [[] for _ in BANDS]
    for first in range(0, len(told), 64):
        some = told[first : first + 64]
        ids = [al.tokenizer.encode(LINE_END + story) for story in some]
        targets_BT = padded([row[1:] for row in ids], IGNORE_INDEX)
        with model.evaluating():
            logs_BTV = log_softmax(model(padded([row[:-1] for row in ids], 0))[0]).data
        kept_BT1 = np.take_along_axis(logs_BTV, np.maximum(targets_BT, 0)[:, :, None], 2)
        nats_B = -(kept_BT1[:, :, 0] * (targets_BT >= 0)).sum(axis=1)
        over += [n + al.grammar.log_probability(s) for n, s in zip(nats_B, some, strict=True)]
        for story, row, logs_TV in zip(some, ids, logs_BTV, strict=True):
            for band, at, words in questions(al, story, row):
                right[band].append(words[logs_TV[at - 1, words].argmax()] == row[at])
    return {"excess": float(np.mean(over) / al.mean_length), "right": {
        "fact": [(round(float(np.mean(row)), 4) if row else 0.0, len(row)) for row in right]}}


@cache
def _facts(al):
    """Return (name of a person -> rank from 0 on, fact -> its words' ids)"""
    people = al.grammar.lists["person"]
    ids = {
        fact: np.array(sorted({al.tokenizer.ids[f" {o.traits[fact]}"] for o in people}))
        for fact in ("job", "land", "pet")
    }
    return {o.lead: rank for rank, o in enumerate(people)}, ids


def questions(al, story, ids_T):
    """Yield (band of the person, position, ids to choose from) for each fact that is told."""
    ranks, words = _facts(al)
    person = next(o for o in al.grammar.parse(story) if o.lead in ranks)
    band = int(np.searchsorted(BANDS, ranks[person.lead], side="right"))
    for fact, ids in words.items():
        at = np.flatnonzero(ids_T == al.tokenizer.ids[f" {person.traits[fact]}"])
        if len(at):
            yield band, at[-1], ids


def written(al, model, count):
    """Return the shares of a model's stories that the grammar derives, with the facts and with any
    facts."""
    begin, rows = al.tokenizer.ids[LINE_END], []
    for first in range(0, count, 50):
        prompts = np.full((min(50, count - first), 1), begin)
        rows += list(model.generate(prompts, LONGEST + 2, seed=first, stop=begin))
    told = [al.tokenizer.decode(row[1:]).partition(LINE_END)[0] + LINE_END for row in rows]
    return {name: float(np.mean([grammar.parse(story) is not None for story in told]))
            for name, grammar in (("derived", al.grammar), ("form", al.form))}
