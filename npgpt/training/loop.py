"""The training loop and the evaluation: what training is, without files, bars or pictures."""

import math
import time
from dataclasses import dataclass, field

import numpy as np

from npgpt.data.objectives import CAUSAL
from npgpt.training.schedule import learning_rate

RATIO_INTERVAL = 10  # steps from one measurement of the update to the next
SAMPLE_SIZE = 1 << 20  # weights that it looks at; more would show in the memory and time of a step


@dataclass(frozen=True)
class Step:
    """What one optimizer step did. step counts from 1; loss in nats per token, before the step.

    grad_norm      L2 norm of all gradients as one vector, before clipping
    update_ratio   L2 norm of the step over that of the weights, every RATIO_INTERVAL steps, from a
                   sample of large models' weights
    seconds        the whole step took; optimizer_seconds: its optimizer alone
    """

    step: int
    loss: float
    lr: float
    grad_norm: float
    update_ratio: float | None = None
    seconds: float = field(default=0.0, compare=False)
    optimizer_seconds: float = field(default=0.0, compare=False)


def training_steps(
    model, optimizer, ids_N, config, first_step=0, ranks=None, objective=CAUSAL
):
    """Train, one optimizer step for each item taken: an iterator over `Step`.

    model      a GPT, or another that the objective is for
    optimizer  an AdamW of its parameters
    ids_N      the training text as token ids
    config     a TrainConfig  first_step  steps done already
    ranks      `npgpt.training.parallel.Ranks` if several processes share each batch
    objective  what is asked of the text, one of `npgpt.data.objectives`

    Batches, dropout masks and rates are functions of (seed, step, ranks), so that a run that is
    continued takes the same steps as one that never stopped. The caller decides what happens in
    between.

    Raises FloatingPointError, with the weights as they were before the step, if the loss or the
    gradient is not finite.
    """
    for step in range(first_step, config.max_iters):
        started = time.perf_counter()
        lr = learning_rate(step, config)
        loss = 0.0
        with np.errstate(all="ignore"):  # what is not finite is noticed below, and stops training
            for batch, parts in micro_batches(model, ids_N, config, step, ranks, objective):
                mean = batch.loss(model)
                mean.backward(np.asarray(1 / parts, mean.dtype))  # the mean of all is that of means
                loss += mean.item() / parts
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


def micro_batches(model, ids_N, config, step, ranks=None, objective=CAUSAL):
    """The parts in which a step's batch is computed, for less memory at a time: pairs of a `Batch`
    and how many of its size, by targets, would make the whole.

    There are `gradient_accumulation_steps` of them, alike in rows. Of several ranks each gets its
    own rows only, and the mean over the ranks is taken later. The model's `dropout_step` is set
    for each.
    """
    parts, B = config.gradient_accumulation_steps, config.batch_size
    rank, size = (ranks.rank, ranks.size) if ranks else (0, 1)
    for part in range(parts):
        first = part * B + rank * B // size
        model.dropout_step = (step * parts + part) * size + rank
        batch = objective.sample(
            ids_N, model.config.block_size, parts * B, seed=config.seed, step=step,
            rows=slice(first, first + B // size),
        )  # fmt: skip
        yield batch, batch.asked / (batch.counted * size)


def evaluate(
    model, ids_N, *, batch_size=16, stride=None, max_tokens=None, seed=0, progress=None,
    objective=CAUSAL,
):  # fmt: skip
    """(loss, tokens): the mean loss in nats per target over a text, and how many targets counted.

    max_tokens   None for every token but the first, once; else about so many, in windows drawn
                 from all over the text: the same ones for the same seed
    progress     called with the number of targets that each batch has counted
    objective    what is asked of the text, one of `npgpt.data.objectives`

    stride=None reads disjoint windows of block_size, so that a token is predicted from 1 to
    block_size tokens before it; a smaller stride gives each more than block_size - stride, but for
    the text's first block_size, at block_size / stride times the cost.
    """
    total, count = 0.0, 0
    batches = objective.evaluation(
        ids_N, model.config.block_size, batch_size, stride, max_tokens=max_tokens, seed=seed
    )
    with model.evaluating():
        for batch in batches:
            total += batch.loss(model).item() * batch.counted
            count += batch.counted
            if progress:
                progress(batch.counted)
    return total / count, count


def _weight_sample(parameters):
    """About a million numbers of the weights, evenly from all of them: a copy, in float64."""
    step = -(-sum(weight.size for weight in parameters.values()) // SAMPLE_SIZE)
    parts = [weight.data.reshape(-1)[::step] for weight in parameters.values()]
    return np.concatenate(parts, dtype=np.float64)


def _update_ratio(before, after):
    # Not a product by NumPy's BLAS: its threads would spin for a while afterwards.
    return math.sqrt(np.sum((after - before) ** 2) / np.sum(before**2))
