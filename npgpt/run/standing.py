"""Where a training stands: its validation loss still falls, is flat, or the text is memorised."""

from itertools import pairwise

import numpy as np

from npgpt.files import quoted
from npgpt.loading import best_of
from npgpt.tokenizers import BPETokenizer

LITTLE = 0.005  # share of a loss that counts as no change; twice as much of single batches


def standing(rows):
    """Return "still falling", "overfitting" or "flat" by the rows of metrics.csv, and the losses of
    training and validation; None before the third evaluation, and with a reward.

    It compares the last evaluation with that a quarter of them before; the training loss is a mean
    between two evaluations. Validation draws some of the text: where its loss has not fallen, and
    that in training has, only one below it is overfitting.
    """
    ends = [i for i, row in enumerate(rows, 1) if row["val_loss"] is not None]
    if len(ends) < 3 or "reward" in rows[0]:
        return None
    validation = [rows[i - 1]["val_loss"] for i in ends]
    training = [float(np.mean([row["loss"] for row in rows[a:b]])) for a, b in pairwise([0, *ends])]
    before = len(ends) - 1 - max(1, len(ends) // 4)
    best = validation.index(min(validation))
    if validation[-1] < validation[before] * (1 - LITTLE):
        word = "still falling"
    elif training[-1] < training[min(before, best)] * (1 - 2 * LITTLE):
        gap = training[-1] < validation[-1] * (1 - 2 * LITTLE)
        word = "overfitting" if gap else "still falling"
    else:
        word = "flat"
    return word, training[-1], validation[-1]


def in_words(found):
    """Return what `standing` found as a line."""
    word, training, validation = found
    return f"{word}: loss {training:.4f} in training, {validation:.4f} in validation"


def what_helps(word, run, tokenizer):
    """Return (what would help a run where it stands, the command for it)."""
    model, training, folder = run.model, run.training, run.folder
    if word == "still falling":
        return "more steps", (f"--resume --out {quoted(folder)} "
                              f"--max-iters {2 * training.max_iters}")
    talks = training.conversations
    text = " ".join(map(quoted, talks or training.corpus))
    text = f"--conversations {text}" if talks else f"--corpus {text}"
    if word == "overfitting":
        dropout = min(0.5, round(model.dropout + 0.2, 2))
        return "more text, or dropout from the best weights on", (
            f"{text} --init-from {quoted(best_of(folder))} --dropout {dropout}")
    tokens = (f" --tokenizer bpe --vocab-size {tokenizer.vocab_size}"
              if isinstance(tokenizer, BPETokenizer) else "")
    return "a wider model", (f"{text} --arch {training.arch} --n-layer {model.n_layer} --n-head "
                             f"{model.n_head} --n-embd {2 * model.n_embd}{tokens}")
