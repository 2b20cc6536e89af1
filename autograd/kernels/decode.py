"""The next token of a GPT or a Llama, for each row of a batch, in a single call: where generation
spends its time.

A token needs each weight once, so with few rows memory sets the time: a token takes as long as
reading all weights. So nothing else is computed between two matrices, Python is called once a
token, and weights may be stored in fewer bytes:

    float32   as they are
    uint16    bfloat16, the upper half of a float32: widened by a shift
    int8      with a scale for each output: w_io = scale_o q_io, or with a scale and an offset for
              each output and GROUP inputs g: w_io = scale_og q_io + offset_og, in float16;
              such codes may be of 4 bits, two in a byte

A weight is widened in a register; sums are float32 always. A matrix is stored in panels of the
outputs that a tile of `autograd.kernels.microkernel` has side by side, (panel, I, WIDTH): memory is
read in order from end to end, whatever the number of rows, and the rows of x, up to ROWS at once,
share each weight that was read. A thread has whole panels, so that the number of threads changes no
bit. The MLP of a Llama has the gates of some channels and their other factors in one panel.
Rejected: dot products with rows of (O, I), which took 1.2 times as long for one row of x in
float32 and 1.8 times in int8, and 1.4 and 1.7 times for eight.

2 FLOPs for each weight and row. Written: the new keys and values, one row of the cache.
The reference is the model itself, which computes the same with ops under `no_grad`.
"""

import math

import numba
import numpy as np
from numba import prange

from autograd.kernels.addresses import array_at
from autograd.kernels.compiler import helper, kernel, serial_kernel, shared_helper
from autograd.kernels.panels import tile_height
from autograd.kernels.stored_tile import multiply_grouped, multiply_streamed
from autograd.kernels.tiles import BYTES, GROUP, ROWS, VECTORS
from autograd.kernels.vector_math import exp

TWO_SQRT_2_OVER_PI = np.float32(2 * math.sqrt(2 / math.pi))
CUBIC, ONE, ZERO = np.float32([0.044715, 1, 0])
# y = x W + b; y += x W + b; y = gelu(x W + b); y = silu(x W + b) * (x W' + b')
REPLACE, ADD, GELU, GATED = range(4)
SMALL = 300_000  # bytes of the largest matrix up to which one thread is as fast as several
WIDTH = VECTORS * BYTES // 4  # outputs of a panel
HALVES = np.empty(0, np.uint16)
QKV, OUT, FC, PROJ = range(4)  # the products of a block, in their order


def gpt_step(
    x_BC, products, norms, kv, rows_B, lengths_B, turns_TD, like, inner, eps, logits_BV
):
    """Write the logits after the last tokens to the rows of logits_BV, and all keys and values to
    the cache. The tokens are the next ones of several rows, or several of one row.

    x_BC          the tokens' embeddings, a GPT's with positions added; it is overwritten
    products      (4 L + 1, 5) addresses: of QKV, OUT, FC and PROJ of each block, then of the output
                  layer, the weight (panels, I, WIDTH), its scales (O,) and biases (O,), both
                  float32, and 0 or scales and offsets of groups (panels, I / GROUP, 2, WIDTH), the
                  bits of float16; last no address, but how many codes are in a byte, 1 or 2
    norms         (2 L + 1, 2) addresses of weights and biases (C,)
    kv            (L, 2, rows, G, S, D), the cache, G heads of keys and values; row b of x belongs
                  to rows_B[b] of it, where lengths_B[b] positions are filled
    turns_TD      of a Llama, cosines and sines of the angles by which each position rotates; empty
                  for a GPT, and else norms do not subtract the mean and MLPs are gated
    like          an array of the dtype that weights are stored in
    inner         F, channels inside the MLP
    """
    few = inner * x_BC.shape[1] * like.itemsize < SMALL
    threads = 1 if few else numba.get_num_threads()
    _gpt_step(
        x_BC, products, norms, kv, rows_B, lengths_B, turns_TD, like, inner, eps, logits_BV, threads
    )


