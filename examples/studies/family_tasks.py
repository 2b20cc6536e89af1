"""The tasks of the three families, on stories that none was trained on, with exact answers.

    word        which word is hidden? beside the grammar's own odds
    go on       go on with a story that is begun; the grammar says how far it is one
    rewrite     the story of a queen told of a king, where the grammar has one right answer
    pronoun     which earlier word does "it" mean? read out of hidden states by a probe
"""

import re
from typing import NamedTuple

import numpy as np
import pandas as pd
from family_models import LONGEST, padded
from scipy.stats import entropy
from token_kinds import derivation

from autograd import Tensor, log_softmax
from npgpt import tales
from npgpt.families.objectives import MASK, PAD, SENTINELS
from npgpt.families.writing import fill_masks
from npgpt.reward.verify import GrammarVerifier
from npgpt.sampling import Sampling

NOBLES = tales.GRAMMAR.lists["noble"]  # three lords, then the three ladies
REASONS = (  # not to cross: one of the animal's, and one of what is in its way
    ("tired", "noisy"), ("hungry", "crowded"), ("thirsty", "deep"), ("cold", "wide"),
    ("sad", "steep"), ("scared", "high"),
)
TELLS = 0.1  # nats that what follows has to say of a hidden word
RIDGE = 1.0  # of the linear probe, for inputs of variance 1


def choices(story):
    """Return (`token_kinds.Piece`, option taken) of each choice that derives a story."""
    return [
        (piece, next(o for o in piece.options if story.startswith(o.lead, piece.at)))
        for piece in derivation(tales.GRAMMAR, story) if piece.options
    ]


# ---- a hidden word


class Hidden(NamedTuple):
    """A story with a word hidden: which token, the words that could be there, which one is, and
    the probability of each given all the rest, and given what comes before it, (K,)."""

    ids_T: np.ndarray
    at: int
    words_K: np.ndarray
    right: int
    odds_K: np.ndarray
    left_K: np.ndarray


def hidden_words(tokenizer, stories, seed=0):
    """Return a `Hidden` for each story that has a word of which what follows tells something.

    The options of the grammar's choice could be there. Given the whole rest, each is as likely as
    the grammar makes the story with it. Given only what comes before, all are equally likely, but
    for one list: where a river is "too wide", "river" could have been hidden as well, so "wide" is
    hidden half as often as "tired", which says nothing of the river.
    """
    rng = np.random.default_rng(seed)
    telling = [[*_telling(tokenizer, story)] for story in stories]
    return [words[rng.integers(len(words))] for words in telling if words]


def _telling(tokenizer, story):
    for piece, taken in choices(story):
        leads = [option.lead for option in piece.options]
        words = [" " + lead for lead in leads]
        is_word = story[piece.at - 1] == " " and tokenizer.ids.keys() >= {*words}
        if not (piece.field.slot and is_word):  # without a slot, nothing mentions it
            continue
        before, after = story[: piece.at - 1], story[piece.at + len(taken.lead) :]
        nats = [tales.log_probability(before + word + after) for word in words]
        odds_K = np.nan_to_num(np.exp(np.array(nats, float)))  # None, of no story, is nan
        odds_K /= odds_K.sum()
        if entropy(odds_K) < np.log(len(words)) - TELLS:
            left_K = np.where(np.isin(leads, [of_barrier for _, of_barrier in REASONS]), 0.5, 1)
            yield Hidden(tokenizer.encode(story), len(tokenizer.encode(before)),
                         np.array([tokenizer.ids[word] for word in words]),
                         piece.options.index(taken), odds_K, left_K / left_K.sum())


