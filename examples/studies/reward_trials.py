"""The trainings of the reward study: a tiny GPT that has read few stories learns from a reward."""

from copy import deepcopy
from dataclasses import replace
from functools import cache

import numpy as np
from reward_language import exact, language, mass

from autograd import logsumexp, stack
from npgpt import GPT, GPTConfig, TrainConfig
from npgpt.fast.storage import use_storage
from npgpt.optim import make_optimizer
from npgpt.reward.draws import PAD, Draw, Rewarded, draw_stories, frozen_log_probs
from npgpt.reward.losses import log_probs
from npgpt.reward.settings import RewardConfig
from npgpt.reward.verify import GrammarVerifier
from npgpt.train import training_steps

LONGEST, READ = 24, 300  # tokens of a story; stories that the start has read
COUNT = 512  # stories that measure a KL
MODEL = {"n_layer": 1, "n_head": 2, "n_embd": 24, "bias": False}
START = {"max_iters": 180, "batch_size": 16, "lr": 1e-2, "min_lr": 0.0, "warmup_iters": 5}
TRAINING = {"batch_size": 64, "min_lr": 0.0, "warmup_iters": 5, "weight_decay": 0.0}


@cache
def started(seed):
    of = language()
    rows = of.drawn(READ, np.random.default_rng((seed, 0)))
    config = TrainConfig(seed=seed, **START)
    model = GPT(GPTConfig(len(of.tokens), block_size=LONGEST, **MODEL), seed=seed)
    for _ in training_steps(model, make_optimizer(model, config), rows[rows != PAD], config):
        pass
    return model


def start(seed):
    """Return a new copy of the model at the start."""
    return use_storage(deepcopy(started(seed)), "fp32")


class Pairs(Draw):
    """Right and wrong stories for DPO (Rafailov et al., 2023), in pairs in their order:

        -ln sigmoid(beta (ln pi(w)/pi_ref(w) - ln pi(l)/pi_ref(l)))
    """

    def loss(self, model):
        super().loss(model)  # which measures
        logp_BT, _ = log_probs(model, self.idx_BT, self.targets_BT)
        ref_BT1 = np.take_along_axis(self.ref_BTV, self.targets_BT[:, :, None], axis=2)
        d_B = ((logp_BT - ref_BT1[:, :, 0]) * self.counted_BT).sum(axis=1)
        right_B = self.valid_B > 0
        P = min(right_B.sum(), (~right_B).sum())
        right_P, wrong_P = np.flatnonzero(right_B)[:P], np.flatnonzero(~right_B)[:P]
        losing_P = self.config.reward_kl * (d_B[wrong_P] - d_B[right_P])
        return logsumexp(stack([losing_P * 0, losing_P]), axis=0).sum() * (1 / max(P, 1))


class Switched(Rewarded):
    """The objective with switches.

    advantage   None: less the mean; "std": over the deviation (GRPO; Shao et al., 2024); "none": r
    kl          weight of a KL that is subtracted from r (Ziegler et al., 2019)
    pool        stories in place of drawn ones, as pairs for DPO
    """

    advantage = kl = pool = None

    def _stories(self, count, seed, step):
        return super()._stories(count, seed, step) if self.pool is None else (self.pool,)

    def judged(self, *stories):
        draw = super().judged(*stories)
        return draw if self.pool is None else Pairs(**vars(draw))

    def advantages(self, reward_B, ids, counted_BT):
        if self.kl:
            own_BT, ref_BT = (frozen_log_probs(of, ids)[0] for of in (self.model, self.reference))
            reward_B = reward_B - self.kl * ((own_BT - ref_BT) * counted_BT).sum(axis=1)
        if self.advantage == "none":
            return reward_B
        over = reward_B.std() + 1e-6 if self.advantage == "std" else 1
        return super().advantages(reward_B, ids, counted_BT) / over


def pairs(model, verify, rng, count=256):
    """Return right stories and wrong ones in turns, as many of each, all written by a model."""
    ids = draw_stories(model, [language().prompt_P] * 4096, verify, rng)
    right_B = np.array([verify(row[1:][row[1:] != PAD]).right for row in ids])
    both = zip(ids[right_B][:count], ids[~right_B][:count], strict=False)
    return np.array([row for pair in both for row in pair])


def trained(settings):
    """Return what a trial measures: {"at": a dict for each evaluation, "kl": of the end}.

    settings   "seed"; "lr"; of some, "steps"; "every", from evaluation to evaluation; "pool";
               "switches"
    """
    of, seed = language(), settings["seed"]
    reference, model = start(seed), start(seed)
    switches = {"max_iters": settings.get("steps", 60)} | settings.get("switches", {})
    others = {name: switches.pop(f"reward_{name}", None) for name in (
        "advantage", "kl_estimator", "draws", "loss")}
    config = RewardConfig(reward="grammar", seed=seed, lr=settings["lr"], **TRAINING | switches)
    verify, rng = GrammarVerifier(of, of.grammar), np.random.default_rng((seed, 1))
    writer = reference if others["draws"] == "start" else model  # for rejection sampling
    objective = Switched(None, writer, reference, verify, of.prompt_P, config)
    objective.advantage = others["advantage"]
    if others["kl_estimator"] == "reward":
        objective.kl, objective.config = config.reward_kl, replace(config, reward_kl=0.0)
    if "pool" in settings:
        objective.pool = pairs(reference, verify, rng)
    _, filter_S = exact(reference, of)

    def evaluated(step):
        found = exact(model, of, filter_S)[0] | {"step": step}
        if "pool" in settings:
            found |= {name: mass(model, objective.pool[side::2])
                      for side, name in enumerate(("chosen", "rejected"))}
        return found

    at, optimizer = [evaluated(0)], make_optimizer(model, config)
    for step in training_steps(model, optimizer, None, config, objective=objective):
        if step.step % settings.get("every", 10) == 0:
            at.append(evaluated(step.step))
    last = objective.judged(draw_stories(model, [of.prompt_P] * COUNT, verify, rng))
    last.loss(model)  # which measures the KL from the start, exact at drawn prefixes
    return {"at": at, "kl": last.sums["kl"] / COUNT}
