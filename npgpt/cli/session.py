"""One call of `npgpt train` at work: steps, checkpoints, evaluations, samples."""

import math
import re
import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass

from npgpt.cli.generate import beginning
from npgpt.cli.material import Material
from npgpt.data.tokens import bytes_per_token
from npgpt.files import atomic_write
from npgpt.model import GPT
from npgpt.training import AdamW
from npgpt.training.checkpoint import Run, save_checkpoint
from npgpt.training.guards import diagnosis, weights_not_finite
from npgpt.training.loop import evaluate, training_steps
from npgpt.training.metrics import Metrics, bits_per_byte
from npgpt.training.parallel import Ranks
from npgpt.training.profile import profiled
from npgpt.training.progress import Progress


@dataclass
class Session:
    """All that one call of `npgpt train` works with. ranks: None for a single process."""

    run: Run
    material: Material
    model: GPT
    optimizer: AdamW
    first_step: int = 0
    ranks: Ranks | None = None
    profile: int = 0  # steps to measure and report op by op


def train(session, peak):
    """Train to the last step, or until Ctrl-C or SIGTERM; return the exit status.

    It is 0 if the last step was done, or else 128 + the signal's number, as shells have it.

    peak   FLOP/s of the machine
    """
    run, config = session.run, session.run.training
    metrics = Metrics(run.folder / "metrics.csv", session.first_step)
    _keep_samples(run.folder / "samples.txt", session.first_step)
    seconds = metrics.rows[-1]["seconds"] if metrics.rows else 0.0
    bytes_each = bytes_per_token(session.material.val_ids, session.material.tokenizer)
    progress = Progress(
        run.model, config, first_step=session.first_step, peak=peak, seconds=seconds
    )
    done = session.first_step
    with progress, _interruptible() as interrupted:
        steps = _steps(session, interrupted)
        if session.profile:
            steps = profiled(steps, session.profile, report=progress.write)
        for step in progress.timed(steps):
            done = step.step
            # Asked once: what is said to be saved has to be.
            stop = session.ranks.stopping if session.ranks else bool(interrupted)
            validate = done % config.eval_interval == 0 or done == config.max_iters or stop
            val_loss = _validate(session, step) if validate else None
            bits = None if val_loss is None else bits_per_byte(val_loss, bytes_each)
            metrics.add(
                step=done, loss=step.loss, val_loss=val_loss, val_bits_per_byte=bits, lr=step.lr,
                grad_norm=step.grad_norm, update_ratio=step.update_ratio,
                seconds=round(progress.seconds, 3),
            )  # fmt: skip
            if validate:
                said = _sample(session, step, val_loss, bits)
                _save(session, metrics, said)
                progress.write(said)
                progress.validated = f" validation {val_loss:.3f}"
            progress.update(step)
            if stop:
                break
    if done >= config.max_iters:
        return 0
    print(f"stopped after step {done}, which is saved; go on with:\n"
          f"    npgpt train --resume --out {run.folder}")  # fmt: skip
    return 128 + (interrupted[0] if interrupted else signal.SIGTERM)  # or another rank has it


def follow(session):
    """What the other ranks of a parallel run do: the same steps, and nothing else."""
    with _interruptible() as interrupted:
        for _ in _steps(session, interrupted):
            if session.ranks.stopping:
                return


def _steps(session, interrupted):
    """The steps; one that is not finite ends them with what caused it."""
    if session.ranks:
        session.ranks.interrupted = interrupted
    ids, config = session.material.train_ids, session.run.training
    try:
        yield from training_steps(
            session.model, session.optimizer, ids, config, session.first_step, session.ranks
        )
    except FloatingPointError as error:
        step = session.optimizer.steps
        cause = diagnosis(session.model, ids, config, step, session.ranks)
        raise _diverged(session, f"step {step + 1}: {error}\n{cause}") from error


def _diverged(session, what):
    return FloatingPointError(
        f"{what}\nThe last checkpoint in {session.run.folder} is from before that. The loss has "
        "diverged: train again with a lower learning rate, a longer warm-up or gradient clipping"
    )


def _validate(session, step):
    """The loss on a fixed part of the validation tokens. Raises FloatingPointError if what would
    be saved is not finite: a checkpoint is to be worth loading."""
    training = session.run.training
    val_loss, _ = evaluate(
        session.model, session.material.val_ids, stride=training.eval_stride or None,
        max_tokens=training.eval_tokens or None, seed=training.seed,
    )  # fmt: skip
    broken = weights_not_finite(session.model)
    if broken or not math.isfinite(val_loss):
        why = broken or f"the validation loss is {val_loss}"
        raise _diverged(session, f"after step {step.step}: {why}")
    return val_loss


def _save(session, metrics, sample):
    """Metrics first: rows without a checkpoint are dropped on resuming, a checkpoint without its
    rows would leave a gap."""
    folder = session.run.folder
    try:
        metrics.flush()
        with open(folder / "samples.txt", "a", encoding="utf-8") as file:
            file.write(sample + "\n")
        save_checkpoint(folder, session.model, session.optimizer)
    except OSError as error:
        raise OSError(
            f"step {session.optimizer.steps} could not be saved ({error}). The checkpoint before "
            "it is whole: make room, make the folder writable, or close what has its files open, "
            "then go on with:\n"
            f"    npgpt train --resume --out {folder}"
        ) from error


def _sample(session, step, val_loss, bits):
    """The losses of a step, and a text by the model."""
    config, tokenizer = session.run.training, session.material.tokenizer
    said = (
        f"step {step.step}: loss {step.loss:.4f}, validation {val_loss:.4f} nats per token, "
        f"{bits:.4f} bits per byte\n"
    )
    if config.sample_tokens:
        prompt = tokenizer.encode(beginning(tokenizer))
        ids = session.model.stream(prompt, config.sample_tokens, seed=config.seed + step.step)
        lines = tokenizer.decode(list(ids)).splitlines()
        said += "\n" + "".join(f"    {line}".rstrip() + "\n" for line in lines)
    return said


def _keep_samples(path, last_step):
    """Drop what was written after the checkpoint that a run continues from."""
    if path.exists():
        text = path.read_text(encoding="utf-8")
        for found in re.finditer(r"^step (\d+): ", text, re.M):
            if int(found[1]) > last_step:
                atomic_write(path, text[: found.start()])
                return


@contextmanager
def _interruptible():
    """Ctrl-C or SIGTERM sets a flag, so that the step is finished and saved; a second one stops at
    once. Only the main thread of a program may listen to signals."""
    flag = []
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    signals = (signal.SIGINT, signal.SIGTERM)

    def handler(number, frame):
        flag.append(number)
        for which in signals:
            signal.signal(which, before[which])

    before = {which: signal.signal(which, handler) for which in signals}
    try:
        yield flag
    finally:
        for which in signals:
            signal.signal(which, before[which])
