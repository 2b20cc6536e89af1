"""AdamW and its learning rate: a weight moves by its mean gradient, divided by its usual size.

The equations are in `autograd.kernels.optimizer`, and in NumPy in `autograd.reference.adamw_`.
"""

import math
import time
from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from autograd import Tensor, backend
from npgpt.config import check_range


class AdamW:
    """Adam with decoupled weight decay, after clipping the gradients by their global norm.

    parameters     dict of name -> Tensor, each weight once; updated in place
    lr             learning rate: about how far each entry of a weight moves per step
    betas          decay rates of the running means m of the gradient and v of its square
    eps            added to the root of the mean square, against division by 0
    weight_decay   a step removes the share lr * weight_decay of a weight. It applies to matrices
                   and embeddings only: biases and the gains of norms must not shrink
    grad_clip      largest norm of all gradients as one vector; None or 0 for no clipping

    PyTorch's defaults differ: betas (0.9, 0.999), a weight_decay of 0.01 on every weight, biases
    included, and no clipping.

    If a weight has no gradient, a step leaves it as it is. For this weight the step does not count:
    `missed` has the number of such steps by name.

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, algorithm 2.
    """

    def __init__(
        self, parameters: Mapping[str, Tensor], lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99), eps: float = 1e-8, weight_decay: float = 0.1,
        grad_clip: float | None = 1.0,
    ) -> None:
        self.parameters = {**parameters}
        beta1, beta2 = betas
        check_range("AdamW", below=1, beta1=beta1, beta2=beta2)
        check_range("AdamW", lr=lr, eps=eps, weight_decay=weight_decay, grad_clip=grad_clip or 0)
        self.lr, self.betas, self.eps = lr, betas, eps
        self.weight_decay, self.grad_clip = weight_decay, grad_clip
        self.steps, self.seconds = 0, 0.0  # taken; how long the last one took
        self.missed = dict.fromkeys(self.parameters, 0)
        self.m = {name: np.zeros(p.shape, p.dtype) for name, p in self.parameters.items()}
        self.v = {name: np.zeros(p.shape, p.dtype) for name, p in self.parameters.items()}
        self.extra_state = {}  # kind -> name -> array; `add_state` adds to it
        arrays = [p.data for p in self.parameters.values() if p.size]
        if not all(a.flags.writeable for a in arrays):  # the others would move without it
            raise ValueError("AdamW: a weight is read-only; load weights='plain', not 'q8'")
        spans = sorted((a.__array_interface__["data"][0], a.nbytes) for a in arrays)
        if any(start + size > after for (start, size), (after, _) in pairwise(spans)):
            raise ValueError("AdamW: two weights share memory, and would move twice; name one once")
        if len({a.dtype for a in arrays}) > 1:
            raise ValueError("AdamW: weights of two dtypes; give each dtype its own optimizer")

    def step(self, lr: float | None = None) -> float:
        """Update every weight that has a gradient; return the global norm before clipping.

        lr   learning rate of this step, if a schedule sets it

        Raises RuntimeError if no weight has a gradient, ValueError for a negative rate, a weight
        that cannot be updated in place or a gradient of the wrong shape, FloatingPointError if the
        norm is not finite. After an error no weight has moved.
        """
        started = time.perf_counter()
        check_range("AdamW", lr=(lr := self.lr if lr is None else lr))
        updated = {n: self._arrays(n) for n, p in self.parameters.items() if p.grad is not None}
        if not updated:
            raise RuntimeError("AdamW: no weight has a gradient; call loss.backward() first")
        norm = global_norm([gradient for _, gradient, *_ in updated.values()])
        if not math.isfinite(norm):
            raise FloatingPointError(
                f"AdamW: the gradient norm is {norm}, so no weight was moved; the loss has "
                "diverged: start again with a lower learning rate or a longer warm-up"
            )
        scale = min(1.0, self.grad_clip / norm) if self.grad_clip and norm > 0 else 1.0
        self.steps += 1
        for name in self.missed.keys() - updated.keys():
            self.missed[name] += 1
        for name in updated:
            self.parameters[name].mark_written()
        for i, beta in enumerate(self.betas):
            for arrays in updated.values() if beta == 0 else ():
                arrays[2 + i][...] = 0  # or v + (g^2 - v) in the kernel keeps few digits of g^2
        for missed in {self.missed[name] for name in updated}:  # in most runs it is 0 for all
            arrays = [updated[name] for name in updated if self.missed[name] == missed]
            decay = [self.weight_decay if weight.ndim >= 2 else 0.0 for weight, *_ in arrays]
            floats = map(float, (lr, *self.betas, self.eps, scale))
            backend.adamw_(*zip(*arrays, strict=True), decay, *floats, self.steps - missed)
        self.seconds = time.perf_counter() - started
        return norm

    def zero_grad(self) -> None:
        """Set every gradient to None, so that the next backward does not add to it."""
        for p in self.parameters.values():
            p.grad = None

    def state(self) -> dict[str, dict[str, np.ndarray]]:
        """Return the arrays that a checkpoint stores beside the weights: kind -> name -> array.

        They are the optimizer's own, so copying into them restores it.
        """
        return {"m": self.m, "v": self.v} | self.extra_state

    def add_state(self, kind: str, arrays: dict[str, np.ndarray]) -> None:
        """Let checkpoints store more arrays by name, such as a running mean of the weights.

        Update them in place. The kinds weight, m and v are taken.
        """
        self.extra_state[kind] = arrays

    def _arrays(self, name):
        """Return (weight, gradient, m, v).

        The kernel reads and writes by address: an array of a different shape or layout would be
        read or written past its end.
        """
        p, m, v = self.parameters[name], self.m[name], self.v[name]
        arrays = p.data, np.asarray(p.grad, p.dtype, order="C"), m, v  # 0-d stays 0-d
        same = all((a.shape, a.dtype) == (p.shape, p.dtype) for a in arrays)
        if not (same and all(a.flags.carray for a in (p.data, m, v))):  # contiguous, writeable
            found = "; ".join(f"{a.dtype} {a.shape}" for a in arrays)
            raise ValueError(
                f"AdamW: {name}, its gradient and its moments are {found}: make them writeable "
                "arrays of one shape and dtype, np.array(data, order='C'); weights='q8' are not"
            )
        return arrays


def global_norm(gradients):
    """Return the L2 norm of a list of gradients, taken as one vector."""
    return math.sqrt(backend.sum_of_squares(gradients))


def make_optimizer(model, config):
    """Return an AdamW of a model's weights with the settings of a TrainConfig."""
    return AdamW(
        model.parameters(), lr=config.lr, betas=(config.beta1, config.beta2),
        weight_decay=config.weight_decay, grad_clip=config.grad_clip,
    )


def learning_rate(step, config):
    """Return the learning rate of step `step`, counted from 0.    config: a TrainConfig

    Warm-up: the rate rises linearly while AdamW's running means still rest on few gradients. Then
    half a cosine: it falls from lr to min_lr, slowly near both ends.

    Source: Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017.

    >>> from npgpt.config import TrainConfig
    >>> config = TrainConfig(max_iters=1000, warmup_iters=100, lr=1e-3, min_lr=1e-4)
    >>> [round(learning_rate(step, config), 6) for step in (0, 99, 325, 550, 1000)]
    [1e-05, 0.00099, 0.000868, 0.00055, 0.0001]
    """
    if step < config.warmup_iters:
        return config.lr * (step + 1) / (config.warmup_iters + 1)
    progress = (step - config.warmup_iters) / max(1, config.max_iters - config.warmup_iters)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return config.min_lr + (config.lr - config.min_lr) * cosine
