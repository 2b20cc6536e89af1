"""Training, top to bottom: a run, its steps, its evaluations, its checkpoints.

`train` is what `npgpt train` runs when its flags are read, its text is encoded and its folder is
made. Optional arguments connect it to other packages: `watch` shows progress and hears signals
(`npgpt.run.watch`), `ranks` shares each batch among several processes (`npgpt.run.parallel`); a
dataset's `objective` and `write` come from the kind of model (`npgpt.families`).
"""

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from npgpt.batches import NEXT_TOKEN
from npgpt.checkpoint import BEST, TextSource, save_checkpoint, save_weights, weights_not_finite
from npgpt.files import append, atomic_write, open_file, quoted
from npgpt.metrics import Metrics, bits_per_byte, bytes_per_token
from npgpt.optim import learning_rate
from npgpt.text import starting_prompt

RATIO_INTERVAL = 10  # steps from one measurement of the update to the next
RATIO_WEIGHTS = 1 << 20  # weights compared for it; more would show in a step's memory and time


class DivergedError(FloatingPointError):
    """The loss or a weight is not finite."""


@dataclass(frozen=True)
class Dataset:
    """A text as token ids, its tokenizer, and the objective of a model.

    train_ids, val_ids   arrays of ids, or `npgpt.io.tokens.TokenFile`s
    write      (model, tokenizer, prompt ids, max_new_tokens, *, seed) -> an iterator over ids
    contents   the files of the text, for a person
    """

    source: TextSource
    tokenizer: Any
    train_ids: Any
    val_ids: Any
    objective: Any
    write: Callable
    contents: str = ""


@dataclass(frozen=True)
class Step:
    """The result of one optimizer step. step counts from 1; loss in nats per target, before it.

    grad_norm      L2 norm of all gradients as one vector, before clipping
    update_ratio   L2 norm of the step over the norm of the weights, every RATIO_INTERVAL steps,
                   from a sample of large models' weights
    seconds        for the whole step; optimizer_seconds: for its optimizer alone
    """

    step: int
    loss: float
    lr: float
    grad_norm: float
    update_ratio: float | None = None
    seconds: float = field(default=0.0, compare=False)
    optimizer_seconds: float = field(default=0.0, compare=False)


class Watch:
    """A silent observer of a run; a subclass shows it. Use it as a context manager.

    stop      true once training is to stop after the step at hand
    seconds   of training, evaluations left out
    """

    stop, seconds = False, 0.0

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        """Receive the exception that ends a run, if one does."""

    def update(self, step):
        """Receive each `Step`."""
        self.seconds += step.seconds

    def evaluated(self, text, val_loss):
        """Receive the text of an evaluation, with its sample."""


def train(run, dataset, model, optimizer, *, watch=None, ranks=None):
    """Train from `optimizer.steps` to the last step or until `watch.stop`; return True at the end.

    run       a `npgpt.checkpoint.Run`, whose folder is there
    dataset   a `Dataset`
    watch     a `Watch`
    ranks     `npgpt.run.parallel.Ranks` if several processes share each batch; this is rank 0

    Raises FloatingPointError if the loss or a weight is not finite, OSError if a checkpoint cannot
    be saved; the checkpoint before is whole then.
    """
    config, folder, first_step = run.training, run.folder, optimizer.steps
    objective, watch = dataset.objective, watch or Watch()
    metrics = Metrics(folder / "metrics.csv", first_step)
    if metrics.missing:
        print(f"note    metrics.csv lacks {metrics.missing:,} of the steps before; it goes on "
              "without them")
    drop_samples_after(first_step, folder / "samples.txt")
    if metrics.lowest_at(first_step):  # a kill may have come before it was kept
        save_weights(folder / BEST, model)
    bytes_each = bytes_per_token(dataset.val_ids, dataset.tokenizer)
    watch.seconds = metrics.seconds
    with watch:
        steps = training_steps(model, optimizer, dataset.train_ids, config, ranks, objective)
        for step in steps:
            watch.update(step)
            # Checked once a step: a signal that arrives later stops after the next one.
            last = bool(watch.stop) or step.step == config.max_iters
            val_loss = bits = None
            if last or step.step % config.eval_interval == 0:
                val_loss = validation_loss(model, dataset.val_ids, config, step.step, objective)
                bits = bits_per_byte(val_loss, bytes_each) if objective.every_token else None
            metrics.add(step, val_loss, bits, watch.seconds)
            if val_loss is not None:
                text = sample_heading(step, val_loss, bits, objective)
                text += sample_text(model, dataset, config, step)
                save(folder, metrics, text, model, optimizer)
                watch.evaluated(text, val_loss)
            if last:
                break
    return optimizer.steps >= config.max_iters


