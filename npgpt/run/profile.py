"""A profile of training steps: the time and arithmetic of every op, forward and backward.

While steps are profiled, an `autograd.Observer` sees each op. The rest of a step (drawing the
batch, the engine, adding gradients) has its own line. GFLOP/s are counted from shapes, as each op
declares (`@op(flops=...)`).
"""

from collections import Counter, defaultdict
from contextlib import ExitStack

from autograd import Observer, observing

SKIPPED = 3  # steps before the profile begins, which allocate memory


class Profile(Observer, ExitStack):
    """A context manager around a training loop that profiles a few early steps.

    It observes the recorded ops; those outside of a graph, such as those of an evaluation between
    two steps, are not counted.

    count      number of profiled steps, after the first SKIPPED ones
    optimizer  that of the loop, an `AdamW`, which times its own steps
    report     called with the table after `count` steps, or at the end of a shorter loop; not
               called if no step was profiled
    """

    def __init__(self, count, optimizer, report=print):
        super().__init__()
        self.count, self.optimizer, self.report = count, optimizer, report
        self.costs = defaultdict(Counter)  # (op, direction) -> calls, seconds, FLOPs
        self.forward_flops, self.steps, self.seconds = {}, -SKIPPED, 0.0

    def forward(self, op, node, inputs, settings, outputs, seconds):
        if node is not None:
            flops = op.flops(inputs, outputs, settings)
            self.forward_flops[node] = flops
            self.costs[op.name, "forward"].update(calls=1, seconds=seconds, flops=flops)

    def vjp(self, op, node, d_outputs, gradients, seconds):
        flops = op.vjp_flops * self.forward_flops.pop(node, 0)
        self.costs[op.name, "backward"].update(calls=1, seconds=seconds, flops=flops)

    def __enter__(self):
        self.callback(self._print)
        self.enter_context(observing(self))
        return self

    def _print(self):
        if self.steps > 0:
            self.report(self.table())

    def update(self, seconds):
        """Count the observed ops since the last call as the cost of a step of so many seconds."""
        self.steps += 1
        if self.steps <= 0:
            self.costs.clear()
        elif self.steps <= self.count:
            self.seconds += seconds
            self.costs["AdamW", ""].update(calls=1, seconds=self.optimizer.seconds)
            if self.steps == self.count:
                self.close()

    def table(self):
        """Return the costs of one step as text, the most expensive op first."""
        inside = sum(cost["seconds"] for cost in self.costs.values())
        rest = Counter(calls=self.steps, seconds=self.seconds - inside)
        costs = self.costs | {("the rest", ""): rest}
        lines = [
            f"a step of {1e3 * self.seconds / self.steps:.1f} ms, mean of {self.steps}:",
            f"{'op':<30} {'':<8} {'calls':>6} {'ms':>9} {'GFLOP/s':>8} {'of step':>8}",
        ]
        for (name, direction), cost in sorted(costs.items(), key=lambda row: -row[1]["seconds"]):
            seconds, flops = cost["seconds"], cost["flops"]
            rate = f"{flops / seconds / 1e9:.1f}" if flops else ""
            lines.append(
                f"{name:<30} {direction:<8} {cost['calls'] / self.steps:>6.0f} "
                f"{1e3 * seconds / self.steps:>9.3f} {rate:>8} {seconds / self.seconds:>8.1%}"
            )
        return "\n".join(lines)
