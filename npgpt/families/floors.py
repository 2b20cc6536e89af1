"""The best loss that any model can have where parts of a story are hidden, exactly.

The grammar gives every story a probability, and what is hidden was chosen without a look at the
story. So of all stories that agree with what is visible, the true one has the probability

    P(story | visible) = P(story) / sum of P(s) over the stories s that agree

and a hidden token is v with the probability that the stories with v there have among them.

The sum goes over all derivations that agree, by recursion on what is left to write, as in
`npgpt.tales.grammar`. What is left depends on the choices before only through what it mentions, so
derivations that differ in nothing else share their sum. Few choices agree with a story of which
most is visible; of what is wholly hidden all are summed.
"""

import math
from collections import defaultdict
from functools import cache
from typing import NamedTuple

from npgpt.char import CharTokenizer
from npgpt.tales.grammar import Choice, Grammar, Mention

HIDDEN = None  # in a pattern: one token that is not known


class Gap(NamedTuple):
    """In a pattern: 1 to `longest` tokens that are not known."""

    longest: int


def hidden_log_probabilities(grammar: Grammar, story, hidden: list[int], write=CharTokenizer.write):
    """ln P(token | all that is visible), for each position that is hidden in a story: a list.

    story    its tokens: a text whose characters they are, or a list
    hidden   positions, increasing
    write    what tokens a text is, character by character, as `CharTokenizer.write`

    None if the grammar does not derive the story.
    """
    if grammar.parse("".join(story)) is None:
        return None
    pattern = list(story)
    for i in hidden:
        pattern[i] = HIDDEN
    sums = _Completions(grammar, pattern, write)
    likely = sums.of_tokens()
    return [math.log(min(1.0, likely[i, story[i]] / sums.total)) for i in hidden]


def spans_log_probability(
    grammar: Grammar, story, spans, longest: int, write=CharTokenizer.write
):
    """ln P(spans | what is visible between them), their lengths unknown too: a float.

    story, write   as above
    spans          pairs (first, last + 1) of positions, increasing, that do not touch. Each length
                   from 1 to `longest` was as likely; a span that passed the end was cut there.

    None if the grammar does not derive the story.
    """
    of_story = grammar.log_probability("".join(story))
    if of_story is None:
        return None
    pattern, before = [], 0
    for first, last in spans:
        pattern += [*story[before:first], Gap(longest)]
        before = last
    pattern += story[before:]
    cut = longest + 1 - (last - first) if spans and last == len(story) else 1
    total = _Completions(grammar, pattern, write).total
    return math.log(cut / total) + of_story


class _Rest:
    """What is left to write: a part, and then another `_Rest`. Alike ones are one object."""

    def __init__(self, part, after, mentions):
        self.part, self.after, self.mentions = part, after, mentions


class _Completions:
    """The derivations that agree with a pattern, as a graph whose paths they are.

    A state is (`_Rest`, what it mentions, how far the pattern is matched). An edge writes a text or
    chooses an option, and has a weight; the sum over all paths from a state is the weight of its
    edges times the sums of the states that they lead to.

    How far: (i, 0, word) before element i of the pattern, or (i, n, word) with n tokens in its gap
    and more to come; `word` is what has been written since (`_matched`). A gap at the end of the
    pattern stays open, and a story may end in it: it was cut there out of any length from n to the
    longest.
    """

    def __init__(self, grammar, pattern, write=CharTokenizer.write):
        self.grammar, self.pattern, self.write = _compiled(grammar), pattern, write
        self.states = {}  # state -> (sum, its edges), each after those that it leads to
        self.root = (self.grammar.start, frozenset(), (0, 0, ""))
        self.total = self._sum(self.root)

    def of_tokens(self):
        """(position, token) -> the sum over the derivations that write it there."""
        into = defaultdict(float, {self.root: 1.0})  # sums over all paths that lead to a state
        found = defaultdict(float)
        for state in reversed(self.states):
            for weight, written, following in self.states[state][1]:
                paths = into[state] * weight
                into[following] += paths
                for where in written:
                    found[where] += paths * self._sum(following)
        return found

    def _sum(self, state):
        if state is None:
            return 1
        if state not in self.states:
            edges = [edge for edge in self._edges(*state) if self._sum(edge[2])]
            total = math.fsum(weight * self._sum(following) for weight, _, following in edges)
            self.states[state] = total, edges
        return self.states[state][0]

    def _edges(self, rest, bound, at):
        """(weight, what was hidden and is written, the state that follows; None at the end)"""
        if rest is None:
            return self._endings(at)
        ways = self._choices if isinstance(rest.part, Choice) else self._writings
        return ways(rest, dict(bound), at)

    def _writings(self, rest, bound, at):
        text = bound[rest.part] if isinstance(rest.part, Mention) else rest.part
        kept = _kept(bound, rest.after)
        for (end, written), ways in self._matched(text, at).items():
            yield ways, written, (rest.after, kept, end)

    def _choices(self, rest, bound, at):
        slot, source = rest.part
        name = source if isinstance(source, str) else bound[source]
        options = self.grammar.lists[name]
        for option in options:
            if self._matched(option.lead, at):
                chosen = {Mention(slot, trait): text for trait, text in option.traits.items()}
                following = self.grammar.before(option.parts, rest.after)
                yield option.probability, (), (following, _kept(bound | chosen, following), at)

    def _endings(self, at):
        *before, word = at
        for (i, n), written in self._taken(*before, self.write(word, "")[0]):
            last = i + 1 == len(self.pattern)
            if i == len(self.pattern):
                yield 1, written, None
            elif n and last:
                yield self.pattern[i].longest + 1 - n, written, None

    def _matched(self, text, at):
        """(how far, what was hidden) -> in how many ways, once a text is written from `at` on."""
        ends = {(at, ()): 1}
        for character in text:
            before, ends = ends, defaultdict(int)
            for ((i, n, word), hidden), ways in before.items():
                tokens, word = self.write(word, character)
                for end, found in self._taken(i, n, tokens):
                    if not word or self._may_write(end[0], word):
                        ends[(*end, word), hidden + found] += ways
            if not ends:
                break
        return ends

    def _may_write(self, i, word):
        """Whether a word that begins so, or its characters, may stand at element i."""
        if i == len(self.pattern):
            return False
        element = self.pattern[i]
        if not isinstance(element, str):
            return True
        return element.startswith(word) or word.startswith(element)

    def _taken(self, i, n, tokens):
        """Where tokens lead from (i, n), one way each, and what of them was hidden."""
        ends = [((i, n), ())]
        for token in tokens:
            ends = [
                (end, (*found, (i, token)) if self._hides(i) else found)
                for (i, n), found in ends for end in self._steps(i, n, token)
            ]
        return ends

    def _hides(self, i):
        return i < len(self.pattern) and self.pattern[i] is HIDDEN

    def _steps(self, i, n, token):
        element = self.pattern[i] if i < len(self.pattern) else ""
        if isinstance(element, Gap):
            last = i + 1 == len(self.pattern)
            if n + 1 < element.longest + last:
                yield i, n + 1
            if not last:
                yield i + 1, 0
        elif element is HIDDEN or element == token:
            yield i + 1, 0


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
