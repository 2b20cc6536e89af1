"""A hunt: a layer norm that runs, and is wrong."""

import numpy as np

TASK = """
A hunt. The function below is layer norm: each row to mean 0 and variance 1, then a weight and a
bias per channel. It runs, and it is wrong in two places. Find and mend both.
"""
RETURNS = "y"
WHERE = "autograd.reference.layer_norm"
HINTS = """
Put in a row such as [1, 2, 6] with weight 1 and bias 0: what are the mean and variance of y?
Over which axis is each of the means? A row is one position, independent of the other rows.
The second fault: the variance is the mean of the squared distances from the mean.
"""


def hunt_layer_norm(x_NC, weight_C, bias_C):
    """Return y (N, C).    x (N, C), weight (C,), bias (C,)"""
    mean_N1 = x_NC.mean(axis=1, keepdims=True)
    variance_N1 = ((x_NC - mean_N1) ** 2).mean(axis=1, keepdims=True)
    return (x_NC - mean_N1) / np.sqrt(variance_N1 + 1e-5) * weight_C + bias_C


def cases(rng):
    for N, C in ((2, 3), (5, 4)):
        yield {"x_NC": 0.5 + rng.normal(size=(N, C)), "weight_C": rng.normal(size=C),
               "bias_C": rng.normal(size=C)}
    yield {"x_NC": np.full((1, 3), 2.0), "weight_C": np.ones(3), "bias_C": np.arange(3.0)}


NOT_CENTRED = {"((x_NC - mean_N1) ** 2)": "(x_NC**2)"}
WRONG_AXIS = {"x_NC.mean(axis=1": "x_NC.mean(axis=0"}
PLANTED = NOT_CENTRED | WRONG_AXIS | {"mean_N1": "mean"}
FAULTS = {
    "nothing was changed yet": PLANTED,
    "the variance is still the mean of x^2, and not of (x - mean)^2": NOT_CENTRED,
    "the mean is still taken down each column": WRONG_AXIS,
    "mean and variance are taken down each column, as in batch norm": {"axis=1": "axis=0"},
    "it divides by the variance, and not by its root": {"np.sqrt": ""},
    "mean and variance are taken over the whole array; each row has its own":
        {"axis=1, keepdims=True": ""},
    "the variance is divided by C - 1; here it is the mean over C":
        {"((x_NC - mean_N1) ** 2).mean(axis=1,": "x_NC.var(axis=1, ddof=1,"},
    "eps is added to the root; it belongs under it":
        {"np.sqrt(variance_N1 + 1e-5)": "(np.sqrt(variance_N1) + 1e-5)"},
    "eps is missing: a row of equal entries has variance 0": {" + 1e-5": ""},
}
