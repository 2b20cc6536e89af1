"""The vector-Jacobian product of GELU."""

import math

import numpy as np

TASK = """
GELU lets x through by a gate: y = x s, with s = (1 + tanh(u)) / 2 between 0 and 1, and u =
sqrt(2/pi) (x + 0.044715 x^3). Write its backward: x reaches y directly, and through the gate. The
derivative of tanh(u) is 1 - tanh(u)^2.
"""
RETURNS = "dx"
WHERE = "autograd.reference.gelu_backward"
HINTS = """
The product rule: dy/dx = s + x ds/dx.
ds/dx = (1 - tanh(u)^2) / 2 times du/dx.
du/dx = sqrt(2/pi) (1 + 3 * 0.044715 x^2)
"""


def gelu_vjp(dy, x):
    """Return dx, of the shape of x.    dy, x: arrays of one shape"""
    tanh = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))
    slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)
    return dy * ((1 + tanh) / 2 + x * (1 - tanh**2) / 2 * slope)


def cases(rng):
    yield {"dy": np.ones(5), "x": np.array([-3.0, -1.0, 0.0, 1.0, 3.0])}
    yield {"dy": rng.normal(size=(3, 4)), "x": 2 * rng.normal(size=(3, 4))}


FAULTS = {
    "the gate is taken as a constant: ds/dx is left out":
        {" + x * (1 - tanh**2) / 2 * slope": ""},
    "ds/dx lacks the factor x": {"x * (1 - tanh": "(1 - tanh"},
    "the derivative of x^3 lacks its 3": {"3 * 0.044715": "0.044715"},
    "the x^3 in u is left out of du/dx": {" + 3 * 0.044715 * x**2": ""},
    "ds/dx lacks du/dx, the derivative of what stands inside tanh": {" * slope": ""},
    "ds/dx lacks the factor 1/2 of s": {"(1 - tanh**2) / 2": "(1 - tanh**2)"},
    "the factor dy is left out: the chain rule multiplies by it": {"return dy * ": "return "},
    "the derivative of tanh is 1 - tanh^2, and not 1 - tanh": {"tanh**2": "tanh"},
}
