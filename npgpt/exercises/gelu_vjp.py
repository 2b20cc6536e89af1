"""The vector-Jacobian product of GELU."""

import math

import numpy as np

SECTION = "Transformer Architecture"
TASK = """
GELU lets x through by a gate: y = x s, with s = (1 + tanh(u)) / 2 between 0 and 1, and u =
sqrt(2/pi) (x + 0.044715 x^3). Write its backward: x reaches y directly, and through the gate. The
derivative of tanh(u) is 1 - tanh(u)^2.
"""
RETURNS = ("dx",)
WHERE = "autograd.reference.gelu_backward"
HINTS = (
    "The product rule: dy/dx = s + x ds/dx.",
    "ds/dx = (1 - tanh(u)^2) / 2 times du/dx.",
    "du/dx = sqrt(2/pi) (1 + 3 * 0.044715 x^2)",
)


def gelu_vjp(dy, x):
    """Return dx, of the shape of x.    dy, x: arrays of one shape"""
    tanh = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)
    return dy * ((1 + tanh) / 2 + x * (1 - tanh**2) / 2 * slope)


def cases(rng):
    yield {"dy": np.ones(5), "x": np.array([-3.0, -1.0, 0.0, 1.0, 3.0])}
    yield {"dy": rng.normal(size=(3, 4)), "x": 2 * rng.normal(size=(3, 4))}


def _faulty(gate=1.0, x_in_front=True, cubic=3.0, root=True, squared=2, half=2):
    def gelu_vjp(dy, x):
        tanh = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
        slope = (math.sqrt(2 / math.pi) if root else 1) * (1 + cubic * 0.044715 * x**2)
        ds = (1 - tanh**squared) / half * slope
        return dy * (gate * (1 + tanh) / 2 + (x * ds if x_in_front else ds))

    return gelu_vjp


FAULTS = {
    "the gate is taken as a constant: ds/dx is left out": lambda dy, x:
        dy * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
    "the gate itself, s, is left out of the product rule": _faulty(gate=0),
    "ds/dx lacks the factor x": _faulty(x_in_front=False),
    "the derivative of x^3 lacks its 3": _faulty(cubic=1),
    "the x^3 in u is left out of du/dx": _faulty(cubic=0),
    "du/dx lacks sqrt(2/pi)": _faulty(root=False),
    "the derivative of tanh is 1 - tanh^2, and not 1 - tanh": _faulty(squared=1),
    "ds/dx lacks the half of s = (1 + tanh) / 2": _faulty(half=1),
    "dy is left out": lambda dy, x: gelu_vjp(np.ones_like(dy), x),
}
