"""The products of `autograd.reference` on operands rounded to bfloat16, with sums in float32.

Same names and signatures as `autograd.kernels.bf16`. The kernels of attention also round the
weights, and the gradients of the scores, before they multiply them: relative to the largest score
so far, which only they know. Here they keep their digits.
"""

import numpy as np

from autograd import reference


def rounded(x):
    """Return a float32 array with the 8 bits of a bfloat16, the nearest, ties to even.

    A bfloat16 is a float32 without its lower 16 bits. Clearing them would round toward 0. So a
    little less than half of the lowest bit that stays is added first, and the missing 1 if that bit
    is odd: this rounds to the nearest, and from halfway to an even last bit. NaN stays NaN.
    """
    bits = x.view(np.uint32)
    nearest = bits + np.uint32(0x7FFF) + (bits >> 16 & 1)
    return np.where(np.isnan(x), x, (nearest & np.uint32(0xFFFF0000)).view(np.float32))


def matmul(a_ZMK, b_ZKN):
    return reference.matmul(rounded(a_ZMK), rounded(b_ZKN))


def matmul_nt(a_ZMK, b_ZNK):
    return reference.matmul_nt(rounded(a_ZMK), rounded(b_ZNK))


def matmul_tn(a_ZKM, b_ZKN):
    return reference.matmul_tn(rounded(a_ZKM), rounded(b_ZKN))


def add_matmul_tn_(c_ZMN, a_ZKM, b_ZKN):
    reference.add_matmul_tn_(c_ZMN, rounded(a_ZKM), rounded(b_ZKN))


def linear(x_NI, weight_IO, bias_O):
    return reference.linear(rounded(x_NI), rounded(weight_IO), bias_O)


def linear_backward(dy_NO, x_NI):
    _, dbias_O = reference.linear_backward(dy_NO, x_NI[:, :0])  # of dy as it is
    return rounded(x_NI).T @ rounded(dy_NO), dbias_O


def attention(q_BHTD, k_BGSD, v_BGSD, mask):
    return reference.attention(*map(rounded, (q_BHTD, k_BGSD, v_BGSD)), mask)


def attention_backward(dy_BHTD, q_BHTD, k_BGSD, v_BGSD, y_BHTD, lse_BHT, mask):
    rounded_arrays = map(rounded, (dy_BHTD, q_BHTD, k_BGSD, v_BGSD))
    return reference.attention_backward(*rounded_arrays, y_BHTD, lse_BHT, mask)
