"""The policy gradient: what a reward does to the logits."""

import numpy as np

TASK = """
The policy gradient. A model drew token y_n from softmax(logits_n), and later heard how good that
was: the advantage A_n, above 0 for better than usual. To make good draws likelier it lowers

    loss = -mean over n of A_n ln softmax(logits_n)[y_n]

That is cross-entropy with a weight for each draw. The gradient of cross-entropy with respect to the
logits is softmax(logits) - [v = y_n]. Return the gradient of this loss.
"""
RETURNS = "dlogits_NV"
WHERE = "npgpt.reward.losses.policy_loss"
HINTS = """
Begin with the gradient of -ln softmax(logits_n)[y_n]: the probabilities, with 1 taken off at y_n.
A_n multiplies its row; below 0 it turns the sign, and the drawn token becomes less likely.
d_NV = p_NV.copy(); d_NV[np.arange(N), y_N] -= 1; return d_NV * advantage_N[:, None] / N
"""


def policy_vjp(logits_NV, y_N, advantage_N):
    """Return dlogits (N, V).    logits (N, V), drawn tokens y (N,), advantages (N,)"""
    N = len(y_N)
    e_NV = np.exp(logits_NV - logits_NV.max(axis=1, keepdims=True))
    d_NV = e_NV / e_NV.sum(axis=1, keepdims=True)
    d_NV[np.arange(N), y_N] -= 1
    return d_NV * advantage_N[:, None] / N


def cases(rng):
    for N, V in ((3, 4), (5, 2)):
        yield {"logits_NV": rng.normal(size=(N, V)), "y_N": rng.integers(0, V, N),
               "advantage_N": rng.normal(size=N)}
    yield {"logits_NV": np.array([[900.0, 0.0]]), "y_N": np.array([1]),
           "advantage_N": np.array([1.0])}


FAULTS = {
    "the sign is wrong: good draws become less likely":
        {"d_NV * advantage_N": "-d_NV * advantage_N"},
    "the advantage is left out: all draws become likelier, bad ones too":
        {" * advantage_N[:, None]": ""},
    "1 is not taken off at the drawn token":
        {"    d_NV[np.arange(N), y_N] -= 1\n": ""},
    "the advantage multiplies only the 1 at the drawn token; it multiplies the whole row":
        {"] -= 1": "] -= advantage_N", " * advantage_N[:, None]": ""},
    "the rows are added up, not averaged": {" / N": ""},
    "e^logits overflows: subtract the largest of each row":
        {" - logits_NV.max(axis=1, keepdims=True)": ""},
}
