"""The tasks of the three families, on stories that none was trained on, with exact answers.

    word        which word is hidden? beside the grammar's own odds
    go on       go on with a story that is begun; the grammar says how far it is one
    rewrite     the story of a queen told of a king, where the grammar has one right answer
    pronoun     which earlier word does "it" mean? read out of hidden states by a probe

Each function returns a dict of numbers.
"""

import math
from typing import NamedTuple

import numpy as np
from families import LONGEST, with_mask
from skills import derivation

from autograd import Tensor, log_softmax
from npgpt import tales
from npgpt.families.objectives import MASK, PAD, SENTINELS
from npgpt.families.writing import fill_masks, write_spans
from npgpt.reward.verify import derivable

NOBLES = tales.GRAMMAR.lists["noble"]  # three lords, then the three ladies
TELLS = 0.1  # nats that what follows has to say of a hidden word
RIDGE = 1.0  # of the linear probe, for inputs of variance 1


def choices(story):
    """Return (where, the options, the one taken) of each choice that derives a story."""
    return [
        (piece.at, piece.options,
         next(o for o in piece.options if story.startswith(o.lead, piece.at)))
        for piece in derivation(tales.GRAMMAR, story) if piece.options
    ]


# ---- a hidden word


class Hidden(NamedTuple):
    """A story with a word hidden: which token, the words that could be there, which one is, and
    the probability of each given all the rest (K,)."""

    ids_T: np.ndarray
    at: int
    words_K: np.ndarray
    right: int
    odds_K: np.ndarray


def hidden_words(tokenizer, stories, seed=0):
    """Return a `Hidden` for each story that has a word of which what follows tells something.

    What could be there are the options of the grammar's choice, all as likely by what came before.
    With what follows, each is as likely as the grammar makes the story with it.
    """
    rng = np.random.default_rng(seed)
    telling = [[*_hidden_in(tokenizer, story)] for story in stories]
    return [words[rng.integers(len(words))] for words in telling if words]


def _hidden_in(tokenizer, story):
    for at, options, taken in choices(story):
        words = [" " + option.lead for option in options]
        if len(words) < 2 or not all(word in tokenizer.ids for word in words):
            continue
        before, after = story[: at - 1], story[at + len(taken.lead) :]
        if not story.startswith(words[options.index(taken)], at - 1):
            continue
        likely = [tales.log_probability(before + word + after) for word in words]
        odds_K = np.array([0.0 if nats is None else math.exp(nats) for nats in likely])
        odds_K /= odds_K.sum()
        entropy = -sum(p * math.log(p) for p in odds_K if p > 0)
        if entropy < math.log(len(words)) - TELLS:
            ids = np.array([tokenizer.ids[word] for word in words])
            yield Hidden(tokenizer.encode(story), len(tokenizer.encode(before)), ids,
                         options.index(taken), odds_K)


def find_words(family, model, tokenizer, hidden):
    """Return nats lost on a hidden word, and the share of words found, of those it could be.

    Of a GPT both by what comes before ("left") and by trying each word in the story ("both"). The
    "best" is by the grammar's odds; a "guess" is the best by what comes before alone.
    """
    ways = {
        "gpt": {"left": _by_left, "both": _by_whole},
        "bert": {"both": _by_mask},
        "t5": {"both": _by_span},
    }[family]
    result = {
        "words": len(hidden),
        "best nats": float(np.mean([-math.log(h.odds_K[h.right]) for h in hidden])),
        "best share": float(np.mean([h.odds_K.max() for h in hidden])),
        "guess nats": float(np.mean([math.log(len(h.words_K)) for h in hidden])),
        "guess share": float(np.mean([1 / len(h.words_K) for h in hidden])),
    }
    for way, score in ways.items():
        with model.evaluating():
            logs = [log_softmax(Tensor(score(model, tokenizer, h))).data for h in hidden]
        nats = [-log_K[h.right] for log_K, h in zip(logs, hidden, strict=True)]
        found = [log_K.argmax() == h.right for log_K, h in zip(logs, hidden, strict=True)]
        result[f"{way} nats"], result[f"{way} share"] = float(np.mean(nats)), float(np.mean(found))
    return result


def _begin(tokenizer):
    return tokenizer.encode("\n\n")


def _by_left(model, tokenizer, hidden):
    context = np.append(_begin(tokenizer), hidden.ids_T[: hidden.at])
    return model(context[None])[0].data[0, -1, hidden.words_K]


