"""Wrong answers as readers write them, with the words that they must be told.

A row has the exercise, the body of the function, words of its cause, and its faulty line: None if a
line is missing or several are wrong. All but the last sixteen were written before the judge that
the test judges, after faults that a reviewer tried.
"""

ROWS = [
    ("merge", """
    for i in range(len(ids) - 1):
        if (ids[i], ids[i + 1]) == pair:
            return ids[:i] + [new_id] + ids[i + 2 :]
    return list(ids)
""", "only the first pair is merged", "return ids[:i] + [new_id] + ids[i + 2 :]"),
    ("merge", """
    out, i = [], 0
    while i < len(ids) - 1:
        if (ids[i], ids[i + 1]) == pair:
            out.append(new_id)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out
""", "the last token", "while i < len(ids) - 1:"),
    ("merge", """
    out = []
    for i in range(len(ids)):
        if tuple(ids[i : i + 2]) == pair:
            out.append(new_id)
        else:
            out.append(ids[i])
    return out
""", "second token of a pair stays", None),
    ("merge", """
    out, i = [], 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) == pair:
            out.append(new_id)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return tuple(out)
""", "tuple", "return tuple(out)"),
    ("merge", """
    out, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and {ids[i], ids[i + 1]} == set(pair):
            out.append(new_id)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out
""", "in either order", "if i + 1 < len(ids) and {ids[i], ids[i + 1]} == set(pair):"),
    ("encode", """
    i = 0
    while i < len(ids) - 1:
        pair = ids[i], ids[i + 1]
        if pair in merges:
            ids = merge(ids, pair, merges[pair])
            i = 0
        else:
            i += 1
    return ids
""", "leftmost", None),
    ("encode", """
    while True:
        pairs = [p for p in zip(ids, ids[1:]) if p in merges]
        if not pairs:
            return ids
        best = max(pairs, key=lambda p: merges[p])
        ids = merge(ids, best, merges[best])
""", "learned last", "best = max(pairs, key=lambda p: merges[p])"),
    ("embedding_vjp", """
    d = np.zeros((V, dy_NC.shape[1]))
    d[indices_N] += dy_NC
    return d
""", "only the last gradient counts", "d[indices_N] += dy_NC"),
    ("embedding_vjp", """
    d = np.zeros((V, dy_NC.shape[1]))
    for v in range(V):
        if (indices_N == v).any():
            d[v] = dy_NC[indices_N == v].mean(axis=0)
    return d
""", "averaged", "d[v] = dy_NC[indices_N == v].mean(axis=0)"),
    ("causal_mask", """
    return np.triu(np.ones((T, T), dtype=bool))
""", "rows and columns are swapped", "return np.triu(np.ones((T, T), dtype=bool))"),
    ("causal_mask", """
    return np.tri(T, k=-1, dtype=bool)
""", "does not read itself", "return np.tri(T, k=-1, dtype=bool)"),
    ("causal_mask", """
    return np.tri(T)
""", "True and False", "return np.tri(T)"),
    ("scores", """
    H, T, D = q_HTD.shape
    return np.einsum("htd,hsd->hst", q_HTD, k_HSD) / math.sqrt(D)
""", "queries and keys are swapped",
     'return np.einsum("htd,hsd->hst", q_HTD, k_HSD) / math.sqrt(D)'),
    ("softmax_vjp", """
    return dy_NC * y_NC * (1 - y_NC)
""", "as in a sigmoid", "return dy_NC * y_NC * (1 - y_NC)"),
    ("hunt_attention", """
    score_TS = q_TD @ k_TD.T / np.sqrt(k_TD.shape[1])
    e_TS = np.exp(score_TS - score_TS.max(axis=1, keepdims=True))
    a_TS = e_TS / e_TS.sum(axis=1, keepdims=True)
    a_TS = np.where(np.tri(len(q_TD), dtype=bool), a_TS, 0)
    return a_TS @ v_TD
""", "masked only afterwards", None),
    ("hunt_layer_norm", """
    mean = x_NC.mean()
    variance = ((x_NC - mean) ** 2).mean()
    return (x_NC - mean) / np.sqrt(variance + 1e-5) * weight_C + bias_C
""", "over all rows", None),
    ("layer_norm_vjp", """
    g = dy_NC * weight_C
    dx = (g - g.mean(axis=1, keepdims=True) - n_NC * (g * n_NC).mean(axis=1, keepdims=True))
    return dx * rstd_N[:, None], dy_NC * n_NC, dy_NC
""", "not summed over the rows", "return dx * rstd_N[:, None], dy_NC * n_NC, dy_NC"),
    ("layer_norm_vjp", """
    g = dy_NC * weight_C
    dx = g - g.mean(axis=1, keepdims=True) - n_NC * (g * n_NC).mean(axis=1, keepdims=True)
    return dx * rstd_N[:, None], (g * n_NC).sum(axis=0), dy_NC.sum(axis=0)
""", "dweight has a factor weight too many",
     "return dx * rstd_N[:, None], (g * n_NC).sum(axis=0), dy_NC.sum(axis=0)"),
    ("layer_norm_vjp", """
    g = dy_NC * weight_C
    dx = g - g.mean(axis=1, keepdims=True) - n_NC * (g * n_NC).mean(axis=1, keepdims=True)
    return dx * rstd_N[:, None], (dy_NC * n_NC).sum(axis=1), dy_NC.sum(axis=1)
""", "along each row",
     "return dx * rstd_N[:, None], (dy_NC * n_NC).sum(axis=1), dy_NC.sum(axis=1)"),
    ("gelu_vjp", """
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return dy * (1 + np.tanh(u)) / 2
""", "taken as a constant", "return dy * (1 + np.tanh(u)) / 2"),
    ("gelu_vjp", """
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    t = np.tanh(u)
    du = 1 + 3 * 0.044715 * x**2
    return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * du)
""", "lacks sqrt(2/pi)", "du = 1 + 3 * 0.044715 * x**2"),
    ("residual_vjp", """
    return norm_vjp(f_vjp(dy))
""", "around the branch is left out", "return norm_vjp(f_vjp(dy))"),
    ("residual_vjp", """
    d = norm_vjp(dy)
    return dy + f_vjp(d)
""", "backward the order is reversed", None),
    ("cross_entropy_vjp", """
    e = np.exp(logits_NV - logits_NV.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    p[:, targets_N] -= 1
    return p / len(p)
""", "in every row", "p[:, targets_N] -= 1"),
    ("learning_rate", """
    if step < warmup:
        return peak * step / warmup
    along = min(1, (step - warmup) / (steps - warmup))
    return lowest + (peak - lowest) * 0.5 * (1 + math.cos(math.pi * along))
""", "step 0 has a rate of 0", "return peak * step / warmup"),
    ("learning_rate", """
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    along = (step - warmup) / (steps - warmup)
    return lowest + (peak - lowest) * 0.5 * (1 + math.cos(math.pi * along))
""", "rises again", "along = (step - warmup) / (steps - warmup)"),
    ("adamw", """
    m = b1 * m + (1 - b1) * g
    v = b2 * v + (1 - b2) * g * g
    w = w - rate * decay * w - rate * m / (np.sqrt(v) + eps)
    return w, m, v
""", "not divided by 1 - b^t", "w = w - rate * decay * w - rate * m / (np.sqrt(v) + eps)"),
    ("adamw", """
    g = g + decay * w
    m = b1 * m + (1 - b1) * g
    v = b2 * v + (1 - b2) * g * g
    w = w - rate * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
    return w, m, v
""", "L2", None),
    ("clip", """
    na, nb = np.linalg.norm(a), np.linalg.norm(b)
    return a * min(1, longest / na), b * min(1, longest / nb)
""", "own length", None),
    ("top_k", """
    out = np.where(p_V >= np.sort(p_V)[-k], p_V, 0)
    return out / out.sum()
""", "as probable as the last", "out = np.where(p_V >= np.sort(p_V)[-k], p_V, 0)"),
    ("top_p", """
    ids = np.argsort(-p_V)
    keep = ids[np.cumsum(p_V[ids]) <= share]
    out = np.zeros_like(p_V)
    out[keep] = p_V[keep]
    return out / out.sum()
""", "reaches the share is left out", "keep = ids[np.cumsum(p_V[ids]) <= share]"),
    ("scores", """
    return q_HTD @ k_HSD.swapaxes(1, 2)
""", "not divided", "return q_HTD @ k_HSD.swapaxes(1, 2)"),
    ("softmax_vjp", """
    return y_NC * (dy_NC - dy_NC.sum(axis=1, keepdims=True))
""", "lacks the factor y", "return y_NC * (dy_NC - dy_NC.sum(axis=1, keepdims=True))"),
    ("split_heads", """
    B, T, C = x_BTC.shape
    return x_BTC.reshape(B, H, T, C // H)
""", "mixes positions up", "return x_BTC.reshape(B, H, T, C // H)"),
    ("split_heads", """
    B, T, C = x_BTC.shape
    return x_BTC.reshape(B, T, C // H, H).transpose(0, 3, 1, 2)
""", "every H-th channel", "return x_BTC.reshape(B, T, C // H, H).transpose(0, 3, 1, 2)"),
    ("split_heads", """
    B, T, C = x_BTC.shape
    return x_BTC.reshape(B, T, H, C // H)
""", "are not swapped", "return x_BTC.reshape(B, T, H, C // H)"),
    ("hunt_attention", """
    score_TS = q_TD @ k_TD.T / np.sqrt(k_TD.shape[1])
    score_TS = np.where(np.tri(len(q_TD), dtype=bool), -np.inf, score_TS)
    e_TS = np.exp(score_TS - score_TS.max(axis=1, keepdims=True))
    a_TS = e_TS / e_TS.sum(axis=1, keepdims=True)
    return a_TS @ v_TD
""", "the mask is the wrong way round",
     "score_TS = np.where(np.tri(len(q_TD), dtype=bool), -np.inf, score_TS)"),
    ("embedding_vjp", """
    return np.eye(V)[indices_N].T @ dy_NC / len(dy_NC)
""", "divided by the number of lookups",
     "return np.eye(V)[indices_N].T @ dy_NC / len(dy_NC)"),
    ("causal_mask", """
    return np.where(np.tri(T), 0.0, -np.inf)
""", "True and False", "return np.where(np.tri(T), 0.0, -np.inf)"),
    ("scores", """
    z = q_HTD @ k_HSD.swapaxes(1, 2) / math.sqrt(q_HTD.shape[2])
    e = np.exp(z - z.max(axis=2, keepdims=True))
    return e / e.sum(axis=2, keepdims=True)
""", "softmax", None),
    ("gelu_vjp", """
    s = 1 / (1 + np.exp(-1.702 * x))
    return dy * (s + 1.702 * x * s * (1 - s))
""", "sigmoid", None),
    ("adamw", """
    mean = m / (1 - b1**t)
    square = v / (1 - b2**t)
    w = w - rate * (decay * w + mean / (np.sqrt(square) + eps))
    return w, b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
""", "old m and v", None),
    ("adamw", """
    m = b1 * m + (1 - b1) * g
    v = b2 * v + (1 - b2) * g**2
    step = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
    return w - rate * step - decay * w, m, v
""", "decay lacks the factor rate", "return w - rate * step - decay * w, m, v"),
    ("clip", """
    length = math.sqrt((a**2).sum() + (b**2).sum())
    return a * longest / length, b * longest / length
""", "is scaled up", None),
    ("temperature", """
    p = np.exp(logits_V - logits_V.max())
    p = p / p.sum()
    p = p / temperature
    return p / p.sum()
""", "temperature is left out", "p = p / temperature"),
    ("top_p", """
    ids = np.argsort(p_V)[::-1]
    n = np.searchsorted(np.cumsum(p_V[ids]), share)
    out = np.zeros_like(p_V)
    out[: n + 1] = p_V[ids[: n + 1]]
    return out / out.sum()
""", "no longer at the ids", "out[: n + 1] = p_V[ids[: n + 1]]"),
    # Sixteen that a teacher found without a cause, written with the faults that name them.
    ("attention", """
    z = np.where(np.tri(q_HTD.shape[1], dtype=bool), scores(q_HTD, k_HTD), -np.inf)
    e = np.exp(z - z.max(axis=2, keepdims=True))
    a = e / e.sum(axis=1, keepdims=True)
    return a @ v_HTD, a
""", "of each position s", None),
    ("attention", """
    z = np.where(np.tri(q_HTD.shape[1], dtype=bool), scores(q_HTD, k_HTD), -np.inf)
    e = np.exp(z - z.max())
    a = e / e.sum(axis=2, keepdims=True)
    return a @ v_HTD, a
""", "one maximum", None),
    ("layer_norm_vjp", """
    dx = dy_NC * weight_C * rstd_N[:, None]
    return dx, (dy_NC * n_NC).sum(axis=0), dy_NC.sum(axis=0)
""", "taken as constants", None),
    ("layer_norm_vjp", """
    g = dy_NC * weight_C
    dx = g - g.sum(1, keepdims=True) - n_NC * (g * n_NC).sum(1, keepdims=True)
    return dx * rstd_N[:, None], (dy_NC * n_NC).sum(axis=0), dy_NC.sum(axis=0)
""", "are sums", None),
    ("layer_norm_vjp", """
    g = dy_NC * weight_C
    dx = g - g.mean(1, keepdims=True) - n_NC * (g * n_NC).sum(1, keepdims=True)
    return dx * rstd_N[:, None], (dy_NC * n_NC).sum(axis=0), dy_NC.sum(axis=0)
""", "mean(g n) is a sum", None),
    ("layer_norm_vjp", """
    g = dy_NC * weight_C
    dx = g - g.mean(1, keepdims=True) - n_NC * (g * n_NC).mean(1, keepdims=True)
    return dx * rstd_N[:, None], dy_NC.sum(axis=0), (dy_NC * n_NC).sum(axis=0)
""", "dweight and dbias are swapped",
     "return dx * rstd_N[:, None], dy_NC.sum(axis=0), (dy_NC * n_NC).sum(axis=0)"),
    ("adamw", """
    m = b1 * m + (1 - b1) * g
    v = b2 * v + (1 - b2) * g * g
    step = m / (1 - b1 * t) / (np.sqrt(v / (1 - b2 * t)) + eps)
    return w - rate * decay * w - rate * step, m, v
""", "written as b * t", None),
    ("adamw", """
    m = b2 * m + (1 - b2) * g
    v = b1 * v + (1 - b1) * g * g
    step = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
    return w - rate * decay * w - rate * step, m, v
""", "b1 and b2 are swapped in m and v", None),
    ("adamw", """
    m = b1 * m + (1 - b1) * g
    v = b2 * v + (1 - b2) * g * g
    m, v = m / (1 - b1**t), v / (1 - b2**t)
    return w - rate * decay * w - rate * m / (np.sqrt(v) + eps), m, v
""", "returned divided by 1 - b^t", None),
    ("adamw", """
    m = b1 * m + (1 - b1) * g
    v = b2 * v + (1 - b2) * g * g
    w = w - rate * m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
    w -= rate * decay * w
    return w, m, v
""", "from after the step", None),
    ("cross_entropy_vjp", """
    p = np.exp(logits_NV - logits_NV.max(axis=1, keepdims=True))
    p = p / p.sum(axis=1, keepdims=True)
    p[np.arange(len(p)), targets_N] -= 1
    return p / logits_NV.shape[1]
""", "divided by V", None),
    ("cross_entropy_vjp", """
    p = np.exp(logits_NV - logits_NV.max(axis=1, keepdims=True))
    p = p / p.sum(axis=1, keepdims=True)
    hit = np.arange(len(p)), targets_N
    d = np.zeros_like(p)
    d[hit] = -1 / p[hit]
    return d / len(p)
""", "with respect to the probability", None),
    ("group_baseline", """
    a = r_GN - r_GN.mean(axis=0)
    std = r_GN.std(axis=0)
    return a / np.where(std > 0, std, 1) if scaled else a
""", "down the columns", None),
    ("group_baseline", """
    a = r_GN - r_GN.mean()
    std = r_GN.std()
    return a / np.where(std > 0, std, 1) if scaled else a
""", "one mean and one deviation", None),
    ("group_baseline", """
    a = r_GN - r_GN.mean(axis=1, keepdims=True)
    std = r_GN.std(axis=1, ddof=1, keepdims=True)
    return a / np.where(std > 0, std, 1) if scaled else a
""", "N - 1", None),
    ("backward", """
    grads = [0.0] * len(sources)
    def along(i, grad):
        grads[i] += grad
        for source, grad in zip(sources[i], vjps[i](grad) if vjps[i] else ()):
            along(source, grad)
    along(len(sources) - 1, 1.0)
    return grads
""", "each path is followed", None),
]
