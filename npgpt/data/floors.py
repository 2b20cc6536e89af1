"""The best loss that any model can have where parts of a story are hidden, exactly.

The grammar gives every story a probability, and what is hidden was chosen without a look at the
story. So of all stories that agree with what is visible, the true one has the probability

    P(story | visible) = P(story) / sum of P(s) over the stories s that agree

and a hidden character is v with the probability that the stories with v there have among them.

The sum goes over all derivations that agree, by recursion on what is left to write, as in
`npgpt.data.grammar`. What is left depends on the choices before only through what it mentions, so
derivations that differ in nothing else share their sum. Few choices agree with a story of which
most is visible; of what is wholly hidden all are summed.
"""

import math
from collections import defaultdict
from functools import cache
from typing import NamedTuple

from npgpt.data.grammar import Choice, Grammar, Mention

HIDDEN = None  # in a pattern: one character that is not known


class Gap(NamedTuple):
    """In a pattern: 1 to `longest` characters that are not known."""

    longest: int


def hidden_log_probabilities(grammar: Grammar, story: str, hidden: list[int]) -> list[float] | None:
    """ln P(character | all that is visible), for each position that is hidden in a story.

    hidden   positions, increasing

    None if the grammar does not derive the story.
    """
    if grammar.parse(story) is None:
        return None
    pattern = list(story)
    for i in hidden:
        pattern[i] = HIDDEN
    sums = _Completions(grammar, pattern)
    likely = sums.of_characters()
    return [math.log(min(1.0, likely[i, story[i]] / sums.total)) for i in hidden]


def spans_log_probability(grammar: Grammar, story: str, spans, longest: int) -> float | None:
    """ln P(spans | what is visible between them), their lengths unknown too.

    spans     pairs (first, last + 1) of positions, increasing, that do not touch. Each length from
              1 to `longest` was as likely, and a span that passed the end was cut there.

    None if the grammar does not derive the story.
    """
    sizes = grammar.parse(story)
    if sizes is None:
        return None
    pattern, before = [], 0
    for first, last in spans:
        pattern += [*story[before:first], Gap(longest)]
        before = last
    pattern += story[before:]
    cut = longest + 1 - (last - first) if spans and last == len(story) else 1
    return math.log(cut / _Completions(grammar, pattern).total) - math.fsum(map(math.log, sizes))


class _Rest:
    """What is left to write: a part, and then another `_Rest`. Alike ones are one object."""

    def __init__(self, part, after, mentions):
        self.part, self.after, self.mentions = part, after, mentions


class _Completions:
    """The derivations that agree with a pattern, as a graph whose paths they are.

    A state is (`_Rest`, what it mentions, how far the pattern is matched). An edge writes a text or
    chooses an option, and has a weight; the sum over all paths from a state is the weight of its
    edges times the sums of the states that they lead to.

    How far: (i, 0) before element i of the pattern, or (i, n) with n characters in its gap and more
    to come. A gap at the end of the pattern stays open, and a story may end in it: it was cut there
    out of any length from n to the longest.
    """

    def __init__(self, grammar, pattern):
        self.grammar, self.pattern = _compiled(grammar), pattern
        self.states = {}  # state -> (sum, its edges), each after those that it leads to
        self.root = (self.grammar.start, frozenset(), (0, 0))
        self.total = self._sum(self.root)

    def of_characters(self):
        """(position, character) -> the sum over the derivations that write it there."""
        into = defaultdict(float, {self.root: 1.0})  # sums over all paths that lead to a state
        found = defaultdict(float)
        for state in reversed(self.states):
            for weight, text, following in self.states[state][1]:
                paths = into[state] * weight
                into[following] += paths
                for i, character in enumerate(text, state[2][0]):
                    found[i, character] += paths * self._sum(following)
        return found

    def _sum(self, state):
        if state not in self.states:
            rest, bound, at = state
            if rest is None:
                return self._ways_to_end(at)
            edges = self._choices if isinstance(rest.part, Choice) else self._writings
            edges = [edge for edge in edges(rest, dict(bound), at) if self._sum(edge[2])]
            total = math.fsum(weight * self._sum(following) for weight, _, following in edges)
            self.states[state] = total, edges
        return self.states[state][0]

    def _writings(self, rest, bound, at):
        text = bound[rest.part] if isinstance(rest.part, Mention) else rest.part
        for end, ways in self._matched(text, at).items():
            yield ways, text, (rest.after, _kept(bound, rest.after), end)

    def _choices(self, rest, bound, at):
        slot, source = rest.part
        name = source if isinstance(source, str) else bound[source]
        options = self.grammar.lists[name]
        for option in options:
            if self._matched(option.lead, at):
                chosen = {Mention(slot, trait): text for trait, text in option.traits.items()}
                following = self.grammar.before(option.parts, rest.after)
                yield 1 / len(options), "", (following, _kept(bound | chosen, following), at)

    def _matched(self, text, at):
        """How far -> in how many ways, once a text is written from `at` on."""
        ends = {at: 1}
        for character in text:
            before, ends = ends, defaultdict(int)
            for (i, n), ways in before.items():
                for end in self._steps(i, n, character):
                    ends[end] += ways
            if not ends:
                break
        return ends

    def _steps(self, i, n, character):
        element = self.pattern[i] if i < len(self.pattern) else ""
        if isinstance(element, Gap):
            last = i + 1 == len(self.pattern)
            if n + 1 < element.longest + last:
                yield i, n + 1
            if not last:
                yield i + 1, 0
        elif element is HIDDEN or element == character:
            yield i + 1, 0

    def _ways_to_end(self, at):
        i, n = at
        if i == len(self.pattern):
            return 1
        open_end = n and i + 1 == len(self.pattern)
        return self.pattern[i].longest + 1 - n if open_end else 0


class _Compiled:
    """A grammar's lists, and what is left to write of them, shared by all patterns."""

    def __init__(self, grammar):
        self.lists = grammar.lists
        self.mentions = cache(self._mentions)
        self.before = cache(self._before)
        self.start = self.before((Choice("", "story"),), None)

    def _before(self, parts, after):
        """The `_Rest` that writes `parts`, and then the rest `after`."""
        if not parts:
            return after
        later = self.before(parts[1:], after)
        mentions = self.mentions(parts[:1]) | (later.mentions if later else frozenset())
        return _Rest(parts[0], later, mentions)

    def _mentions(self, parts):
        """What is mentioned in parts, or in anything that they may choose."""
        found = set()
        for part in parts:
            if isinstance(part, Mention):
                found.add(part)
            elif isinstance(part, Choice):
                names = [part.source]
                if isinstance(part.source, Mention):
                    found.add(part.source)
                    names = self._lists_named_by(part.source.trait)
                for name in names:
                    found |= self.mentions(sum((o.parts for o in self.lists[name]), ()))
        return frozenset(found)

    def _lists_named_by(self, trait):
        options = (option for options in self.lists.values() for option in options)
        return {o.traits[trait] for o in options if trait in o.traits} & self.lists.keys()


_compiled = cache(_Compiled)


def _kept(bound, rest):
    """Of what was chosen, what is mentioned later."""
    if rest is None or not rest.mentions:
        return frozenset()
    return frozenset(pair for pair in bound.items() if pair[0] in rest.mentions)
