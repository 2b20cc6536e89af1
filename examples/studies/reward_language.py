"""A language whose stories are all enumerated, and the exact measures of a model that writes it."""

import re
from functools import cache

import numpy as np
from family_models import padded
from scipy.special import rel_entr

from npgpt.reward.draws import PAD, frozen_log_probs
from npgpt.tales import END
from npgpt.tales.grammar import Grammar

HE, SHE = {"he": "he", "his": "his"}, {"he": "she", "his": "her"}


def weighted(*words):
    """Return options, each twice as frequent as the next; a word may come with its traits."""
    rows = [word if isinstance(word, tuple) else (word, {}) for word in words]
    return [(*row, 2.0 ** (len(rows) - i)) for i, row in enumerate(rows)]


LISTS = {
    "hero": weighted(("King", HE), ("Queen", SHE), ("Duke", HE), ("Dame", SHE)),
    "time": weighted("day", "night"),
    "thing": weighted("coat", "ring", "lamp"),
    "land": weighted("Bor", "Vel", "Nor"),
    "mood": weighted("shy", "bold", "wise"),
    "animal": weighted("cat", "dog", "hen", "fox"),
    "kindness": weighted("fed", "kissed", "paid"),
    "woe": weighted(("tired", {"cure": "slept in", "by": "bed"}),
                    ("hungry", {"cure": "ate", "by": "pie"}),
                    ("thirsty", {"cure": "drank", "by": "tea"})),
    "story": weighted(
        "One {:time} {h:hero} lost {h.his} {:thing} in {:land}. A {:mood} {p:animal} found it, so "
        "{h.he} {:kindness} the {p}" + END,
        "A {:mood} {:animal} was {w:woe}, so it {w.cure} the {w.by}. Then {:hero} led it to {:land}"
        + END,
        "In {:land} {:hero} met a {:mood} {:animal}" + END,
    ),
}
BEGINNING = 4  # tokens of a story that pass@k continues
KS = [4**i for i in range(6)]


class Language:
    """All stories S of a grammar; a token is a word with the space before it.

    ids_ST    token ids: the prompt, the story, PAD
    p_S       the probability of each
    begin_S   which of the different beginnings it has
    """

    def __init__(self, grammar):
        self.grammar, stories = grammar, list(texts(grammar))
        pieces_S = [re.findall(r" ?[A-Za-z]+|[.\n]+|,", END + story) for story in stories]
        words = sorted(set().union(*pieces_S))
        ids = {word: i for i, word in enumerate(words)}
        self.tokens, self.prompt_P = [word.encode() for word in words], [ids[END]]
        self.ids_ST = padded([[ids[piece] for piece in pieces] for pieces in pieces_S], PAD)
        self.p_S = np.exp([grammar.log_probability(story) for story in stories])
        begins = np.unique(self.ids_ST[:, : BEGINNING + 1], axis=0, return_inverse=True)[1]
        self.begin_S = begins.reshape(-1)

    def drawn(self, count, rng):
        """Return the rows of stories drawn with their probabilities."""
        return self.ids_ST[rng.choice(len(self.p_S), count, p=self.p_S / self.p_S.sum())]


@cache
def language():
    return Language(Grammar(LISTS))


def texts(grammar, picks=()):
    """Yield each text of a grammar whose first choices are the given options."""
    left, options_next = iter(picks), []

    def choose(options, _):
        options_next[:] = options
        return next(left)

    try:
        yield grammar.write(choose)
    except StopIteration:  # a choice without a pick
        for option in options_next:
            yield from texts(grammar, (*picks, option))


def log_pi(model, ids_BT):
    """Return ln pi of each token after the first, (B, T - 1), 0 for PAD."""
    return frozen_log_probs(model, ids_BT)[0].astype(np.float64) * (ids_BT[:, 1:] != PAD)


def mass(model, ids_BT):
    """Return the probability of the different stories among rows."""
    return np.exp(log_pi(model, np.unique(ids_BT, axis=0)).sum(axis=1)).sum()


def kl(p_S, q_S):
    """Return KL(p || q) in nats."""
    return rel_entr(p_S, np.maximum(q_S, 1e-300)).sum()


def exact(model, of, filter_S=None):
    """Return what is exact of a model, a dict, and its distribution over right stories (S,).

    filter_S   that distribution at the start; None if this is the start
    """
    logp_ST = log_pi(model, of.ids_ST)
    pi_S = np.exp(logp_ST.sum(axis=1))
    q_S = pi_S / pi_S.sum()
    filter_S = q_S if filter_S is None else filter_S
    right_B, often_B = (np.bincount(of.begin_S, weights) for weights in (
        np.exp(logp_ST[:, BEGINNING:].sum(axis=1)), of.p_S))
    miss_B = np.log1p(-np.minimum(right_B, 1 - 1e-12))
    return {
        "valid": pi_S.sum(), "effective": np.exp(-kl(q_S, np.ones_like(q_S))),
        "distinct": -np.expm1(1000 * np.log1p(-pi_S)).sum(), "to filter": kl(q_S, filter_S),
        "pass": [-np.expm1(k * miss_B) @ often_B for k in KS],
        "lost": (right_B < 0.01) @ often_B,
    }, q_S
