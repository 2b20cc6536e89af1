"""An almanac of people: text whose facts are as rare as Zipf's law says, of exactly known entropy.

    Once Bado Kel the baker came from Rinoria with his dog.

Each person has a calling, a land, a pet, and is a "he" or a "she"; nothing in a name tells which.
A model that knows a person says the right one. The n-th person is met in proportion to
(n + SHIFT)**-EXPONENT, much as words are in real texts, so there is always somebody whom a model
has not met often enough, or has no room for.
"""

import itertools
import random
import re
from itertools import product

import numpy as np
from family_models import WordTokenizer

from npgpt.tales.grammar import Grammar
from npgpt.tales.words import HE, SHE, WORDS, words


def zipf(options):
    """Return options of which the n-th has the weight 1 / n."""
    return [(option, {}, 1 / n) for n, option in enumerate(options, 1)]


NAMES = 128  # given names, and as many of families: each pair is a person
EXPONENT, SHIFT = 1.5, 5
FACTS = 24  # different callings, lands, pets
JOBS = WORDS["job"] + words(
    "miller tailor weaver sailor potter tanner mason farmer hunter fisher barber cooper smith dyer"
)
STORIES = (
    "Once {p:person} the {p.job} came from {p.land} with {p.his} {p.pet}.\n",
    "One {:time} {p:person} left {p.land} and {p.he} took {p.his} {:look} {p.pet} along.\n",
    "The {:mood} {p:person} met {q:person} in {p.land}, so {p.he} {:danced} and {q.he} fed the "
    "{p.pet}.\n",
    "At {:time} {p:person}, a {:mood} {p.job}, saw a {q:animal} and {p.he} gave the {q} to {p.his} "
    "{p.pet}.\n",
)
FREE = {name: zipf(WORDS[name]) for name in ("time", "look", "mood", "danced", "animal")}
LINE_END = "\n"
LONGEST = 22  # tokens of a story
GOLDEN = (5**0.5 - 1) / 2  # its multiples, less their whole part, are spread evenly, however many


def people():
    """Yield (name, traits, weight) of each, the most frequent first."""
    rng = random.Random(0)
    syllables = "BDKLNRSTVZ", "aeiou", "dlnrstv", "aeiou"
    givens = _names(rng, NAMES, *syllables)
    families = _names(rng, NAMES, *syllables, "nkx")
    lands = _names(rng, FACTS, *syllables, ("land", "mark"))
    facts = {"job": JOBS[:FACTS], "land": lands, "pet": WORDS["animal"][:FACTS]}
    names = list(product(givens, families))
    rng.shuffle(names)
    for n, name in enumerate(names, 1):
        known = {fact: rng.choice(options) for fact, options in facts.items()}
        yield " ".join(name), rng.choice((HE, SHE)) | known, (n + SHIFT) ** -EXPONENT


def _names(rng, count, *syllables):
    return rng.sample(["".join(letters) for letters in product(*syllables)], count)


def form(grammar):
    """Return a grammar of the same stories, told of anybody with any facts."""
    people = grammar.lists["person"]
    facts = {fact: sorted({o.traits[fact] for o in people}) for fact in people[0].traits if fact}
    stories = [re.sub(r"\{[pq]\.(\w+)\}", r"{:\1}", story) for story in STORIES]
    return Grammar(FREE | facts | {"person": [o.lead for o in people], "story": stories})


def tokens(piece):
    """Return how many tokens a piece of text adds: words, and other characters but spaces.

    >>> tokens(", so ")
    2
    """
    return len(re.findall("[A-Za-z]+|[^A-Za-z ]", piece))


class Almanac:
    """A grammar, its tokenizer, and its entropy in nats per token."""

    def __init__(self):
        self.grammar = Grammar(FREE | {"person": people(), "story": STORIES})
        self.form = form(self.grammar)
        nats, self.mean_length = self.grammar.expectation(tokens)
        self.entropy = nats / self.mean_length
        self.tokenizer = WordTokenizer(self._all_words(), special=())

    def _all_words(self):
        """Return every word with a space before it, unless a story begins with it."""
        lists = self.grammar.lists
        first = LINE_END.join(option.lead.strip() for option in lists["story"])
        texts = {text for options in lists.values() for o in options for text in _texts(o)}
        return LINE_END.join([first, *(f" {text.strip()}" for text in sorted(texts) if text)])

    def stories(self, count, seed, even=False):
        """Return a list of stories, the same ones for the same seed.

        even    nobody is met much more or less often than is to be expected of so many stories: the
                mean of a loss then has little of the chance by which people are drawn
        """
        draw, people = random.Random(seed).random, self.grammar.lists["person"]
        evenly = (u % 1 for u in itertools.count(draw(), GOLDEN))

        def choose(options, _):
            return options.draw(next(evenly) if even and options is people else draw())

        return [self.grammar.write(choose) for _ in range(count)]

    def ids(self, count, seed):
        """Return the token ids of so many stories, with a line end before the first."""
        return self.tokenizer.encode(LINE_END + "".join(self.stories(count, seed))).astype(np.int16)


def _texts(option):
    """Return the text of an option, and the later texts about it."""
    return [*(symbol for symbol in option.symbols if isinstance(symbol, str)),
            *(text for trait, text in option.traits.items() if trait)]
