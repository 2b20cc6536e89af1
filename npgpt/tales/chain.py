"""The text of a grammar as a hidden Markov chain, and the least loss of who sees a window of it.

Stories follow each other without end. The hidden state is what the current story still has to
write: literal text, the rest of the derivation, and the earlier choices that the rest mentions. A
state gives its next character and the next state, so the forward algorithm (Rabiner, 1989, III.A)
computes the distribution over states after each token, and with it P(token | the tokens read):

    belief'(s') = sum over s of belief(s) P(token, s' | s),   divided by its sum, P(token | ...)

Whoever knows the text from a story's beginning starts from one state. A window begins anywhere, so
its reader starts from the stationary law: stories are independent, so the share of time in a state
is in proportion to its expected visits in a story (the renewal-reward theorem). No function of the
window has a lower expected loss (Gibbs' inequality); by position in the window it is the difference
of Shannon's block entropies (1951).

A token that has several characters tells more than they do: a word has ended, or a letter stands
alone because its word is rare. The tokenizer's pending text is therefore a part of the state, and
tokens that were read but are not yet certain are weighted by the probability of what makes them so.
"""

from collections import defaultdict
from functools import cache, cached_property
from graphlib import TopologicalSorter

import numpy as np

from npgpt.tales.grammar import Choice, Mention
from npgpt.tales.rests import compiled, kept

OPENING = 3  # tokens of a window, after which beliefs are remembered: few windows begin alike


class State:
    """A hidden state. Equal states of a chain are one object, which hashes quickly.

    left      what the story has to write: literal text, the rest of the derivation, the mentions
    pending   text that the tokenizer has not yet turned into tokens
    queue     tokens read that `pending` and what follows have yet to become
    """

    __slots__ = ("left", "pending", "queue")

    def __init__(self, left, pending="", queue=()):
        self.left, self.pending, self.queue = left, pending, queue


