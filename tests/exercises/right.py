"""For each exercise two right answers that are written in other ways than its solution."""

import math
from itertools import pairwise

import numpy as np


def merge_with_a_flag(ids, pair, new_id):
    merged, skip = [], False
    for i, token in enumerate(ids):
        if skip:
            skip = False
        elif i + 1 < len(ids) and token == pair[0] and ids[i + 1] == pair[1]:
            merged.append(new_id)
            skip = True
        else:
            merged.append(token)
    return merged


def merge_by_recursion(ids, pair, new_id):
    if len(ids) < 2:
        return list(ids)
    if ids[0] == pair[0] and ids[1] == pair[1]:
        return [new_id, *merge_by_recursion(ids[2:], pair, new_id)]
    return [ids[0], *merge_by_recursion(ids[1:], pair, new_id)]


def encode_merge_by_merge(ids, merges):
    for pair, new_id in sorted(merges.items(), key=lambda item: item[1]):
        ids = merge_with_a_flag(ids, pair, new_id)
    return ids


def encode_by_recursion(ids, merges):
    known = {merges[a, b]: (a, b) for a, b in pairwise(ids) if (a, b) in merges}
    if not known:
        return np.array(ids)
    first = min(known)
    return encode_by_recursion(merge_by_recursion(ids, known[first], first), merges)


def embedding_by_a_loop(dy_NC, indices_N, V):
    dweight = np.zeros((V, dy_NC.shape[1]))
    for n, index in enumerate(indices_N):
        dweight[index] += dy_NC[n]
    return dweight


def embedding_by_a_product(dy_NC, indices_N, V):
    return np.eye(V)[indices_N].T @ dy_NC


def mask_by_loops(T):
    return [[s <= t for s in range(T)] for t in range(T)]


def mask_by_cumsum(T):
    return np.eye(T).cumsum(axis=1).T


def scores_by_einsum(q_HTD, k_HSD):
    return np.einsum("htd,hsd->hts", q_HTD, k_HSD) * q_HTD.shape[-1] ** -0.5


def scores_head_by_head(q_HTD, k_HSD):
    root = math.sqrt(k_HSD.shape[2])
    return np.stack([q / root @ k.T for q, k in zip(q_HTD, k_HSD, strict=True)])


def softmax_by_the_matrix(dy_NC, y_NC):
    rows = []
    for dy, y in zip(dy_NC, y_NC, strict=True):
        rows.append((np.diag(y) - np.outer(y, y)) @ dy)
    return np.array(rows)


def softmax_by_einsum(dy_NC, y_NC):
    return y_NC * dy_NC - y_NC * np.einsum("nc,nc->n", y_NC, dy_NC)[:, None]


def heads_by_slices(x_BTC, H):
    D = x_BTC.shape[2] // H
    return np.stack([x_BTC[:, :, h * D : (h + 1) * D] for h in range(H)], axis=1)


def heads_by_split(x_BTC, H):
    return np.array(np.split(x_BTC, H, axis=2)).transpose(1, 0, 2, 3)


def attention_by_loops(q_TD, k_TD, v_TD):
    y = []
    for t, q in enumerate(q_TD):
        e = np.exp([q @ k / math.sqrt(len(q)) for k in k_TD[: t + 1]])
        y.append(e @ v_TD[: t + 1] / e.sum())
    return np.array(y)


def attention_by_products_with_a_triangle(q_TD, k_TD, v_TD):
    e_TS = np.exp(q_TD @ k_TD.T / q_TD.shape[1] ** 0.5) * np.tri(len(q_TD))
    return e_TS / e_TS.sum(axis=1, keepdims=True) @ v_TD


def layer_norm_vjp_by_sums(dy_NC, n_NC, rstd_N, weight_C):
    C, g = dy_NC.shape[1], dy_NC * weight_C
    away = g - (g @ np.ones(C) / C)[:, None] - n_NC * ((g * n_NC) @ np.ones(C) / C)[:, None]
    return np.diag(rstd_N) @ away, np.einsum("nc,nc->c", dy_NC, n_NC), np.ones(len(g)) @ dy_NC


