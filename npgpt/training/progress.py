"""What a run says while it works: its rate, the share of the machine's peak, the time left.

On a terminal that is a bar; in a pipe, a file or a notebook plain lines.
"""

import sys
import time

from tqdm import tqdm

from npgpt.generation.text import printable
from npgpt.model.size import flops_per_token
from npgpt.training.estimate import clock, tokens_per_step

MEASURED = 20  # steps after which the estimate of the time is corrected
LINE_SECONDS = 30  # between two plain lines


class Progress:
    """Adds up the time of the steps and tells how they go.

    peak      FLOP/s of the machine, all ranks of a parallel run together
    seconds   of training in earlier sessions of the run, to which this one's are added
    """

    def __init__(self, model_config, training, *, first_step, peak, seconds=0.0):
        self.total, self.first_step, self.done = training.max_iters, first_step, first_step
        self.tokens = tokens_per_step(model_config, training)
        self.flops = 3 * flops_per_token(model_config) * self.tokens
        self.peak, self.seconds, self.recent = peak, seconds, None
        self.validated = ""
        self.started = self.said = time.perf_counter()
        self.bar = tqdm(
            total=self.total, initial=first_step, smoothing=0.1, disable=None,
            bar_format="{percentage:3.0f}%|{bar}| {n}/{total}{postfix}",
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.bar.close()

    def left(self):
        """Seconds to the end, evaluations included, at the mean rate of this session."""
        done = self.done - self.first_step
        return (time.perf_counter() - self.started) / max(1, done) * (self.total - self.done)

    def update(self, step):
        """Show a `npgpt.training.loop.Step`."""
        self.done = step.step
        self.seconds += step.seconds
        passed = step.seconds if self.recent is None else self.recent
        self.recent = 0.95 * passed + 0.05 * step.seconds
        self.bar.set_postfix_str(self._status(step), refresh=False)
        self.bar.update()
        now = time.perf_counter()
        if self.done - self.first_step == MEASURED:
            self.write(f"time    {self._rate()}; about {clock(self.left())} to go")
        elif self.bar.disable and now - self.said > LINE_SECONDS:
            self.write(f"step {self.done}/{self.total} {self._status(step)}")

    def write(self, text):
        """Print text above the bar."""
        self.said = time.perf_counter()
        text = printable(text) if sys.stdout.isatty() else text  # it may be a sample
        self.bar.write(text, file=sys.stdout)
        sys.stdout.flush()

    def _status(self, step):
        return (
            f"loss {step.loss:.3f}{self.validated} lr {step.lr:.1e} |g| {step.grad_norm:.2f}, "
            f"{self._rate()}, {clock(self.left())} left"
        )

    def _rate(self):
        tokens, share = self.tokens / self.recent, self.flops / self.recent / self.peak
        return f"{tokens / 1e3:.1f}k tokens/s, {share:.0%} of peak"
