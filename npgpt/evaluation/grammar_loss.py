"""The exact loss of the grammar on hidden parts of a story.

The grammar gives every story a probability, and hidden positions are chosen independently of the
story. Among all stories that match the visible tokens, the true one therefore has the probability

    P(story | visible) = P(story) / sum of P(s) over the stories s that match

and a hidden token is v with the total probability of the matching stories that have v there.

The sum runs over all matching derivations, by recursion on the rest of the story, as in
`npgpt.tales.grammar`. The rest depends on earlier choices only through its mentions, so derivations
with equal mentions share a sum. Visible text leaves few choices; hidden text leaves all of them.
"""

import math
from collections import defaultdict
from typing import NamedTuple

from npgpt.tales import GRAMMAR  # noqa: F401 (for those who compute its loss)
from npgpt.tales.grammar import Choice, Mention
from npgpt.tales.rests import compiled, kept
from npgpt.tokenizers import CharTokenizer

HIDDEN = None  # in a pattern: one unknown token


class Gap(NamedTuple):
    """Any 1 to `longest` unknown tokens, as an entry of a pattern."""

    longest: int


def hidden_log_probabilities(grammar, story, hidden, write=CharTokenizer.write):
    """Return a list of ln P(token | visible tokens), one for each hidden position of a story.

    story    its tokens: a list, or a text whose characters are the tokens
    hidden   positions, increasing
    write    the tokenizer, character by character, such as `CharTokenizer.write`

    Return None if the grammar does not derive the story.
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
    grammar, story, spans, longest, write=CharTokenizer.write
):
    """Return ln P(tokens of all spans | the other tokens), a float; their number is not given.

    story, write   as above
    spans          pairs (first, last + 1) of positions, increasing, that do not touch. A length is
                   uniform over 1 to `longest`; the story's end cuts off what is beyond it.

    Return None if the grammar does not derive the story.
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


class _Completions:
    """The derivations that match a pattern, as the paths of a graph.

    A state is (`Rest`, its mentions, position in the pattern). An edge writes a text or chooses an
    option, and has a weight. The sum over all paths from a state is the sum over its edges of
    weight times the sum of the next state.

    Position: (i, 0, word) before element i of the pattern, or (i, n, word) with n tokens in its gap
    and more to come; `word` is the text of an unfinished token (`_matched`). A gap at the end of
    the pattern stays open. A story may end in it: a span of any length from n to the longest was
    cut off there.
    """

    def __init__(self, grammar, pattern, write=CharTokenizer.write):
        self.grammar, self.pattern, self.write = compiled(grammar), pattern, write
        self.states = {}  # state -> (sum, edges), in topological order from the end
        self.root = (self.grammar.start, frozenset(), (0, 0, ""))
        self.total = self._sum(self.root)

    def of_tokens(self):
        """Return {(position, token): sum over the derivations that write it there}."""
        into = defaultdict(float, {self.root: 1.0})  # sums over all paths to a state
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
        """Return an iterator over (weight, hidden tokens written, next state; None at the end)."""
        if rest is None:
            return self._endings(at)
        ways = self._choices if isinstance(rest.symbol, Choice) else self._writings
        return ways(rest, dict(bound), at)

    def _writings(self, rest, bound, at):
        text = bound[rest.symbol] if isinstance(rest.symbol, Mention) else rest.symbol
        left = kept(bound, rest.after)
        for (end, written), ways in self._matched(text, at).items():
            yield ways, written, (rest.after, left, end)

    def _choices(self, rest, bound, at):
        slot, source = rest.symbol
        name = source if isinstance(source, str) else bound[source]
        options = self.grammar.lists[name]
        for option in options:
            if self._matched(option.lead, at):
                chosen = {Mention(slot, trait): text for trait, text in option.traits.items()}
                following = self.grammar.before(option.symbols, rest.after)
                yield option.probability, (), (following, kept(bound | chosen, following), at)

    def _endings(self, at):
        *before, word = at
        for (i, n), written in self._taken(*before, self.write(word, "")[0]):
            last = i + 1 == len(self.pattern)
            if i == len(self.pattern):
                yield 1, written, None
            elif n and last:
                yield self.pattern[i].longest + 1 - n, written, None

    def _matched(self, text, at):
        """Return {(position, hidden tokens): number of ways} after writing a text from `at`."""
        ends = {(at, ()): 1}
        for character in text:
            before, ends = ends, defaultdict(int)
            for ((i, n, word), hidden), ways in before.items():
                tokens, word = self.write(word, character)
                for end, found in self._taken(i, n, tokens):
                    ends[(*end, word), hidden + found] += ways
            if not ends:
                break
        return ends

    def _taken(self, i, n, tokens):
        """Return the (position, hidden tokens) that tokens lead to from (i, n), one per way."""
        ends = [((i, n), ())]
        for token in tokens:
            ends = [
                (end, (*found, (i, token)) if self.pattern[i : i + 1] == [HIDDEN] else found)
                for (i, n), found in ends for end in self._steps(i, n, token)
            ]
        return ends

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
