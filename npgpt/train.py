"""Training, top to bottom: a run, its steps, its evaluations, its checkpoints.

`npgpt train` calls `train` once its flags are read, its text is encoded and its folder is made.
The rest of the program enters by two arguments: `watch` shows progress and hears signals, `dataset`
has the objective of the architecture. CURRENT_RANKS are the processes that share each batch.
"""

import math
import textwrap
from collections import deque
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import numpy as np

from npgpt import checkpoint
from npgpt.batches import NEXT_TOKEN
from npgpt.optim import learning_rate
from npgpt.support.files import append
from npgpt.support.metrics import Metrics, StepTimer, beside_grammar
from npgpt.support.progress import progress
from npgpt.support.text import starting_prompt

MEAN_LOSS_STEPS = 50  # steps at most, whose mean loss is printed


class DivergedError(FloatingPointError):
    """The loss or a weight is not finite."""


@dataclass(frozen=True)
class Step:
    """One optimizer step, counted from 1."""

    step: int
    loss: float  # in nats per target, before the step
    lr: float
    grad_norm: float  # L2 norm of all gradients as one vector, before clipping
    # by the objective: `npgpt.support.metrics.REWARD_COLUMNS`
    measured: dict = field(default_factory=dict)

    def rewards(self):
        """Return the objective's measurements as texts."""
        return [f"{n} {value:.3g}" for n, value in self.measured.items() if value is not None]


class SingleProcess:
    """Stand for the ranks of a run that has only one process; see `npgpt.run.parallel.Ranks`."""

    rank, size, is_main = 0, 1, True

    def __init__(self):
        self.interrupted = []  # the signals to stop that it received (`npgpt.run.watch`)

    @property
    def stopping(self):
        return bool(self.interrupted)

    def check_same(self, settings):
        pass

    def average(self, parameters, loss):
        return loss


SINGLE_PROCESS = SingleProcess()
CURRENT_RANKS = ContextVar("ranks", default=SINGLE_PROCESS)  # or `npgpt.run.parallel.Ranks`


@contextmanager
def _ranks():
    """Give a training a process of its own, if none is set: Ctrl-C ends it, and no later one."""
    ranks = CURRENT_RANKS.get()
    token = CURRENT_RANKS.set(SingleProcess() if ranks is SINGLE_PROCESS else ranks)
    try:
        yield
    finally:
        CURRENT_RANKS.reset(token)


def train(run, dataset, model, optimizer, watch):
    """Train from `optimizer.steps` to the last step or a request to stop; return True at the end.

    run     a `npgpt.loading.runs.Run`, whose folder is there
    watch   a context manager, such as `npgpt.run.watch.Watch`, with two methods. `update` gets each
            `Step`, the mean loss of the last steps, and the seconds that the step took.
            `evaluated` gets the text of each evaluation, and all rows of the metrics.

    If there are several CURRENT_RANKS, the main one calls this function. The others call
    `npgpt.run.parallel.run_worker`.

    Raises FloatingPointError if the loss or a weight is not finite, and OSError if a checkpoint
    cannot be saved. The previous checkpoint is then still intact.
    """
    config, folder = run.training, run.folder
    metrics = Metrics(folder / "metrics.csv", optimizer.steps, dataset.objective.columns)
    if metrics.missing:
        print(f"note    metrics.csv lacks {metrics.missing:,} of the steps before; it goes on "
              "without them")
    # A run that was killed may have written samples and weights that its checkpoint is not at.
    checkpoint.drop_samples_after(optimizer.steps, folder / "samples.txt")
    checkpoint.drop_kept_after(optimizer.steps, folder)
    keep_at = checkpoint.steps_to_keep(config)
    if metrics.best_at(optimizer.steps):  # a kill may have come before it was kept
        checkpoint.save_weights(folder / checkpoint.BEST_WEIGHTS, model)
    seconds = metrics.rows[-1]["seconds"] if metrics.rows else 0.0
    steps = training_steps(model, optimizer, dataset.train_ids, config, dataset.objective)
    grammar = dataset.grammar_loss(model.config.block_size, **config.drawn)
    recent = deque(maxlen=min(MEAN_LOSS_STEPS, config.eval_interval))  # losses of the last steps
    with _ranks(), watch:
        if optimizer.steps == 0 and 0 in keep_at:
            checkpoint.keep_weights(folder, model, 0, config.keep)
        timer = StepTimer(optimizer)
        for step in steps:
            step_seconds, update_ratio = timer.stop()
            recent.append(step.loss)
            watch.update(step, np.mean(recent), step_seconds)
            if step.step in keep_at:
                checkpoint.keep_weights(folder, model, step.step, config.keep)
            seconds += step_seconds  # of training alone: evaluations and files do not count
            # Checked once a step: a signal that arrives later stops after the next one.
            last = CURRENT_RANKS.get().stopping or step.step == config.max_iters
            if last or step.step % config.eval_interval == 0:
                val_loss, bits, text = evaluation(model, dataset, config, step, recent, grammar)
                metrics.add(step, seconds, update_ratio, val_loss, bits, grammar and grammar.nats)
                save(folder, metrics, text, model, optimizer)
                watch.evaluated(text, metrics.rows)
            else:
                metrics.add(step, seconds, update_ratio)
            if last:
                break
            timer.start()
    return optimizer.steps >= config.max_iters


