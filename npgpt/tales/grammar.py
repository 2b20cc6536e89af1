"""A grammar that writes text, parses its own text, and knows the exact entropy of that text.

The words are in `words.py`, the stories in `__init__.py`. A grammar is a set of named lists of
options. An option is a template, text with fields in braces:

    {:animal}             choose from the list `animal`
    {pal:animal}          choose from it, and store the choice in the slot `pal`
    {name:hero.names}     choose from the list that the trait `names` of the slot `hero` names
    {pal}                 repeat the text in the slot `pal`
    {hero.his}            write the trait `his` of the choice in the slot `hero`

Every choice is uniform over its list, unless options have weights: (template, traits, weight). A
text is written by expanding the list `story`.

The grammar is unambiguous by construction: every option begins with literal text, its *lead*, and
no lead in a list is a prefix of another. So, reading from left to right, at most one option
continues the text at each choice, and the choices so far determine the text up to the next choice.
A text has one derivation, its probability is the product of the probabilities of its choices, and
the entropy of the text is the entropy of the choices.
"""

import math
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from itertools import accumulate, pairwise
from typing import NamedTuple

FIELD = re.compile(r"\{([^{}]*)\}")


class Mention(NamedTuple):
    """A field `{slot.trait}`. The trait "" is the option's own text."""

    slot: str
    trait: str = ""


class Choice(NamedTuple):
    """A field `{slot:source}` of a template, filled with one entry of the list `source`."""

    slot: str
    source: str | Mention


class Option(NamedTuple):
    """An option of a list: its symbols in order, the traits that later fields mention, and its
    probability in the list."""

    symbols: tuple[str | Mention | Choice, ...]
    traits: Mapping[str, str]
    probability: float

    @classmethod
    def parse(cls, template, traits, probability):
        texts = FIELD.split(template)  # literal text, field, literal text, field, ..., literal text
        symbols = [_field(text) if i % 2 else text for i, text in enumerate(texts)]
        return cls(tuple(filter(None, symbols)), {"": template, **traits}, probability)

    @property
    def lead(self):
        """The literal text at the option's beginning, by which a parser recognises it."""
        return self.symbols[0] if self.symbols and isinstance(self.symbols[0], str) else ""


def _field(text):
    slot, colon, source = text.partition(":")
    if not colon:
        return Mention(*text.split("."))
    return Choice(slot, Mention(*source.split(".")) if "." in source else source)


class Options(tuple[Option, ...]):
    """The options of a list.    rows: a (template, traits, weight) for each"""

    def __new__(cls, rows):
        rows = list(rows)
        ends = list(accumulate(weight for *_, weight in rows))
        self = super().__new__(cls, (Option.parse(*row[:2], row[2] / ends[-1]) for row in rows))
        self.ends = ends
        return self

    def draw(self, u):
        """Return the option that a uniform random number, 0 <= u < 1, chooses."""
        return self[bisect_right(self.ends, u * self.ends[-1])]