def layer_norm_vjp_row_by_row(dy_NC, n_NC, rstd_N, weight_C):
    dx, dweight, dbias = np.zeros_like(dy_NC), np.zeros(len(weight_C)), np.zeros(len(weight_C))
    for row, (dy, n, rstd) in enumerate(zip(dy_NC, n_NC, rstd_N, strict=True)):
        g = dy * weight_C
        dx[row] = rstd * (g - g.mean() - n * np.mean(g * n))
        dweight += dy * n
        dbias += dy
    return dx, dweight, dbias


def gelu_by_sigmoid(dy, x):
    u2 = 2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    s = 1 / (1 + np.exp(-u2))
    return dy * (s + x * s * (1 - s) * 2 * math.sqrt(2 / math.pi) * (1 + 0.134145 * x * x))


def gelu_by_cosh(dy, x):
    u = 0.7978845608028654 * (x + 0.044715 * x**3)
    return dy * (0.5 + 0.5 * np.tanh(u) + 0.5 * x / np.cosh(u) ** 2
                 * 0.7978845608028654 * (1 + 0.134145 * x**2))


def residual_in_steps(dy, f_vjp, norm_vjp):
    dbranch = f_vjp(dy)
    dnormed = norm_vjp(dbranch)
    return np.add(dnormed, dy)


def residual_by_sum(dy, f_vjp, norm_vjp):
    return sum([dy, norm_vjp(f_vjp(dy))])


def layer_norm_by_var(x_NC, weight_C, bias_C):
    n = (x_NC.T - x_NC.mean(axis=1)) / np.sqrt(x_NC.var(axis=1) + 1e-5)
    return n.T * weight_C + bias_C


def layer_norm_row_by_row(x_NC, weight_C, bias_C):
    rows = [(x - x.mean()) * (np.mean(x * x) - x.mean() ** 2 + 1e-5) ** -0.5 for x in x_NC]
    return bias_C + weight_C * rows


def cross_entropy_by_one_hot(logits_NV, targets_N):
    z = logits_NV - logits_NV.max(axis=1)[:, None]
    p = np.exp(z - np.log(np.exp(z).sum(axis=1))[:, None])
    return (p - np.eye(p.shape[1])[targets_N]) / len(p)


def cross_entropy_row_by_row(logits_NV, targets_N):
    d = np.zeros_like(logits_NV)
    for n, target in enumerate(targets_N):
        d[n] = [1 / np.exp(logits_NV[n] - z).sum() for z in logits_NV[n]]
        d[n, target] -= 1
    return d / len(targets_N)


def rate_by_cases(step, steps, warmup, peak, lowest):
    if step >= steps:
        return lowest
    if step < warmup:
        return (step + 1) * (peak / (warmup + 1))
    angle = (step - warmup) / (steps - warmup) * math.pi
    return (peak + lowest) / 2 + (peak - lowest) / 2 * np.cos(angle)


def rate_by_a_square(step, steps, warmup, peak, lowest):
    if step < warmup:
        return peak - peak * (warmup - step) / (warmup + 1)
    half = (min(step, steps) - warmup) / (steps - warmup) * math.pi / 2
    return lowest + (peak - lowest) * math.cos(half) ** 2


def adamw_in_another_order(w, g, m, v, t, rate, b1, b2, eps, decay):
    new_m, new_v = m + (1 - b1) * (g - m), v + (1 - b2) * (g * g - v)
    step = new_m / (1 - b1**t) / (eps + (new_v / (1 - b2**t)) ** 0.5)
    return w - rate * (decay * w + step), new_m, new_v


def adamw_entry_by_entry(w, g, m, v, t, rate, b1, b2, eps, decay):
    w, m, v = w.copy(), m.copy(), v.copy()
    for i in range(w.size):
        m[i] = b1 * m[i] + g[i] - b1 * g[i]
        v[i] = b2 * v[i] + g[i] ** 2 * (1 - b2)
        w[i] -= rate * decay * w[i]
        w[i] -= rate * (m[i] / (1 - b1**t)) / (math.sqrt(v[i] / (1 - b2**t)) + eps)
    return w, m, v