@serial_kernel
def _gpt_step(
    x_BC, products, norms, kv, rows_B, lengths_B, turns_TD, like, inner, eps, logits_BV, threads
):
    B, C = x_BC.shape
    G, D = kv.shape[3], kv.shape[5]
    n_TBC = np.empty((threads, B, C), np.float32)  # normalized rows: each thread makes its own
    qkv_BE, y_BC = np.empty((B, C + 2 * G * D), np.float32), np.empty((B, C), np.float32)
    hidden_BF = np.empty((B, inner), np.float32)
    none, centred = norms[0, :0], turns_TD.size == 0
    activation = GELU if centred else GATED
    for layer in range(len(kv)):
        norm_1, norm_2, first = norms[2 * layer], norms[2 * layer + 1], 4 * layer
        _product(x_BC, norm_1, eps, centred, n_TBC, products[first + QKV], like, qkv_BE, REPLACE)
        _rotate(qkv_BE, lengths_B, turns_TD, C + G * D)
        _store(qkv_BE, kv[layer], rows_B, lengths_B)
        if threads == 1:
            _attend(qkv_BE, kv[layer], rows_B, lengths_B, y_BC, 0, 1)
        else:
            _attention(qkv_BE, kv[layer], rows_B, lengths_B, y_BC, threads)
        _product(y_BC, none, eps, centred, n_TBC, products[first + OUT], like, x_BC, ADD)
        _product(
            x_BC, norm_2, eps, centred, n_TBC, products[first + FC], like, hidden_BF, activation
        )
        _product(hidden_BF, none, eps, centred, n_TBC, products[first + PROJ], like, x_BC, ADD)
    norm_f, head, last_BC = norms[-1], products[-1], x_BC[B - len(logits_BV) :]
    _product(last_BC, norm_f, eps, centred, n_TBC, head, like, logits_BV, REPLACE)


@helper
def _product(x_BI, norm, eps, centred, n_TBI, product, like, y_BO, task):
    """Compute y = x W + b with all threads; x is normalized first if `norm` is not empty."""
    if len(n_TBI) == 1:
        _share(x_BI, norm, eps, centred, n_TBI, product, like, y_BO, 0, task)
    else:
        _shares(x_BI, norm, eps, centred, n_TBI, product, like, y_BO, task)


@kernel
def _shares(x_BI, norm, eps, centred, n_TBI, product, like, y_BO, task):
    for t in prange(len(n_TBI)):
        _share(x_BI, norm, eps, centred, n_TBI, product, like, y_BO, t, task)


@shared_helper
def _share(x_BI, norm, eps, centred, n_TBI, product, like, y_BO, t, task):
    n_BI = x_BI
    if norm.size:
        n_BI = n_TBI[t, : len(x_BI)]
        _norm(x_BI, norm, eps, centred, n_BI)
    _multiply(n_BI, product, like, y_BO, t, len(n_TBI), task)


@kernel
def _attention(qkv_BE, kv, rows_B, lengths_B, y_BC, threads):
    for t in prange(threads):
        _attend(qkv_BE, kv, rows_B, lengths_B, y_BC, t, threads)


@helper
def _norm(x_BC, norm, eps, centred, y_BC):
    B, C = x_BC.shape
    weight, bias = array_at(norm[0], 0, C, x_BC), array_at(norm[1], 0, C, x_BC)
    for b in range(B):
        x, y = x_BC[b], y_BC[b]
        total = squares = ZERO
        if centred:
            for c in range(C):
                total += x[c]
        mean = total / np.float32(C)
        for c in range(C):
            squares += (x[c] - mean) * (x[c] - mean)
        rstd = np.float32(1 / math.sqrt(squares / np.float32(C) + eps))
        for c in range(C):
            y[c] = (x[c] - mean) * rstd * weight[c] + bias[c]


