"""NumPy's side: products by its BLAS, which reads a transposed view as it is."""

import numpy as np

from benchmarks import shapes


def product(form, Z, M, N, K):
    a, b = shapes.operands(form, Z, M, N, K)
    a = a.swapaxes(1, 2) if form == "tn" else a
    b = b.swapaxes(1, 2) if form == "nt" else b
    if Z == 1:
        a, b = a[0], b[0]
    return lambda: np.matmul(a, b)