def training_steps(model, optimizer, ids_N, config, ranks=None, objective=NEXT_TOKEN):
    """Train, one optimizer step for each item taken: an iterator over `Step`.

    model      a GPT, or a model of the kind that the objective is for
    optimizer  an AdamW of its parameters; its `steps` are done already
    ids_N      the training text as token ids
    config     a TrainConfig
    ranks      `npgpt.run.parallel.Ranks` if several processes share each batch
    objective  `npgpt.batches.NextToken`, or one of `npgpt.families.objectives`

    Batches, dropout masks and rates are functions of (seed, step, ranks): a run that is continued
    takes the same steps as one that never stopped. The caller decides what happens in between.

    Raises FloatingPointError, with the weights as they were before the step, if the loss or the
    gradient is not finite.
    """
    for step in range(optimizer.steps, config.max_iters):
        started = time.perf_counter()
        lr = learning_rate(step, config)
        loss = 0.0
        with np.errstate(all="ignore"):  # what is not finite is noticed below, and stops training
            for batch, weight in micro_batches(model, ids_N, config, step, ranks, objective):
                mean = model.loss(*batch.inputs, batch.targets_BT, **batch.masks)
                mean.backward(np.asarray(weight, mean.dtype))
                loss += weight * mean.item()
        if ranks:
            loss = ranks.average(optimizer.parameters, loss)
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss}; no weight was moved")
        measured = step % RATIO_INTERVAL == 0
        before = _weight_sample(optimizer.parameters) if measured else None
        optimizer_started = time.perf_counter()
        grad_norm = optimizer.step(lr)
        optimizer_seconds = time.perf_counter() - optimizer_started
        optimizer.zero_grad()
        ratio = _update_ratio(before, _weight_sample(optimizer.parameters)) if measured else None
        seconds = time.perf_counter() - started
        yield Step(step + 1, loss, lr, grad_norm, ratio, seconds, optimizer_seconds)


