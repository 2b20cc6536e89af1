"""The vector-Jacobian product of a table lookup."""

import numpy as np

TASK = """
An embedding is a lookup: y = weight[indices], a row of the table for each index. Write its
backward: from dy, the gradient with respect to y, to the gradient with respect to the table. A row
that was looked up twice reaches the loss twice; a row that was never looked up does not reach it.
"""
RETURNS = "dweight"
WHERE = "autograd.reference.embedding_backward_"
HINTS = """
Begin with zeros of the table's shape, and add each row of dy to the row of its index.
dweight[indices] += dy looks right, but NumPy adds only one of the rows of a repeated index.
np.add.at(dweight, indices, dy), or a loop over zip(indices, dy).
"""


def embedding_vjp(dy_NC, indices_N, V):
    """Return dweight (V, C).    dy (N, C), indices (N,) of the rows that were looked up"""
    dweight_VC = np.zeros((V, dy_NC.shape[1]))
    np.add.at(dweight_VC, indices_N, dy_NC)
    return dweight_VC


def cases(rng):
    yield {"dy_NC": rng.normal(size=(3, 2)), "indices_N": np.array([2, 0, 2]), "V": 4}
    yield {"dy_NC": rng.normal(size=(7, 3)), "indices_N": rng.integers(0, 4, 7), "V": 6}


FAULTS = {
    "of a row that was looked up more than once only the last gradient counts; they add up":
        {"np.add.at(dweight_VC, indices_N, dy_NC)": "dweight_VC[indices_N] = dy_NC"},
    "the gradients of a row are averaged; they add up":
        {"return dweight_VC":
         "return dweight_VC / np.bincount(indices_N, minlength=V).clip(1)[:, None]"},
    "1 is added for each lookup; add the row of dy": {"indices_N, dy_NC)": "indices_N, 1)"},
    "the sum is divided by the number of lookups":
        {"return dweight_VC": "return dweight_VC / len(indices_N)"},
    "rows are taken from dy, as in the lookup itself, and not added to the table":
        {"return dweight_VC": "return dy_NC[indices_N % len(dy_NC)]"},
    "the table is transposed": {"return dweight_VC": "return dweight_VC.T"},
}
