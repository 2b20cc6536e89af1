"""The tasks of the three families, on stories that none was trained on, with exact answers.

    word        which word is hidden? beside the grammar's own odds
    go on       go on with a story that is begun; the grammar says how far it is one
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from family_models import LONGEST, padded
from scipy.stats import entropy

from autograd import Tensor, log_softmax
from npgpt import tales
from npgpt.batches import IGNORE_INDEX, Batch
from npgpt.models.writing import fill_masks
from npgpt.objectives.denoising import MASK, PAD, SENTINELS
from npgpt.reward.verify import GrammarVerifier
from npgpt.sampling import Sampling

TELLS = 0.1  # nats that what follows has to say of a hidden word


def choices(story):
    """Return (position, options, the one taken) of each choice that derives a story."""
    found = []

    def follow(options, so_far):
        at = sum(map(len, so_far))
        taken = next(option for option in options if story.startswith(option.lead, at))
        found.append((at, options, taken))
        return taken

    tales.GRAMMAR.write(follow)
    return found


# ---- a hidden word


class Hidden(NamedTuple):
    """A story with a word hidden: which token, the words that could be there, which one is, and
    the probability of each given all the rest, (K,)."""

    ids_T: np.ndarray
    at: int
    words_K: np.ndarray
    right: int
    odds_K: np.ndarray


def hidden_words(tokenizer, stories, seed=0):
    """Return a `Hidden` for each story that has a word of which what follows tells something.

    The options of the grammar's choice could be there. Given the whole rest, each is as likely as
    the grammar makes the story with it.
    """
    rng = np.random.default_rng(seed)
    telling = [[*_telling(tokenizer, story)] for story in stories]
    return [words[rng.integers(len(words))] for words in telling if words]


def _telling(tokenizer, story):
    for at, options, taken in choices(story):
        words = [" " + option.lead for option in options]
        if story[at - 1] != " " or not tokenizer.ids.keys() >= {*words}:
            continue
        before, after = story[: at - 1], story[at + len(taken.lead) :]
        nats = [tales.log_probability(before + word + after) for word in words]
        odds_K = np.nan_to_num(np.exp(np.array(nats, float)))  # None, of no story, is nan
        odds_K /= odds_K.sum()
        if entropy(odds_K) < np.log(len(words)) - TELLS:
            yield Hidden(tokenizer.encode(story), len(tokenizer.encode(before)),
                         np.array([tokenizer.ids[word] for word in words]),
                         options.index(taken), odds_K)


def find_words(family, model, tokenizer, hidden):
    """Return nats lost on a hidden word, and the share of words found, of those it could be.

    Of a GPT both by what comes before ("left") and by trying each word in the story ("both"). The
    "best" is by the true odds.
    """
    found = []
    for h in hidden:
        row = {"best nats": -np.log(h.odds_K[h.right]), "best share": h.odds_K.max()}
        with model.evaluating():
            scores = _scores(family, model, tokenizer, h)
        for way, scores_K in scores.items():
            logs_K = log_softmax(Tensor(scores_K)).data
            row[f"{way} nats"], row[f"{way} share"] = -logs_K[h.right], logs_K.argmax() == h.right
        found.append(row)
    return pd.DataFrame(found).astype(float).mean().to_dict()


def _scores(family, model, tokenizer, h):
    """Return way -> ln of the probability of each word up to a constant, (K,)."""
    K, ids_T = len(h.words_K), h.ids_T.copy()
    if family == "bert":
        ids_T[h.at] = tokenizer.special_ids[MASK]
        return {"both": model(ids_T[None])[0].data[0, h.at, h.words_K]}
    if family == "t5":  # the decoder writes the word, and then ends the span
        pad, first, second = (tokenizer.special_ids[name] for name in (PAD, *SENTINELS[:2]))
        ids_T[h.at] = first
        written_K3 = np.array([[pad, first, word] for word in h.words_K])
        logs = log_softmax(model(np.tile(ids_T, (K, 1)), written_K3)[0]).data
        return {"both": logs[np.arange(K), 1, h.words_K] + logs[:, 2, second]}
    begin = tokenizer.encode("\n\n")
    texts_KT = np.tile(np.append(begin, ids_T), (K, 1))
    texts_KT[:, len(begin) + h.at] = h.words_K
    logs = log_softmax(model(texts_KT[:, :-1])[0]).data
    logs_KT = np.take_along_axis(logs, texts_KT[:, 1:, None], 2)[:, 1 + h.at :, 0]
    return {"left": logs_KT[:, 0], "both": logs_KT.sum(axis=1)}  # the word; the story from it on


# ---- a story that goes on


def go_on(family, model, tokenizer, stories, seed=0):
    """Return shares of stories that the grammar derives, and of what was written before the first
    word that it does not allow. A third of each story is given; words are drawn, each as likely as
    the model has it."""
    found, judge, line_end = [], GrammarVerifier(tokenizer), tokenizer.ids["\n"]
    for i, story in enumerate(stories):
        ids_T = tokenizer.encode(story)
        given = len(ids_T) // 3
        ids = [int(i) for i in WRITES[family](model, tokenizer, ids_T, given, seed + i)]
        if line_end in ids:  # the end of the story, and with it the empty line that follows
            ids = [*ids[: ids.index(line_end)], line_end, line_end]
        verdict = judge(ids)
        allowed = len(ids) if verdict.wrong is None else verdict.wrong
        found.append({"whole": verdict.right,
                      "allowed": (allowed - given) / max(1, len(ids) - given)})
    return pd.DataFrame(found).astype(float).mean().to_dict()


def _gpt_writes(model, tokenizer, ids_T, given, seed):
    begin = tokenizer.encode("\n\n")
    prompt_T = np.append(begin, ids_T[:given])
    return model.generate(prompt_T, LONGEST - given, seed=seed,
                          stop=tokenizer.ids["\n"])[len(begin) :]


def _bert_writes(model, tokenizer, ids_T, given, seed):
    """Fill a mask for each word that is to come, as many as the story has."""
    hidden_T = np.where(np.arange(len(ids_T)) < given, ids_T, tokenizer.special_ids[MASK])
    return fill_masks(model, tokenizer, hidden_T, LONGEST, seed=seed)


def _t5_writes(model, tokenizer, ids_T, given, seed):
    sampling, rng = Sampling(), np.random.default_rng(seed)
    written = [tokenizer.special_ids[PAD]]
    with model.evaluating():
        encoded = model.encode(ids_T[None, :given])
        for _ in range(LONGEST - given):
            x_BTC = model.decode(np.array([written]), encoded)
            written.append(sampling.sample(model.head(x_BTC[:, -1]).data[0], rng))
    return [*ids_T[:given], *written[1:]]


WRITES = {"gpt": _gpt_writes, "bert": _bert_writes, "t5": _t5_writes}


class Continuing:
    """The objective of a T5 that reads a story up to a cut, and writes the rest."""

    def __init__(self, tokenizer):
        self.pad = tokenizer.special_ids[PAD]

    def sample(self, pairs, block_size, batch_size, *, seed, step, rows=slice(None)):
        """Return the `Batch` of a step, a function of (seed, step).    pairs: of `beginnings`"""
        drawn = np.random.default_rng((seed, step)).integers(0, len(pairs), batch_size)[rows]
        sources, targets = zip(*(pairs[i] for i in drawn), strict=True)
        source_BS, targets_BT = padded(sources, self.pad), padded(targets, IGNORE_INDEX)
        shifted_BT = padded([np.append(self.pad, target[:-1]) for target in targets], self.pad)
        batch = Batch((source_BS, shifted_BT), targets_BT, {"mask_BS": source_BS != self.pad})
        return batch._replace(step_targets=batch.n_targets)


def beginnings(tokenizer, stories, seed=0):
    """Return for each story token ids before a cut at random, and those after it."""
    rng = np.random.default_rng(seed)
    texts = [tokenizer.encode(story) for story in stories]
    return [np.split(ids_T, [rng.integers(1, len(ids_T))]) for ids_T in texts]
