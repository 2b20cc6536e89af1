"""The vector-Jacobian product of layer norm."""

import numpy as np

TASK = """
Layer norm brings each row to mean 0 and variance 1, n = (x - mean) rstd with rstd = 1 /
sqrt(variance + eps), and gives each channel a gain and a bias: y = n weight + bias. Write its
backward. With g = dy weight, the gradient with respect to n, and means over the C channels of a
row:

    dx = (g - mean(g) - n mean(g n)) rstd

since n does not change if the row is shifted (mean(g) is taken out) or scaled (n mean(g n) is).
weight and bias are the same for all rows.
"""
RETURNS = "dx dweight dbias"
WHERE = "autograd.reference.layer_norm_backward"
HINTS = """
dbias and dweight first: y depends on the bias by 1, on the weight by n, in every row.
dweight is the sum over rows of dy n; dbias is the sum of dy.
mean(g) is g.mean(axis=1, keepdims=True): one number for each row, kept as a column.
"""


def layer_norm_vjp(dy_NC, n_NC, rstd_N, weight_C):
    """Return dx (N, C), dweight (C,), dbias (C,).    dy, n (N, C), rstd (N,), weight (C,)"""
    g_NC = dy_NC * weight_C
    along_shift = g_NC.mean(axis=1, keepdims=True)
    along_scale = n_NC * (g_NC * n_NC).mean(axis=1, keepdims=True)
    dx_NC = (g_NC - along_shift - along_scale) * rstd_N[:, None]
    return dx_NC, (dy_NC * n_NC).sum(axis=0), dy_NC.sum(axis=0)


def cases(rng):
    for N, C in ((2, 3), (4, 6)):
        x_NC = 2 * rng.normal(size=(N, C))
        rstd_N = 1 / np.sqrt(x_NC.var(axis=1) + 1e-5)
        n_NC = (x_NC - x_NC.mean(axis=1, keepdims=True)) * rstd_N[:, None]
        yield {"dy_NC": rng.normal(size=(N, C)), "n_NC": n_NC, "rstd_N": rstd_N,
               "weight_C": rng.normal(size=C)}


FAULTS = {
    "n mean(g n) is added: a sign is flipped": {"- along_scale": "+ along_scale"},
    "n mean(g n) is left out, as if a scale of the row changed n": {" - along_scale": ""},
    "mean(g) and n mean(g n) are left out, as if mean and variance were constants":
        {" - along_shift - along_scale": ""},
    "mean(g) is left out, as if a shift of the row changed n": {" - along_shift": ""},
    "n sum(g n) is taken out; it has to be n mean(g n)":
        {"(g_NC * n_NC).mean": "(g_NC * n_NC).sum"},
    "the means are taken down the columns, and not along each row": {"axis=1": "axis=0"},
    "dx lacks the factor weight: dy is used instead of g": {"= dy_NC * weight_C": "= dy_NC"},
    "dx lacks the factor rstd": {" * rstd_N[:, None]": ""},
    "weight and bias get the mean over rows, and not the sum": {".sum(": ".mean("},
    "the gradients of weight and bias are not summed over the rows": {".sum(axis=0)": ""},
    "dweight and dbias are swapped":
        {"(dy_NC * n_NC).sum(axis=0), dy_NC.sum(axis=0)":
         "dy_NC.sum(axis=0), (dy_NC * n_NC).sum(axis=0)"},
}
