"""exp, the normal distribution and the maximum of a row, in a form that compiles to vector code.

A loop around `math.exp` calls a scalar function for each element. For float32 `exp` is
straight-line arithmetic, so that the loop around it becomes vector code:

    e^x = 2^n e^r,  n = floor(x / ln 2 + 1/2),  r = x - n ln 2,  |r| <= ln 2 / 2

The polynomial for e^r has the smallest largest relative error, 1.1e-7, of those of degree 5 that
begin with 1 + r, so that e^0 is 1; the error of the result is below 2.5 units in the last place.
ln 2 is subtracted in two parts, the first of which has trailing zero bits, so that n times it is
exact. Multiplying by 2^n is adding n to the bits of the exponent. float64 is for checking gradients
and calls the accurate `math.exp`.
Source of the scheme: W. J. Cody and W. Waite, Software Manual for the Elementary Functions, 1980.
"""

import math

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

LOG2_E = np.float32(1.4426950408889634)
LN2_HIGH = np.float32(0.693359375)
LN2_LOW = np.float32(-2.12194440054690583e-4)
HALF, ONE = np.float32(0.5), np.float32(1)
C2, C3, C4, C5 = np.float32([0.499992319, 0.166671146, 0.0418900947, 0.00831250568])
HIGHEST = np.float32(88.72283)  # e^x overflows above
# Below, n may be -126, and adding it to the bits makes no subnormal number: e^x is given as 0.
LOWEST = np.float32(-86.98)
INFINITY = np.float32(np.inf)
ZERO = np.float32(0)
# How many values of a long row are added in float32, before their sum is added in float64: beside
# one near 1, thousands of small ones would be rounded away, such as probabilities of other tokens.
PART = 1024


def exp(x):
    """Return e^x in the dtype of x; only callable from kernels."""


@overload(exp, jit_options={"fastmath": {"contract", "nsz"}, "error_model": "numpy"})
def _exp(x):
    if x != types.float32:
        return lambda x: math.exp(x)  # noqa: PLW0108 (Numba takes a function of Python, no builtin)

    def exp_float32(x):
        n = np.floor(x * LOG2_E + HALF)
        r = x - n * LN2_HIGH - n * LN2_LOW
        y = ONE + r * (ONE + r * (C2 + r * (C3 + r * (C4 + r * C5))))
        y = np.int32(np.float32(y).view(np.int32) + (np.int32(n) << np.int32(23))).view(np.float32)
        # Where n is no exponent, below and above, y may be anything; a NaN keeps its NaN in r.
        y = ZERO if x < LOWEST else y
        return INFINITY if x > HIGHEST else y

    return exp_float32


# Of Phi's tail, as a polynomial in t. M. Abramowitz and I. A. Stegun, Handbook of Mathematical
# Functions, 1964, formula 7.1.26; its absolute error is below 1.5e-7.
P, A1, A2, A3, A4, A5 = np.float32(
    [0.3275911, 0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429]
)
ROOT_HALF = np.float32(math.sqrt(0.5))


def normal_cdf(x):
    """Return Phi(x), the normal distribution function; only callable from kernels."""


@overload(normal_cdf, jit_options={"fastmath": {"contract", "nsz"}, "error_model": "numpy"})
def _normal_cdf(x):
    """Take the tail on the side of x: 1 - the opposite tail would be all rounding error.

    The absolute error is below 2.5e-7 in float32; relative to a small Phi it is larger.
    """
    if x != types.float32:
        return lambda x: 0.5 * math.erfc(-x / math.sqrt(2.0))

    def normal_cdf_float32(x):
        z = np.abs(x) * ROOT_HALF
        t = ONE / (ONE + P * z)
        tail = HALF * t * (A1 + t * (A2 + t * (A3 + t * (A4 + t * A5)))) * exp(-z * z)
        return tail if x < ZERO else ONE - tail

    return normal_cdf_float32


def row_maximum(x):
    """Return the largest element of a non-empty x, NaN if there is one; only for kernels.

    Compare integers of the same order. The maximum of floats is no vector reduction: with NaN all
    comparisons are false, so that the order in which floats are compared counts. The bits of a
    float, taken as an integer, have its order; below 0 all but the sign have to be inverted. NaNs
    are above infinity, or with a minus sign below -infinity.
    """


@overload(row_maximum, jit_options={"error_model": "numpy"})
def _row_maximum(x):
    real, integer, sign = np.float64, np.int64, np.int64(63)
    if x.dtype == types.float32:
        real, integer, sign = np.float32, np.int32, np.int32(31)
    mask = integer(np.iinfo(integer).max)

    @register_jitable
    def in_order(bits):  # its own inverse
        # Numba makes int64 of what it calculates with int32, which takes twice as many vectors.
        return integer(bits ^ integer(integer(bits >> sign) & mask))

    def row_maximum(x):
        highest = lowest = in_order(real(x[0]).view(integer))
        for i in range(x.size):
            key = in_order(real(x[i]).view(integer))
            highest, lowest = max(highest, key), min(lowest, key)
        below_minus_infinity = lowest < in_order(real(-np.inf).view(integer))
        return integer(in_order(lowest if below_minus_infinity else highest)).view(real)

    return row_maximum