class Chain:
    """The hidden Markov chain of a grammar's stories, in tokens.

    write   the tokenizer, character by character, such as `CharTokenizer.write`; None where tokens
            count as the characters that they stand for

    A belief is a dict, `State` -> probability.
    """

    def __init__(self, grammar, write=None):
        self.grammar, self.write = compiled(grammar), write
        self.root = ("", self.grammar.start, frozenset())
        self.moves, self.chances = cache(self._moves), cache(self._chance)
        self.walks, self.opening, self.state = cache(self._walk), cache(self._opening), cache(State)

    @property
    def beginning(self):
        """The belief at the beginning of a story."""
        return {self.state(self.root): 1.0}

    def read(self, belief, token):
        """Return (P(token | belief), the belief after it); (0, {}) for an impossible token."""
        after = defaultdict(float)
        for state, p in belief.items():
            for q, following in self.walks(state, token):
                after[following] += p * q
        total = sum(after.values())
        return total, {state: p / total for state, p in after.items()}

    def surprisals(self, tokens, belief):
        """Return -ln P(token | the tokens before) of each token, (N,); None if one is impossible.

        belief   before the first token, such as `beginning`
        """
        found = np.empty(len(tokens))
        for i, token in enumerate(tokens):
            p, belief = self.read(belief, token)
            if not p:
                return None
            found[i] = p
        return -np.log(found)

    @cached_property
    def stationary(self):
        """The belief before the first token of a window that begins anywhere, in weights.

        A window begins where a token begins. Pending text may be a word, or be spelled.
        """
        law = defaultdict(float)
        for (left, pending), visits in self._visits().items():
            for queue in {tuple(pending), (pending,)} if pending else [()]:
                if weight := visits * self.chances(left, pending, queue):
                    law[self.state(left, pending, queue)] += weight
        return law

    def cut_anywhere(self):
        """The belief before a text that was cut off at any character, and tokenized from there."""
        law = defaultdict(float)
        for (left, _), visits in self._visits().items():
            law[self.state(left)] += visits
        return law

    @cached_property
    def _by_characters(self):
        """States of the stationary law by the one and the two characters that may come next."""
        found = defaultdict(dict)
        for state, weight in self.stationary.items():
            for _, one, left, _, pending in self.moves(state.left, state.pending):
                found[one][state] = weight
                for _, two, *_ in self.moves(left, pending):
                    found[one + two][state] = weight
        return found

    def _opening(self, *tokens):
        """Return `read` of the last of some tokens at the beginning of a window."""
        *before, token = tokens
        belief = self.opening(*before)[1] if before else self._by_characters[token[:2]]
        return self.read(belief, token)

    def _visits(self):
        """Return {(what is left, pending text): expected visits in a story}, in order of time."""
        start = (self.root, "")
        before, to_do = {start: []}, [start]
        while to_do:
            state = to_do.pop()
            for p, _, left, _, pending in self.moves(*state):
                following = (left, pending)
                if left == self.root:
                    if pending:
                        raise ValueError("a token crosses the end of a story, where it is unknown "
                                         "what follows; end the stories by a token of its own")
                    continue
                if following not in before:
                    before[following] = []
                    to_do.append(following)
                before[following].append((p, state))
        visits = {start: 1.0}
        order = TopologicalSorter({s: [b for _, b in pairs] for s, pairs in before.items()})
        for state in order.static_order():
            if state != start:
                visits[state] = sum(p * visits[b] for p, b in before[state])
        return visits

    def _moves(self, left, pending):
        """Return [(probability, character, what is left, certain tokens, pending), ...]."""
        found = []
        for p, character, then in self._characters(*left):
            tokens, word = self.write(pending, character) if self.write else ((), "")
            found.append((p, character, then, tokens, word))
        return found

    def _characters(self, text, rest, bound):
        """Yield (probability, next character, what is left then)."""
        if text:
            yield 1.0, text[0], self._forced(text[1:], rest, bound)
            return
        slot, source = rest.symbol
        known = dict(bound)
        name = source if isinstance(source, str) else known[source]
        for option in self.grammar.lists[name]:
            chosen = {Mention(slot, trait): written for trait, written in option.traits.items()}
            following = self.grammar.before(option.symbols, rest.after)
            then = self._forced("", following, kept(known | chosen, following))
            for p, character, after in self._characters(*then):
                yield p * option.probability, character, after

    def _forced(self, text, rest, bound):
        """Return what is left, with text to write or at a choice; a story's end is the root."""
        while not text and not (rest and isinstance(rest.symbol, Choice)):
            if rest is None:
                return self.root
            symbol = rest.symbol
            text = dict(bound)[symbol] if isinstance(symbol, Mention) else symbol
            rest, bound = rest.after, kept(dict(bound), rest.after)
        return text, rest, bound

    def _walk(self, state, token):
        """Return [(P(token, following | state), following), ...]."""
        queue = (*state.queue, token) if self.write else ()
        ways = {(state.left, state.pending, queue): 1.0}
        for character in token:
            before, ways = ways, defaultdict(float)
            for (left, pending, queue), weight in before.items():
                for p, wrote, then, tokens, word in self.moves(left, pending):
                    if wrote == character and queue[: len(tokens)] == tokens[: len(queue)]:
                        ways[then, word, queue[len(tokens) :]] += weight * p
        # tokens read become certain later: each state weighs what its future makes of them
        certain = self.chances(state.left, state.pending, state.queue)
        return [(weight * chance / certain, self.state(*following))
                for following, weight in ways.items() if (chance := self.chances(*following))]

    def _chance(self, left, pending, queue):
        """Return the probability that pending text and what follows become `queue`."""
        if not queue:
            return 1.0
        total = 0.0
        for p, _, then, tokens, word in self.moves(left, pending):
            if queue[: len(tokens)] == tokens[: len(queue)]:
                total += p * self.chances(then, word, queue[len(tokens) :])
        return total

    def in_windows(self, tokens, known, windows, beginning):
        """Return -ln P(token | those before it in its window), (N,), NaN where not counted.

        known      the same from all tokens before, (N,): `surprisals`
        windows    (start, end, first): targets first .. end - 1 of the window from `start` count
        beginning  the belief before the first token of the text, for its window
        """
        found = np.full(len(tokens), np.nan)
        for start, end, first in windows:
            belief = self.opening(tokens[start])[1] if start else self.read(beginning, tokens[0])[1]
            t = start + 1
            # in one state alone, the reader knows as much as from all text
            while t < end and len(belief) > 1:
                if start and t < start + OPENING:
                    p, belief = self.opening(*tokens[start : t + 1])
                else:
                    p, belief = self.read(belief, tokens[t])
                if t >= first:
                    found[t] = -np.log(p) if p else np.inf
                t += 1
            found[max(t, first) : end] = known[max(t, first) : end]
        return found
