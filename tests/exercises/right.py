"""For each exercise a right answer, under its name, written differently from its solution."""

import math

import numpy as np


def merge(ids, pair, new_id):
    if len(ids) < 2:
        return list(ids)
    if ids[0] == pair[0] and ids[1] == pair[1]:
        return [new_id, *merge(ids[2:], pair, new_id)]
    return [ids[0], *merge(ids[1:], pair, new_id)]


def encode(ids, merges):
    for pair, new_id in sorted(merges.items(), key=lambda item: item[1]):
        ids = merge(ids, pair, new_id)
    return ids


def embedding_vjp(dy_NC, indices_N, V):
    dweight = np.zeros((V, dy_NC.shape[1]))
    for n, index in enumerate(indices_N):
        dweight[index] += dy_NC[n]
    return dweight


def causal_mask(T):
    return [[s <= t for s in range(T)] for t in range(T)]


def scores(q_HTD, k_HSD):
    return np.einsum("htd,hsd->hts", q_HTD, k_HSD) * q_HTD.shape[-1] ** -0.5


def softmax_vjp(dy_NC, y_NC):
    rows = []
    for dy, y in zip(dy_NC, y_NC, strict=True):
        rows.append((np.diag(y) - np.outer(y, y)) @ dy)
    return np.array(rows)


def split_heads(x_BTC, H):
    D = x_BTC.shape[2] // H
    return np.stack([x_BTC[:, :, h * D : (h + 1) * D] for h in range(H)], axis=1)


def hunt_attention(q_TD, k_TD, v_TD):
    y = []
    for t, q in enumerate(q_TD):
        e = np.exp([q @ k / math.sqrt(len(q)) for k in k_TD[: t + 1]])
        y.append(e @ v_TD[: t + 1] / e.sum())
    return np.array(y)


def layer_norm_vjp(dy_NC, n_NC, rstd_N, weight_C):
    dx, dweight, dbias = np.zeros_like(dy_NC), np.zeros(len(weight_C)), np.zeros(len(weight_C))
    for row, (dy, n, rstd) in enumerate(zip(dy_NC, n_NC, rstd_N, strict=True)):
        g = dy * weight_C
        dx[row] = rstd * (g - g.mean() - n * np.mean(g * n))
        dweight += dy * n
        dbias += dy
    return dx, dweight, dbias


def gelu_vjp(dy, x):
    u2 = 2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    s = 1 / (1 + np.exp(-u2))
    return dy * (s + x * s * (1 - s) * 2 * math.sqrt(2 / math.pi) * (1 + 0.134145 * x * x))


def residual_vjp(dy, f_vjp, norm_vjp):
    dbranch = f_vjp(dy)
    dnormed = norm_vjp(dbranch)
    return np.add(dnormed, dy)


def hunt_layer_norm(x_NC, weight_C, bias_C):
    rows = [(x - x.mean()) * (np.mean(x * x) - x.mean() ** 2 + 1e-5) ** -0.5 for x in x_NC]
    return bias_C + weight_C * rows


def cross_entropy_vjp(logits_NV, targets_N):
    d = np.zeros_like(logits_NV)
    for n, target in enumerate(targets_N):
        d[n] = [1 / np.exp(logits_NV[n] - z).sum() for z in logits_NV[n]]
        d[n, target] -= 1
    return d / len(targets_N)


def learning_rate(step, steps, warmup, peak, lowest):
    if step < warmup:
        return peak - peak * (warmup - step) / (warmup + 1)
    half = (min(step, steps) - warmup) / (steps - warmup) * math.pi / 2
    return lowest + (peak - lowest) * math.cos(half) ** 2


def adamw(w, g, m, v, t, rate, b1, b2, eps, decay):
    w, m, v = w.copy(), m.copy(), v.copy()
    for i in range(w.size):
        m[i] = b1 * m[i] + g[i] - b1 * g[i]
        v[i] = b2 * v[i] + g[i] ** 2 * (1 - b2)
        w[i] -= rate * decay * w[i]
        w[i] -= rate * (m[i] / (1 - b1**t)) / (math.sqrt(v[i] / (1 - b2**t)) + eps)
    return w, m, v


def clip(a, b, longest):
    by = max(1.0, math.hypot(*a.ravel(), *b.ravel()) / longest)
    return [a / by, b / by]


def temperature(logits_V, temperature):
    return [1 / sum(math.exp(min(700, (b - a) / temperature)) for b in logits_V) for a in logits_V]


def top_k(p_V, k):
    ids = sorted(range(len(p_V)), key=lambda i: (-p_V[i], i))[:k]
    total = sum(p_V[i] for i in ids)
    return [p_V[i] / total if i in ids else 0.0 for i in range(len(p_V))]


