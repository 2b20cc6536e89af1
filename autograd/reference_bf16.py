"""The products of `autograd.reference` on rounded operands: what `autograd.kernels.bf16` computes.

Same names and signatures. The arrays are float32; what is multiplied is rounded to bfloat16, and
sums stay float32.
"""

import numpy as np

from autograd import reference

MULTIPLIES_BFLOAT16 = True  # no slower than float32


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
    return rounded(a_ZMK) @ rounded(b_ZKN)


def matmul_nt(a_ZMK, b_ZNK):
    return reference.matmul_nt(rounded(a_ZMK), rounded(b_ZNK))


def matmul_tn(a_ZKM, b_ZKN):
    return reference.matmul_tn(rounded(a_ZKM), rounded(b_ZKN))


def add_matmul_tn_(c_ZMN, a_ZKM, b_ZKN):
    c_ZMN += matmul_tn(a_ZKM, b_ZKN)


def linear(x_NI, weight_IO, bias_O):
    return matmul(x_NI, weight_IO) + bias_O


def linear_backward(dy_NO, x_NI):
    return rounded(x_NI).T @ rounded(dy_NO), reference._sum_of_rows(dy_NO)


def attention(q_BHTD, k_BGSD, v_BGSD, mask):
    q_BHTD, k_BGSD, v_BGSD = map(rounded, (q_BHTD, k_BGSD, v_BGSD))
    k_BHSD, v_BHSD = reference._heads(q_BHTD, k_BGSD, v_BGSD, mask)
    e_BHTS, total_BHT1, lse_BHT = reference._exponentials(q_BHTD, k_BHSD, mask)
    return rounded(e_BHTS) @ v_BHSD / total_BHT1, lse_BHT


def attention_backward(dy_BHTD, q_BHTD, k_BGSD, v_BGSD, y_BHTD, lse_BHT, mask):
    dy_BHTD, q_BHTD, k_BGSD, v_BGSD = map(rounded, (dy_BHTD, q_BHTD, k_BGSD, v_BGSD))
    k_BHSD, v_BHSD = reference._heads(q_BHTD, k_BGSD, v_BGSD, mask)
    a_BHTS = reference._weights(q_BHTD, k_BHSD, lse_BHT, mask)
    terms_BHTD = dy_BHTD * y_BHTD
    da_BHTS = dy_BHTD @ v_BHSD.swapaxes(2, 3) - terms_BHTD.sum(axis=3, keepdims=True)
    # The gradient of a query with one key is 0, not what rounding the sums leaves of it.
    eps = 2 * dy_BHTD.shape[3] * np.finfo(np.float32).eps
    da_BHTS[np.abs(da_BHTS) < eps * np.abs(terms_BHTD).sum(axis=3, keepdims=True)] = 0
    dz_BHTS, G = a_BHTS * da_BHTS, k_BGSD.shape[1]
    dqk_BHTS = rounded(dz_BHTS * reference._scale(q_BHTD))
    dk_BGSD = reference._sum_of_heads(dqk_BHTS.swapaxes(2, 3) @ q_BHTD, G)
    dv_BGSD = reference._sum_of_heads(rounded(a_BHTS).swapaxes(2, 3) @ dy_BHTD, G)
    return dqk_BHTS @ k_BHSD, dk_BGSD, dv_BGSD, reference._dbias(dz_BHTS, mask)
