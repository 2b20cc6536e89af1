"""What a person sees and does while `npgpt.train.train` trains a model.

On a terminal progress is a bar; in a pipe, a file or a notebook plain lines.
"""

import os
import signal
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress

from tqdm import tqdm

from npgpt.models.size import tokens_per_step
from npgpt.run.learning_curve import STATES, state_of
from npgpt.run.profile import Profile
from npgpt.support.text import clock, rounded
from npgpt.train import CURRENT_RANKS

LINE_SECONDS = 30  # between two plain lines
HANG_UP = getattr(signal, "SIGHUP", None)  # the terminal was closed; Windows has no such signal
SIGNALS = tuple(filter(None, (signal.SIGINT, signal.SIGTERM, HANG_UP)))


class Watch(ExitStack):
    """The progress of a run, Ctrl-C, and a profile of so many early steps, 0 for none.

    steps_per_epoch   steps that read the training text once
    """

    def __init__(self, run, optimizer, steps_per_epoch, profile_steps=0):
        super().__init__()
        self.training, self.first = run.training, optimizer.steps
        self.tokens = tokens_per_step(run.model, run.training)
        self.profile = None
        if profile_steps > 0:
            self.profile = Profile(profile_steps, optimizer, self.write)
        self.steps_per_epoch, self.state, self.said = steps_per_epoch, None, time.perf_counter()
        self.bar = tqdm(
            total=self.training.max_iters, initial=self.first, disable=None, dynamic_ncols=True,
            bar_format="{percentage:3.0f}%|{bar}| {n}/{total}{postfix}",
        )

    def __enter__(self):
        self.enter_context(self.bar)
        if self.profile:
            self.enter_context(self.profile)
        self.enter_context(stop_request())
        return self

    def update(self, step, loss, seconds):
        """Show a `npgpt.train.Step` of so many seconds, and the mean loss of the last steps."""
        done = step.step - self.first
        if done <= 2:  # the second counts for the first, too, which also loads or compiles kernels
            self.pace = seconds
        self.pace += (seconds - self.pace) / done
        self.bar.set_postfix_str(self._status(step, loss), refresh=False)
        self.bar.update()
        if self.bar.disable and time.perf_counter() - self.said > LINE_SECONDS:
            self.write(f"step {step.step}/{self.training.max_iters}, {self._status(step, loss)}")
        if self.profile:
            self.profile.update(seconds)

    def evaluated(self, text, rows):
        """Print a text, then the state of the training by the rows of metrics.csv, if it is a
        different one than before."""
        self.write(text)
        state = state_of(rows, self.training, self.steps_per_epoch)
        if state not in (None, self.state):
            self.write(f"state   {STATES[state]}")
            self.state = state

    def write(self, text):
        """Print text above the bar."""
        self.said = time.perf_counter()
        self.bar.write(text, file=sys.stdout)
        sys.stdout.flush()

    def _status(self, step, loss):
        """Return the numbers of a step, the most wanted first, as a narrow terminal cuts the rest.

        The time left is of training alone: what evaluations take would move it back and forth.
        """
        left = self.pace * (self.training.max_iters - step.step)
        return ", ".join([
            f"{clock(left)} left", *(step.rewards() or [f"loss {loss:.3f}"]),
            f"{rounded(self.tokens / self.pace)} tokens/s", f"|g| {step.grad_norm:.2f}",
            f"lr {step.lr:.1e}",
        ])


# ---- signals: a request to stop, of all ranks after the same step


@contextmanager
def stop_request():
    """Note each Ctrl-C, SIGTERM or SIGHUP for CURRENT_RANKS; a second one ends at once."""
    ranks = CURRENT_RANKS.get()

    def note(number, frame):
        ranks.interrupted.append(number)
        if len(ranks.interrupted) > 1:
            signal.signal(number, before[number])
            signal.raise_signal(number)
        elif ranks.is_main:
            with suppress(OSError):  # not print: a signal may come while something is printed
                os.write(2, b"\nstopping after this step, which is evaluated and saved "
                            b"(a second one: at once)\n")

    with _handled(note) as before:
        yield


@contextmanager
def like_ctrl_c():
    """Raise KeyboardInterrupt, with the exit status, at SIGTERM and SIGHUP, too."""

    def interrupt(number, frame):
        raise KeyboardInterrupt(128 + number)

    with _handled(interrupt):
        yield


@contextmanager
def _handled(handler):
    """Yield the handlers of the signals that `handler` replaces in a block.

    SIGHUP stays ignored if it was, as under nohup. Only the main thread of a program can receive
    signals; in other threads this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield {}
        return
    ignored = HANG_UP and signal.getsignal(HANG_UP) == signal.SIG_IGN
    numbers = [number for number in SIGNALS if not (ignored and number == HANG_UP)]
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield before
    finally:
        for number, former in before.items():
            signal.signal(number, former)
