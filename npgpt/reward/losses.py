"""The loss of learning from a reward, made of ops: a cross-entropy with a weight for each token.

A story y has tokens y_t. pi is the model, pi_ref the model at the start, r the reward.

    policy       -1/N sum_n sum_t A_n ln pi(y_nt | y_n,<t): REINFORCE (Williams, 1992)
    advantage    A = r - mean of r over the batch
    KL penalty   + beta/N sum_n sum_t sum_v pi_v ln(pi_v / pi_ref,v), exact at each y_<t
"""

import numpy as np

from autograd import exp, log_softmax


def log_probs(model, idx_BT, targets_BT):
    """Return (ln pi of each target (B, T), of every token (B, T, V)); pad targets with 0."""
    all_BTV = log_softmax(model(idx_BT)[0])
    B, T = targets_BT.shape
    return all_BTV[np.arange(B)[:, None], np.arange(T), targets_BT], all_BTV


def advantages(reward_B):
    """Return how much better than the batch's mean each reward is, (B,)."""
    return reward_B - reward_B.mean()


def policy_loss(logp_BT, all_BTV, draw, beta):
    """Return the policy loss of a `Draw`, with a KL penalty of weight beta."""
    gain_BT = logp_BT * draw.advantage_BT
    if beta:
        gain_BT = gain_BT - beta * (exp(all_BTV) * (all_BTV - draw.ref_BTV)).sum(axis=-1)
    return -(gain_BT * draw.counted_BT).sum() * (1 / len(draw.advantage_BT))
