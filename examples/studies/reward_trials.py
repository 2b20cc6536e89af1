"""The trainings of the reward study: a tiny GPT that has read few stories learns from a reward."""

from functools import cache

import numpy as np
from reward_language import exact, language, lost_entropy, mass

from npgpt import GPT, GPTConfig, TrainConfig
from npgpt.fast.storage import use_storage
from npgpt.ngram import NgramModel
from npgpt.optim import make_optimizer
from npgpt.reward.draws import PAD, Rewarded, draw_stories, frozen_log_probs
from npgpt.reward.settings import RewardConfig
from npgpt.reward.verify import GrammarVerifier, Verdict
from npgpt.train import training_steps

LONGEST, READ = 24, 300  # tokens of a story; stories that the start has read
MODEL = {"n_layer": 1, "n_head": 2, "n_embd": 24, "bias": False}
START = {"max_iters": 180, "batch_size": 16, "lr": 1e-2, "min_lr": 0.0, "warmup_iters": 5}
TRAINING = {"max_iters": 60, "batch_size": 64, "min_lr": 0.0, "warmup_iters": 5,
            "weight_decay": 0.0}
PROXIES = {"proxy": 3, "5-gram": 5}


def read(seed):
    """Return the rows of the stories that the start has read."""
    return language().drawn(READ, np.random.default_rng((seed, 0)), language().p_S)


@cache
def started(seed):
    of, rows = language(), read(seed)
    config = TrainConfig(seed=seed, **START)
    model = GPT(GPTConfig(len(of.tokens), block_size=LONGEST, **MODEL), seed=seed)
    for _ in training_steps(model, make_optimizer(model, config), rows[rows != PAD], config):
        pass
    return model


def start(seed, dtype=np.float32):
    """Return a new copy of the model at the start."""
    model = GPT(started(seed).config, seed=seed, dtype=dtype)
    for name, weight in model.parameters().items():
        weight.data[...] = started(seed).parameters()[name].data
    return use_storage(model, "fp32")


class Verifier(GrammarVerifier):
    """The grammar's verdict, with a reward of its own.

    reward   "grammar"; "rare", for right stories about RARE alone; one of PROXIES, the mean
             log-probability of a story's tokens by an n-gram model of what the start has read
    """

    def __init__(self, seed, reward="grammar"):
        of, self.reward, self.n = language(), reward, PROXIES.get(reward)
        super().__init__(of, of.grammar)
        if self.n:
            rows = np.pad(read(seed), ((0, 0), (self.n - 3, 0)), constant_values=of.prompt_P)
            self.ngram = NgramModel(rows[rows != PAD], len(of.tokens), self.n)

    def __call__(self, ids):
        verdict = super().__call__(ids)
        if self.n:
            score = -self.ngram.loss([*language().prompt_P * (self.n - 1), *ids])
            return Verdict(score, verdict.right)
        if self.reward == "rare":
            return verdict._replace(reward=float(verdict.right and language().rare in ids))
        return verdict


class FromPool(Rewarded):
    """The objective on stories of a pool, if there is one, in place of drawn ones."""

    pool = None

    def _stories(self, count, seed, step):
        if self.pool is None:
            return super()._stories(count, seed, step)
        if self.config.reward_loss == "dpo":
            return self.pool, None
        rng = np.random.default_rng((seed, step))
        return self.pool[rng.integers(len(self.pool), size=count)], None


def pairs(model, verify, rng, count=256):
    """Return right stories and wrong ones in turns, as many of each, all written by a model."""
    ids = draw_stories(model, language().prompt_P, 4096, verify, rng)
    right_B = np.array([verify(row[1:][row[1:] != PAD]).right for row in ids])
    both = zip(ids[right_B][:count], ids[~right_B][:count], strict=False)
    return np.array([row for pair in both for row in pair])


def kl_to(reference, model, verify, rng, count=512):
    """Return an estimate of KL(model || reference) in nats per story, exact at drawn prefixes."""
    ids = draw_stories(model, language().prompt_P, count, verify, rng)
    own_BTV, ref_BTV = (frozen_log_probs(each, ids)[1] for each in (model, reference))
    kl_BT = (np.exp(own_BTV) * (own_BTV - ref_BTV)).sum(axis=-1)
    return (kl_BT * (ids[:, 1:] != PAD)).sum() / count


def trained(settings):
    """Return what a trial measures: {"at": a dict for each evaluation, "kl": of the end, ...}.

    settings   "seed"; "lr"; of some, "steps"; "every", from evaluation to evaluation; "verify", a
               reward of `Verifier`; "pool"; "switches" of a RewardConfig
    """
    of, seed = language(), settings["seed"]
    reference, model = start(seed), start(seed)
    changed = {"max_iters": settings.get("steps", 60)} | settings.get("switches", {})
    config = RewardConfig(reward="grammar", seed=seed, lr=settings["lr"], **TRAINING | changed)
    verify = Verifier(seed, settings.get("verify", "grammar"))
    rng = np.random.default_rng((seed, 1))
    objective = FromPool(None, model, reference, verify, of.prompt_P, config)
    if settings.get("pool") == "pairs":
        objective.pool = pairs(reference, verify, rng)
    elif settings.get("pool") == "another writer":  # likes all words equally
        objective.pool = of.drawn(2048, rng, of.rare_S * 1.0)
    _, filter_S = exact(reference, of)

    def evaluated(step, seen):
        found, _ = exact(model, of, filter_S)
        found |= {"step": step} | {k: seen[k] for k in ("kl", "reward") if k in seen}
        if settings.get("pool") == "pairs":
            chosen, rejected = (mass(model, objective.pool[side::2]) for side in (0, 1))
            found |= {"chosen": chosen, "rejected": rejected, "other": found["valid"] - chosen}
        return found

    at = [evaluated(0, {})]
    optimizer = make_optimizer(model, config)
    for step in training_steps(model, optimizer, None, config, objective=objective):
        if step.step % settings.get("every", 10) == 0:
            at.append(evaluated(step.step, step.measured))
    _, q_S = exact(model, of, filter_S)
    return {"at": at, "kl": kl_to(reference, model, verify, rng),
            "lost": lost_entropy(q_S, filter_S, of)}
