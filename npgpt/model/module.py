"""Module: a part of a model that owns weights. Linear and two norms, the parts used all over.

Not a framework: a Module is a plain object whose attributes are Tensors, Modules or lists of
Modules, and `named_parameters` walks them. The attribute names are those of the published GPT-2
weights, so a path such as `h.0.attn.c_attn.weight` means the same array here and there.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from autograd import Tensor, layer_norm, linear, rms_norm

INIT_STD = 0.02  # GPT-2's


class Module:
    """A part of a model. Subclasses set Tensors, Modules and lists of Modules as attributes."""

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Yield (dotted name, Tensor) for each weight, in the order the attributes were set."""
        for path, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Tensor):
                    yield f"{path}.{name}" if path else name, value

    def named_modules(self, path: str = "") -> Iterator[tuple[str, "Module"]]:
        """Yield (dotted path, Module) for this part, whose path is `path`, and all parts of it."""
        yield path, self
        for name, value in vars(self).items():
            parts = enumerate(value) if isinstance(value, list) else [(None, value)]
            for i, part in parts:
                if isinstance(part, Module):
                    inner = name if i is None else f"{name}.{i}"
                    yield from part.named_modules(f"{path}.{inner}" if path else inner)


class Linear(Module):
    """y = x weight + bias.    weight (I, O), bias (O,) or None"""

    def __init__(self, rng, n_in, n_out, *, bias, dtype, std=INIT_STD):
        self.weight = normal(rng, (n_in, n_out), std, dtype)
        self.bias = Tensor(np.zeros(n_out, dtype), requires_grad=True) if bias else None

    def __call__(self, x):
        return linear(x, self.weight, self.bias)


class LayerNorm(Module):
    """Each row to mean 0 and variance 1, then weight and bias per channel.    (C,) each"""

    def __init__(self, n_embd, *, bias, dtype, eps=1e-5):
        self.weight = Tensor(np.ones(n_embd, dtype), requires_grad=True)
        self.bias = Tensor(np.zeros(n_embd, dtype), requires_grad=True) if bias else None
        self.eps = eps

    def __call__(self, x):
        return layer_norm(x, self.weight, self.bias, self.eps)


class RMSNorm(Module):
    """Each row to mean square 1, then a weight per channel.    (C,)"""

    def __init__(self, n_embd, *, dtype, eps=1e-6):
        self.weight = Tensor(np.ones(n_embd, dtype), requires_grad=True)
        self.eps = eps

    def __call__(self, x):
        return rms_norm(x, self.weight, self.eps)


_drawing = True


@contextmanager
def without_initial_weights():
    """Inside, the matrices of new models hold anything: others are to take their places, and
    drawing a hundred million numbers takes seconds."""
    global _drawing  # noqa: PLW0603
    before, _drawing = _drawing, False
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        _drawing = before


def branch_std(config):
    """The std of the weights that a branch ends in: 2 n_layer branches add to the residual stream,
    and this keeps its variance of order one."""
    return INIT_STD / math.sqrt(2 * config.n_layer)


def normal(rng, shape, std, dtype):
    """Weights drawn from a normal distribution with mean 0.

    Drawn in float64 whatever the dtype, so that both precisions start from the same model.
    """
    if not _drawing:
        return Tensor(np.empty(shape, dtype), requires_grad=True)
    return Tensor((rng.standard_normal(shape) * std).astype(dtype), requires_grad=True)
