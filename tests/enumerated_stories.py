"""A language whose stories are all enumerated: up to three tokens of 0, 1 and 2 long, and 0
ends one, fifteen in all. So the expected gradient of a loss is a sum over all groups of stories
that could be drawn, and what it should be is a finite difference of a sum over all stories.
"""

from itertools import combinations_with_replacement, permutations, product

import numpy as np

from npgpt import GPT, GPTConfig
from npgpt.reward.draws import PAD, frozen_log_probs
from npgpt.reward.verify import Verdict

CONFIG = GPTConfig(vocab_size=3, block_size=3, n_layer=1, n_head=1, n_embd=4)
END = 0
STORIES = sorted({(*ids[: ids.index(END)], END) if END in ids else ids
                  for ids in product(range(3), repeat=3)})
RIGHT = {(1, 2, 0), (2, 0), (2, 2, 1)}


class Verifier:
    tokens = (b"0", b"1", b"2")

    def ended(self, written):
        return written.endswith(b"0")

    def __call__(self, ids):
        ids = tuple(ids)
        if ids in RIGHT:
            return Verdict(1.0, True)
        begin = [right[: len(ids)] for right in RIGHT]
        right = max(n for n in range(len(ids) + 1) if any(ids[:n] == b[:n] for b in begin))
        return Verdict(0.0, False, min(right, len(ids) - 1))


def model(seed):
    made = GPT(CONFIG, seed=seed, dtype=np.float64)
    for weight in made.parameters().values():  # far from uniform
        weight.data += 0.5 * np.random.default_rng(seed).standard_normal(weight.shape)
    return made


def rows(stories):
    return np.array([(END, *ids, *[PAD] * (3 - len(ids))) for ids in stories])


ALL = rows(STORIES)
COUNTED = ALL[:, 1:] != PAD


def nats(of):
    return frozen_log_probs(of, ALL)[0] * COUNTED


def gradient(policy, loss):
    for weight in policy.parameters().values():
        weight.grad = None
    loss.backward()
    return np.concatenate([weight.grad.ravel() for weight in policy.parameters().values()])


def expected(policy, of, N=1):
    """Return the mean gradient of an objective over all groups of N stories, in any order."""
    total = 0.0
    pi = np.exp(nats(policy).sum(axis=1))
    assert abs(pi.sum() - 1) < 1e-12
    for group in combinations_with_replacement(range(len(STORIES)), N):
        loss, orders = of.judged(ALL[list(group)]).loss(policy), len({*permutations(group)})
        total = total + orders * pi[list(group)].prod() * gradient(policy, loss)
    return total


def differences(policy, f):
    """Return the gradient of f() with respect to the policy's weights, by central differences."""
    found = []
    for weight in policy.parameters().values():
        for i in np.ndindex(weight.shape):
            before, ends = weight.data[i], []
            for h in (1e-5, -1e-5):
                weight.data[i] = before + h
                ends.append(f())
            weight.data[i] = before
            found.append((ends[0] - ends[1]) / 2e-5)
    return np.array(found)


RIGHT_S = np.array([ids in RIGHT for ids in STORIES])


def validity(policy):
    return np.exp(nats(policy).sum(axis=1))[RIGHT_S].sum()