@helper
def _multiply(x_BI, product, like, y_BO, thread, threads, task):
    """Compute one thread's share of the outputs: some panels of the weight."""
    B, I = x_BI.shape  # noqa: E741
    O = y_BO.shape[1]  # noqa: E741
    outputs = WIDTH // 2 if task == GATED else WIDTH  # of a panel
    panels = -(-O // outputs)
    depth = I // product[4]  # rows of the weight in a panel
    x, w = x_BI.reshape(-1), array_at(product[0], 0, panels * depth * WIDTH, like)
    scale = array_at(product[1], 0, panels * WIDTH, x_BI)
    bias = array_at(product[2], 0, panels * WIDTH, x_BI)
    sums = np.empty(ROWS * WIDTH, np.float32)
    grouped, groups = like.itemsize == 1 and product[3] != 0, I // GROUP
    totals = np.empty(B * groups if grouped else 0, np.float32)
    for g in range(totals.size):
        total = ZERO
        for i in range(g * GROUP, g * GROUP + GROUP):
            total += x[i]
        totals[g] = total
    halves = array_at(product[3], 0, groups * panels * 2 * WIDTH, HALVES)
    for panel in range(panels * thread // threads, panels * (thread + 1) // threads):
        first, start = panel * WIDTH, panel * outputs
        end, b = min(start + outputs, O), 0
        while b < B:
            height = tile_height(B - b)
            if grouped:
                multiply_grouped(x, b * I, I, totals, b * groups, w, first * depth, halves,
                                 first * groups * 2, sums, 0, groups, height, depth < I)
            else:
                multiply_streamed(x, b * I, I, 1, w, first * I, WIDTH, sums, 0, WIDTH,
                                  sums, 0, WIDTH, I, height, WIDTH, False)
            for i in range(height):
                y = y_BO[b + i, start:end]
                _finish(sums[i * WIDTH :], scale[first:], bias[first:], y, task)
            b += height


@helper
def _finish(sums, scale, bias, y, task):
    half = WIDTH // 2
    for o in range(y.size):
        total = sums[o] * scale[o] + bias[o]
        y[o] = y[o] + total if task == ADD else total
    if task == GELU:
        for o in range(y.size):
            two_u = TWO_SQRT_2_OVER_PI * y[o] * (ONE + CUBIC * y[o] * y[o])
            y[o] = y[o] / (ONE + exp(-two_u))
    if task == GATED:
        for o in range(y.size):
            factor = sums[half + o] * scale[half + o] + bias[half + o]
            y[o] = y[o] / (ONE + exp(-y[o])) * factor


@helper
def _rotate(qkv_BE, lengths_B, turns_TD, end):
    """Rotate queries and keys, the first `end` channels, by their positions."""
    half = turns_TD.shape[1] // 2
    for b in range(len(qkv_BE) if len(turns_TD) else 0):
        turns = turns_TD[lengths_B[b]]
        for start in range(0, end, 2 * half):
            head = qkv_BE[b, start : start + 2 * half]
            for e in range(half):
                c, s, x, y = turns[e], turns[half + e], head[e], head[half + e]
                head[e], head[half + e] = x * c - y * s, y * c + x * s


@helper
def _store(qkv_BE, kv, rows_B, lengths_B):
    """Write the new keys and values to the cache, before attention reads them."""
    G, S, D = kv.shape[2:]
    for b in range(len(qkv_BE)):
        start = qkv_BE.shape[1] - 2 * G * D
        for part in range(2):
            for g in range(G):
                new = kv[part, rows_B[b], g, lengths_B[b]]
                for d in range(D):
                    new[d] = qkv_BE[b, start + d]
                start += D


@shared_helper
def _attend(qkv_BE, kv, rows_B, lengths_B, y_BC, thread, threads):
    """Compute one thread's share of attention: each head of each row reads all its keys."""
    B, C = y_BC.shape
    G, S, D = kv.shape[2:]
    H = C // D
    scale = np.float32(1 / math.sqrt(D))
    a_S = np.empty(S, np.float32)
    for job in range(B * H * thread // threads, B * H * (thread + 1) // threads):
        b, h = job // H, job % H
        g, last = h // (H // G), lengths_B[b]
        keys, values = kv[0, rows_B[b], g], kv[1, rows_B[b], g]
        q, y = qkv_BE[b, h * D : h * D + D], y_BC[b, h * D : h * D + D]
        for d in range(D):
            y[d] = ZERO
        m = np.float32(-np.inf)
        for s in range(last + 1):
            key, dot = keys[s], ZERO
            for d in range(D):
                dot += q[d] * key[d]
            a_S[s] = dot * scale
            m = a_S[s] if a_S[s] > m else m
        total = ZERO
        a = a_S[: last + 1]
        for s in range(a.size):
            a[s] = exp(a[s] - m)
            total += a[s]
        for s in range(a.size):
            value, weight = values[s], a[s] / total
            for d in range(D):
                y[d] += weight * value[d]
