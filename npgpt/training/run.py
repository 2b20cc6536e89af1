"""A training run as a person sees it: steps, and from time to time a loss, a sample, a checkpoint.

`train` drives `npgpt.training.loop.training_steps`, which has what a single step does.
"""

import math
import re

from npgpt.data.objectives import CAUSAL
from npgpt.data.tokens import bytes_per_token
from npgpt.files import atomic_write, open_file, quoted
from npgpt.generation.text import starting_prompt
from npgpt.training.checkpoint import BEST, save_checkpoint, save_weights
from npgpt.training.diagnostics import (
    DivergedError,
    divergence_explained,
    weights_not_finite,
)
from npgpt.training.loop import evaluate, training_steps
from npgpt.training.metrics import Metrics, bits_per_byte
from npgpt.training.profile import Profile
from npgpt.training.progress import Progress
from npgpt.training.signals import stop_request
from npgpt.training.writing import WRITERS


def train(run, dataset, model, optimizer, *, ranks=None, profile_steps=0):
    """Train from `optimizer.steps` to the last step, or to Ctrl-C; return the exit status.

    run       a `npgpt.training.checkpoint.Run`, whose folder is there
    dataset   a `npgpt.training.dataset.Dataset`
    ranks     `npgpt.training.parallel.Ranks` if several processes share each batch; this is rank 0

    The status is 0 if the last step was done, or else 128 + the signal's number. Raises
    DivergedError if the loss or a weight is not finite, OSError if a checkpoint cannot be saved;
    the checkpoint before is whole then.
    """
    config, folder, first_step = run.training, run.folder, optimizer.steps
    metrics = Metrics(folder / "metrics.csv", first_step)
    if metrics.missing:
        print(f"note    metrics.csv lacks {metrics.missing:,} of the steps before; it goes on "
              "without them")  # fmt: skip
    drop_samples_after(first_step, folder / "samples.txt")
    if metrics.lowest_at(first_step):  # a kill may have come before it was kept
        save_weights(folder / BEST, model)
    objective = dataset.objective
    bytes_each = bytes_per_token(dataset.val_ids, dataset.tokenizer)
    progress = Progress(run.model, config, first_step=first_step, seconds=metrics.seconds)
    profile = Profile(profile_steps, optimizer, report=progress.write)
    ids = dataset.train_ids
    with (
        progress, profile, stop_request(ranks) as stop_asked,
        divergence_explained(run, model, optimizer, ids, ranks, objective),
    ):  # fmt: skip
        for step in training_steps(model, optimizer, ids, config, first_step, ranks, objective):
            progress.update(step)
            profile.update(step)
            # Checked once a step: a signal that arrives later stops after the next one.
            last = bool(stop_asked) or step.step == config.max_iters
            val_loss = bits = None
            if last or step.step % config.eval_interval == 0:
                val_loss = validation_loss(model, dataset.val_ids, config, step.step, objective)
                bits = bits_per_byte(val_loss, bytes_each) if objective.every_token else None
            metrics.add(step, val_loss, bits, progress.seconds)
            if val_loss is not None:
                text = losses(step, val_loss, bits, objective)
                text += sample_text(model, dataset, config, step)
                save(folder, metrics, text, model, optimizer)
                progress.write(text)
                progress.validated = f"validation {val_loss:.3f}"
            if last:
                break
    if optimizer.steps >= config.max_iters:
        return 0
    print(f"stopped after step {optimizer.steps}, which is saved; go on with:\n"
          f"    npgpt train --resume --out {quoted(folder)}")  # fmt: skip
    return stop_asked.exit_status()


def run_worker(run, dataset, model, optimizer, ranks):
    """What the ranks other than 0 do: the same steps as `train`, and nothing else."""
    ids, first_step, objective = dataset.train_ids, optimizer.steps, dataset.objective
    explained = divergence_explained(run, model, optimizer, ids, ranks, objective)
    with stop_request(ranks) as stop_asked, explained:
        for _ in training_steps(
            model, optimizer, ids, run.training, first_step, ranks, objective
        ):
            if stop_asked:
                return


def validation_loss(model, val_ids, config, step, objective=CAUSAL):
    """The loss in nats per target on a part of the validation text, the same part each time.

    Raises DivergedError if it or a weight is not finite: a checkpoint has to be worth loading.
    """
    loss, _ = evaluate(
        model, val_ids, stride=config.eval_stride or None, max_tokens=config.eval_tokens or None,
        seed=config.seed, objective=objective,
    )  # fmt: skip
    broken = weights_not_finite(model)
    if broken or not math.isfinite(loss):
        why = broken or f"the validation loss is {loss}"
        raise DivergedError(f"after step {step}: {why}")
    return loss


def losses(step, val_loss, bits, objective=CAUSAL):
    """The line that heads a sample."""
    return (
        f"step {step.step}: loss {step.loss:.4f}, validation {val_loss:.4f} nats per "
        f"{objective.target}{'' if bits is None else f', {bits:.4f} bits per byte'}\n"
    )


def sample_text(model, dataset, config, step):
    """A text by the model as indented lines; none if the config wants none."""
    if not config.sample_tokens:
        return ""
    write, tokenizer = WRITERS[config.arch], dataset.tokenizer
    seed = config.seed + step.step
    prompt = dataset.objective.example(dataset.val_ids, model.config.block_size, seed)
    if prompt is None:
        prompt = tokenizer.encode(starting_prompt(tokenizer))
    ids = write(model, tokenizer, prompt, config.sample_tokens, seed=seed)
    lines = tokenizer.decode(list(ids)).splitlines()
    return "\n" + "".join(f"    {line}".rstrip() + "\n" for line in lines)


def save(folder, metrics, text, model, optimizer):
    """Metrics and samples first: on resuming, those beyond the checkpoint are dropped, but those
    that a checkpoint lacked could not be restored."""
    try:
        metrics.flush()
        with open_file(folder / "samples.txt", "a", encoding="utf-8") as file:
            file.write(text + "\n")
        save_checkpoint(folder, model, optimizer)
        if metrics.lowest_at(optimizer.steps):  # last, so that it is never beyond the checkpoint
            save_weights(folder / BEST, model)
    except OSError as error:
        raise OSError(
            f"step {optimizer.steps} could not be saved ({error}). The checkpoint before it is "
            "whole: make room, make the folder writable, or close what has its files open, then "
            f"go on with:\n    npgpt train --resume --out {quoted(folder)}"
        ) from error


def drop_samples_after(last_step, path):
    """Remove from samples.txt what was written after the checkpoint that a run continues from."""
    if path.exists():
        with open_file(path, "rb") as file:
            text = file.read()
        for found in re.finditer(rb"^step (\d{1,18}): ", text, re.M):
            if int(found[1]) > last_step:
                atomic_write(path, text[: found.start()])
                return
