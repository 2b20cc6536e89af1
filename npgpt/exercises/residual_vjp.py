"""The vector-Jacobian product of a residual connection."""

import numpy as np

SECTION = "Transformer Architecture"
TASK = """
A block adds to the stream what a branch makes of it: y = x + f(norm(x)). Write the backward of
this, with those of the branch and of the norm given: f_vjp(d) takes a gradient with respect to
what f returned and gives the one with respect to what f was given; norm_vjp likewise.
"""
RETURNS = ("dx",)
WHERE = "npgpt.gpt.Block"
HINTS = (
    "x reaches y by two ways: as it is, and by the branch. The gradients of both add up.",
    "Backward through the branch, the last function comes first.",
    "dy itself, plus norm_vjp(f_vjp(dy)).",
)


def residual_vjp(dy, f_vjp, norm_vjp):
    """dx, an array like dy.    f_vjp, norm_vjp: functions of one gradient"""
    return dy + norm_vjp(f_vjp(dy))


def _linear(matrix):
    def vjp(d):
        return d @ matrix

    return vjp


def cases(rng):
    for N, C in ((2, 3), (3, 4)):
        f_vjp, norm_vjp = (_linear(rng.normal(size=(C, C))) for _ in range(2))
        yield {"dy": rng.normal(size=(N, C)), "f_vjp": f_vjp, "norm_vjp": norm_vjp}


FAULTS = {
    "the way around the branch is left out: there is no residual connection":
        lambda dy, f_vjp, norm_vjp: norm_vjp(f_vjp(dy)),
    "the branch is left out": lambda dy, f_vjp, norm_vjp: np.array(dy),
    "the norm comes before f, as forward; backward the order is reversed":
        lambda dy, f_vjp, norm_vjp: dy + f_vjp(norm_vjp(dy)),
    "the norm is left out": lambda dy, f_vjp, norm_vjp: dy + f_vjp(dy),
    "dy is passed through the norm as well, as in post-norm":
        lambda dy, f_vjp, norm_vjp: norm_vjp(dy + f_vjp(dy)),
    "the branch takes a gradient away, and does not add one":
        lambda dy, f_vjp, norm_vjp: dy - norm_vjp(f_vjp(dy)),
    "f and the norm are taken side by side, and not one after the other":
        lambda dy, f_vjp, norm_vjp: dy + f_vjp(dy) + norm_vjp(dy),
}  # fmt: skip
