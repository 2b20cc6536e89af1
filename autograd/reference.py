"""The arithmetic of every kernel, in a few lines of NumPy each.

Same names, same signatures, same results (up to rounding) as `autograd.kernels`, whose docstring
has the contract and the dimension letters. Read it, step through it (`AUTOGRAD_BACKEND=numpy` runs
everything on it); the kernels are tested against it.
"""

import math

import numpy as np


def matmul(a_ZMK, b_ZKN):
    return a_ZMK @ b_ZKN


def matmul_nt(a_ZMK, b_ZNK):
    return a_ZMK @ b_ZNK.swapaxes(1, 2)


def matmul_tn(a_ZKM, b_ZKN):
    return a_ZKM.swapaxes(1, 2) @ b_ZKN


def add_matmul_tn_(c_ZMN, a_ZKM, b_ZKN):
    c_ZMN += matmul_tn(a_ZKM, b_ZKN)


def linear(x_NI, weight_IO, bias_O):
    return x_NI @ weight_IO + bias_O


def linear_backward(dy_NO, x_NI):
    return x_NI.T @ dy_NO, _sum_of_rows(dy_NO)


def _sum_of_rows(x_NC):
    # NumPy adds one row after another, which in float32 adds up the errors of rounding, too.
    return x_NC.sum(axis=0, dtype=np.float64).astype(x_NC.dtype)


def gelu(x):
    return x * _gate(x)


def gelu_backward(dy, x):
    x = np.clip(x, -100, 100)  # s is 0 or 1 beyond, and x^3 may be infinite
    s = _gate(x)
    du = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
    return dy * (s + x * s * (1 - s) * 2 * du)


@np.errstate(over="ignore")  # where x^3 is infinite, the gate is 0 or 1, as it should be
def _gate(x):
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
    return _sigmoid(2 * u)


def gelu_exact(x):
    return x * _normal_cdf(x)


@np.errstate(over="ignore")  # where x^2 is infinite, the density is 0, as it should be
def gelu_exact_backward(dy, x):
    density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return dy * (_normal_cdf(x) + x * density)


def _normal_cdf(x):
    return np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in x.tolist()], x.dtype)


def silu(x):
    return x * _sigmoid(x)


def silu_backward(dy, x):
    s = _sigmoid(x)
    return dy * (s + x * s * (1 - s))


def _sigmoid(x):
    """Return 1 / (1 + e^-x), without overflow: ln(1 + e^-x) is at most about |x|."""
    return np.exp(-np.logaddexp(0, -x))


def softmax(x_NC):
    e_NC = np.exp(x_NC - x_NC.max(axis=1, keepdims=True))
    return e_NC / e_NC.sum(axis=1, keepdims=True)


def softmax_backward(dy_NC, y_NC):
    return y_NC * (dy_NC - (dy_NC * y_NC).sum(axis=1, keepdims=True))


def log_softmax(x_NC):
    z_NC = x_NC - x_NC.max(axis=1, keepdims=True)
    return z_NC - np.log(np.exp(z_NC).sum(axis=1, keepdims=True))


def log_softmax_backward(dy_NC, y_NC):
    return dy_NC - np.exp(y_NC) * dy_NC.sum(axis=1, keepdims=True)


@np.errstate(over="ignore")  # where the variance is infinite, n is 0: see the op
def layer_norm(x_NC, weight_C, bias_C, eps):
    mean_N = x_NC.mean(axis=1)
    rstd_N = 1 / np.sqrt(x_NC.var(axis=1) + eps)
    n_NC = (x_NC - mean_N[:, None]) * rstd_N[:, None]
    return n_NC * weight_C + bias_C, mean_N, rstd_N


def layer_norm_backward(dy_NC, x_NC, weight_C, mean_N, rstd_N):
    n_NC = (x_NC - mean_N[:, None]) * rstd_N[:, None]
    g_NC = dy_NC * weight_C
    along_shift = g_NC.mean(axis=1, keepdims=True)
    along_scale = n_NC * (g_NC * n_NC).mean(axis=1, keepdims=True)
    dx_NC = (g_NC - along_shift - along_scale) * rstd_N[:, None]
    return dx_NC, _sum_of_rows(dy_NC * n_NC), _sum_of_rows(dy_NC)


