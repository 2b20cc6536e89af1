"""What the queries of attention read, for the loops over blocks of `autograd.kernels.attention`.

    keys_read     the keys that a block of queries reads, as bounds of loops
    restrict      a_st  += bias_ts sqrt(D), and -inf for a masked key and before the first one
    add_to_bias   dbias_ts += dz_st sqrt(D)

The loops hand on one `Visible`. A new field of the mask is a field here, which `visible` fills,
`only_causal` knows, and `keys_read` or `restrict` applies.
"""

from typing import NamedTuple

import numpy as np

from autograd.kernels.compiler import helper

BLOCK = 64  # queries or keys of a block; a multiple of `attention_blocks.LANES`


class Visible(NamedTuple):
    """An `autograd.ops.attention.Mask` for compiled code, which needs arrays: None is a size of 0.

    ahead        query t reads keys up to t + ahead
    dbias_BHTS   the gradient of the bias, in backward
    first_BT     the first key that a query reads
    """

    ahead: int
    keys_BS: np.ndarray
    bias_BHTS: np.ndarray
    dbias_BHTS: np.ndarray
    first_BT: np.ndarray


def visible(mask, q_BHTD, k_BGSD, dbias_BHTS=None):
    """Return the Visible of a mask for these queries and keys."""
    T, S = q_BHTD.shape[2], k_BGSD.shape[2]
    causal, keys_BS, bias_BHTS, first_BT = mask  # a field that is unknown here is an error
    keys_BS = np.empty((0, 0), bool) if keys_BS is None else keys_BS
    first_BT = np.empty((0, 0), np.int64) if first_BT is None else first_BT
    no_bias = np.empty((0, 0, 0, 0), q_BHTD.dtype)
    biases = (no_bias if x is None else x for x in (bias_BHTS, dbias_BHTS))
    return Visible(S - T if causal else S, keys_BS, *biases, first_BT)


@helper
def only_causal(visible):
    """Return whether every query reads a key, and scores are products of q and k alone."""
    masks = visible.keys_BS.size + visible.first_BT.size
    return masks == 0 and visible.bias_BHTS.size == 0


@helper
def keys_read(visible, t0, n, S):
    """Return (whole, end): queries t0 to t0 + n all read the keys before `whole`, and on the
    diagonal, from `whole` to `end`, each one key more than the last."""
    return min(S, t0 + visible.ahead), min(S, t0 + visible.ahead + n)


@helper
def restrict(a_SQ, block, visible, b, h, scale):
    s0, keys, t0, n, _, _ = block
    bias_BHTS, keys_BS, unit = visible.bias_BHTS, visible.keys_BS, a_SQ.dtype.type(1) / scale
    for t in range(min(n, bias_BHTS.shape[2])):  # none, if there is no bias
        bias_S = _scores_of(bias_BHTS, b, h, t0 + t, s0)[:keys]
        for i in range(keys):
            a_SQ[i * BLOCK + t] += bias_S[i] * unit
    for t in range(min(n, visible.first_BT.shape[1])):  # none, if all read from 0 on
        for i in range(min(keys, visible.first_BT[b, t0 + t] - s0)):
            a_SQ[i * BLOCK + t] = -np.inf
    for i in range(min(keys, keys_BS.shape[1])):  # last: a masked key's bias may be NaN
        if not keys_BS[b, s0 + i]:
            for t in range(BLOCK):
                a_SQ[i * BLOCK + t] = -np.inf


@helper
def add_to_bias(dz_SQ, block, visible, b, h, scale):
    """dz comes divided by sqrt(D), for the gradients of q and k."""
    s0, keys, t0, n, _, diagonal = block
    dbias_BHTS, unit = visible.dbias_BHTS, dz_SQ.dtype.type(1) / scale
    for t in range(min(n, dbias_BHTS.shape[2])):
        dbias_S = _scores_of(dbias_BHTS, b, h, t0 + t, s0)[:keys]
        for i in range(min(keys, t + 1) if diagonal else keys):
            dbias_S[i] += dz_SQ[i * BLOCK + t] * unit


@helper
def _scores_of(bias_BHTS, b, h, t, s0):
    """Return the entries of a query from key s0 on."""
    B, H, T, S = bias_BHTS.shape
    return bias_BHTS.reshape(-1)[(((b if B > 1 else 0) * H + h) * T + t) * S + s0 :]
