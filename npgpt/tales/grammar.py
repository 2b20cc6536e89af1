"""A grammar that writes text, recognises its own text, and knows the exact entropy of it.

This file is the machinery; the words are in `words.py`, the stories in `tales.py`. A grammar is a
set of named lists of options. An option is a template, text with fields in braces:

    {:animal}             choose from the list `animal`
    {pal:animal}          choose from it, and remember the choice under the slot `pal`
    {name:hero.names}     choose from the list that the trait `names` of the slot `hero` names
    {pal}                 say again what `pal` was
    {hero.his}            say the trait `his` of what `hero` was

Every choice is uniform over its list, unless options have weights: (template, traits, weight). A
text is written by expanding the list `story`.

Unambiguous by construction: every option begins with literal text (its *lead*), and no lead in
a list is a prefix of another. So, reading from left to right, at most one option continues the
text at each choice, and all between two choices is decided by the choices before. A text has
one derivation, its probability is the product of its choices' probabilities, and the entropy of
the text is the entropy of the choices.
"""

import math
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import accumulate, pairwise
from typing import NamedTuple

FIELD = re.compile(r"\{([^{}]*)\}")


class Mention(NamedTuple):
    """The field `{slot.trait}`. The trait "" is the option's own text."""

    slot: str
    trait: str = ""


class Choice(NamedTuple):
    """The field `{slot:source}`: a choice from a list, named or mentioned by `source`."""

    slot: str
    source: str | Mention


class Option(NamedTuple):
    """One option of a list: its parts in order, the traits that later fields mention, and how
    likely it is among the options of its list."""

    parts: tuple[str | Mention | Choice, ...]
    traits: Mapping[str, str]
    probability: float

    @classmethod
    def parse(cls, template: str, traits: Mapping[str, str], probability: float) -> "Option":
        texts = FIELD.split(template)  # literal text, field, literal text, field, ..., literal text
        parts = [_field(text) if i % 2 else text for i, text in enumerate(texts)]
        return cls(tuple(part for part in parts if part), {"": template, **traits}, probability)

    @property
    def lead(self) -> str:
        """The literal text that the option begins with, by which a reader recognises it."""
        return self.parts[0] if self.parts and isinstance(self.parts[0], str) else ""


def _field(text: str) -> Mention | Choice:
    slot, colon, source = text.partition(":")
    if not colon:
        return Mention(*text.split("."))
    return Choice(slot, Mention(*source.split(".")) if "." in source else source)


class Options(tuple[Option, ...]):
    """The options of a list.    rows: (template, traits, weight) of each"""

    def __new__(cls, rows: Iterable[tuple[str, Mapping[str, str], float]]):
        rows = list(rows)
        ends = list(accumulate(weight for *_, weight in rows))
        self = super().__new__(cls, (Option.parse(*row[:2], row[2] / ends[-1]) for row in rows))
        self.ends = ends
        return self

    def draw(self, u: float) -> Option:
        """The option that a uniform random number, 0 <= u < 1, chooses."""
        return self[bisect_right(self.ends, u * self.ends[-1])]


