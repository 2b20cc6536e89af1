"""Attention: a weighted look-up, where positions read from one another.

The arithmetic is in the backend: `autograd.reference` has it in a few lines of NumPy,
`autograd.kernels.attention` without the matrix of weights.
"""

import math
from typing import NamedTuple

import numpy as np

from autograd import checks
from autograd.engine import op, vjp
from autograd.ops.linalg import contiguous
from autograd.precision import products_for


class Mask(NamedTuple):
    """The keys that a query reads, and what is added to their scores: one argument of the backend.

    causal       query t reads keys up to t + S - T; else all of them
    keys_BS      False for padding, which no query reads; None: there is none
    bias_BHTS    (B or 1, H, T, S), added to the scores; None: nothing is
    first_BT     the first key that a query reads; None: 0
    """

    causal: bool
    keys_BS: np.ndarray | None = None
    bias_BHTS: np.ndarray | None = None
    first_BT: np.ndarray | None = None


def _attention_flops(inputs, outputs, settings):
    """Count two products, each of every query with the keys that it reads."""
    (B, H, T, D), S = inputs[0].shape, inputs[1].shape[2]
    keys_read = S - (T - 1) / 2 if settings["causal"] else S
    return 4 * B * H * T * keys_read * D


@op(flops=_attention_flops)
def scaled_dot_product_attention(q, k, v, bias=None, /, *, causal=True, scale=None, mask=None,
                                 first=None):
    """y_t = sum_s a_ts v_s,  a_t = softmax over s of (q_t . k_s / sqrt(D)): a weighted look-up.

    causal  lets position t read s <= t only. With S > T (keys of earlier text) the queries are the
            last T positions: query t reads s <= t + S - T. (PyTorch's default is not causal, and
            it aligns the first positions.)
    bias    is added to the scores; one bias for all sequences gets the sum of their gradients
    scale   replaces 1 / sqrt(D)
    mask    (B, S): 1 or True for a key, 0 or False for padding that no query reads
    first   (B, T): the first key that a query reads, where a row holds several texts; those before
            have a weight of 0, which does not hide NaN

    With G < H heads of keys and values, each of them serves H / G neighbouring heads of queries,
    and sums their gradients. A query that reads no key has y = 0 and no gradient; a bias of -inf
    has gradient 0.

    Backward recomputes the weights, block by block from each row's saved logsumexp; their T x S
    matrix is never stored. With da_ts = dy_t . v_s and the softmax rule:

    dv_s = sum_t a_ts dy_t,    dz_ts = a_ts (da_ts - sum_r a_tr da_tr)
    dq_t = sum_s dz_ts k_s / sqrt(D),    dk_s = sum_t dz_ts q_t / sqrt(D),    dbias_ts = dz_ts

    q (B, H, T, D), k and v (B, G, S, D), bias (B or 1, H, T, S) or None -> y (B, H, T, D)
    Source: Vaswani et al., Attention Is All You Need, 2017, section 3.2.1. Groups of heads: Ainslie
    et al., GQA, 2023; the bias: Raffel et al., T5, 2020, section 2.1.
    """
    name = "scaled_dot_product_attention"
    checks.attention(name, q, k, v, bias, causal)
    # The backend divides by sqrt(D); a different scale is reached by longer or shorter queries.
    factor = None if scale is None else q.dtype.type(scale * math.sqrt(q.shape[3]))
    q, k, v = map(_with_contiguous_rows, (q if factor is None else q * factor, k, v))
    (B, _, T, _), S = q.shape, k.shape[2]
    mask = Mask(causal, checks.keys(name, mask, (B, S)), None if bias is None else contiguous(bias),
                checks.first(name, first, (B, T)))
    products = products_for(q)
    y, lse = products.attention(q, k, v, mask)
    return y, (q, k, v, y, lse, mask, products, factor)


@vjp(scaled_dot_product_attention, flops=2.5)  # the scores again, and four products of that size
def scaled_dot_product_attention_vjp(dy, saved):
    *saved, products, factor = saved
    dq, dk, dv, dbias = products.attention_backward(_with_contiguous_rows(dy), *saved)
    return dq if factor is None else dq * factor, dk, dv, dbias


def _with_contiguous_rows(x):
    """Return x as the backend reads it: a view whose last axis is contiguous, or a copy."""
    readable = x.strides[-1] == x.itemsize and min(x.strides) >= 0 and x.flags.aligned
    return x if readable else contiguous(x)
