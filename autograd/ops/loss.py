"""The loss: cross-entropy of logits, and of an output layer whose logits are made in chunks; for
yes or no, binary cross-entropy.

The logits of N positions over a vocabulary of V tokens are the largest array of a GPT: 512
positions of GPT-2 have 26 million. But a row of logits is needed only for one loss and one row of
the gradient. So in training they are computed, used and freed some rows at a time.
"""

import math

import numpy as np

from autograd import backend, checks
from autograd.engine import op, vjp
from autograd.ops.linalg import contiguous, rows
from autograd.ops.reductions import wide
from autograd.precision import products_for

FLOPS_PER_LOGIT = 13, 12  # for the loss and for its gradient, an exponential counted as 10


def _cross_entropy_flops(inputs, outputs, settings):
    return FLOPS_PER_LOGIT[0] * inputs[0].size


@op(flops=_cross_entropy_flops)
def cross_entropy(logits, /, targets, *, ignore_index=-1):
    """loss = mean over the kept rows of -ln softmax(logits)[target], in nats.

    dlogits_nv = dloss (softmax(logits_n)_v - [v = target_n]) / kept,  0 in the other rows

    Softmax, logarithm and choice are one step: ln sum_v e^(l_v) - l_target needs no division and
    never takes the logarithm of 0. A row is kept unless its target is ignore_index.

    logits (..., V), targets (...) integers in [0, V) or ignore_index
    """
    targets_N, count = checks.targets("cross_entropy", logits.shape, targets, ignore_index)
    logits_NV = rows(logits)
    losses_N, m_N, total_N = backend.cross_entropy(logits_NV, targets_N)
    loss = losses_N.sum(dtype=wide(losses_N)) / count
    return logits.dtype.type(loss), (logits_NV, targets_N, m_N, total_N, count, logits.shape)


@vjp(cross_entropy, flops=FLOPS_PER_LOGIT[1] / FLOPS_PER_LOGIT[0])
def cross_entropy_vjp(dloss, saved):
    logits_NV, targets_N, m_N, total_N, count, shape = saved
    scale = logits_NV.dtype.type(dloss / count)
    dlogits_NV = backend.cross_entropy_backward(logits_NV, targets_N, m_N, total_N, scale)
    return dlogits_NV.reshape(shape)


# Every chunk reads the table and adds to its gradient. With fewer than 256 rows, this memory
# traffic would take longer than the arithmetic. For small vocabularies 2^20 logits, 4 MB, will do.
CHUNK_ROWS, CHUNK_LOGITS = 256, 1 << 20


def chunk_rows(vocab_size):
    """Return how many rows of logits are held at once."""
    return max(CHUNK_ROWS, CHUNK_LOGITS // vocab_size)


def _linear_cross_entropy_flops(inputs, outputs, settings):
    """Return the FLOPs of three products, of the loss and of its gradient."""
    (*batch, C), V = inputs[0].shape, len(inputs[1])
    return math.prod(batch) * V * (3 * 2 * C + sum(FLOPS_PER_LOGIT))


@op(flops=_linear_cross_entropy_flops)
def linear_cross_entropy(x, table, /, targets, *, ignore_index=-1, needs=(True, True)):
    """loss = mean over the kept rows of -ln softmax(table x)[target], in nats.

    It is `cross_entropy` of the logits x table^T. With p = softmax(logits) and P = [v = target_n],

    dlogits = dloss (p - P) / kept,    dx = dlogits table,    dtable = dlogits^T x

    The gradients for dloss = 1 are computed here, while a chunk of logits exists, and backward
    multiplies them by dloss. Otherwise backward would compute the logits again, a third of the
    arithmetic. `needs` says whether the gradients of x and of the table are wanted.

    x (..., C), table (V, C): one row per token, targets (...) integers in [0, V) or ignore_index
    Source of the idea: Hsu et al., Liger Kernel, 2024, section 3.2.
    """
    checks.table("linear_cross_entropy", x, table)
    logits_shape = (*x.shape[:-1], table.shape[0])
    targets_N, count = checks.targets("linear_cross_entropy", logits_shape, targets, ignore_index)
    x_NC, table_VC = rows(x), contiguous(table)
    dx_NC = np.empty_like(x_NC) if needs[0] else None
    total, dtable_VC = 0.0, None
    step, scale = chunk_rows(len(table_VC)), x.dtype.type(1 / count)
    products = products_for(x)
    for start in range(0, len(x_NC), step):
        x_nC, targets_n = x_NC[start : start + step], targets_N[start : start + step]
        logits_nV = products.matmul_nt(x_nC[None], table_VC[None])[0]
        losses_n, *sums_n = backend.cross_entropy(logits_nV, targets_n)
        total += losses_n.sum(dtype=wide(losses_n))
        if any(needs):
            dlogits_nV = backend.cross_entropy_backward(logits_nV, targets_n, *sums_n, scale)
        if needs[0]:
            dx_NC[start : start + step] = products.matmul(dlogits_nV[None], table_VC[None])[0]
        if needs[1] and start == 0:
            dtable_VC = products.matmul_tn(dlogits_nV[None], x_nC[None])[0]
        elif needs[1]:
            products.add_matmul_tn_(dtable_VC[None], dlogits_nV[None], x_nC[None])
        logits_nV = dlogits_nV = None  # freed before the next chunk is computed
    dx = None if dx_NC is None else dx_NC.reshape(x.shape)
    return x.dtype.type(total / count), (dx, dtable_VC)


@vjp(linear_cross_entropy, flops=0)
def linear_cross_entropy_vjp(dloss, saved):
    return tuple(d if d is None or dloss == 1 else d * dloss for d in saved)


@op(flops=FLOPS_PER_LOGIT[0])
def binary_cross_entropy(logits, /, targets):
    """loss = mean of -(y ln p + (1 - y) ln(1 - p)) with p = sigmoid(logits), in nats.

    dlogits = dloss (p - y) / n

    It is computed as (1 - y) l + max(-l, 0) + ln(1 + e^-|l|), in which nothing overflows.

    logits (...), targets y (...) of the same shape, in [0, 1]
    """
    targets = checks.probabilities("binary_cross_entropy", logits.shape, targets)
    small = np.exp(-np.abs(logits))
    losses = (1 - targets.astype(logits.dtype)) * logits + np.maximum(-logits, 0) + np.log1p(small)
    loss = losses.mean(dtype=wide(losses))
    return logits.dtype.type(loss), (logits, small, targets)


@vjp(binary_cross_entropy)
def binary_cross_entropy_vjp(dloss, saved):
    logits, small, targets = saved
    p = np.where(logits < 0, small, 1) / (1 + small)
    return ((p - targets) * (dloss / logits.size)).astype(logits.dtype)
