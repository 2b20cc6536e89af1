"""The training of a run, from its folder: losses, gradient norms, samples, and reference losses."""

import math
import re
from contextlib import ExitStack

import numpy as np

from npgpt.config import TrainConfig
from npgpt.families import family
from npgpt.files import member, read_text
from npgpt.io.tokens import open_dataset
from npgpt.metrics import read_metrics
from npgpt.ngram import NgramModel

POINTS = 400  # of a curve, each the mean of the steps around it
READ = 20_000_000  # characters of the longest corpus that is read again
SAMPLES = 60_000  # characters


def is_tales(run):
    """Return whether a run was trained on the embedded text, whose grammar is known."""
    return run is not None and run.training.corpus == ("tales",)


def optimizer_settings(run):
    """Return the settings of `npgpt.optim.AdamW` in a run, or by default, as an object for JSON."""
    training = run.training if run else TrainConfig()
    names = ("beta1", "beta2", "weight_decay", "grad_clip")
    return {name: getattr(training, name) for name in names}


def validation_text(run, tokenizer, count):
    """Return the first `count` tokens after a paragraph of a run's validation text, as text.

    None if the text is not there any more, or is long.
    """
    ids = _validation_ids(run, tokenizer, 4 * count)
    if ids is None:
        return None
    text = tokenizer.decode(ids).split("\n\n", 1)[-1]
    return tokenizer.decode(tokenizer.encode(text)[:count]).replace("\ufffd", "")  # cut at the end


def history(run, tokenizer):
    """Return a run's metrics.csv and samples.txt as objects for JSON; None if it has no steps.

    Raises ValueError for a metrics.csv that is damaged, with its line.
    """
    path = member(run.folder, "metrics.csv")
    rows = read_metrics(path) if path.exists() else []
    if not rows:
        return None
    curves = {
        name: [
            round(float(np.mean([row[name] for row in part])), 5)
            for part in np.array_split(np.array(rows), min(POINTS, len(rows)))
        ]
        for name in ("step", "loss", "grad_norm")
    }
    val = [[row["step"], row["val_loss"]] for row in rows if row["val_loss"] is not None]
    return curves | {"val": val, "levels": _levels(run, tokenizer), "samples": _samples(run)}


def validation_prompt(run, tokenizer, size=40):
    """Return about `size` tokens of a run's validation text, from a line's start to a line's end.

    Return None if the text is not there any more, has changed, or is long.
    """
    ids = _validation_ids(run, tokenizer, 4 * size, run.text)
    if ids is None:
        return None
    # A character that was cut in the middle cannot be typed.
    text, least = (tokenizer.decode(ids[:n]).replace("\ufffd", "") for n in (len(ids), size))
    return whole_lines(text, len(least))


def whole_lines(text, least):
    """Return a text from a line's start to the first line's end, or else word's end, that leaves
    `least` characters."""
    text = text[text.find("\n", 0, len(text) // 2) + 1 :].lstrip("\n")
    end = text.find("\n", least)
    return text[: end if end >= 0 else max(least, text.rfind(" ", 0, 2 * least))]


def _validation_ids(run, tokenizer, count, expected=None):
    if "-" in run.training.corpus or (run.text.characters or 0) > READ:
        return None
    try:
        with ExitStack() as stack:
            kind = family(run.training.arch)
            data = open_dataset(kind, run.training, stack, tokenizer=tokenizer, expected=expected)
            return np.array(data.val_ids[:count])
    except (OSError, ValueError):
        return None


def _levels(run, tokenizer):
    """Return reference losses as [name, nats per token].

    N-gram models are fitted to the embedded text only, which needs no file and no network.
    """
    levels = [["a uniform guess", math.log(run.model.vocab_size)]]
    if is_tales(run):
        with ExitStack() as stack:
            kind = family(run.training.arch)
            dataset = open_dataset(kind, run.training, stack, tokenizer=tokenizer)
            train_ids, val_ids = dataset.train_ids[:300_000], dataset.val_ids[:50_000]
            for n, name in enumerate(("unigram", "bigram", "trigram"), 1):
                levels.append([name, NgramModel(train_ids, run.model.vocab_size, n).loss(val_ids)])
            floor = dataset.objective.floor(val_ids, run.model.block_size, run.text.entropy_rate)
        if floor:
            levels.append([floor.name, floor.nats])
    return levels


def _samples(run):
    """Return the last samples as [step, text]."""
    path = member(run.folder, "samples.txt")
    text = read_text(path) if path.exists() else ""
    parts = re.split(r"^step (\d{1,18}): .*\n", text, flags=re.M)
    found, size = [], 0
    for step, text in list(zip(parts[1::2], parts[2::2], strict=True))[::-1]:
        size += len(text)
        if size > SAMPLES:
            break
        found.append([int(step), re.sub("^    ", "", text, flags=re.M).strip("\n")])
    return found[::-1]