def micro_batches(model, ids_N, config, step, ranks=None, objective=NEXT_TOKEN):
    """Yield (batch, weight) for each part of a step's batch; the weights of a step add up to 1.

    Computing a batch in `gradient_accumulation_steps` parts takes less memory at a time. Of several
    ranks each gets its own rows; its weights are then relative to the mean over the ranks. The
    model's `dropout_step` is set for each part.
    """
    parts, B = config.gradient_accumulation_steps, config.batch_size
    rank, size = (ranks.rank, ranks.size) if ranks else (0, 1)
    for part in range(parts):
        first = part * B + rank * B // size
        model.dropout_step = (step * parts + part) * size + rank
        batch = objective.sample(
            ids_N, model.config.block_size, parts * B, seed=config.seed, step=step,
            rows=slice(first, first + B // size),
        )
        yield batch, batch.counted * size / batch.asked


def validation_loss(model, val_ids, config, step, objective=NEXT_TOKEN):
    """Return the loss in nats per target on a part of the validation text, always the same part.

    Raises DivergedError if it or a weight is not finite: a checkpoint has to be worth loading.
    """
    loss, _ = evaluate(
        model, val_ids, stride=config.eval_stride or None, max_tokens=config.eval_tokens or None,
        seed=config.seed, objective=objective,
    )
    broken = weights_not_finite(model)
    if broken or not math.isfinite(loss):
        raise DivergedError(f"after step {step}: {broken or f'the validation loss is {loss}'}")
    return loss


def evaluate(
    model, ids_N, *, batch_size=16, stride=None, max_tokens=None, seed=0, progress=None,
    objective=NEXT_TOKEN,
):
    """Return (mean loss in nats per target over a text, number of targets that counted).

    max_tokens   None for every token but the first, once; else about so many, in windows drawn
                 from all over the text: the same ones for the same seed
    progress     called with the number of targets that each batch has counted
    objective    as in `training_steps`

    stride=None reads disjoint windows of block_size, so that a token is predicted from 1 to
    block_size tokens before it. A smaller stride gives each more than block_size - stride (except
    in the first window), at block_size / stride times the cost.
    """
    total, count = 0.0, 0
    batches = objective.evaluation(
        ids_N, model.config.block_size, batch_size, stride, max_tokens=max_tokens, seed=seed
    )
    with model.evaluating():
        for batch in batches:
            loss = model.loss(*batch.inputs, batch.targets_BT, **batch.masks)
            total += loss.item() * batch.counted
            count += batch.counted
            if progress:
                progress(batch.counted)
    return total / count, count


def sample_heading(step, val_loss, bits, objective=NEXT_TOKEN):
    """Return the line that heads a sample."""
    return (
        f"step {step.step}: loss {step.loss:.4f}, validation {val_loss:.4f} nats per "
        f"{objective.target}{'' if bits is None else f', {bits:.4f} bits per byte'}\n"
    )


def sample_text(model, dataset, config, step):
    """Return a text by the model as indented lines; none if the config wants none."""
    if not config.sample_tokens:
        return ""
    tokenizer, seed = dataset.tokenizer, config.seed + step.step
    prompt = dataset.objective.example(dataset.val_ids, model.config.block_size, seed)
    if prompt is None:
        prompt = tokenizer.encode(starting_prompt(tokenizer))
    ids = dataset.write(model, tokenizer, prompt, config.sample_tokens, seed=seed)
    lines = tokenizer.decode(list(ids)).splitlines()
    return "\n" + "".join(f"    {line}".rstrip() + "\n" for line in lines)


def save(folder, metrics, text, model, optimizer):
    """Write metrics and samples, then the checkpoint, then the weights if they are the best.

    A crash between two of them loses nothing: resuming drops the metrics and samples of steps
    after the checkpoint. The other way round, those of the checkpoint's own step could be missing.
    """
    try:
        metrics.flush()
        append(folder / "samples.txt", text + "\n")
        save_checkpoint(folder, model, optimizer)
        if metrics.lowest_at(optimizer.steps):
            save_weights(folder / BEST, model)
    except OSError as error:
        raise OSError(
            f"step {optimizer.steps} could not be saved ({error}). The checkpoint before it is "
            "whole: make room, make the folder writable, or close what has its files open, then "
            f"go on with:\n    npgpt train --resume --out {quoted(folder)}"
        ) from error


def drop_samples_after(last_step, path):
    """Remove the samples written after the checkpoint that a run continues from."""
    if path.exists():
        with open_file(path, "rb") as file:
            text = file.read()
        for found in re.finditer(rb"^step (\d{1,18}): ", text, re.M):
            if int(found[1]) > last_step:
                atomic_write(path, text[: found.start()])
                return


def _weight_sample(parameters):
    """Return about a million weights, evenly from all of them: a copy, in float64."""
    step = -(-sum(weight.size for weight in parameters.values()) // RATIO_WEIGHTS)
    parts = [weight.data.reshape(-1)[::step] for weight in parameters.values()]
    return np.concatenate(parts, dtype=np.float64)


def _update_ratio(before, after):
    # Not a product by NumPy's BLAS: its threads would spin for a while afterwards.
    length = np.sum(before**2)
    return math.sqrt(np.sum((after - before) ** 2) / length) if length else None
