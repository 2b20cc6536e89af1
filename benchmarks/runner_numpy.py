"""NumPy's side: products by its BLAS, which reads a transposed view as it is."""

import numpy as np

from benchmarks import shapes


def op(op, sizes):
    """Return the three products of a layer, forward and backward."""
    (x, w), _, dy = shapes.op_arrays(op, sizes)
    return lambda: (x @ w, dy @ w.T, x.T @ dy)


def product(size):
    """Return a product of square matrices: what the processor reaches without anything else."""
    a, b = shapes.random(size, size), shapes.random(size, size, seed=1)
    return lambda: a @ b


def generation(count, **_):
    """Return what each token takes at least: reading as many float32 as the model has weights."""
    x = np.ones(count, np.float32)
    return lambda: float(x @ x)
