"""The loss above the least possible, split by what a model has to know for each token.

A text of a grammar has one derivation, so each token has a probability given those before it, and
the excess of a story is the sum over its tokens. Each token has one kind, named after the choice of
the grammar that it belongs to, and the parts of the kinds add up to the excess.
"""

import math
from typing import NamedTuple

import letter_rows
import numpy as np

from autograd import log_softmax
from npgpt import tales
from npgpt.batches import NOT_COUNTED
from npgpt.tales.grammar import Choice, Mention

SENTENCES = ("story", "reward", "thanks", "feast", "group")
KINDS_OF_TALES = ("sentence", "word", "name", "reason", "agreement", "mention", "form")
BANDS = (10, 100, 1000)  # ranks of the people of an almanac, from 0 on
FACTS = ("fact, ranks to 10", "fact, to 100", "fact, to 1,000", "fact, beyond")
LETTERS = ("B", "a", "r", "man", "woman", "land")  # lists that spell names


class Told(NamedTuple):
    """Stories as rows of tokens: what is read, what is asked for, the least loss on each token,
    the index of its kind or -1, and the names of the kinds."""

    x_NT: np.ndarray
    y_NT: np.ndarray
    nats_NT: np.ndarray
    kind_NT: np.ndarray
    kinds: tuple


def stacked(stories, begin, kinds):
    """Return `Told` of stories.    stories: (ids, nats, kind) of each, a value for each token"""
    shape = len(stories), max(len(ids) for ids, *_ in stories)
    told = Told(np.full(shape, begin), np.full(shape, NOT_COUNTED), np.zeros(shape),
                np.full(shape, -1), kinds)
    for i, (ids, nats, kind) in enumerate(stories):
        n = len(ids)
        told.x_NT[i, 1:n], told.y_NT[i, :n], told.nats_NT[i, :n] = ids[:-1], ids, nats
        told.kind_NT[i, :n] = [kinds.index(name) for name in kind]
    return told


def of_rows(count, seed):
    """Return `Told` of drawn rows of `letter_rows.py`."""
    ids = {text: i for i, text in enumerate(letter_rows.TOKENS)}
    found = [zip(*row, strict=True) for row in letter_rows.rows(count, seed)]
    return stacked([([ids[text] for text in texts], nats, kind) for texts, nats, kind in found],
                   ids[letter_rows.END], letter_rows.KINDS)


def of_tales(stories, tokenizer):
    """Return `Told` of tales."""
    found = [_tokens(tales.GRAMMAR, story, tokenizer, kind_in_tales) for story in stories]
    return stacked(found, tokenizer.ids["\n"], KINDS_OF_TALES)


def of_almanac(almanac, stories):
    """Return `Told` of stories of an `almanac.Almanac`; a fact's kind is the rank of the person."""
    people = almanac.grammar.lists["person"]
    rank = {option.lead: i for i, option in enumerate(people)}

    def kind_of(piece):
        if isinstance(piece.field, Choice):
            return {"story": "sentence", "person": "person"}.get(piece.field.source, "word")
        if piece.field is None:
            return "form"
        slot, trait = piece.field
        if trait in ("", "he", "his"):
            return "pronoun" if trait else "mention"
        return FACTS[np.searchsorted(BANDS, rank[piece.bound[slot][""]], side="right")]

    found = [_tokens(almanac.grammar, story, almanac.tokenizer, kind_of) for story in stories]
    kinds = "sentence", "person", "word", "pronoun", "mention", *FACTS, "form"
    return stacked(found, almanac.tokenizer.ids["\n"], kinds)


class Piece(NamedTuple):
    """A piece of a derived text: where it begins, the field that wrote it (None: the template),
    the options of a choice, and the traits in the slots that were filled before."""

    at: int
    field: Choice | Mention | None
    options: tuple
    bound: dict


