"""exp for kernels: in float32 a polynomial that becomes vector instructions.

A loop around `math.exp` calls a scalar function for each element. The float32 variant is
straight-line arithmetic, so that the compiler turns the loop around it into vector code:

    e^x = 2^n e^r,  n = floor(x / ln 2 + 1/2),  r = x - n ln 2,  |r| <= ln 2 / 2

The polynomial for e^r is the Taylor series to degree 6; the error of the result is below 3 units
in the last place. ln 2 is subtracted in two parts, the first of which has trailing zero bits, so
that n times it is exact. float64 is for checking gradients and calls the accurate `math.exp`.
Source of the scheme: W. J. Cody and W. Waite, Software Manual for the Elementary Functions, 1980.
"""

import math

import numpy as np
from numba import types
from numba.extending import overload

LOG2_E = np.float32(1.4426950408889634)
LN2_HIGH = np.float32(0.693359375)
LN2_LOW = np.float32(-2.12194440054690583e-4)
ONE = np.float32(1)
HALF = np.float32(0.5)
C2, C3, C4, C5, C6 = (np.float32(1 / math.factorial(n)) for n in range(2, 7))
HIGHEST = np.float32(88.72283)  # e^x overflows above
LOWEST = np.float32(-87.33654)  # e^x is subnormal below, and given as 0
INFINITY = np.float32(np.inf)
ZERO = np.float32(0)


def exp(x):
    """e^x in the precision of x; only callable from kernels."""
    raise NotImplementedError("exp is for kernels; use numpy.exp")


@overload(exp, jit_options={"fastmath": {"contract", "nsz"}, "error_model": "numpy"})
def _exp(x):
    if x != types.float32:
        return lambda x: math.exp(x)  # noqa: PLW0108 (Numba takes a function of Python, no builtin)

    def exp_float32(x):
        # Clamped, so that n stays in the range of exponents; NaN passes through min and max.
        z = LOWEST if x < LOWEST else x
        z = HIGHEST if z > HIGHEST else z
        n = np.floor(z * LOG2_E + HALF)
        r = z - n * LN2_HIGH - n * LN2_LOW
        p = ONE + r * (ONE + r * (C2 + r * (C3 + r * (C4 + r * (C5 + r * C6)))))
        # 2^n in two factors: n = 128 has no float32 of its own, but 2^64 2^64 p may.
        half = np.int32(n) >> np.int32(1)
        y = p * _power_of_two(half) * _power_of_two(np.int32(n) - half)
        y = ZERO if x < LOWEST else y
        return INFINITY if x > HIGHEST else y

    return exp_float32


def _power_of_two(n):
    raise NotImplementedError


@overload(_power_of_two)
def _power_of_two_bits(n):
    """The float32 whose exponent bits say n."""
    return lambda n: np.int32((n + np.int32(127)) << np.int32(23)).view(np.float32)