def training_steps(model, optimizer, ids_N, config, objective=NEXT_TOKEN):
    """Yield a `Step` for each optimizer step from `optimizer.steps` to config.max_iters.

    objective   `npgpt.batches.NextToken`, or the model's in `npgpt.objectives.denoising`

    Batches, dropout masks and rates depend on (seed, step, CURRENT_RANKS) alone. So a run that is
    resumed takes the same steps as one that never stopped.

    Raises FloatingPointError, with the weights as they were before the step, if the loss or the
    gradient is not finite.
    """
    model.train()  # a model that was loaded is in evaluation mode
    # The optimizer counts, since its steps are what a checkpoint saves and bias correction needs.
    for step in range(optimizer.steps, config.max_iters):
        loss, lr = 0.0, learning_rate(step, config)
        with np.errstate(all="ignore"):  # a loss or norm that is not finite stops training below
            for batch, weight in micro_batches(model, ids_N, config, step, objective):
                mean = batch.loss(model)
                (weight * mean).backward()
                loss += weight * mean.item()
        loss = CURRENT_RANKS.get().average(optimizer.parameters, loss)
        if not math.isfinite(loss):
            # Not skipped, as loops in half precision do: in float32 it is no accident of the range,
            # but a rate that is too high or a fault, and to skip it hides both.
            raise FloatingPointError(f"the loss is {loss}; no weight was moved")
        grad_norm = optimizer.step(lr)  # which checks the gradient before it moves a weight
        optimizer.zero_grad()  # here, not before backward: an evaluation has their memory
        yield Step(step + 1, loss, lr, grad_norm, objective.measured)


