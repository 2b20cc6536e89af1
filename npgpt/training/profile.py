"""Where the time of a training step goes: every op, forward and backward, with its arithmetic.

While a step is profiled, the two functions of every op in `autograd.OPS` are replaced by ones that
also look at the clock, and so is the optimizer's step; afterwards everything is as it was. What
the rest of a step takes (drawing the batch, the engine, adding gradients) is a line of its own.

GFLOP are counted from shapes: exactly for matrix products and attention, and for the others a few
for each number (FLOPS). GB are the arrays that an op is given and returns, each counted once: what
it has to move at least. GB/s above the memory's speed mean that arrays came from a cache; an op
that is near neither limit waits for something else.
"""

import contextlib
import itertools
import math
import time
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from autograd import OPS
from npgpt.training.optim import AdamW

SKIPPED = 3  # steps before the profile begins: compilation, first use of memory
# FLOPs for each number of the output, an exponential counted as 10; 1 for ops not named here.
FLOPS = {
    "layer_norm": 8, "softmax": 14, "log_softmax": 14, "gelu": 20, "dropout": 10, "exp": 10,
    "tanh": 10, "sigmoid": 12, "embedding": 0, "reshape": 0, "transpose": 0, "swapaxes": 0,
    "split": 0, "concat": 0, "stack": 0, "getitem": 0, "broadcast_to": 0, "pad": 0,
}  # fmt: skip
# FLOPs of backward over those of forward; 1 for ops not named here. Both operands of a product get
# a gradient; attention computes its scores again and makes four further products of that size.
# The loss with its output layer computes its gradients in the forward.
BACKWARD = {
    "linear": 2, "matmul": 2, "scaled_dot_product_attention": 2.5, "linear_cross_entropy": 0,
    "layer_norm": 2, "cross_entropy": 12 / 13,
}  # fmt: skip
OPTIMIZER, REST = "AdamW", "the rest"


@dataclass
class Cost:
    """What one function did in all steps: calls, seconds, FLOPs, bytes."""

    calls: int = 0
    seconds: float = 0.0
    flops: float = 0.0
    moved: float = 0.0


class Profile:
    """Costs by (op, "forward" or "backward"), and the seconds and number of whole steps."""

    def __init__(self):
        self.costs = defaultdict(Cost)
        self.steps, self.seconds = 0, 0.0

    def report(self):
        """The table as text, the most expensive first; ms, calls and shares are of one step."""
        lines = [
            f"a step of {1e3 * self.seconds / self.steps:.1f} ms, mean of {self.steps}:",
            f"{'op':<30} {'':<8} {'calls':>6} {'ms':>9} {'GFLOP/s':>8} {'GB/s':>7} {'of step':>8}",
        ]
        inside = sum(cost.seconds for cost in self.costs.values())
        used = [row for row in self.costs.items() if row[1].calls]
        rows = [*used, ((REST, ""), Cost(self.steps, self.seconds - inside))]
        for (name, direction), cost in sorted(rows, key=lambda row: -row[1].seconds):
            rates = [f"{n / cost.seconds / 1e9:.1f}" if n else "" for n in (cost.flops, cost.moved)]
            lines.append(
                f"{name:<30} {direction:<8} {cost.calls / self.steps:>6.0f} "
                f"{1e3 * cost.seconds / self.steps:>9.3f} {rates[0]:>8} {rates[1]:>7} "
                f"{cost.seconds / self.seconds:>8.1%}"
            )
        return "\n".join(lines)


def profiled(steps, count, report=print):
    """The items of an iterator over training steps; `count` of them are profiled and reported.

    The first steps are skipped.

    report   called with the text, once
    """
    steps = iter(steps)
    yield from itertools.islice(steps, SKIPPED)
    profile = Profile()
    while profile.steps < count:
        with _measuring(profile):
            start = time.perf_counter()
            step = next(steps, None)
            seconds = time.perf_counter() - start
        if step is None:
            break
        profile.steps += 1
        profile.seconds += seconds
        yield step
    if profile.steps:
        report(profile.report())
    yield from steps


@contextlib.contextmanager
def _measuring(profile):
    """Inside, ops and optimizer report what they cost."""
    functions = {name: (op.forward, op.vjp) for name, op in OPS.items()}
    optimizer_step = AdamW.step
    for name, op in OPS.items():
        op.forward = _timed(op.forward, profile, name, "forward")
        op.vjp = _timed(op.vjp, profile, name, "backward")
    AdamW.step = _timed_optimizer(optimizer_step, profile.costs[OPTIMIZER, ""])
    try:
        yield
    finally:
        AdamW.step = optimizer_step
        for name, (forward, vjp) in functions.items():
            OPS[name].forward, OPS[name].vjp = forward, vjp


def _timed(function, profile, name, direction):
    cost = profile.costs[name, direction]

    def timed(*arguments, **settings):
        start = time.perf_counter()
        result = function(*arguments, **settings)
        cost.seconds += time.perf_counter() - start
        inputs = list(_arrays(arguments))
        outputs = list(_arrays(result[0] if direction == "forward" else result))
        cost.calls += 1
        cost.moved += _bytes_moved(name, direction, inputs, outputs)
        if direction == "forward":
            flops = _flops(name, inputs, outputs, settings)
            cost.flops += flops
            profile.costs[name, "backward"].flops += BACKWARD.get(name, 1) * flops
        return result

    return timed


def _timed_optimizer(step, cost):
    def timed(self, *arguments, **settings):
        numbers = sum(p.size for p in self.parameters.values() if p.grad is not None)
        start = time.perf_counter()
        result = step(self, *arguments, **settings)
        cost.seconds += time.perf_counter() - start
        cost.calls += 1
        cost.flops += 17 * numbers
        # The gradient is read twice (norm, update); the weight and both moments read and written.
        cost.moved += 8 * sum(p.data.nbytes for p in self.parameters.values() if p.grad is not None)
        return result

    return timed


def _arrays(value):
    """The arrays in nested tuples and lists."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _arrays(part)


def _bytes_moved(name, direction, inputs, outputs):
    if name == "embedding":  # forward reads and backward changes only the rows that were asked for
        found = outputs[0] if direction == "forward" else inputs[0]
        return (2 if direction == "forward" else 3) * found.nbytes
    if any(np.may_share_memory(x, y) for x in inputs for y in outputs):
        return 0  # a view: nothing was moved
    return sum(array.nbytes for array in inputs + outputs)


def _flops(name, inputs, outputs, settings):
    if name in {"linear", "matmul"}:
        return _product_flops(*inputs[:2])
    if name == "scaled_dot_product_attention":
        (B, H, T, D), S = inputs[0].shape, inputs[1].shape[2]
        keys_seen = S - (T - 1) / 2 if settings.get("causal", True) else S
        return 4 * B * H * T * keys_seen * D
    if name == "linear_cross_entropy":
        x, table = inputs[:2]
        logits = x.size // x.shape[-1] * table.shape[0]
        return 3 * 2 * x.size * table.shape[0] + (13 + 12) * logits
    if name == "cross_entropy":
        return 13 * inputs[0].size
    return FLOPS.get(name, 1) * sum(array.size for array in outputs)


def _product_flops(a, b):
    """2 M K N for every matrix of the stack."""
    a, b = (a if a.ndim > 1 else a[None]), (b if b.ndim > 1 else b[:, None])
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return 2 * math.prod(stack) * a.shape[-2] * a.shape[-1] * b.shape[-1]
