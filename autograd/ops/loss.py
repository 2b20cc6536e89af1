"""Output layer and loss in one op, so that the logits are never whole in memory.

The logits of N positions over a vocabulary of V tokens are the largest array of a GPT: 512
positions of GPT-2 have 26 million. But each row of them is needed only by its own loss and its own
gradient. So they are made, used and forgotten, some rows at a time.
"""

import numpy as np

from autograd import backend
from autograd.engine import op, vjp
from autograd.ops.linalg import contiguous, rows
from autograd.ops.nn import checked_targets
from autograd.recording import differentiated

# Every chunk reads the table and adds to its gradient: fewer than 256 rows would spend more time on
# that than on arithmetic. Small vocabularies need no cutting: 2^20 logits are 4 MB.
CHUNK_ROWS, CHUNK_SIZE = 256, 1 << 20


def chunk_rows(vocab_size):
    """How many rows of logits are held at once."""
    return max(CHUNK_ROWS, CHUNK_SIZE // vocab_size)


@op
def linear_cross_entropy(x, table, /, targets, *, ignore_index=-1):
    """loss = mean over kept rows of -ln softmax(table x)[target], in nats.

    As `cross_entropy` of the logits x table^T:  with p = softmax(logits) and P = [v = target_n],

    dlogits = dloss (p - P) / kept,    dx = dlogits table,    dtable = dlogits^T x

    For dloss = 1 the gradients are computed here, with the loss, while a chunk of logits is at
    hand; backward multiplies them with dloss. Without that it would need the logits again, which
    are a third of the arithmetic.

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
    dx_NC = np.empty_like(x_NC) if differentiated() else None
    dtable_VC = np.zeros_like(table_VC) if differentiated() else None
    total, step = 0.0, chunk_rows(V)
    for start in range(0, N, step):
        chunk = slice(start, start + step)
        logits_nV = backend.matmul_nt(x_NC[None, chunk], table_VC[None])[0]
        losses_n, *sums_n = backend.cross_entropy(logits_nV, targets_N[chunk])
        total += losses_n.sum(dtype=np.float64)
        if differentiated():
            scale = x.dtype.type(1 / count)
            d_nV = backend.cross_entropy_backward(logits_nV, targets_N[chunk], *sums_n, scale)
            dx_NC[chunk] = backend.matmul(d_nV[None], table_VC[None])[0]
            backend.add_matmul_tn_(dtable_VC[None], d_nV[None], x_NC[None, chunk])
    return x.dtype.type(total / count), (dx_NC, dtable_VC, x.shape)


@vjp(linear_cross_entropy)
def linear_cross_entropy_vjp(dloss, saved):
    dx_NC, dtable_VC, shape = saved
    if dloss != 1:
        dx_NC, dtable_VC = dx_NC * dloss, dtable_VC * dloss
    return dx_NC.reshape(shape), dtable_VC