def micro_batches(model, ids_N, config, step, objective=NEXT_TOKEN):
    """Yield (micro-batch, weight) for a step's batch; the weights of a step add up to 1.

    `gradient_accumulation_steps` micro-batches take less memory than one batch. If there are
    several ranks, each gets its own rows, and the weights make the mean over the ranks equal to the
    mean over the batch. The model's `dropout_step` is set for each micro-batch.
    """
    count, B = config.gradient_accumulation_steps, config.batch_size
    ranks = CURRENT_RANKS.get()
    rank, size = ranks.rank, ranks.size
    for index in range(count):
        first = index * B + rank * B // size
        # No two micro-batches of a run share a dropout mask; a repeated step has its own again.
        model.dropout_step = (step * count + index) * size + rank
        batch = objective.sample(
            ids_N, model.config.block_size, count * B, seed=config.seed, step=step,
            rows=slice(first, first + B // size),
        )
        # times size, by which the mean over the ranks divides
        yield batch, batch.n_targets * size / batch.step_targets


def evaluation(model, dataset, config, step, recent, grammar=None):
    """Return (loss in nats per target, in bits per byte or None, a text with a sample).

    recent    losses of the last training steps; the text has their mean
    grammar   the `npgpt.batches.GrammarLoss` on the same targets, or None

    The loss is computed on a part of the validation text, always the same part. If there is no
    validation text, it is computed on the training text: then only the text has it, and None is
    returned. Raises DivergedError if the loss or a weight is not finite, so that no checkpoint is
    saved that is not worth loading.
    """
    # Another sample each time, but the same targets: others would add their noise to the curve.
    objective, tokenizer, seed = dataset.objective, dataset.tokenizer, config.seed + step.step
    loss, count = evaluate(model, dataset.val_ids, objective=objective, **config.drawn)
    broken = checkpoint.weights_not_finite(model)
    if broken or not math.isfinite(loss):
        raise DivergedError(f"after step {step.step}: {broken or f'the validation loss is {loss}'}")
    bits = dataset.bits_per_byte(loss)
    step.measured.update(objective.quality(model, dataset))
    trained = step.rewards() or [f"loss {np.mean(recent):.4f} in training"]
    where = "in validation" if dataset.validates else "on what is taught"
    text = f"step {step.step}: {', '.join(trained)}, loss {loss:.4f} {where} "
    text += f"(nats over {count:,} targets)"
    text += f"; {beside_grammar(loss, grammar)}" if grammar else ""
    if config.sample_tokens:
        prompt = objective.example(dataset.val_ids, model.config.block_size, seed)
        if prompt is None:
            prompt = tokenizer.encode(starting_prompt(tokenizer))  # it begins a text of its own
        ids = dataset.write(model, tokenizer, prompt, config.sample_tokens, seed=seed)
        sample = tokenizer.decode(list(ids)).strip("\n")
        text += "; sample:\n\n" + textwrap.indent(sample, "    ")
    return loss if dataset.validates else None, bits, text + "\n"


def evaluate(
    model, ids_N, *, batch_size=16, stride=None, max_tokens=None, seed=0, objective=NEXT_TOKEN,
    what="evaluation",
):
    """Return (mean loss in nats per target over a text, number of targets counted).

    stride       None: windows do not overlap, and a token is predicted from 1 to block_size tokens
                 before it. Else windows start so many tokens apart, and each token but those of the
                 first has more than block_size - stride before it, at block_size / stride times
                 the cost
    max_tokens   None for every token but the first, once; else about so many, in windows sampled
                 from the text: the same ones for the same seed
    what         the name that its progress is shown by
    """
    total, count = 0.0, 0
    about = min(len(ids_N) - 1, max_tokens or len(ids_N)) if objective.every_token else None
    batches = objective.evaluation(
        ids_N, model.config.block_size, batch_size, stride, max_tokens=max_tokens, seed=seed
    )
    with model.evaluating(), progress(what, about) as add:
        for batch in batches:
            total += batch.loss(model).item() * batch.n_targets
            count += batch.n_targets
            add(batch.n_targets)
    return total / count, count


def save(folder, metrics, text, model, optimizer):
    """Write metrics and samples, then the checkpoint, then the weights if they are the best.

    A crash between two of them loses nothing: resuming drops the metrics and samples of steps
    after the checkpoint. Written first, the checkpoint could lack its own metrics and sample.
    """
    with checkpoint.saving(optimizer.steps, folder):
        metrics.flush()
        append(folder / "samples.txt", text + "\n")
        checkpoint.save_checkpoint(folder, model, optimizer)
        if metrics.best_at(optimizer.steps):
            checkpoint.save_weights(folder / checkpoint.BEST_WEIGHTS, model)
