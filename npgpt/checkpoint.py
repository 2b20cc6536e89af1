"""The state of a training run in files: weights by name, AdamW's moments, the step.

    model.safetensors          the weights; rewritten at every checkpoint
    best.safetensors           the weights at the evaluation with the lowest loss so far
    kept-STEP.safetensors      the weights after that step, if --keep asks for such
    train_state.safetensors    weights, AdamW's moments and the step, to continue from

train_state.safetensors holds the weights a second time: one file is one moment of training, and a
checkpoint counts from the instant that the file is renamed. `npgpt.loading.runs` has the rest of a
run's folder.
"""

import re
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from autograd.anomaly import describe_nonfinite
from npgpt.support import files
from npgpt.support.files import RUN_STATE, member
from npgpt.support.progress import progress

BEST_WEIGHTS, LAST_WEIGHTS = "best.safetensors", "model.safetensors"
KEPT_WEIGHTS = re.compile(r"kept-(\d{1,18})\.safetensors")


def weights_not_finite(model):
    """Return which weight first holds NaN or infinity, in words; None if all are finite."""
    for name, weight in model.parameters().items():
        if not np.isfinite(weight.data).all():
            return f"the weight {name} has {describe_nonfinite(weight.data)}"
    return None


@progress("saving the run")
def save_checkpoint(folder, model, optimizer):
    """Write the weights and the training state as they are after `optimizer.steps` steps.

    Raises OSError if the disk is full or the folder cannot be written to; the checkpoint before it
    is intact then.
    """
    save_weights(folder / LAST_WEIGHTS, model)
    state = _state(model, optimizer) | {"step": np.array([optimizer.steps], np.int64)}
    if any(optimizer.missed.values()):  # most runs and those of older versions lack it
        state["missed"] = np.array(list(optimizer.missed.values()), np.int64)
    files.atomic_write(folder / RUN_STATE, save(state))


def save_weights(path, model):
    files.atomic_write(path, save(arrays_of(model), metadata={"format": "pt"}))


def kept(folder):
    """Return {step: path} of the weights that a run has kept, in the order of their steps."""
    found = ((KEPT_WEIGHTS.fullmatch(path.name), path) for path in folder.glob("kept-*"))
    return dict(sorted((int(match[1]), path) for match, path in found if match and path.is_file()))


def steps_to_keep(config):
    """Return the set of steps after which weights are kept, by a TrainConfig: 0, and then steps
    at equal ratios, from above a hundredth of the run."""
    n, last = config.keep, config.max_iters
    return {round(last * 100 ** (k / n - 1)) if k else 0 for k in range(n)} - {last}


def keep_weights(folder, model, step, count):
    """Write the weights after a step; of more than `count` files delete those nearest to others.

    There are more if a run was made longer: it had kept some for its old end. Weights that are not
    finite are not written: the next step will tell.
    """
    if weights_not_finite(model):
        return
    with saving(step, folder):
        save_weights(folder / f"kept-{step}.safetensors", model)
        found = list(kept(folder).items())
        while len(found) > max(count, 2):
            i = min(range(1, len(found) - 1),
                    key=lambda i: (found[i + 1][0] + 1) / (found[i - 1][0] + 1))
            found.pop(i)[1].unlink()


def drop_kept_after(last_step, folder):
    """Delete weights kept after the checkpoint that a run continues from, and unfinished files."""
    for step, path in kept(folder).items():
        if step > last_step:
            path.unlink()
    for path in filter(Path.is_file, folder.glob(".kept-*.tmp")):
        path.unlink()


def drop_samples_after(last_step, path):
    """Remove the samples written after the checkpoint that a run continues from."""
    if path.exists():
        with files.open_file(path, "rb") as file:  # a pipe would wait for ever
            text = file.read()
        for found in re.finditer(rb"^step (\d{1,18}): ", text, re.M):
            if int(found[1]) > last_step:
                files.atomic_write(path, text[: found.start()])
                return


@contextmanager
def saving(step, folder):
    """Add to an OSError in a block the command that resumes the run."""
    try:
        yield
    except OSError as error:
        raise OSError(
            f"step {step} could not be saved ({error}). The checkpoint before it is "
            "whole: make room, make the folder writable, or close what has its files open, then "
            f"go on with:\n    npgpt train --resume --out {files.quoted(folder)}"
        ) from error


def load_checkpoint(run, model, optimizer):
    """Set the model and the optimizer to the run's last checkpoint; return the steps it had done.

    Raises FileNotFoundError or ValueError, with model and optimizer untouched, if there is no
    intact checkpoint.
    """
    path = member(run.folder, RUN_STATE)
    arrays = files.read_arrays(path)
    step, missed = np.zeros(1, np.int64), np.zeros(len(optimizer.missed), np.int64)
    arrays.setdefault("missed", missed)
    state = _state(model, optimizer) | {"step": step, "missed": missed}
    files.check_fits(arrays, state, path)
    for name, target in state.items():
        target[...] = arrays[name]
    for weight in model.parameters().values():
        weight.mark_written()
    optimizer.steps = int(step[0])
    optimizer.missed = dict(zip(optimizer.missed, missed.tolist(), strict=True))
    return optimizer.steps


def arrays_of(model):
    return {name: weight.data for name, weight in model.parameters().items()}


def _state(model, optimizer):
    kinds = {"weight": arrays_of(model)} | optimizer.state()
    return {f"{kind}.{name}": a for kind, arrays in kinds.items() for name, a in arrays.items()}