@np.errstate(over="ignore")  # where the mean square is infinite, n is 0: see the op
def rms_norm(x_NC, weight_C, eps):
    rstd_N = 1 / np.sqrt((x_NC * x_NC).mean(axis=1) + eps)
    return x_NC * rstd_N[:, None] * weight_C, rstd_N


def rms_norm_backward(dy_NC, x_NC, weight_C, rstd_N):
    n_NC = x_NC * rstd_N[:, None]
    g_NC = dy_NC * weight_C
    dx_NC = (g_NC - n_NC * (g_NC * n_NC).mean(axis=1, keepdims=True)) * rstd_N[:, None]
    return dx_NC, _sum_of_rows(dy_NC * n_NC)


def rotary(x_BTHD, cos_TE, sin_TE):
    a_BTHE, b_BTHE = np.split(x_BTHD, 2, axis=3)
    c, s = cos_TE[:, None], sin_TE[:, None]  # the same for all heads
    return np.concatenate([a_BTHE * c - b_BTHE * s, b_BTHE * c + a_BTHE * s], axis=3)


def embedding(weight_VC, indices_N):
    return weight_VC[indices_N]


def embedding_backward_(dweight_VC, dy_NC, indices_N):
    np.add.at(dweight_VC, indices_N, dy_NC)


def dropout(x, p, seed):
    """Scale element i by 1 / (1 - p) if hash(seed, i), in [0, 1), is at least p; else drop it."""
    i = np.arange(x.size, dtype=np.uint64)
    uniform = (_mix(_mix(np.uint64(seed % 2**64)) + i) >> np.uint64(40)) * 2.0**-24
    return np.where(uniform >= p, x * (1 / (1 - p)), 0)


def _mix(z):
    """Map 64-bit numbers one to one; every bit of the result depends on every bit of z.

    Source: the finaliser of SplitMix64. Steele, Lea and Flood, Fast Splittable Pseudorandom
    Number Generators, 2014.
    """
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is the point
        z = z + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def attention(q_BHTD, k_BGSD, v_BGSD, mask):
    k_BHSD, v_BHSD = _heads(q_BHTD, k_BGSD, v_BGSD, mask)
    score_BHTS = _scores(q_BHTD, k_BHSD, mask)
    # Where all scores are -inf, the maximum is a number nevertheless, and all weights are 0.
    m_BHT1 = np.maximum(score_BHTS.max(axis=3, keepdims=True), np.finfo(q_BHTD.dtype).min)
    e_BHTS = np.exp(score_BHTS - m_BHT1)
    total_BHT1 = e_BHTS.sum(axis=3, keepdims=True)
    nothing_BHT1 = (total_BHT1 == 0) & any(part is not None for part in mask[1:])
    total_BHT1 = np.where(nothing_BHT1, 1, total_BHT1).astype(q_BHTD.dtype)
    lse_BHT1 = np.where(nothing_BHT1, 0, m_BHT1 + np.log(total_BHT1)).astype(q_BHTD.dtype)
    return e_BHTS @ v_BHSD / total_BHT1, lse_BHT1[..., 0]