def _by_whole(model, tokenizer, hidden):
    """Return ln of the probability of the story with each word in turn."""
    texts_KT = np.tile(np.append(_begin(tokenizer), hidden.ids_T), (len(hidden.words_K), 1))
    texts_KT[:, 2 + hidden.at] = hidden.words_K
    logs = log_softmax(model(texts_KT[:, :-1])[0]).data
    return np.take_along_axis(logs, texts_KT[:, 1:, None], 2)[:, 1 + hidden.at :, 0].sum(axis=1)


def _by_mask(model, tokenizer, hidden):
    ids_T = hidden.ids_T.copy()
    ids_T[hidden.at] = tokenizer.special_ids[MASK]
    return model(ids_T[None])[0].data[0, hidden.at, hidden.words_K]


def _by_span(model, tokenizer, hidden):
    """Return ln of the probability that the decoder writes each word, and then ends the span."""
    K, ids_T = len(hidden.words_K), hidden.ids_T.copy()
    pad, first, second = (tokenizer.special_ids[name] for name in (PAD, *SENTINELS[:2]))
    ids_T[hidden.at] = first
    written_K3 = np.tile([pad, first, 0], (K, 1))
    written_K3[:, 2] = hidden.words_K
    logs = log_softmax(model(np.tile(ids_T, (K, 1)), written_K3)[0]).data
    return logs[np.arange(K), 1, hidden.words_K] + logs[:, 2, second]


# ---- a story that goes on


def go_on(family, model, tokenizer, stories, seed=0):
    """Return shares of stories that the grammar derives, and of what was written before the first
    word that it does not allow. A third of each story is given; words are drawn, each as likely as
    the model has it."""
    whole, allowed = [], []
    for i, story in enumerate(stories):
        ids_T = tokenizer.encode(story)
        given = len(ids_T) // 3
        ids = _up_to_its_end(tokenizer, WAYS_ON[family](model, tokenizer, ids_T, given, seed + i))
        whole.append(tales.log_probability(tokenizer.decode(ids)) is not None)
        written = max(1, len(ids) - given)
        allowed.append((words_allowed(tokenizer, ids) - given) / written)
    return {"stories": len(stories), "whole": float(np.mean(whole)),
            "allowed": float(np.mean(allowed))}


def words_allowed(tokenizer, ids):
    """Return how many tokens of a text come before the first that no story has there."""
    ends = np.cumsum([len(tokenizer.pieces[i]) for i in ids])
    return int((ends <= derivable(tokenizer.decode(ids))).sum())


def _gpt_goes_on(model, tokenizer, ids_T, given, seed):
    prompt_T = np.append(_begin(tokenizer), ids_T[:given])
    stop = tokenizer.ids["\n"]
    return model.generate(prompt_T, LONGEST - given, seed=seed, stop=stop)[2:].tolist()


def _bert_goes_on(model, tokenizer, ids_T, given, seed):
    """Return a mask for each word that is to come, as many as the true story has."""
    hidden_T = np.where(np.arange(len(ids_T)) < given, ids_T, tokenizer.special_ids[MASK])
    return list(fill_masks(model, tokenizer, hidden_T, LONGEST, seed=seed))


def _t5_goes_on(model, tokenizer, ids_T, given, seed):
    """Write span by span, each after all text before it."""
    text, longer = [], ids_T[:given].tolist()
    sentinel = tokenizer.special_ids[SENTINELS[0]]
    while len(text) < len(longer) < LONGEST and tokenizer.ids["\n"] not in longer:
        text = longer
        longer = list(write_spans(model, tokenizer, [*text, sentinel], 8, seed=seed + len(text)))
    return longer


def _t5_of_prefixes_goes_on(model, tokenizer, ids_T, given, seed):
    """Draw what a T5 that was trained on `beginnings` writes, up to the end of a line."""
    rng, written = np.random.default_rng(seed), [tokenizer.special_ids[PAD]]
    with model.evaluating():
        encoded = model.encode(ids_T[None, :given])
        while len(written) <= LONGEST - given and written[-1] != tokenizer.ids["\n"]:
            x_BTC = model.decode(np.array([written]), encoded)
            logs = log_softmax(Tensor(model.head(x_BTC[:, -1]).data[0])).data
            p = np.exp(logs.astype(float))
            written.append(int(rng.choice(len(p), p=p / p.sum())))
    return [*ids_T[:given].tolist(), *written[1:]]