def find_words(family, model, tokenizer, hidden):
    """Return nats lost on a hidden word, and the share of words found, of those it could be.

    Of a GPT both by what comes before ("left") and by trying each word in the story ("both"). The
    "best" and the "left best" are by the true odds.
    """
    found = []
    for h in hidden:
        row = {"best nats": -np.log(h.odds_K[h.right]), "best share": h.odds_K.max(),
               "left best nats": -np.log(h.left_K[h.right]), "left best share": h.left_K.max()}
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
            next_B = [sampling.draw(logits_V, rng) for logits_V in model.head(x_BTC[:, -1]).data]
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
        piece, option = next(left)
        i = piece.options.index(option) + 3 * (options is NOBLES)
        return options[i % len(options)]

    has_hero = any(piece.options is NOBLES for piece, _ in taken)
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


# ---- what a pronoun means

CROSSING = re.compile(r"A .+ did not cross the \w+ (\w+) because it was too (\w+),")
READ_AT = {"it": -5, "it, later": -1}  # tokens of that: at the comma, what tells has been said


def crossings(tokenizer, stories):
    """Return (ids (N, T), (N,) True where "it" is what is in the way, (N,) pair of the reason) of
    the beginnings of stories, in each pair as many of either meaning.

    A story is taken if both reasons of the pair could stand there; else what is in the way would
    tell. What the animal did then, which tells as much, is cut off.
    """
    lists = tales.GRAMMAR.lists
    why = {o.lead: {reason.lead for reason in lists[o.traits["why"]]} for o in lists["barrier"]}
    found = [
        (tokenizer.encode(begun[0]), begun[2] == pair[1], fold)
        for begun in filter(None, map(CROSSING.match, stories))
        for fold, pair in enumerate(REASONS) if begun[2] in pair and pair[1] in why[begun[1]]
    ]
    n = pd.DataFrame(found, columns=["ids", "meant", "fold"])
    fewer = pd.crosstab(n.fold, n.meant).min(axis=1)
    n = n[n.groupby(["fold", "meant"]).cumcount() < n.fold.map(fewer)]
    return np.stack(n.ids), n.meant.to_numpy(), n.fold.to_numpy()


def probe(model, at, ids_NT, meant_N, fold_N):
    """Return the share of pronouns of which a linear probe at a token says what is meant.

    It is tested on pairs of reasons that it was not fitted on: it has to find what reasons have in
    common, and not the words, which can be read off an untrained model, too. Each pair counts
    once; the next chooses the block (of T5's encoder) whose output is read.
    """
    states, right_N = _states(model, ids_NT), np.zeros(len(ids_NT), bool)
    for fold in range(len(REASONS)):
        choose = (fold + 1) % len(REASONS)
        fit_N = (fold_N != fold) & (fold_N != choose)
        found = [_fitted(x_NTC[:, at], meant_N, fit_N) == meant_N for x_NTC in states]
        best_N = max(found, key=lambda right_N: right_N[fold_N == choose].mean())
        right_N[fold_N == fold] = best_N[fold_N == fold]
    return right_N.mean()


def _fitted(x_NC, meant_N, fit_N):
    """Return what a probe says, (N,) bool, by least squares on the rows that fit it."""
    x_NC = (x_NC - x_NC[fit_N].mean(axis=0)) / (x_NC[fit_N].std(axis=0) + 1e-6)
    x_NC = np.append(x_NC, np.ones((len(x_NC), 1)), axis=1)
    squares_CC = x_NC[fit_N].T @ x_NC[fit_N] + RIDGE * np.eye(x_NC.shape[1])
    wanted_N = np.where(meant_N[fit_N], 1, -1)
    return x_NC @ np.linalg.solve(squares_CC, x_NC[fit_N].T @ wanted_N) > 0


def _states(model, ids_NT):
    """Return the output of each block, (N, T, C)."""
    stack, read = getattr(model, "encoder", model), getattr(model, "encode", model.hidden)
    blocks, found = stack.h, []

    def recorded(block):
        def run(*args):
            found.append(block(*args))
            return found[-1]
        return run

    stack.h = [recorded(block) for block in blocks]
    with model.evaluating():
        read(ids_NT)
    stack.h = blocks
    return [x_NTC.data.astype(np.float64) for x_NTC in found]
