"""The gradient of the loss with respect to the logits."""

import numpy as np

SECTION = "Training Process"
TASK = """
The loss is the mean, over N positions, of minus the log of the softmax probability of the target:
loss = mean_n (ln sum_v e^(z_nv) - z_n,target). Write its gradient with respect to the logits z, the
first step of backward. Logits can be large; e^1000 overflows.
"""
RETURNS = ("dlogits",)
WHERE = "autograd.reference.cross_entropy_backward"
HINTS = (
    "The derivative of ln sum e^z with respect to z_v is the softmax, p_v.",
    "The derivative of -z_target is -1 at the target, 0 elsewhere. And the loss is a mean.",
    "(p - one-hot) / N; p from logits less their maximum, so that nothing overflows.",
)


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


def _probabilities(logits_NV, shift=True):
    z_NV = logits_NV - logits_NV.max(axis=1, keepdims=True) if shift else logits_NV
    return np.exp(z_NV) / np.exp(z_NV).sum(axis=1, keepdims=True)


def _one_hot(logits_NV, targets_N):
    return np.eye(logits_NV.shape[1])[targets_N]


FAULTS = {
    "it is not divided by N: the loss is a mean": lambda logits_NV, targets_N:
        cross_entropy_vjp(logits_NV, targets_N) * len(targets_N),
    "it is divided by N times V": lambda logits_NV, targets_N:
        cross_entropy_vjp(logits_NV, targets_N) / logits_NV.shape[1],
    "the sign is flipped: it leads up the loss": lambda logits_NV, targets_N:
        -cross_entropy_vjp(logits_NV, targets_N),
    "the 1 at the target is left out": lambda logits_NV, targets_N:
        _probabilities(logits_NV) / len(targets_N),
    "only the targets get a gradient; all logits share the sum": lambda logits_NV, targets_N:
        cross_entropy_vjp(logits_NV, targets_N) * _one_hot(logits_NV, targets_N),
    "the logits are used instead of their softmax": lambda logits_NV, targets_N:
        (logits_NV - _one_hot(logits_NV, targets_N)) / len(targets_N),
    "e^z overflows: subtract the largest logit of each row first": lambda logits_NV, targets_N:
        (_probabilities(logits_NV, shift=False) - _one_hot(logits_NV, targets_N)) / len(targets_N),
}
