"""The loss: cross-entropy of logits, and of an output layer whose logits are never whole in memory.

The logits of N positions over a vocabulary of V tokens are the largest array of a GPT: 512
positions of GPT-2 have 26 million. But each row of them is needed only by its own loss and its own
gradient. So in training they are made, used and forgotten, some rows at a time.
"""

import numpy as np

from autograd import backend
from autograd.engine import op, vjp
from autograd.ops.linalg import contiguous, rows
from autograd.ops.nn import checked_indices
from autograd.precision import in_bf16

FLOPS_PER_LOGIT = 13, 12  # of the loss and of its gradient, the exponentials counted as 10


def _cross_entropy_flops(inputs, outputs, settings):
    return FLOPS_PER_LOGIT[0] * inputs[0].size


@op(flops=_cross_entropy_flops)
def cross_entropy(logits, /, targets, *, ignore_index=-1):
    """loss = mean over kept rows of -ln softmax(logits)[target], in nats.

    dlogits_nv = dloss (softmax(logits_n)_v - [v = target_n]) / kept,  0 in rows not kept

    Softmax, logarithm and choice are one step: ln sum_v e^(l_v) - l_target needs no division and
    cannot take the logarithm of 0.

    logits (..., V), targets (...) integers in [0, V), or ignore_index for a row without a loss
    """
    targets_N, count = checked_targets("cross_entropy", logits.shape, targets, ignore_index)
    logits_NV = rows(logits)
    losses_N, m_N, total_N = backend.cross_entropy(logits_NV, targets_N)
    loss = losses_N.sum(dtype=np.float64) / count
    return logits.dtype.type(loss), (logits_NV, targets_N, m_N, total_N, count, logits.shape)


@vjp(cross_entropy, flops=FLOPS_PER_LOGIT[1] / FLOPS_PER_LOGIT[0])
def cross_entropy_vjp(dloss, saved):
    logits_NV, targets_N, m_N, total_N, count, shape = saved
    scale = logits_NV.dtype.type(dloss / count)
    dlogits_NV = backend.cross_entropy_backward(logits_NV, targets_N, m_N, total_N, scale)
    return dlogits_NV.reshape(shape)


# Every chunk reads the table and adds to its gradient: fewer than 256 rows would spend more time on
# that than on arithmetic. Small vocabularies need no cutting: 2^20 logits are 4 MB.
CHUNK_ROWS, CHUNK_SIZE = 256, 1 << 20


def chunk_rows(vocab_size):
    """How many rows of logits are held at once."""
    return max(CHUNK_ROWS, CHUNK_SIZE // vocab_size)


def _linear_cross_entropy_flops(inputs, outputs, settings):
    """Three products, and the loss with its gradient."""
    x, table = inputs
    logits = x.size // x.shape[-1] * table.shape[0]
    return 3 * 2 * x.size * table.shape[0] + sum(FLOPS_PER_LOGIT) * logits


@op(flops=_linear_cross_entropy_flops)
def linear_cross_entropy(x, table, /, targets, *, ignore_index=-1, needs=(True, True)):
    """loss = mean over kept rows of -ln softmax(table x)[target], in nats.

    As `cross_entropy` of the logits x table^T:  with p = softmax(logits) and P = [v = target_n],

    dlogits = dloss (p - P) / kept,    dx = dlogits table,    dtable = dlogits^T x

    For dloss = 1 the gradients are computed here, with the loss, while a chunk of logits is at
    hand; backward multiplies them with dloss. Without that it would need the logits again, which
    are a third of the arithmetic. `needs` says of x and of table whether that is wanted at all.

    x (..., C), table (V, C): one row per token, targets (...) integers in [0, V) or ignore_index
    Source of the idea: Hsu et al., Liger Kernel, 2024, section 3.2.
    """
    if table.ndim != 2 or x.ndim == 0 or x.shape[-1] != table.shape[1]:
        raise ValueError(
            f"linear_cross_entropy: x {x.shape} and table {table.shape}; the table is (vocabulary, "
            "channels) and x ends in `channels`: transpose a weight that is stored as (in, out)"
        )
    logits_shape = (*x.shape[:-1], table.shape[0])
    targets_N, count = checked_targets("linear_cross_entropy", logits_shape, targets, ignore_index)
    x_NC, table_VC = rows(x), contiguous(table)
    N, V = len(x_NC), len(table_VC)
    dx_NC = np.empty_like(x_NC) if needs[0] else None
    dtable_VC = None
    total, step, scale, bf16 = 0.0, chunk_rows(V), x.dtype.type(1 / count), in_bf16(x)
    for start in range(0, N, step):
        n = slice(start, start + step)
        dx_nC = None if dx_NC is None else dx_NC[n]
        loss, dtable_VC = _loss_of_chunk(
            x_NC[n], table_VC, targets_N[n], scale, dx_nC, dtable_VC, needs[1], bf16
        )
        total += loss
    dx = None if dx_NC is None else dx_NC.reshape(x.shape)
    return x.dtype.type(total / count), (dx, dtable_VC)


@vjp(linear_cross_entropy, flops=0)
def linear_cross_entropy_vjp(dloss, saved):
    return tuple(d if d is None or dloss == 1 else d * dloss for d in saved)


def _loss_of_chunk(x_nC, table_VC, targets_n, scale, dx_nC, dtable_VC, needs_table, bf16):
    """(the sum of the rows' losses, the gradient of the table so far and of these rows). That was
    dtable before, or None. Gradients are times scale; that of the rows goes to dx if it is there.

    A function, so that the logits are forgotten before the next ones are made.
    """
    logits_nV = backend.matmul_nt(x_nC[None], table_VC[None], bf16)[0]
    losses_n, *sums_n = backend.cross_entropy(logits_nV, targets_n)
    if dx_nC is not None or needs_table:
        dlogits_nV = backend.cross_entropy_backward(logits_nV, targets_n, *sums_n, scale)
    if dx_nC is not None:
        dx_nC[...] = backend.matmul(dlogits_nV[None], table_VC[None], bf16)[0]
    if needs_table and dtable_VC is None:
        dtable_VC = backend.matmul_tn(dlogits_nV[None], x_nC[None], bf16)[0]
    elif needs_table:
        backend.add_matmul_tn_(dtable_VC[None], dlogits_nV[None], x_nC[None], bf16)
    return losses_n.sum(dtype=np.float64), dtable_VC


def checked_targets(name, logits_shape, targets, ignore_index):
    """(targets_N, count): targets with -1 where no loss is wanted, and how many are kept."""
    targets = np.asarray(targets)
    if not logits_shape or targets.shape != logits_shape[:-1]:
        raise ValueError(
            f"{name}: logits {logits_shape} and targets {targets.shape}; "
            "targets have the shape of logits without its last axis, the vocabulary"
        )
    kept = targets != ignore_index
    count = int(np.count_nonzero(kept))
    some = targets if count == targets.size else np.where(kept, targets, 0)
    targets_N = checked_indices(name, some, logits_shape[-1]).reshape(-1)
    if count == 0:
        raise ValueError(
            f"{name}: no target is kept (all {targets.size} are ignore_index="
            f"{ignore_index}); the mean of nothing is undefined: give at least one"
        )
    if some is not targets:
        targets_N[~kept.reshape(-1)] = -1
    return targets_N, count