def top_p(p_V, share):
    kept, total = np.zeros(len(p_V)), 0.0
    for i in sorted(range(len(p_V)), key=lambda i: -p_V[i]):
        if total >= share:
            break
        kept[i] = p_V[i]
        total += p_V[i]
    return kept / total


def count_parameters(V, T, C, L):
    block = [(C, 3 * C), (3 * C,), (C, C), (C,), (C, 4 * C), (4 * C,), (4 * C, C), (C,)]
    shapes = [(V, C), (T, C), (C,), (C,), *(block + 4 * [(C,)]) * L]
    return sum(math.prod(shape) for shape in shapes)


def learn_merges(ids, count, first_id):
    merges = []
    for new_id in range(first_id, first_id + count):
        counts = {}
        for i in range(1, len(ids)):
            counts[ids[i - 1], ids[i]] = counts.get((ids[i - 1], ids[i]), 0) + 1
        if not counts:
            break
        most = max(counts.values())
        merges.append(sorted(pair for pair in counts if counts[pair] == most)[0])
        ids = merge(ids, merges[-1], new_id)
    return merges


def attention(q_HTD, k_HTD, v_HTD):
    y, a = np.zeros(q_HTD.shape), np.zeros((len(q_HTD), q_HTD.shape[1], q_HTD.shape[1]))
    for h, (q_TD, k_TD, v_TD) in enumerate(zip(q_HTD, k_HTD, v_HTD, strict=True)):
        for t, q in enumerate(q_TD):
            z = k_TD[: t + 1] @ q / math.sqrt(len(q))
            a[h, t, : t + 1] = [1 / np.exp(z - i).sum() for i in z]
            y[h, t] = a[h, t] @ v_TD
    return y, a


def broadcast_vjp(dy, shape):
    long = (1,) * (dy.ndim - len(shape)) + tuple(shape)
    axes = tuple(i for i, size in enumerate(long) if size == 1)
    return dy.sum(axis=axes, keepdims=True).reshape(shape)


def matmul_vjp(dy, x, w):
    axes = tuple(range(x.ndim - 1))
    return np.einsum("...o,io->...i", dy, w), np.tensordot(x, dy, axes=(axes, axes))


def attention_vjp(dy_HTD, q_HTD, k_HTD, v_HTD, a_HTT):
    dq, dk, dv = (np.zeros(q_HTD.shape) for _ in range(3))
    for h, a_TT in enumerate(a_HTT):
        for t, a_T in enumerate(a_TT):
            da_T = v_HTD[h] @ dy_HTD[h, t]
            dz_T = (np.diag(a_T) - np.outer(a_T, a_T)) @ da_T / math.sqrt(q_HTD.shape[2])
            dq[h, t] = dz_T @ k_HTD[h]
            dk[h] += np.outer(dz_T, q_HTD[h, t])
            dv[h] += np.outer(a_T, dy_HTD[h, t])
    return dq, dk, dv


def backward(sources, vjps):
    found = [[] for _ in sources]
    found[-1].append(1.0)
    for i in range(len(sources) - 1, -1, -1):
        for j, grad in zip(sources[i], vjps[i](sum(found[i])) if vjps[i] else (), strict=True):
            found[j].append(grad)
    return [sum(grads) for grads in found]


def train(w, steps, batch, gradient, update):
    if steps == 0:
        return w, []
    w, losses = train(w, steps - 1, batch, gradient, update)
    loss, g = gradient(w, *batch(steps - 1))
    return update(w, g, steps - 1), [*losses, loss]


def cached_attention(q_H1D, k_H1D, v_H1D, keys_HSD, values_HSD):
    keys, values = np.hstack([keys_HSD, k_H1D]), np.hstack([values_HSD, v_H1D])
    z = (keys * q_H1D).sum(axis=2, keepdims=True) / math.sqrt(keys.shape[2])
    e = np.exp(z - z.max())
    return (e * values).sum(axis=1, keepdims=True) / e.sum(axis=1, keepdims=True), keys, values


def policy_vjp(logits_NV, y_N, advantage_N):
    rows = []
    for logits, y, advantage in zip(logits_NV, y_N, advantage_N, strict=True):
        e = [math.exp(z - max(logits)) for z in logits]
        row = [advantage * (x / sum(e) - (v == y)) / len(y_N) for v, x in enumerate(e)]
        rows.append(row)
    return np.array(rows)


def group_baseline(r_GN, scaled):
    rows = []
    for rewards in r_GN:
        std = float(np.std(rewards)) if scaled else 1.0
        rows.append([(r - sum(rewards) / len(rewards)) / (std or 1.0) for r in rewards])
    return np.array(rows)