def beginnings(tokenizer, stories, seed=0):
    """Return for each story token ids before a cut at random, and those after it."""
    rng = np.random.default_rng(seed)
    texts = [tokenizer.encode(story) for story in stories]
    return [np.split(ids_T, [rng.integers(1, len(ids_T))]) for ids_T in texts]


WAYS_ON = {"gpt": _gpt_goes_on, "bert": _bert_goes_on, "t5": _t5_goes_on,
           "t5, prefixes": _t5_of_prefixes_goes_on}


def _up_to_its_end(tokenizer, ids):
    """Return a story up to its first line end, and with it the empty line that follows."""
    line_end = tokenizer.ids["\n"]
    return [*ids[: ids.index(line_end)], line_end, line_end] if line_end in ids else ids


# ---- a story told anew


def swapped(story):
    """Return the story by the same dice, of a queen if it was of a king; None without either.

    Title, name and every word for the hero change, "her" to "his" or to "him"; so do those of whom
    the hero meets.
    """
    taken = choices(story)
    left = iter(taken)

    def otherwise(options, _):
        _, before, option = next(left)
        return options[(before.index(option) + 3 * (options is NOBLES)) % len(options)]

    has_hero = any(options is NOBLES for _, options, _ in taken)
    return tales.GRAMMAR.write(otherwise) if has_hero else None


def pairs_to_rewrite(tokenizer, stories):
    """Return (source ids, target ids) of stories with a hero."""
    pairs = [(story, swapped(story)) for story in stories]
    return [(tokenizer.encode(a), tokenizer.encode(b)) for a, b in pairs if b]


def rewrite(family, model, tokenizer, pairs):
    """Return shares of stories rewritten without a fault, and of words right: of those that change,
    and of those that stay as they are."""
    exact, right, count = 0, np.zeros(2, int), np.zeros(2, int)
    for first in range(0, len(pairs), 32):
        some = pairs[first : first + 32]
        written = WAYS_TO_REWRITE[family](model, tokenizer, [source for source, _ in some])
        for (source, target), got in zip(some, written, strict=True):
            right_T = np.append(got, np.full(LONGEST, -1))[: len(target)] == target
            changes_T = (source != target).astype(int)
            exact += bool(right_T.all())
            count += np.bincount(changes_T, minlength=2)
            right += np.bincount(changes_T[right_T], minlength=2)
    kept, changed = (right / count).tolist()
    return {"stories": len(pairs), "exact": exact / len(pairs), "changed": changed, "kept": kept}


def _gpt_rewrites(model, tokenizer, sources):
    texts = model.generate(sources, LONGEST, temperature=0, stop=tokenizer.ids["\n"])
    return [_up_to_its_end(tokenizer, text[len(source) :].tolist())
            for text, source in zip(texts, sources, strict=True)]


def _bert_rewrites(model, tokenizer, sources):
    source_BT, mask_BT = with_mask(sources, tokenizer.special_ids[PAD])
    with model.evaluating():
        return list(model(source_BT, mask_BT=mask_BT)[0].data.argmax(axis=-1))


def _t5_rewrites(model, tokenizer, sources):
    pad = tokenizer.special_ids[PAD]
    source_BS, mask_BS = with_mask(sources, pad)
    written_BT = np.full((len(sources), 1), pad)
    with model.evaluating():
        encoded = model.encode(source_BS, mask_BS)
        for _ in range(source_BS.shape[1]):
            x_BTC = model.decode(written_BT, encoded, mask_BS)
            next_B = model.head(x_BTC[:, -1]).data.argmax(axis=-1)
            written_BT = np.append(written_BT, next_B[:, None], axis=1)
    return list(written_BT[:, 1:])


WAYS_TO_REWRITE = {"gpt": _gpt_rewrites, "bert": _bert_rewrites, "t5": _t5_rewrites}


# ---- what a pronoun means


# Of each pair, "it" is the animal with the first, and what is in its way with the second; a story
# is taken if both could stand there. A probe is fitted without some pairs and counts on them: it
# has to find what reasons have in common, and not the words themselves, which can be read off an
# untrained model, too.
REASONS = (
    ("tired", "noisy"), ("hungry", "crowded"), ("thirsty", "deep"), ("cold", "wide"),
    ("sad", "steep"), ("scared", "high"),
)


class Pronoun(NamedTuple):
    """A story, the position whose hidden state is probed, which word is meant, and the fold of the
    cross-validation that it is in."""

    ids_T: np.ndarray
    at: int
    meant: int
    fold: int


