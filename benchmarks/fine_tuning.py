"""Steps to a new text, from the packaged model of the tales and from nothing: the loss in nats per
character, and how far it is above that of the grammar on the same validation text.

The new text is told by a changed grammar of the tales: moods are where looks were, and the other
way round; things and places too; and each woe has the cure of another. Every run has the schedule
of the preset `tales`, and the fine-tuned ones the learning rate that files have by default.
"""

import tempfile
from itertools import chain
from pathlib import Path
from statistics import fmean

from benchmarks.quality import trained
from benchmarks.runners import ROOT
from benchmarks.train_step import CODE as STEP
from npgpt import tales
from npgpt.batches import split_text
from npgpt.config import TrainConfig
from npgpt.tales.grammar import Grammar
from npgpt.tales.words import WOES

CODE, PEERS, SEEDS = (*STEP, "npgpt/train.py", "npgpt/batches.py"), (), (1, 2, 3)
SIZE = 1_000_000  # characters
RUNS = {
    "a new model": (1500, ()),
    "the packaged model": (
        300, ("--init-from", ROOT / "npgpt" / "shipped" / "tales", "--lr", TrainConfig.lr),
    ),
}


def tables(threads, short):
    grammar, rows = changed_grammar(), {}
    text = tales.generate(SIZE, seed=1, grammar=grammar)
    text = text[: text.rindex(tales.END) + len(tales.END)]
    nats = list(chain.from_iterable(map(grammar.surprisals, tales.stories(text))))
    least = fmean(nats[-len(split_text(text, TrainConfig.train_fraction)[1]) + 1 :])
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, "changed.txt")
        corpus.write_text(text, encoding="utf-8")
        for name, (steps, more) in RUNS.items():
            steps = 20 if short else steps
            for seed in SEEDS[: 1 if short else None]:
                loss = trained(
                    Path(folder, f"{name}-{seed}"), "--preset", "tales", "--corpus", corpus,
                    "--max-iters", steps, "--seed", seed, *more,
                )["loss"]
                rows[f"{name}, {steps:,} steps, seed {seed}"] = (
                    f"{loss:.4f}, {loss / least - 1:.1%} above the grammar's {least:.4f}"
                )
    yield "A text of a changed grammar", rows


def changed_grammar():
    words = dict(tales.WORDS)
    for one, other in ("mood", "look"), ("thing", "place"):
        words[one], words[other] = words[other], words[one]
    cures = [cure for _, cure in WOES]
    woes = list(zip([woe for woe, _ in WOES], cures[1:] + cures[:1], strict=True))
    for name, options in tales.WORDS.items():
        if options[: len(WOES)] == WOES:
            words[name] = woes + options[len(WOES) :]
    stories = [story + tales.END for story in tales.STORIES]
    return Grammar(words | tales.PHRASES | {"story": stories})