def clip_by_one_vector(a, b, longest):
    length = np.linalg.norm(np.concatenate([a.ravel(), b.ravel()]))
    return (a, b) if length <= longest else (a / length * longest, b / length * longest)


def clip_by_maximum(a, b, longest):
    by = max(1.0, math.hypot(*a.ravel(), *b.ravel()) / longest)
    return [a / by, b / by]


def temperature_by_logaddexp(logits_V, temperature):
    z = logits_V / temperature
    return np.exp(z - np.logaddexp.reduce(z))


def temperature_by_differences(logits_V, temperature):
    return [1 / sum(math.exp(min(700, (b - a) / temperature)) for b in logits_V) for a in logits_V]


def top_k_by_zeros(p_V, k):
    p = np.array(p_V)
    for _ in range(len(p) - k):
        least = len(p) - 1 - np.argmin(np.where(p > 0, p, 2)[::-1])
        p[least] = 0
    return p / p.sum()


def top_k_by_sorted(p_V, k):
    ids = sorted(range(len(p_V)), key=lambda i: (-p_V[i], i))[:k]
    total = sum(p_V[i] for i in ids)
    return [p_V[i] / total if i in ids else 0.0 for i in range(len(p_V))]


def top_p_by_a_loop(p_V, share):
    kept, total = np.zeros(len(p_V)), 0.0
    for i in sorted(range(len(p_V)), key=lambda i: -p_V[i]):
        if total >= share:
            break
        kept[i] = p_V[i]
        total += p_V[i]
    return kept / total


def top_p_by_searchsorted(p_V, share):
    order = np.argsort(p_V)[::-1]
    count = np.searchsorted(np.cumsum(p_V[order]), share) + 1
    stays = np.isin(np.arange(len(p_V)), order[:count])
    return p_V * stays / (p_V * stays).sum()


def count_by_formula(V, T, C, L):
    return C * (V + T + 2 + L * (12 * C + 13))


def count_by_shapes(V, T, C, L):
    block = [(C, 3 * C), (3 * C,), (C, C), (C,), (C, 4 * C), (4 * C,), (4 * C, C), (C,)]
    shapes = [(V, C), (T, C), (C,), (C,), *(block + 4 * [(C,)]) * L]
    return sum(math.prod(shape) for shape in shapes)


RIGHT = {
    "merge": (merge_with_a_flag, merge_by_recursion),
    "encode": (encode_merge_by_merge, encode_by_recursion),
    "embedding_vjp": (embedding_by_a_loop, embedding_by_a_product),
    "causal_mask": (mask_by_loops, mask_by_cumsum),
    "scores": (scores_by_einsum, scores_head_by_head),
    "softmax_vjp": (softmax_by_the_matrix, softmax_by_einsum),
    "split_heads": (heads_by_slices, heads_by_split),
    "hunt_attention": (attention_by_loops, attention_by_products_with_a_triangle),
    "layer_norm_vjp": (layer_norm_vjp_by_sums, layer_norm_vjp_row_by_row),
    "gelu_vjp": (gelu_by_sigmoid, gelu_by_cosh),
    "residual_vjp": (residual_in_steps, residual_by_sum),
    "hunt_layer_norm": (layer_norm_by_var, layer_norm_row_by_row),
    "cross_entropy_vjp": (cross_entropy_by_one_hot, cross_entropy_row_by_row),
    "learning_rate": (rate_by_cases, rate_by_a_square),
    "adamw": (adamw_in_another_order, adamw_entry_by_entry),
    "clip": (clip_by_one_vector, clip_by_maximum),
    "temperature": (temperature_by_logaddexp, temperature_by_differences),
    "top_k": (top_k_by_zeros, top_k_by_sorted),
    "top_p": (top_p_by_a_loop, top_p_by_searchsorted),
    "count_parameters": (count_by_formula, count_by_shapes),
}
