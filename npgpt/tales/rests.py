"""What is left of a story to write, at any point of its derivation.

A rest depends on earlier choices only through its mentions, so derivations with equal rests and
equal mentions go on alike.
"""

from functools import cache

from npgpt.tales.grammar import Choice, Mention


class Rest:
    """The rest of a story: a symbol, then a further `Rest`. Equal rests are one object."""

    def __init__(self, symbol, after, mentions):
        self.symbol, self.after, self.mentions = symbol, after, mentions


class Compiled:
    """A grammar's lists and the rests of its stories, shared by all patterns."""

    def __init__(self, grammar):
        self.lists = grammar.lists
        self.mentions = cache(self._mentions)
        self.before = cache(self._before)
        self.start = self.before((Choice("", "story"),), None)

    def _before(self, symbols, after):
        """Return the `Rest` that writes `symbols`, then the rest `after`."""
        if not symbols:
            return after
        later = self.before(symbols[1:], after)
        mentions = self.mentions(symbols[:1]) | (later.mentions if later else frozenset())
        return Rest(symbols[0], later, mentions)

    def _mentions(self, symbols):
        """Return the mentions in symbols and in all options that they may choose."""
        found = set()
        for symbol in symbols:
            if isinstance(symbol, Mention):
                found.add(symbol)
            elif isinstance(symbol, Choice):
                names = [symbol.source]
                if isinstance(symbol.source, Mention):
                    found.add(symbol.source)
                    trait, lists = symbol.source.trait, self.lists.values()
                    named = {o.traits.get(trait) for options in lists for o in options}
                    names = named & self.lists.keys()
                for name in names:
                    found |= self.mentions(sum((o.symbols for o in self.lists[name]), ()))
        return frozenset(found)


compiled = cache(Compiled)


def kept(bound, rest):
    """Return the earlier choices that the rest mentions."""
    if rest is None or not rest.mentions:
        return frozenset()
    return frozenset(pair for pair in bound.items() if pair[0] in rest.mentions)
