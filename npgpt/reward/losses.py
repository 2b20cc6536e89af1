"""Losses of learning from a reward, made of ops: a cross-entropy with a weight for each token.

A story y has tokens y_t. pi is the model, pi_old the model that drew y, pi_ref the start.

    policy       -1/N sum_n sum_t min(rho_nt A_nt, clip(rho_nt, 1 - eps, 1 + eps) A_nt)
                 rho = pi / pi_old. With one update per draw, rho = 1 and the gradient is that of
                 -A ln pi: REINFORCE (Williams, 1992). With more: PPO (Schulman et al., 2017)
    advantage    A = r, or r - mean, or (r - mean) / std over the batch (GRPO: Shao et al., 2024);
                 1/|y_n| for each story, or none (Dr. GRPO: Liu et al., 2025)
    KL           + beta sum_t k, with d = ln pi - ln pi_ref (Schulman, Approximating KL, 2020):
                 k1 = d, k2 = d^2 / 2, k3 = e^-d - 1 + d; "full": sum_v pi_v d_v, exact at each
                 y_<t; "reward" subtracts beta sum_t d from r instead (Ziegler et al., 2019)
    entropy      - eta sum_t H(pi(. | y_<t))
    rejection    A = r for stories drawn from pi_ref: cross-entropy of the right ones
    DPO          -ln sigmoid(beta (ln pi(w)/pi_ref(w) - ln pi(l)/pi_ref(l))) for pairs of a right
                 story w and a wrong one l (Rafailov et al., 2023)
"""

import numpy as np

from autograd import clip, exp, log_softmax, logsumexp, maximum, stack


def log_probs(model, idx_BT, targets_BT):
    """Return (ln pi of each target (B, T), of every token (B, T, V)); pad targets with 0."""
    all_BTV = log_softmax(model(idx_BT)[0])
    B, T = targets_BT.shape
    return all_BTV[np.arange(B)[:, None], np.arange(T), targets_BT], all_BTV


def divergence(estimator, logp_BT, all_BTV, ref_BT, ref_BTV):
    """Return an estimate of KL(pi || pi_ref) at each token, (B, T)."""
    d = logp_BT - ref_BT
    if estimator == "k1":
        return d
    if estimator == "k2":
        return 0.5 * d * d
    if estimator == "k3":
        return exp(-d) - 1 + d
    return (exp(all_BTV) * (all_BTV - ref_BTV)).sum(axis=-1)


def advantages(returns_B, counted_BT, kind):
    """Return A (B, T): returns, less their mean, over their deviation; 0 where not counted.

    returns_B   the reward of each story
    """
    centred_B = returns_B - (returns_B.mean() if kind != "none" else 0.0)
    if kind == "std":
        centred_B = centred_B / (returns_B.std() + 1e-6)
    return centred_B[:, None] * counted_BT


def policy_loss(logp_BT, all_BTV, draw, config):
    """Return the policy loss of a `Draw` with the switches of a RewardConfig."""
    A_BT, scale_BT = draw.advantage_BT, draw.scale_BT
    if config.reward_updates == 1:
        gain_BT = logp_BT * A_BT
    else:
        rho_BT, eps = exp(logp_BT - draw.old_BT), config.reward_clip
        gain_BT = -maximum(-rho_BT * A_BT, -clip(rho_BT, 1 - eps, 1 + eps) * A_BT)
    if config.reward_kl and config.reward_kl_estimator != "reward":
        kl_BT = divergence(
            config.reward_kl_estimator, logp_BT, all_BTV, draw.ref_BT, draw.ref_BTV
        )
        gain_BT = gain_BT - config.reward_kl * kl_BT
    if config.reward_entropy:
        gain_BT = gain_BT - config.reward_entropy * (exp(all_BTV) * all_BTV).sum(axis=-1)
    return -(gain_BT * scale_BT).sum() * (1 / len(A_BT))


def dpo_loss(logp_BT, draw, config):
    """Return DPO's loss of a `Draw`'s right and wrong stories in pairs, in order; 0 without one."""
    right_B = draw.valid_B > 0
    P = min(right_B.sum(), (~right_B).sum())
    right_P, wrong_P = np.flatnonzero(right_B)[:P], np.flatnonzero(~right_B)[:P]
    d_B = ((logp_BT - draw.ref_BT) * draw.counted_BT).sum(axis=1)
    losing_P = config.reward_kl * (d_B[wrong_P] - d_B[right_P])
    return logsumexp(stack([losing_P * 0, losing_P]), axis=0).sum() * (1 / max(P, 1))