class Grammar:
    """Named lists of options, each a template, (template, traits) or (template, traits, weight).

    Raises ValueError for an ambiguous list, in which one option's lead is a prefix of another's.
    """

    def __init__(self, lists):
        self.lists = {}
        for name, options in lists.items():
            rows = [(o,) if isinstance(o, str) else o for o in options]
            self.lists[name] = Options((*row, *({}, 1)[len(row) - 1 :]) for row in rows)
            _check_leads(name, self.lists[name])

    def write(self, choose):
        """Return a text, the expansion of `story`.

        choose   (options, texts written so far) -> one of the options
        """
        so_far = []
        self._expand(Choice("", "story"), choose, {}, so_far)
        return "".join(so_far)

    def _expand(self, choice, choose, bound, so_far):
        slot, source = choice
        name = source if type(source) is str else bound[source.slot][source.trait]
        option = choose(self.lists[name], so_far)
        bound[slot] = option.traits
        for symbol in option.symbols:
            if type(symbol) is str:
                so_far.append(symbol)
            elif type(symbol) is Choice:
                self._expand(symbol, choose, bound, so_far)
            else:
                so_far.append(bound[symbol.slot][symbol.trait])

    def parse(self, text):
        """Return the derivation of `text`, the option of each choice; None if it has none."""
        written, chosen, _ = self._read(text)
        return chosen if written == text else None

    def surprisals(self, text):
        """Return -ln P(character | the characters before it) for each character of `text`.

        Return None unless `text` is a text of the grammar or the beginning of one.
        """
        written, _, nats = self._read(text)
        return nats if written.startswith(text) else None

    def _read(self, text):
        """Return (the text that agrees with `text` as far as it can, its options, surprisals).

        At a choice, the options whose lead agrees so far share the probability of the next
        character; where one option is left, and beyond its lead, nothing is uncertain.
        """
        chosen, nats = [], [0.0] * len(text)

        def continuing(options, so_far):
            start = at = sum(map(len, so_far))
            while at < len(text) and len(options) > 1:
                fits = [o for o in options if o.lead.startswith(text[start : at + 1])]
                if not fits:
                    break
                before, after = (sum(o.probability for o in some) for some in (options, fits))
                nats[at] = math.log(before / after)
                options, at = fits, at + 1
            chosen.append(options[0])
            return options[0]

        return self.write(continuing), chosen, nats

    def log_probability(self, text):
        """Return ln P(text); None if the text has no derivation."""
        chosen = self.parse(text)
        return None if chosen is None else math.fsum(math.log(o.probability) for o in chosen)

    def expectation(self, length=len):
        """Return (entropy of a text in nats, expected length of a text), both exact.

        length   maps a literal text or a trait to its length, by default in characters; the length
                 of a text is the sum of the lengths of these
        """
        total = _Expectation(self.lists, length).of((Choice("", "story"),), frozenset())
        return total["nats"], total["length"]


def _check_leads(name, options):
    for lead, following in pairwise(sorted(option.lead for option in options)):
        if following.startswith(lead):
            raise ValueError(
                f"list {name!r} is ambiguous: the beginning {lead!r} of an option is also how "
                f"{following!r} begins; reword one of them"
            )


class _Expectation:
    """Exact expectations over all texts, by recursion on the symbols that are left to write.

    The expectation of a sequence is the sum over its symbols (by the chain rule for the entropy, by
    linearity for the length). But a mention repeats an earlier choice, whose length varies. So an
    expectation is a linear function of these lengths, {"nats": h, "length": c, mention: expected
    count, ...}, and the choice that fills the slot substitutes them. The symbols that are left
    depend on earlier choices only through traits that name lists. Such traits are few, so the
    results are cached by them.
    """

    def __init__(self, lists, length):
        self.lists, self.length = lists, length
        symbols = [s for options in lists.values() for option in options for s in option.symbols]
        sources = [symbol.source for symbol in symbols if isinstance(symbol, Choice)]
        self.steering = {source for source in sources if isinstance(source, Mention)}
        self.of_choice = cache(self._of_choice)

    def of(self, symbols, known):
        """Return the expected nats, length and mentions of the text that `symbols` make.

        known   pairs (mention, the list that it names)
        """
        total = defaultdict(float)
        for i, symbol in enumerate(symbols):
            if isinstance(symbol, Choice):
                for key, amount in self.of_choice(symbol, symbols[i + 1 :], known).items():
                    total[key] += amount
                break
            if isinstance(symbol, Mention):
                total[symbol] += 1
            else:
                total["length"] += self.length(symbol)
        return total

    def _of_choice(self, choice, rest, known):
        slot, source = choice
        options = self.lists[source if isinstance(source, str) else dict(known)[source]]
        total = defaultdict(float)
        for option in options:
            p = option.probability
            total["nats"] -= p * math.log(p)
            chosen = {Mention(slot, trait): text for trait, text in option.traits.items()}
            kept = {pair for pair in known if pair[0].slot != slot}
            then = kept | {pair for pair in chosen.items() if pair[0] in self.steering}
            after = self.of(option.symbols + rest, frozenset(then))
            for key, amount in after.items():
                if key in chosen:
                    total["length"] += p * amount * self.length(chosen[key])
                else:
                    total[key] += p * amount
        return total