def pronouns(tokenizer, stories):
    """Return probe -> its list of `Pronoun`, in each fold as many of either word that is meant.

    it           "... because it was too tired,": the animal that stops, or what is in its way. What
                 it did then, which tells as much, is cut off.
    it, later    the same, read at the comma: what tells which has been said
    """
    found = []
    for story in stories:
        if " did not cross " not in story:
            continue
        ids_T = tokenizer.encode(story)
        at = 1 + len(tokenizer.encode(story.partition(" because it")[0]))
        reason = tokenizer.pieces[ids_T[at + 3]].strip()
        fold = next(fold for fold, pair in enumerate(REASONS) if reason in pair)
        barrier = tokenizer.pieces[ids_T[at - 2]].strip()
        if REASONS[fold][1] in _reasons_of(barrier):  # else the kind of barrier would tell
            found.append(Pronoun(ids_T[: at + 5], at, REASONS[fold].index(reason), fold))
    found = _balanced(found)
    return {"it": found, "it, later": [row._replace(at=row.at + 4) for row in found]}


def _reasons_of(barrier):
    """Return all reasons why one stops in front of a barrier."""
    options = {option.lead: option for option in tales.GRAMMAR.lists["barrier"]}
    return {option.lead for option in tales.GRAMMAR.lists[options[barrier].traits["why"]]}


def _balanced(rows):
    """Return rows with as many of each meaning in each fold."""
    found = []
    for fold in range(len(REASONS)):
        kinds = ([row for row in rows if (row.fold, row.meant) == (fold, meant)]
                 for meant in (0, 1))
        for pair in zip(*kinds, strict=False):
            found += pair
    return found


def probe(family, model, tokenizer, rows):
    """Return the share of pronouns of which a linear probe says what is meant.

    Each fold counts once; the next chooses the block (of T5's encoder) whose output is read, and
    the others fit the probe.
    """
    meant_N, fold_N = (np.array([getattr(row, name) for row in rows]) for name in ("meant", "fold"))
    states, right_N = _states(family, model, tokenizer, rows), np.zeros(len(rows), bool)
    for fold in range(len(REASONS)):
        choose = (fold + 1) % len(REASONS)
        fit_N = (fold_N != fold) & (fold_N != choose)
        found = [_fitted(x_NC, meant_N, fit_N) == meant_N for x_NC in states]
        best_N = max(found, key=lambda right_N: right_N[fold_N == choose].mean())
        right_N[fold_N == fold] = best_N[fold_N == fold]
    return {"share": float(right_N.mean()), "tested": len(rows)}


def _fitted(x_NC, meant_N, fit_N):
    """Return the word that a probe chooses, (N,), by least squares on the rows that fit it."""
    x_NC = (x_NC - x_NC[fit_N].mean(axis=0)) / (x_NC[fit_N].std(axis=0) + 1e-6)
    x_NC = np.append(x_NC, np.ones((len(x_NC), 1)), axis=1)
    squares_CC = x_NC[fit_N].T @ x_NC[fit_N] + RIDGE * np.eye(x_NC.shape[1])
    wanted_NK = np.eye(2)[meant_N[fit_N]]
    return (x_NC @ np.linalg.solve(squares_CC, x_NC[fit_N].T @ wanted_NK)).argmax(axis=1)


class Recorded:
    """A block that keeps its last output."""

    def __init__(self, block):
        self.block = block

    def __call__(self, *args, **kwargs):
        self.x_BTC = self.block(*args, **kwargs)
        return self.x_BTC


def _states(family, model, tokenizer, rows):
    """Return the output of each block at the positions that are probed, (N, C) each."""
    stack = model.encoder if family == "t5" else model
    blocks, found = stack.h, []
    stack.h = [Recorded(block) for block in blocks]
    try:
        for first in range(0, len(rows), 64):
            some = rows[first : first + 64]
            ids_BT, mask_BT = with_mask([row.ids_T for row in some], tokenizer.special_ids[PAD])
            with model.evaluating():
                if family == "t5":
                    model.encode(ids_BT, mask_BT)
                else:  # a GPT sees no padding, which comes after the text
                    model.hidden(ids_BT, **({"mask_BT": mask_BT} if family == "bert" else {}))
            at = np.arange(len(some)), [row.at for row in some]
            found.append([block.x_BTC.data[at] for block in stack.h])
    finally:
        stack.h = blocks
    return [np.concatenate(parts).astype(np.float64) for parts in zip(*found, strict=True)]
