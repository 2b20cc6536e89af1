"""The gradient of the share of right stories V by three exact ways, beside its estimates.

Along a direction, an estimate needs no backward pass: it is a weighted sum of the slopes of
ln pi(y_t), which are finite differences.
"""

from functools import partial

import numpy as np
from family_models import padded
from reward_language import language
from reward_trials import Verifier, start
from scipy import stats

from autograd import exp
from npgpt.reward.draws import PAD, Rewarded, draw_stories, frozen_log_probs, shifted
from npgpt.reward.losses import log_probs
from npgpt.reward.settings import RewardConfig

switched = partial(RewardConfig, reward="grammar")
GROUP, SIZES = 64, (4, 16, 64, 256)
ESTIMATORS = {
    "none": {"reward_advantage": "none"}, "mean": {}, "std": {"reward_advantage": "std"},
    "token": {"reward_credit": "token"}, "1/length": {"reward_length": "mean"},
}


def gradients(seed, drawn=100_000, groups=16):
    """Return the mean of many estimates along the gradient, and complete ones by group size.

    drawn    stories for the mean, in groups of GROUP
    groups   of each of SIZES
    """
    of, verify, rng = language(), Verifier(seed), np.random.default_rng((seed, 2))
    model = start(seed, np.float64)
    weights = model.parameters().values()
    objectives = {
        name: Rewarded(None, model, model, verify, of.prompt_P, switched(**to))
        for name, to in ESTIMATORS.items()
    }

    def log_pi():
        return log_probs(model, *shifted(of.ids_ST))[0] * (of.ids_ST[:, 1:] != PAD)

    def gradient(value):
        for weight in weights:
            weight.grad = None
        value.backward()
        return np.concatenate([weight.grad.ravel() for weight in weights])

    def stories(count):
        return padded([row for _ in range(0, count, 1000)
                       for row in draw_stories(model, of.prompt_P, 1000, verify, rng)], PAD)[:count]

    by_op = gradient(exp(log_pi().sum(axis=1)).sum())
    pi_S = np.exp(log_pi().data.sum(axis=1))
    by_sum = gradient((log_pi().sum(axis=1) * pi_S).sum())
    V, slope, ids, ends = pi_S.sum(), np.linalg.norm(by_op), stories(drawn), []
    unit = by_op / slope
    for step in (1e-5, -2e-5, 1e-5):
        parts = np.split(step * unit, np.cumsum([weight.size for weight in weights])[:-1])
        for weight, part in zip(weights, parts, strict=True):
            weight.data += part.reshape(weight.shape)
        if len(ends) < 2:
            ends.append((np.exp(log_pi().data.sum(axis=1)).sum(), np.concatenate([
                frozen_log_probs(model, ids[b : b + 5000])[0] for b in range(0, drawn, 5000)])))
    numeric, score_BT = ((high - low) / 2e-5 for high, low in zip(*ends, strict=True))
    K = np.arange(GROUP + 1)
    deviation = stats.binom.pmf(K, GROUP, V) @ np.sqrt(K / GROUP * (1 - K / GROUP))
    theory = {"none": 1.0, "mean": 1 - 1 / GROUP, "token": 1 - 1 / GROUP,
              "std": deviation / (V * (1 - V))}
    found = {"valid": V, "slope": slope, "sum to op": np.abs(by_sum - by_op).max(),
             "difference to op": abs(numeric - slope), "groups": []}
    for name, objective in objectives.items():
        x_G = []
        for b in range(0, drawn - GROUP + 1, GROUP):
            draw = objective.judged(ids[b : b + GROUP])
            w_BT = draw.advantage_BT * draw.scale_BT / GROUP
            x_G.append((w_BT * score_BT[b : b + GROUP]).sum() / slope)
        found[name] = {"factor": np.mean(x_G), "error": stats.sem(x_G), "theory": theory.get(name)}
    for N in SIZES:
        ids = stories(N * groups)
        for name, objective in objectives.items():
            g_GW = -np.array([gradient(objective.judged(group).loss(model))
                              for group in np.split(ids, groups)])
            norms_G = np.linalg.norm(g_GW, axis=1)
            noise = np.sqrt(g_GW.var(axis=0, ddof=1).sum()) / np.linalg.norm(g_GW.mean(axis=0))
            found["groups"].append({
                "N": N, "estimator": name, "none right": np.mean(norms_G == 0), "noise": noise,
                "cosine": np.mean((g_GW @ unit)[norms_G > 0] / norms_G[norms_G > 0])})
    return found
