"""The gradient of the loss with respect to the logits."""

import numpy as np

TASK = """
The loss is the mean, over N positions, of minus the log of the softmax probability of the target:
loss = mean_n (ln sum_v e^(z_nv) - z_n,target). Write its gradient with respect to the logits z, the
first step of backward. Logits can be large; e^1000 overflows.
"""
RETURNS = "dlogits"
WHERE = "autograd.reference.cross_entropy_backward"
HINTS = """
The derivative of ln sum e^z with respect to z_v is the softmax, p_v.
The derivative of -z_target is -1 at the target, 0 elsewhere. And the loss is a mean.
(p - one-hot) / N; p from logits less their maximum, so that nothing overflows.
"""


def cross_entropy_vjp(logits_NV, targets_N):
    """Return dlogits (N, V).    logits (N, V), targets (N,) token ids"""
    e_NV = np.exp(logits_NV - logits_NV.max(axis=1, keepdims=True))
    dlogits_NV = e_NV / e_NV.sum(axis=1, keepdims=True)
    dlogits_NV[np.arange(len(targets_N)), targets_N] -= 1
    return dlogits_NV / len(targets_N)


def cases(rng):
    yield {"logits_NV": rng.normal(size=(2, 3)), "targets_N": np.array([2, 0])}
    yield {"logits_NV": 3 * rng.normal(size=(5, 4)), "targets_N": rng.integers(0, 4, 5)}
    yield {"logits_NV": np.array([[1000.0, 998.0, 0.0]]), "targets_N": np.array([1])}


FAULTS = {
    "1 is subtracted at every target in every row; each row has one target: np.arange(N), targets":
        {"[np.arange(len(targets_N)), targets_N]": "[:, targets_N]"},
    "it is divided by N V; the loss is a mean over the N rows":
        {"len(targets_N)\n": "logits_NV.size\n"},
    "the softmax is taken over the whole array; each row has its own sum":
        {"e_NV.sum(axis=1, keepdims=True)": "e_NV.sum()"},
    "this is the loss, one number; its gradient has an entry for each logit":
        {"    dlogits_NV[np": "    return -np.log(dlogits_NV[np.arange(len(targets_N)), targets_N])"
                              ".mean()\n    dlogits_NV[np"},
    "it is not divided by N: the loss is a mean": {" / len(targets_N)": ""},
    "the sign is flipped: it leads up the loss": {"return ": "return -"},
    "the 1 at the target is left out": {"-= 1": "-= 0"},
    "only the targets get a gradient; all logits share the sum":
        {"return ": "return np.eye(logits_NV.shape[1])[targets_N] * "},
    "e^z overflows: subtract the largest logit of each row first":
        {" - logits_NV.max(axis=1, keepdims=True)": ""},
    "-1 / p is the gradient with respect to the probability, and not to the logits":
        {"dlogits_NV[np.arange(len(targets_N)), targets_N] -= 1":
         "hit_NV = np.eye(logits_NV.shape[1])[targets_N]\n"
         "    dlogits_NV = -hit_NV / np.where(hit_NV, dlogits_NV, 1)"},
}
