"""Products of matrices and attention: room for the results, and the loops that compute them.

`Products` has the functions of a backend. Here its loops are those of `autograd.kernels.matmul` and
`autograd.kernels.attention`; `autograd.kernels.bf16` has the same functions with its own.
"""

import math

import numba
import numpy as np

from autograd.kernels.attention import attend
from autograd.kernels.attention_backward import attend_backward
from autograd.kernels.attention_blocks import table_of
from autograd.kernels.attention_mask import visible
from autograd.kernels.matmul import ADD, ADD_BIAS, REPLACE, multiply
from autograd.kernels.panels import empty_lines


class Products:
    """The functions that multiply, with loops for matrices and for attention in one precision."""

    def __init__(self, multiply, attend, attend_backward):
        self.multiply, self.attend, self.attend_backward = multiply, attend, attend_backward

    def matmul(self, a_ZMK, b_ZKN):
        """a b; a stack of one matrix is multiplied with each of the other, here and below."""
        return self._product(a_ZMK, b_ZKN)

    def matmul_nt(self, a_ZMK, b_ZNK):
        """a b^T: the gradient of the left operand, da = dc b^T."""
        return self._product(a_ZMK, b_ZNK, b_transposed=True)

    def matmul_tn(self, a_ZKM, b_ZKN):
        """a^T b: the gradient of the right operand, db = a^T dc."""
        return self._product(a_ZKM, b_ZKN, a_transposed=True)

    def add_matmul_tn_(self, c_ZMN, a_ZKM, b_ZKN):
        """c += a^T b: one more part of a gradient."""
        self._product(a_ZKM, b_ZKN, a_transposed=True, task=ADD, c=c_ZMN)

    def linear(self, x_NI, weight_IO, bias_O):
        """x weight + bias."""
        return self._product(x_NI[None], weight_IO[None], task=ADD_BIAS, bias_N=bias_O)[0]

    def linear_backward(self, dy_NO, x_NI):
        """dweight = x^T dy and dbias, the sum of the rows of dy. dx = dy weight^T is matmul_nt."""
        dbias_O = np.zeros(dy_NO.shape[1])
        dweight_1IO = self._product(x_NI[None], dy_NO[None], a_transposed=True, sums_N=dbias_O)
        return dweight_1IO[0], dbias_O.astype(dy_NO.dtype)

    def _product(self, a, b, a_transposed=False, b_transposed=False, task=REPLACE, c=None,
                 bias_N=None, sums_N=None):
        """Return a b in a new array, or in c; add the sums of the rows of b to sums_N."""
        Z = max(len(a), len(b)) if len(a) and len(b) else 0
        M, K = (a.shape[2], a.shape[1]) if a_transposed else a.shape[1:]
        if c is None:
            # Allocated by NumPy, which asks the system for large pages: fewer faults at first
            # writing.
            shape = Z, M, b.shape[1 if b_transposed else 2]
            c = empty_lines.py_func(math.prod(shape), a.dtype).reshape(shape)
        bias_N = np.empty(0, a.dtype) if bias_N is None else bias_N
        sums_N = np.empty(0) if sums_N is None else sums_N
        if K == 0:  # a sum of nothing: the product with a column of zeros
            a, b = np.zeros((1, M, 1), a.dtype), np.zeros((1, 1, c.shape[2]), a.dtype)
            a_transposed = b_transposed = False
        if c.size or sums_N.size:
            threads = numba.get_num_threads()
            self.multiply(a, b, c, a_transposed, b_transposed, task, bias_N, sums_N, threads)
        return c

    def attention(self, q_BHTD, k_BGSD, v_BGSD, mask):
        y_BHTD, lse_BHT = _empty_heads(q_BHTD), np.empty(q_BHTD.shape[:3], q_BHTD.dtype)
        if y_BHTD.size:
            k_BGSD, v_BGSD = (_without_padding(x, mask.keys_BS) for x in (k_BGSD, v_BGSD))
            table = table_of(q_BHTD, y_BHTD, k_BGSD, v_BGSD)
            self.attend(table, lse_BHT, visible(mask, q_BHTD, k_BGSD), *k_BGSD.shape[1:],
                        numba.get_num_threads())
        return y_BHTD, lse_BHT

    def attention_backward(self, dy_BHTD, q_BHTD, k_BGSD, v_BGSD, y_BHTD, lse_BHT, mask):
        dq_BHTD, dk_BGSD, dv_BGSD = _empty_gradients(q_BHTD, k_BGSD, v_BGSD)
        dbias_BHTS = None if mask.bias_BHTS is None else np.zeros_like(mask.bias_BHTS)
        if dq_BHTD.size:
            k_BGSD, v_BGSD = (_without_padding(x, mask.keys_BS) for x in (k_BGSD, v_BGSD))
            table = table_of(q_BHTD, y_BHTD, k_BGSD, v_BGSD, dq_BHTD, dy_BHTD, dk_BGSD, dv_BGSD)
            self.attend_backward(table, lse_BHT, visible(mask, q_BHTD, k_BGSD, dbias_BHTS),
                                 *k_BGSD.shape[1:], numba.get_num_threads())
        else:
            dk_BGSD[:], dv_BGSD[:] = 0, 0
        return dq_BHTD, dk_BGSD, dv_BGSD, dbias_BHTS


def _without_padding(x_BGSD, keys_BS):
    """Return keys or values with 0 for those that are masked, which may be NaN."""
    return x_BGSD if keys_BS is None else np.where(keys_BS[:, None, :, None], x_BGSD, 0)


def _empty_heads(x_BHTD):
    """Return memory for an array like x, in which the heads of a position lie side by side."""
    B, H, T, D = x_BHTD.shape
    return np.empty((B, T, H, D), x_BHTD.dtype).swapaxes(1, 2)


def _empty_gradients(q_BHTD, k_BGSD, v_BGSD):
    """Return memory for dq, dk and dv: in one array (B, T, 3 H, D) if q, k and v are in one."""
    base = q_BHTD.base
    if base is None or not base is k_BGSD.base is v_BGSD.base or q_BHTD.shape != k_BGSD.shape:
        return tuple(_empty_heads(x) for x in (q_BHTD, k_BGSD, v_BGSD))
    B, H, T, D = q_BHTD.shape
    dqkv_BHTD = np.empty((B, T, 3 * H, D), q_BHTD.dtype).swapaxes(1, 2)
    return tuple(dqkv_BHTD[:, h : h + H] for h in range(0, 3 * H, H))


in_float32 = Products(multiply, attend, attend_backward)
