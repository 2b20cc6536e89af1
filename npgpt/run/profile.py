"""A profile of training steps: the time and arithmetic of every op, forward and backward.

While steps are profiled, an `autograd.Observer` sees each op. The rest of a step (drawing the
batch, the engine, adding gradients) has its own line.

GFLOP/s are counted from shapes, as each op declares (`@op(flops=...)`). GB/s count an op's inputs
and outputs once each, the least that it has to move. More GB/s than the memory's speed mean that
arrays came from a cache; an op that is near neither limit waits for something else.
"""

import time
from collections import Counter, defaultdict
from contextlib import ExitStack

import numpy as np

from autograd import Observer, observing
from npgpt.optim import AdamW

SKIPPED = 3  # steps before the profile begins, which allocate memory
OPTIMIZER, REST = "AdamW", "the rest"


class OpCosts(Observer):
    """Costs of recorded ops by (op, "forward" or "backward"): calls, seconds, FLOPs, bytes moved.

    Ops outside of a graph, such as those of an evaluation between two steps, are not counted.
    """

    def __init__(self):
        self.costs = defaultdict(Counter)
        self.forward_flops = {}

    def forward(self, op, node, inputs, settings, outputs, seconds):
        if node is not None:
            flops = op.flops(inputs, outputs, settings)
            self.forward_flops[node] = flops
            read = [*inputs, *settings.values()]
            # An embedding reads only the looked-up rows of its table.
            moved = 2 * outputs[0].nbytes if op.name == "embedding" else _moved(read, outputs)
            cost = self.costs[op.name, "forward"]
            cost.update(calls=1, seconds=seconds, flops=flops, moved=moved)

    def vjp(self, op, node, d_outputs, gradients, seconds):
        flops = op.vjp_flops * self.forward_flops.pop(node, 0)
        read = [*d_outputs, node.saved]
        moved = 3 * d_outputs[0].nbytes if op.name == "embedding" else _moved(read, gradients)
        cost = self.costs[op.name, "backward"]
        cost.update(calls=1, seconds=seconds, flops=flops, moved=moved)


def _moved(read, written):
    """Return the bytes of the arrays read and written; 0 for an op that returns a view."""
    read, written = list(_arrays(read)), list(_arrays(written))
    if any(np.may_share_memory(x, y) for x in read for y in written):
        return 0
    return sum(array.nbytes for array in read + written)


def _arrays(value):
    """Yield the arrays in nested tuples and lists."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _arrays(part)


class Profile:
    """A context manager around a training loop that profiles a few early steps.

    count      number of profiled steps, after the first SKIPPED ones
    optimizer  that of the loop, an `AdamW`, whose step is timed from now on
    report     called with the table after `count` steps, or at the end of a shorter loop; not
               called if no step was profiled
    """

    def __init__(self, count, optimizer, report=print):
        self.count, self.optimizer, self.report = count, optimizer, report
        self.ops, self.update_cost = OpCosts(), Counter()
        self.steps, self.seconds = -SKIPPED, 0.0
        self.observing = ExitStack()
        optimizer.step = self._timed

    def _timed(self, lr=None):
        started = time.perf_counter()
        norm = AdamW.step(self.optimizer, lr)
        self.optimizer_seconds = time.perf_counter() - started
        return norm

    def __enter__(self):
        self.observing.enter_context(observing(self.ops))
        return self

    def __exit__(self, *exception):
        self.observing.close()
        if 0 < self.steps < self.count:
            self.report(self.table())

    def update(self, seconds):
        """Count the observed ops since the last call as the cost of a step of so many seconds."""
        self.steps += 1
        if self.steps <= 0:
            self.ops.costs.clear()
        elif self.steps <= self.count:
            self.seconds += seconds
            weights = self.optimizer.parameters.values()
            # The gradient is read twice (norm, update); the weight and both moments are read and
            # written once. FLOPs are those of `autograd.kernels.optimizer`.
            moved = 8 * sum(weight.data.nbytes for weight in weights)
            flops = 17 * sum(weight.size for weight in weights)
            self.update_cost.update(
                calls=1, seconds=self.optimizer_seconds, flops=flops, moved=moved
            )
            if self.steps == self.count:
                self.observing.close()
                self.report(self.table())

    def table(self):
        """Return the costs of one step as text, the most expensive op first."""
        costs = self.ops.costs | {(OPTIMIZER, ""): self.update_cost}
        inside = sum(cost["seconds"] for cost in costs.values())
        costs[REST, ""] = Counter(calls=self.steps, seconds=self.seconds - inside)
        lines = [
            f"a step of {1e3 * self.seconds / self.steps:.1f} ms, mean of {self.steps}:",
            f"{'op':<30} {'':<8} {'calls':>6} {'ms':>9} {'GFLOP/s':>8} {'GB/s':>7} {'of step':>8}",
        ]
        for (name, direction), cost in sorted(costs.items(), key=lambda row: -row[1]["seconds"]):
            calls, seconds, *work = (cost[n] for n in ("calls", "seconds", "flops", "moved"))
            rates = [f"{n / seconds / 1e9:.1f}" if n else "" for n in work]
            lines.append(
                f"{name:<30} {direction:<8} {calls / self.steps:>6.0f} "
                f"{1e3 * seconds / self.steps:>9.3f} {rates[0]:>8} {rates[1]:>7} "
                f"{seconds / self.seconds:>8.1%}"
            )
        return "\n".join(lines)
