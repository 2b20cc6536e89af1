"""For each exercise a right answer, under its name: the program's own, or one by other steps."""

import ast
import math

import numpy as np

import autograd as ag
from autograd import Tensor, reference
from npgpt import GPTConfig, optim
from npgpt.config import TrainConfig
from npgpt.exercises import load
from npgpt.exercises.sheet import solution
from npgpt.models.size import parameters_by_part
from npgpt.sampling import Sampling
from npgpt.tokenizers import byte_pair_encoding

merge = byte_pair_encoding.merge_pair


def with_solution(text, number):
    """Return the text of an exercise's file with the solution in it."""
    given = ast.get_source_segment(text, ast.parse(text).body[-1])
    return text.replace(given, solution(load(number)))


def vjp(function, dy, *arrays):
    """Return the gradients of a function of Tensors by the engine."""
    inputs = [Tensor(array, requires_grad=True) for array in arrays]
    function(*inputs).backward(np.asarray(dy))
    return [tensor.grad for tensor in inputs]


def learn_merges(ids, count, first_id):
    pairs = byte_pair_encoding.learn_merges({bytes(ids): 1}, count)
    return [tuple(i - 256 + first_id if i > 255 else i for i in pair) for pair in pairs]


def encode(ids, merges):
    return byte_pair_encoding.encode_word(bytes(ids), merges)


def embed(tokens_VC, positions_SC, ids_BT):
    at_BT = np.indices(ids_BT.shape)[1]
    return (ag.embedding(Tensor(tokens_VC), ids_BT) + positions_SC[at_BT]).data


def embedding_vjp(dy_NC, indices_N, V):
    table = np.zeros((V, dy_NC.shape[1]))
    return vjp(lambda weight: ag.embedding(weight, indices_N), dy_NC, table)[0]


def causal_mask(T):
    return [[s <= t for s in range(T)] for t in range(T)]


def scores(q_HTD, k_HSD):
    return np.einsum("htd,hsd->hts", q_HTD, k_HSD) * q_HTD.shape[-1] ** -0.5


def split_heads(x_BTC, H):
    return np.stack(np.split(x_BTC, H, axis=2), axis=1)


def hunt_attention(q_TD, k_TD, v_TD):
    return attention(q_TD[None], k_TD[None], v_TD[None])[0][0]


def attention(q_HTD, k_HTD, v_HTD):
    T = q_HTD.shape[1]
    a = ag.softmax(Tensor(scores(q_HTD, k_HTD) + np.log(np.tri(T)))).data
    return np.einsum("hts,hsd->htd", a, v_HTD), a


def hunt_layer_norm(x_NC, weight_C, bias_C):
    return reference.layer_norm(x_NC, weight_C, bias_C, 1e-5)[0]


def cross_entropy_vjp(logits_NV, targets_N):
    return vjp(lambda z: ag.cross_entropy(z, targets_N), 1.0, logits_NV)[0]


def learning_rate(step, steps, warmup, peak, lowest):
    config = TrainConfig(max_iters=steps, warmup_iters=warmup, lr=peak, min_lr=lowest)
    return optim.learning_rate(step, config)


def clip(a, b, longest):
    by = max(1.0, math.hypot(*a.ravel(), *b.ravel()) / longest)
    return [a / by, b / by]


def adamw(w, g, m, v, t, rate, b1, b2, eps, decay):
    w, m, v = w.copy(), m.copy(), v.copy()
    reference.adamw_([w], [g], [m], [v], [decay], rate, b1, b2, eps, 1.0, t)
    return w, m, v


def train(w, steps, batch, gradient, update):
    if steps == 0:
        return w, []
    w, losses = train(w, steps - 1, batch, gradient, update)
    loss, g = gradient(w, *batch(steps - 1))
    return update(w, g, steps - 1), [*losses, loss]


def broadcast_vjp(dy, shape):
    return vjp(lambda x: ag.broadcast_to(x, dy.shape), dy, np.zeros(shape))[0]


def matmul_vjp(dy, x, w):
    return vjp(ag.matmul, dy, x, w)


def softmax_vjp(dy_NC, y_NC):
    return vjp(ag.softmax, dy_NC, np.log(y_NC))[0]


def gelu_vjp(dy, x):
    return vjp(ag.gelu, dy, x)[0]


def layer_norm_vjp(dy_NC, n_NC, rstd_N, weight_C):
    return vjp(ag.layer_norm, dy_NC, n_NC / rstd_N[:, None], weight_C, 0 * weight_C)


def attention_vjp(dy_HTD, q_HTD, k_HTD, v_HTD, a_HTT):
    qkv = q_HTD[None], k_HTD[None], v_HTD[None]
    return [d[0] for d in vjp(ag.scaled_dot_product_attention, dy_HTD[None], *qkv)]


def residual_vjp(dy, f_vjp, norm_vjp):
    return np.add(norm_vjp(f_vjp(dy)), dy)


def backward(sources, vjps):
    found = [[] for _ in sources]
    found[-1].append(1.0)
    for i in range(len(sources) - 1, -1, -1):
        for j, grad in zip(sources[i], vjps[i](sum(found[i])) if vjps[i] else (), strict=True):
            found[j].append(grad)
    return [sum(grads) for grads in found]


def temperature(logits_V, temperature):
    return Sampling(temperature).probabilities(logits_V).tolist()


def top_k(p_V, k):
    return Sampling(top_k=k).probabilities(np.log(p_V))


def top_p(p_V, share):
    return Sampling(top_p=share).probabilities(np.log(p_V))


def cached_attention(q_H1D, k_H1D, v_H1D, keys_HSD, values_HSD):
    keys, values = np.hstack([keys_HSD, k_H1D]), np.hstack([values_HSD, v_H1D])
    y = ag.scaled_dot_product_attention(q_H1D[None], keys[None], values[None])
    return y.data[0], keys, values


def count_parameters(V, T, C, L):
    return sum(parameters_by_part(GPTConfig(V, T, L, 1, C)).values())


def policy_vjp(logits_NV, y_N, advantage_N):
    rows = np.arange(len(y_N))
    return vjp(lambda z: -(ag.log_softmax(z)[rows, y_N] * advantage_N).mean(), 1.0, logits_NV)[0]


def group_baseline(r_GN, scaled):
    rows = []
    for rewards in r_GN:
        std = float(np.std(rewards)) if scaled else 1.0
        rows.append([(r - sum(rewards) / len(rewards)) / (std or 1.0) for r in rewards])
    return rows