def derivation(grammar, text):
    """Yield the `Piece`s of a text that the grammar writes, from left to right."""
    bound, symbols, at = {}, [Choice("", "story")], 0
    while symbols:
        symbol = symbols.pop()
        if isinstance(symbol, Choice):
            slot, source = symbol
            name = source if isinstance(source, str) else bound[source.slot][source.trait]
            options = grammar.lists[name]
            taken = next(option for option in options if text.startswith(option.lead, at))
            yield Piece(at, symbol, options, bound)
            bound = bound | {slot: taken.traits}
            symbols += reversed(taken.symbols)
            if taken.lead:
                symbols.pop()
                at += len(taken.lead)
        else:
            yield Piece(at, symbol if isinstance(symbol, Mention) else None, (), bound)
            at += len(symbol if isinstance(symbol, str) else bound[symbol.slot][symbol.trait])


def _tokens(grammar, text, tokenizer, kind_of):
    """Return (ids, nats, kinds) of the tokens of a text.

    A token's nats are those of the choices that it decides, wholly or in part: of the options that
    agree with the text so far, -ln of the share that agrees with the token, too.
    """
    ids = tokenizer.encode(text)
    ends = np.cumsum([len(tokenizer.pieces[i]) for i in ids])
    nats, kinds = np.zeros(len(ids)), ["form"] * len(ids)
    for piece in derivation(grammar, text):
        # a word's token begins with its space, which the piece before it wrote
        token = int(np.searchsorted(ends, piece.at, side="right"))
        kind, agree = kind_of(piece), piece.options
        if kinds[token] == "form":
            kinds[token] = kind
        while len(agree) > 1:
            before, said = _sum(agree), text[piece.at : ends[token]]
            agree = [o for o in agree if o.lead[: len(said)] == said[: len(o.lead)]]
            nats[token] -= math.log(_sum(agree) / before)
            kinds[token] = kind
            token += 1
    return ids, nats, kinds


def _sum(options):
    return math.fsum(option.probability for option in options)


def kind_in_tales(piece):
    """Return the kind of the token in which a piece begins."""
    if isinstance(piece.field, Choice):
        source = piece.field.source
        if isinstance(source, str):
            return "sentence" if source in SENTENCES else "name" if source in LETTERS else "word"
        return {"names": "name", "mates": "agreement", "number": "agreement"}.get(
            source.trait, "reason")
    if piece.field is None:
        return "form"
    return {"": "mention", "cure": "reason", "trace": "reason"}.get(
        piece.field.trait, "agreement")


def excess_by_kind(model, told, some=slice(None)):
    """Return kind -> its part of the excess on some of the stories, in nats per token of them."""
    found = measured(model, told, some)
    return {kind: found[kind] for kind in told.kinds}


def measured(model, told, some=slice(None), size=100):
    """Return `excess_by_kind`, and with it two chances of right answers when tokens are drawn:
    "one" of a token that follows from what was said, and "all" of all such tokens of a story."""
    (x_NT, y_NT, nats_NT, kind_NT), logs = (array[some] for array in told[:4]), []
    with model.evaluating(), np.errstate(all="ignore"):
        for part in (slice(first, first + size) for first in range(0, len(x_NT), size)):
            logs_BTV = log_softmax(model(x_NT[part])[0].data.astype(float)).data
            asked_BT1 = np.maximum(y_NT[part], 0)[:, :, None]
            logs.append(np.take_along_axis(logs_BTV, asked_BT1, 2)[:, :, 0])
    lost_NT = np.where(kind_NT >= 0, -np.concatenate(logs) - nats_NT, 0.0)
    found = {kind: float(lost_NT[kind_NT == i].sum() / (kind_NT >= 0).sum())
             for i, kind in enumerate(told.kinds)}
    form = told.kinds.index("form") if "form" in told.kinds else -1
    follows_NT = (nats_NT == 0) & (kind_NT >= 0) & (kind_NT != form)
    nats_N = np.where(follows_NT, lost_NT, 0).sum(axis=1)[follows_NT.any(axis=1)]
    return found | {
        "one": float(np.exp(-lost_NT[follows_NT]).mean()), "all": float(np.exp(-nats_N).mean())}