class Grammar:
    """Named lists of options, each a template, (template, traits) or (template, traits, weight).

    Raises ValueError if a list is ambiguous: if an option's lead is a prefix of another's.
    """

    def __init__(self, lists: Mapping[str, Iterable[str | tuple]]):
        self.lists: dict[str, Options] = {}
        for name, options in lists.items():
            rows = [(o,) if isinstance(o, str) else o for o in options]
            self.lists[name] = Options((*row, *({}, 1)[len(row) - 1 :]) for row in rows)
            _check_leads(name, self.lists[name])

    def write(self, choose: Callable[[Options, list[str]], Option]) -> str:
        """Expand `story`. `choose(options, so_far)` picks an option; so_far: the text's parts."""
        so_far: list[str] = []
        self._expand(Choice("", "story"), choose, {}, so_far)
        return "".join(so_far)

    def _expand(self, choice, choose, bound, so_far) -> None:
        slot, source = choice
        name = source if type(source) is str else bound[source.slot][source.trait]
        option = choose(self.lists[name], so_far)
        bound[slot] = option.traits
        for part in option.parts:
            if type(part) is str:
                so_far.append(part)
            elif type(part) is Choice:
                self._expand(part, choose, bound, so_far)
            else:
                so_far.append(bound[part.slot][part.trait])

    def parse(self, text: str) -> list[Option] | None:
        """The derivation of `text`: the option of each choice. None if it has none."""
        chosen = []

        def continuing(options: Options, so_far: list[str]) -> Option:
            position = sum(map(len, so_far))
            chosen.append(next(o for o in options if text.startswith(o.lead, position)))
            return chosen[-1]

        try:
            return chosen if self.write(continuing) == text else None
        except StopIteration:  # no option continues the text
            return None

    def log_probability(self, text: str) -> float | None:
        """ln of the probability that a text is this one; None if it has no derivation."""
        chosen = self.parse(text)
        return None if chosen is None else math.fsum(math.log(o.probability) for o in chosen)

    def expectation(self, length: Callable[[str], float] = len) -> tuple[float, float]:
        """(entropy of a text in nats, expected length of a text), both exact.

        length   of a piece of literal text or a trait, in characters if not given; the length of a
                 text is the sum over its pieces
        """
        total = _Expectation(self.lists, length).of((Choice("", "story"),), frozenset())
        return total["nats"], total["length"]


def _check_leads(name: str, options: Sequence[Option]) -> None:
    for lead, following in pairwise(sorted(option.lead for option in options)):
        if following.startswith(lead):
            raise ValueError(
                f"list {name!r} is ambiguous: the beginning {lead!r} of an option is also how "
                f"{following!r} begins; reword one of them"
            )


class _Expectation:
    """Exact expectations over all texts, by recursion on what is left to write.

    The expectation of a sequence is the sum of its parts' (the chain rule for the entropy,
    linearity for the length). But a mention repeats words chosen earlier, of any length. So the
    expectation of a remainder is linear in them, {"nats": h, "length": c, mention: expected
    number of times, ...}, and the choice that binds the slot puts in the lengths. A remainder
    depends on the choices before it only through the traits that name lists; these are few, and
    remainders that agree in them share their expectation.
    """

    def __init__(self, lists: Mapping[str, Options], length: Callable[[str], float]):
        self.lists, self.length = lists, length
        parts = [part for options in lists.values() for option in options for part in option.parts]
        sources = [part.source for part in parts if isinstance(part, Choice)]
        self.steering = {source for source in sources if isinstance(source, Mention)}
        self.of_choice = cache(self._of_choice)

    def of(self, parts: tuple, known: frozenset) -> dict:
        """`known` is a set of pairs (mention that names a list, name of the list)."""
        total = defaultdict(float)
        for i, part in enumerate(parts):
            if isinstance(part, Choice):
                for key, amount in self.of_choice(part, parts[i + 1 :], known).items():
                    total[key] += amount
                break
            if isinstance(part, Mention):
                total[part] += 1
            else:
                total["length"] += self.length(part)
        return total

    def _of_choice(self, choice: Choice, rest: tuple, known: frozenset) -> dict:
        slot, source = choice
        options = self.lists[source if isinstance(source, str) else dict(known)[source]]
        total = defaultdict(float)
        for option in options:
            p = option.probability
            total["nats"] -= p * math.log(p)
            chosen = {Mention(slot, trait): text for trait, text in option.traits.items()}
            kept = {pair for pair in known if pair[0].slot != slot}
            then = kept | {pair for pair in chosen.items() if pair[0] in self.steering}
            after = self.of(option.parts + rest, frozenset(then))
            for key, amount in after.items():
                if key in chosen:
                    total["length"] += p * amount * self.length(chosen[key])
                else:
                    total[key] += p * amount
        return total
