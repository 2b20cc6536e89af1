"""The tasks of the three families, on stories that none was trained on, with exact answers.

    word        which word is hidden? beside the grammar's own odds
    go on       go on with a story that is begun; the grammar says how far it is one
    rewrite     the story of a queen told of a king, where the grammar has one right answer
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from family_models import LONGEST, padded
from scipy.stats import entropy

from autograd import Tensor, log_softmax
from npgpt import tales
from npgpt.models.writing import fill_masks
from npgpt.objectives.denoising import MASK, PAD, SENTINELS
from npgpt.reward.verify import GrammarVerifier
from npgpt.sampling import Sampling

NOBLES = tales.GRAMMAR.lists["noble"]  # three lords, then the three ladies
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
    found, judge = [], GrammarVerifier(tokenizer)
    for i, story in enumerate(stories):
        ids_T = tokenizer.encode(story)
        given = len(ids_T) // 3
        if family == "bert":  # a mask for each word that is to come, as many as the story has
            hidden_T = np.where(np.arange(len(ids_T)) < given, ids_T, tokenizer.special_ids[MASK])
            ids = list(fill_masks(model, tokenizer, hidden_T, LONGEST, seed=seed + i))
        else:
            begin = tokenizer.encode("\n\n" if family == "gpt" else "")
            prompt_T = np.append(begin, ids_T[:given])
            (new,) = WRITES[family](model, tokenizer, [prompt_T], LONGEST - given, 1, seed + i)
            ids = [*ids_T[:given].tolist(), *new]
        ids = _up_to_its_end(tokenizer, ids)
        verdict = judge(ids)
        allowed = len(ids) if verdict.wrong is None else verdict.wrong
        found.append({"whole": verdict.right,
                      "allowed": (allowed - given) / max(1, len(ids) - given)})
    return pd.DataFrame(found).astype(float).mean().to_dict()


def beginnings(tokenizer, stories, seed=0):
    """Return for each story token ids before a cut at random, and those after it."""
    rng = np.random.default_rng(seed)
    texts = [tokenizer.encode(story) for story in stories]
    return [np.split(ids_T, [rng.integers(1, len(ids_T))]) for ids_T in texts]


def _gpt_writes(model, tokenizer, prompts, length, temperature, seed=0):
    """Return what a GPT writes after each prompt, up to the end of a story."""
    texts = model.generate(prompts, length, temperature=temperature, seed=seed,
                           stop=tokenizer.ids["\n"])
    return [_up_to_its_end(tokenizer, text[len(prompt) :].tolist())
            for text, prompt in zip(texts, prompts, strict=True)]


def _t5_writes(model, tokenizer, sources, length, temperature, seed=0):
    """Return what the decoder writes for each source."""
    sampling, rng = Sampling(temperature), np.random.default_rng(seed)
    pad = tokenizer.special_ids[PAD]
    source_BS, written_BT = padded(sources, pad), np.full((len(sources), 1), pad)
    with model.evaluating():
        encoded = model.encode(source_BS, source_BS != pad)
        for _ in range(length):
            x_BTC = model.decode(written_BT, encoded, source_BS != pad)
            next_B = [sampling.sample(logits_V, rng) for logits_V in model.head(x_BTC[:, -1]).data]
            written_BT = np.column_stack([written_BT, next_B])
    return written_BT[:, 1:].tolist()


WRITES = {"gpt": _gpt_writes, "t5": _t5_writes}


def _up_to_its_end(tokenizer, ids):
    """Return a story up to its first line end, and with it the empty line that follows."""
    line_end = tokenizer.ids["\n"]
    return [*ids[: ids.index(line_end)], line_end, line_end] if line_end in ids else ids


# ---- a story told anew


def swapped(story):
    """Return the story by the same dice, of a queen if it was of a king; None without either.

    Title, name and every word for the hero change, "her" to "his" or to "him", and so do the words
    for whomever the hero meets.
    """
    taken = choices(story)
    left = iter(taken)

    def otherwise(options, _):
        _, before, option = next(left)
        i = before.index(option) + 3 * (options is NOBLES)
        return options[i % len(options)]

    has_hero = any(options is NOBLES for _, options, _ in taken)
    return tales.GRAMMAR.write(otherwise) if has_hero else None


def pairs_to_rewrite(tokenizer, stories):
    """Return (source ids, target ids) of stories with a hero."""
    pairs = [(story, swapped(story)) for story in stories]
    return [(tokenizer.encode(a), tokenizer.encode(b)) for a, b in pairs if b]


def rewrite(family, model, tokenizer, pairs):
    """Return shares of stories rewritten without a fault, and of words right: of those that change,
    and of those that stay as they are."""
    sources, pad = [source for source, _ in pairs], tokenizer.special_ids[PAD]
    if family == "bert":  # a word for each, all at once
        source_BT = padded(sources, pad)
        with model.evaluating():
            written = model(source_BT, mask_BT=source_BT != pad)[0].data.argmax(axis=-1)
    else:
        written = WRITES[family](model, tokenizer, sources, LONGEST, temperature=0)
    right = [np.append(got, np.full(LONGEST, -1))[: len(target)] == target
             for got, (_, target) in zip(written, pairs, strict=True)]
    right_N = np.concatenate(right)
    changes_N = np.concatenate([source != target for source, target in pairs])
    return {"exact": np.mean([right_T.all() for right_T in right]),
            "changed": right_N[changes_N].mean(), "kept": right_N[~changes_N].mean()}
