"""The vector-Jacobian product of softmax."""

TASK = """
y is the softmax of x, row by row: y_i = e^(x_i) / sum_j e^(x_j). If x_i grows, y_i grows at the
expense of all: dy_j/dx_i = y_j ([i = j] - y_i). The gradient with respect to x_i is the sum over
j of dy_j times this derivative. Write it without a loop and without the matrix dy_j/dx_i.
"""
RETURNS = "dx"
WHERE = "autograd.reference.softmax_backward"
HINTS = """
Write the sum out: one term has i = j, the rest is y_i times a sum that does not depend on i.
dx_i = y_i dy_i - y_i sum_j dy_j y_j. The sum is one number for each row.
(dy * y).sum(axis=1, keepdims=True) is that number, as a column.
"""


def softmax_vjp(dy_NC, y_NC):
    """Return dx (N, C).    dy (N, C); y (N, C), the softmax of each row of x"""
    return y_NC * (dy_NC - (dy_NC * y_NC).sum(axis=1, keepdims=True))


def cases(rng):
    for shape in ((2, 3), (4, 5)):
        y_NC = rng.random(shape)
        yield {"dy_NC": rng.normal(size=shape), "y_NC": y_NC / y_NC.sum(axis=1, keepdims=True)}


FAULTS = {
    "the sum is left out: the other outputs lose it":
        {" - (dy_NC * y_NC).sum(axis=1, keepdims=True)": ""},
    "each output is taken to depend on its own input only, as in a sigmoid":
        {".sum(axis=1, keepdims=True)": ""},
    "the sum is taken down the columns, and not along each row": {"axis=1": "axis=0"},
    "the factor y in front is left out": {"return y_NC * (": "return ("},
    "the mean of dy is subtracted; it has to be the sum of dy y":
        {"(dy_NC * y_NC).sum": "dy_NC.mean"},
    "the mean of dy y is subtracted; it has to be the sum": {".sum(": ".mean("},
    "one sum for all rows is subtracted; each row has its own": {"axis=1, keepdims=True": ""},
    "the sum lacks the factor y": {"(dy_NC * y_NC).sum": "dy_NC.sum"},
}