def attention_backward(dy_BHTD, q_BHTD, k_BGSD, v_BGSD, y_BHTD, lse_BHT, mask):
    k_BHSD, v_BHSD = _heads(q_BHTD, k_BGSD, v_BGSD, mask)
    score_BHTS = _scores(q_BHTD, k_BHSD, mask)
    a_BHTS = np.where(score_BHTS == -np.inf, 0, np.exp(score_BHTS - lse_BHT[..., None]))
    # sum_s a_ts da_ts = dy_t . y_t, because y_t = sum_s a_ts v_s
    dot_BHT1 = (dy_BHTD * y_BHTD).sum(axis=3, keepdims=True)
    dbias_BHTS, dz_BHTS = None, a_BHTS * (dy_BHTD @ v_BHSD.swapaxes(2, 3) - dot_BHT1)
    if mask.bias_BHTS is not None:
        shared = len(mask.bias_BHTS) == 1
        dbias_BHTS = dz_BHTS.sum(axis=0, keepdims=True) if shared else dz_BHTS
    dz_BHTS = dz_BHTS * (1 / math.sqrt(q_BHTD.shape[3]))
    dk_BHSD = dz_BHTS.swapaxes(2, 3) @ q_BHTD
    dv_BHSD = a_BHTS.swapaxes(2, 3) @ dy_BHTD
    B, H, S, D = dk_BHSD.shape
    G = k_BGSD.shape[1]
    dk_BGSD, dv_BGSD = (x.reshape(B, G, H // G, S, D).sum(axis=2) for x in (dk_BHSD, dv_BHSD))
    return dz_BHTS @ k_BHSD, dk_BGSD, dv_BGSD, dbias_BHTS


def _scores(q_BHTD, k_BHSD, mask):
    T, S, D = q_BHTD.shape[2], k_BHSD.shape[2], q_BHTD.shape[3]
    causal, keys_BS, bias_BHTS, first_BT = mask  # a field that is unknown here is an error
    score_BHTS = q_BHTD @ k_BHSD.swapaxes(2, 3) * (1 / math.sqrt(D))
    if bias_BHTS is not None:
        score_BHTS += bias_BHTS
    if causal:
        score_BHTS[..., ~np.tri(T, S, S - T, dtype=bool)] = -np.inf
    if first_BT is not None:
        score_BHTS = np.where(np.arange(S) < first_BT[:, None, :, None], -np.inf, score_BHTS)
    if keys_BS is not None:
        score_BHTS = np.where(keys_BS[:, None, None], score_BHTS, -np.inf)
    return score_BHTS


def _heads(q_BHTD, k_BGSD, v_BGSD, mask):
    """Return the keys and values of each head of queries; padding is 0, even if NaN."""
    if mask.keys_BS is not None:
        keys_BGSD = mask.keys_BS[:, None, :, None]
        k_BGSD, v_BGSD = np.where(keys_BGSD, k_BGSD, 0), np.where(keys_BGSD, v_BGSD, 0)
    repeats = q_BHTD.shape[1] // k_BGSD.shape[1]
    return np.repeat(k_BGSD, repeats, axis=1), np.repeat(v_BGSD, repeats, axis=1)


def cross_entropy(logits_NV, targets_N):
    m_N = logits_NV.max(axis=1)
    z_NV = logits_NV - m_N[:, None]
    total_N = np.exp(z_NV).sum(axis=1)
    target_z_N = np.take_along_axis(z_NV, targets_N[:, None], axis=1)[:, 0]
    return np.where(targets_N < 0, 0, np.log(total_N) - target_z_N), m_N, total_N


def cross_entropy_backward(logits_NV, targets_N, m_N, total_N, scale):
    dlogits_NV = np.exp(logits_NV - m_N[:, None]) / total_N[:, None]
    dlogits_NV[np.arange(len(targets_N)), targets_N] -= 1
    dlogits_NV[targets_N < 0] = 0
    return dlogits_NV * scale


def sum_of_squares(arrays):
    return float(sum(np.sum(np.square(x, dtype=np.float64)) for x in arrays))


def adamw_(weights, gradients, ms, vs, decays, lr, beta1, beta2, eps, scale, step):
    for weight, gradient, m, v, decay in zip(weights, gradients, ms, vs, decays, strict=True):
        g = gradient * scale
        m += (g - m) * (1 - beta1)
        v += (g * g - v) * (1 - beta2)
        weight *= 1 - lr * decay
        denominator = np.sqrt(v / (1 - beta2**step)) + eps
        weight -= lr / (1 - beta1**step) * m / denominator
