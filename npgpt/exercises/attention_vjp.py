"""The vector-Jacobian product of attention."""

from npgpt.exercises.attention import attention
from npgpt.exercises.softmax_vjp import softmax_vjp

TASK = """
The whole backward of attention: y = a v, a = softmax of the rows of z, z = q k^T / sqrt(D), in each
head. Go back step by step: from dy to da and dv, from da to dz, from dz to dq and dk. The mask
needs nothing: where a weight is 0, softmax's backward gives 0.
"""
HELPERS = (softmax_vjp,)
RETURNS = "dq dk dv"
WHERE = "autograd.reference.attention_backward"
HINTS = """
Each product has the backward of a matrix product: da = dy v^T, dv = a^T dy.
softmax_vjp takes rows: reshape da and a to (-1, T), and its result back.
dq = dz k / sqrt(D), dk = dz^T q / sqrt(D); swapaxes(1, 2) transposes each head.
"""


def attention_vjp(dy_HTD, q_HTD, k_HTD, v_HTD, a_HTT):
    """Return dq, dk, dv (H, T, D).    dy, q, k, v (H, T, D), weights a (H, T, T)"""
    H, T, D = q_HTD.shape
    da_HTT, dv_HTD = dy_HTD @ v_HTD.swapaxes(1, 2), a_HTT.swapaxes(1, 2) @ dy_HTD
    dz_HTT = softmax_vjp(da_HTT.reshape(-1, T), a_HTT.reshape(-1, T)).reshape(H, T, T)
    dz_HTT = dz_HTT / D**0.5
    return dz_HTT @ k_HTD, dz_HTT.swapaxes(1, 2) @ q_HTD, dv_HTD


def cases(rng):
    for H, T, D in ((1, 3, 3), (2, 4, 2)):
        q, k, v = rng.normal(size=(3, H, T, D))
        yield {"dy_HTD": rng.normal(size=(H, T, D)), "q_HTD": q, "k_HTD": k, "v_HTD": v,
               "a_HTT": attention(q, k, v)[1]}


FAULTS = {
    "dq and dk are not divided by sqrt(D)": {"dz_HTT = dz_HTT / D**0.5": "pass"},
    "dk is not divided by sqrt(D)": {"dz_HTT.swapaxes(1, 2) @ q_HTD":
                                      "D**0.5 * dz_HTT.swapaxes(1, 2) @ q_HTD"},
    "dq is not divided by sqrt(D)": {"return dz_HTT @ k_HTD": "return D**0.5 * dz_HTT @ k_HTD"},
    "the softmax is left out: da is used as dz":
        {"softmax_vjp(da_HTT.reshape(-1, T), a_HTT.reshape(-1, T))": "da_HTT"},
    "the softmax's backward lacks its sum":
        {"softmax_vjp(da_HTT.reshape(-1, T), a_HTT.reshape(-1, T))": "(da_HTT * a_HTT)"},
    "dk lacks a transpose": {"dz_HTT.swapaxes(1, 2) @ q": "dz_HTT @ q"},
    "dv lacks a transpose: v at s gets a share from each t that reads it":
        {"a_HTT.swapaxes(1, 2) @ dy": "a_HTT @ dy"},
}
