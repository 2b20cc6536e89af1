"""The parts that samples of ops are put together from: `autograd.samples` is the list of them.

`normal(2, 3)` and its like stand for an array to be drawn from a generator; `sample` is one call of
an op on such arrays, and `on_pairs`, `over_axes` and the others are lists of samples.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np


@dataclass(frozen=True)
class Sample:
    """A call of an op: f, a function of Tensors, on arrays that `draws` make from a generator."""

    label: str
    f: object
    draws: tuple

    def inputs(self, seed):
        rng = np.random.default_rng(seed)
        return [draw(rng) for draw in self.draws]


def normal(*shape):
    return lambda rng: rng.normal(size=shape)


def positive(*shape):
    return lambda rng: rng.uniform(0.5, 2.5, size=shape)


def apart(*shape, offset=0.125):
    """Numbers at least 0.1 from one another and, unless offset=0, from 0, 1/4, 1/2, ...

    Those with offset=0 are at least 0.05 from those with the offset 0.125.
    """

    def draw(rng):
        ranks = rng.permutation(int(np.prod(shape))).reshape(shape) - int(np.prod(shape)) // 2
        return ranks / 4 + offset + rng.uniform(-0.02, 0.02, size=shape)

    return draw


def sample(label, f, *draws):
    return Sample(label, f, draws)


def on_shapes(f, draw=normal):
    return [sample(f"shape {shape}", f, draw(*shape)) for shape in [(), (5,), (2, 3, 2)]]


PAIRS = {
    "same shape": ((2, 3), (2, 3)),
    "a matrix, a row": ((2, 3), (3,)),
    "a row, a matrix": ((3,), (2, 3)),
    "a column, a row": ((2, 1), (1, 3)),
    "a stack, a column": ((2, 2, 3), (2, 1)),
    "a number, a matrix": ((), (2, 3)),
    "two numbers": ((), ()),
}


def on_pairs(f, draw_a=normal, draw_b=normal):
    return [sample(label, f, draw_a(*a), draw_b(*b)) for label, (a, b) in PAIRS.items()]


def over_axes(f, draw=normal, axes=(None, 0, -1, 1, (0, 2), (-1, 0), (0, 1, 2)), **settings):
    return [
        sample(
            f"axis={axis}, keepdims={keepdims}",
            partial(f, axis=axis, keepdims=keepdims, **settings),
            draw(2, 3, 2),
        )
        for axis in axes
        for keepdims in (False, True)
    ]


def with_settings(f, draw, *settings):
    """A sample for each dict of keyword settings."""
    return [
        sample(", ".join(f"{k}={v}" for k, v in given.items()), partial(f, **given), draw)
        for given in settings
    ]


def joined(f, axis, *shapes):
    return sample(
        f"axis={axis}", lambda *arrays: f(arrays, axis=axis), *[normal(*s) for s in shapes]
    )
