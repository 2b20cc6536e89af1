"""Where a training stands: its validation loss still falls, is flat, or the text is memorised."""

import math
from itertools import pairwise

import numpy as np

from npgpt.support.files import quoted
from npgpt.train import MEAN_LOSS_STEPS

NO_CHANGE_SHARE = 0.005  # share of a loss that counts as no change; twice as much of single batches
OTHER_TEXT_RATIO = 1.2  # a ratio of losses that two texts of one kind do not have
STATES = {
    None: "the model has not yet read the whole text",
    "another kind": "the validation text, the end of the text, is another kind of text: its loss "
                    "is far higher, though nothing was read twice",
    "still falling": "the validation loss still falls",
    "overfitting": "overfitting: the training loss falls, the validation loss does not",
    "flat": "the validation loss no longer falls",
}


def state_of(rows, training, steps_per_epoch):
    """Return the state of a training, a key of STATES, by the rows of metrics.csv.

    steps_per_epoch   steps that read the training text once

    None before the first reading and the third evaluation, and with a reward. But if the tail of a
    text has a loss far above that of training already then, it is another kind of text.

    It compares the last evaluation with that a quarter of them before; the training loss is a mean
    of the steps before an evaluation. Validation draws some of the text: where its loss has not
    fallen, and that in training has, only one below it is overfitting.
    """
    ends = [i for i, row in enumerate(rows, 1) if row["val_loss"] is not None]
    if not ends or "reward" in rows[0]:
        return None
    validation = [rows[i - 1]["val_loss"] for i in ends]
    trained = [np.mean([row["loss"] for row in rows[max(a, b - MEAN_LOSS_STEPS) : b]])
               for a, b in pairwise([0, *ends])]
    early = sum(rows[i - 1]["step"] <= steps_per_epoch for i in ends)
    if (early and training.split == "tail" and not training.conversations
            and validation[early - 1] > OTHER_TEXT_RATIO * trained[early - 1]):
        return "another kind"
    if len(ends) < 3 or rows[ends[-1] - 1]["step"] < steps_per_epoch:
        return None
    before = len(ends) - 1 - max(1, len(ends) // 4)
    best = validation.index(min(validation))
    if validation[-1] < validation[before] * (1 - NO_CHANGE_SHARE):
        return "still falling"
    if trained[-1] < trained[min(before, best)] * (1 - 2 * NO_CHANGE_SHARE):
        gap = trained[-1] < validation[-1] * (1 - 2 * NO_CHANGE_SHARE)
        return "overfitting" if gap else "still falling"
    return "flat"


def what_helps(state, run, steps_per_epoch, again):
    """Return (what would help a run in a state, or in none, the command for it or None).

    steps_per_epoch   steps that read the training text once
    again     a function: the command that was typed, or None if it is not known, with another value
              of a setting
    """
    if state == "another kind":
        return ("--split documents, which validates on whole files; cut a single one into several",
                again("split", "documents"))
    if state == "overfitting":
        dropout = min(0.5, round(run.model.dropout + 0.2, 2))
        return f"more text, or --dropout {dropout}", again("dropout", dropout)
    if state == "flat":
        wider = 2 * run.model.n_embd
        return f"a wider model, such as --n-embd {wider}", again("n_embd", wider)
    steps = 2 * run.training.max_iters if state else math.ceil(steps_per_epoch)
    return "more steps", f"npgpt train --resume --out {quoted(run.folder)} --max-iters {steps}"
