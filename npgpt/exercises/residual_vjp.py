"""The vector-Jacobian product of a residual connection."""


TASK = """
A block adds a branch to the stream: y = x + f(norm(x)). Write its backward, given the backward of
the branch and of the norm: f_vjp(d) takes the gradient with respect to f's output and returns the
gradient with respect to f's input; norm_vjp likewise.
"""
RETURNS = "dx"
WHERE = "npgpt.gpt.Block"
HINTS = """
x reaches y by two paths: directly, and through the branch. The gradients of both add up.
Backward through the branch, the last function comes first.
dy itself, plus norm_vjp(f_vjp(dy)).
"""


def residual_vjp(dy, f_vjp, norm_vjp):
    """Return dx, of the shape of dy.    f_vjp, norm_vjp: functions of one gradient"""
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
    "the path around the branch is left out: there is no residual connection": {"dy + ": ""},
    "the branch is left out": {" + norm_vjp(f_vjp(dy))": ""},
    "the norm comes before f, as forward; backward the order is reversed":
        {"norm_vjp(f_vjp(": "f_vjp(norm_vjp("},
    "the norm is left out": {"norm_vjp(f_vjp(dy))": "f_vjp(dy)"},
    "dy is passed through the norm as well, as in post-norm":
        {"dy + norm_vjp(f_vjp(dy))": "norm_vjp(dy + f_vjp(dy))"},
}
