"""Progress of a run: the time left, its loss, its rate.

On a terminal that is a bar; in a pipe, a file or a notebook plain lines.
"""

import sys
import textwrap
import time
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace

import numpy as np
from tqdm import tqdm

from npgpt.families.size import flops_per_token
from npgpt.optim import make_optimizer
from npgpt.run.estimate import clock, tokens_per_step
from npgpt.train import evaluate, training_steps

MEASURED = 20  # steps after which the estimate of the time is corrected
LINE_SECONDS = 30  # between two plain lines of training
COUNT_SECONDS = 10  # of an evaluation
MOST_STEPS = 10**9  # of a run that is given minutes


@contextmanager
def counting(total, what):
    """Yield a function that counts tokens up to `total`: a bar, or in a pipe some lines."""
    said, done = time.perf_counter(), 0
    with tqdm(total=total, desc=what, unit="token", unit_scale=True, leave=False,
              disable=None) as bar:

        def count(tokens):
            nonlocal said, done
            done += tokens
            bar.update(tokens)
            if bar.disable and time.perf_counter() - said > COUNT_SECONDS:
                said = time.perf_counter()
                print(f"{what}: {done:,} of {total:,} tokens", file=sys.stderr, flush=True)

        yield count


def evaluate_all(model, ids_N, objective, training, what, stride, max_tokens=None):
    """Return what `npgpt.train.evaluate` does, on every token or so many, with progress."""
    total = min(len(ids_N) - 1, max_tokens or len(ids_N))
    with counting(round(objective.target_share * total), what) as count:
        return evaluate(
            model, ids_N, stride=stride or None, progress=count, objective=objective,
            seed=training.seed, max_tokens=max_tokens,
        )


class Progress:
    """The bar of a run, or its plain lines."""

    def __init__(self, model_config, training, *, first_step):
        self.total, self.first_step, self.done = training.max_iters, first_step, first_step
        self.tokens = tokens_per_step(model_config, training)
        self.flops = 3 * flops_per_token(model_config) * self.tokens
        self.recent = None
        self.validated = ""
        self.started = self.said = time.perf_counter()
        self.bar = tqdm(
            total=self.total, initial=first_step, disable=None, dynamic_ncols=True,
            bar_format="{percentage:3.0f}%|{bar}| {n}/{total}{postfix}",
        )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.bar.close()

    @property
    def columns(self):
        """The width of the terminal, None without one. Some terminals say 0, and mean unknown."""
        columns = self.bar.format_dict["ncols"]
        return columns if columns is None or columns > 0 else 80

    def left(self):
        """Return the seconds to the end, evaluations included, at this session's mean rate."""
        done = self.done - self.first_step
        return (time.perf_counter() - self.started) / max(1, done) * (self.total - self.done)

    def update(self, step):
        """Show a `npgpt.train.Step`."""
        self.done = step.step
        done = self.done - self.first_step
        if done <= 2:  # the second counts for the first, too, which also loads or compiles kernels
            self.recent, self.started = None, time.perf_counter() - done * step.seconds
        passed = step.seconds if self.recent is None else self.recent
        self.recent = 0.95 * passed + 0.05 * step.seconds
        self.bar.set_postfix_str(self._status(step), refresh=False)
        self.bar.update()
        now = time.perf_counter()
        if self.done - self.first_step == MEASURED:
            self.write(f"time    {self._rate()}; about {clock(self.left())} to go")
        elif self.bar.disable and now - self.said > LINE_SECONDS:
            self.write(f"step {self.done}/{self.total}, {self._status(step)}")

    def write(self, text):
        """Print text above the bar."""
        self.said = time.perf_counter()
        self.bar.write(text, file=sys.stdout)
        sys.stdout.flush()

    def write_sample(self, text):
        """Print a text with indented lines; a terminal gets these cut between words."""
        if columns := self.columns:
            text = "\n".join(
                textwrap.fill(line, columns, subsequent_indent="    ", break_on_hyphens=False,
                              replace_whitespace=False)
                for line in text.split("\n"))
        self.write(text)

    def _status(self, step):
        """Return the numbers of a step, the most wanted first; for a bar, as many as fit."""
        found = [f"{n} {value:.3g}" for n, value in step.measured.items() if value is not None]
        numbers = [
            f"{clock(self.left())} left", *(found or [f"loss {step.loss:.3f}"]), self.validated,
            *self._rate().split(", "), f"|g| {step.grad_norm:.2f}", f"lr {step.lr:.1e}",
        ]
        numbers, columns = list(filter(None, numbers)), self.columns
        around = len(f"100%|a short bar| {self.done}/{self.total}, ")
        while columns and len(numbers) > 1 and around + len(", ".join(numbers)) > columns:
            numbers.pop()
        return ", ".join(numbers)

    def _rate(self):
        tokens, flops = self.tokens / self.recent, self.flops / self.recent
        return f"{tokens / 1e3:.1f}k tokens/s, {flops / 1e9:.3g} GFLOP/s"


def steps_within(minutes, dataset, model, training):
    """Return how many steps of training, 1 or more, take so many minutes, by the first few.

    A copy of the model takes these: the run begins as if nothing had been measured.
    """
    copy, seconds = deepcopy(model), []  # of all but the first, which is slower
    steps = training_steps(
        copy, make_optimizer(copy, training), dataset.train_ids,
        replace(training, max_iters=MOST_STEPS), objective=dataset.objective,
    )
    for step in steps:
        seconds += [step.seconds] if step.step > 1 else []
        if sum(seconds) > (min(5, 6 * minutes) if len(seconds) > 4 else 30 * minutes):
            break
    return min(MOST_STEPS, max(1, round(60 * minutes / np.median(seconds))))
