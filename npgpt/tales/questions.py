"""Conversations about tales: a story and a question about it, or a request for a story.

    who, what, where, why    as they begin
    which                    of two, both in the story
    it                       whom a pronoun means: the mule that was too tired, the ridge too steep
    one                      of two animals: either is right
    story                    a request, which many stories fulfil

For each the distribution of answers is known: one or two of equal probability, or the stories of
the grammar in which some choices are made already. So the least possible loss on answers is exact,
and an answer is judged by what it says of the story, however it is worded.
"""

import math
import random
import re
from dataclasses import dataclass
from functools import cache

from npgpt.tales import END, GRAMMAR, STORIES, generate
from npgpt.tales.grammar import Grammar
from npgpt.tales.words import WOES

KINDS = ("who", "what", "where", "why", "which", "it", "one", "story")
OWN = {woe for woe, _ in WOES}  # of an animal; no street is tired
# words of an answer that say nothing new
SMALL = {"a", "an", "the", "in", "to", "it", "they", "was", "were", "is", "because", "too", "of"}

# For each of STORIES: its parts, as names with a number of words (`_pattern`); its questions: kind,
# text, in which a part is its last word, and the part that answers it, or two to choose from; then
# a request, and the fields of the story's template that its parts decide.
ABOUT = [
    ("One {1} {hero:3} of {home:1} lost {1} {thing:2} in {land:1}. A {pal:3} found it {1} a {2}", [
        ("who", "Who lost the {thing}?", "hero"),
        ("who", "Who found the {thing}?", "pal"),
        ("where", "Where was the {thing} lost?", "land"),
        ("what", "What was lost?", "thing"),
        ("which", "Who found the {thing}, {either}?", "pal hero"),
    ], "Tell a story in which a {pal} finds a {thing}.", ("{pal:animal}", "{:thing}")),
    ("A {it:3} of {home:1} did not cross the {wall:2} because it was too {why:1}, so it {*}. Soon "
     "a {guide:3} led it to {land:1}.", [
        ("it", "What was too {why}?", "it wall"),
        ("who", "Who led the {it}?", "guide"),
        ("where", "Where did the {it} go?", "land"),
        ("why", "Why did the {it} not cross the {wall}?", "why"),
        ("which", "Who did not cross the {wall}, {either}?", "it guide"),
    ], "Tell a story of a {it} and a {wall}.", ("{:animal}", "{wall:barrier}")),
    ("Once a {foe:3} {did:1} in {land:1} because it was {why:1}. All fled, but {hero:3} of {*}", [
        ("who", "Who helped the {foe}?", "hero"),
        ("why", "The {foe} {did}. Why?", "why"),
        ("where", "Where was the {foe}?", "land"),
        ("it", "Who was {why}?", "foe"),
        ("which", "Who was {why}, {either}?", "foe hero"),
    ], "Tell a story of a {foe} that is {why}.", ("{foe:monster}", "{woe:woe}")),
    ("Long ago there {+} {who:3} in {land:1}. {they:1} {were:1} {why:1}, so {*}. Then {hero:3} of "
     "{home:1} led {1} to {goal:1}.", [
        ("who", "Who helped the {who}?", "hero"),
        ("where", "Where did {hero} lead the {who}?", "goal"),
        ("why", "Why did the {who} need help?", "why"),
        ("it", "Who was {why}?", "who"),
    ], "Tell a story of long ago and of being {why}.", ("{woe:woe}",)),
    ("In {land:1} {hero:3} of {home:1} met {love:3} of {other:1}. {1} gave {1} a {gift:2} and {1} "
     "gave {1} {food:2}. ", [
        ("it", "Who gave the {food}?", "love"),
        ("where", "Where did {hero} meet {love}?", "land"),
        ("what", "What did {love} get?", "gift"),
    ], "Tell a story of two who meet, and of a {gift}.", ("{:thing}",)),
    ('"Who ate my {food:2}?" asked {hero:3} of {home:1}. "Not I," said the {other:3}. But the '
     "{thief:3} had {1} on its {1}, so it was sent to {land:1}.", [
        ("who", "Who ate the {food}?", "thief"),
        ("who", "Who asked?", "hero"),
        ("what", "What was eaten?", "food"),
        ("it", "Who was sent to {land}?", "thief"),
        ("which", "Who had eaten the {food}, {either}?", "thief other"),
        ("one", "Name one of the animals.", "other thief"),
    ], "Tell a story in which {food} is eaten.", ("{loot:food}",)),
]


def _pattern(text):
    """Return a compiled pattern: {name:2} is two words of that name, {*} and {+} any words."""
    text = re.escape(text).replace(r"\{", "{").replace(r"\}", "}").replace(r"\ ", " ")
    text = text.replace(r"{\*}", ".*").replace(r"{\+}", r"(?:was a|were \S+)")

    def words(found):
        *name, count = found[1].split(":")
        several = " ".join([r"\S+?"] * int(count))
        return f"(?P<{name[0]}>{several})" if name else several

    return re.compile(re.sub(r"\{([^}]*)\}", words, text))


PATTERNS = [_pattern(text) for text, *_ in ABOUT]


@dataclass(frozen=True)
class Question:
    """A question and its canonical `answer`.

    answers   the parts of the story that are right; of a request the stories' `index` in STORIES
              and the words of `asked`, its decided choices
    others    parts that are wrong
    """

    kind: str
    prompt: str
    answer: str
    answers: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    index: int = 0
    asked: tuple[str, ...] = ()

    @property
    def nats(self):
        """-ln P(answer | prompt)."""
        if self.kind == "story":
            return -self.grammar.log_probability(self.answer + "\n\n")
        return math.log(len({part.split()[-1] for part in self.answers}))

    @property
    def grammar(self):
        """Of the stories that fulfil a request."""
        return deciding(self.index, self.asked)

    def right(self, answer):
        """Return whether an answer is right.

        A story has to be one that the grammar could tell for the request. Else the answer has to
        name a right part by its last word, with none or some of the words before it in their order,
        and has to be true of no wrong part.
        """
        if self.kind == "story":
            return self.grammar.log_probability(answer + "\n\n") is not None
        if _said(answer) in map(_said, self.answers):
            return True
        fits = [any(_describes(_said(answer), _said(part)) for part in parts)
                for parts in (self.answers, self.others)]
        return fits == [True, False]


def _said(text):
    """Return the words of an answer that say something."""
    return [word for word in text.strip().rstrip(".").lower().split() if word not in SMALL]


def _describes(words, part):
    rest = iter(part)
    return bool(words) and words[-1] == part[-1] and all(word in rest for word in words)


@cache
def deciding(index, words, grammar=GRAMMAR, stories=STORIES, fields=None):
    """Return the grammar of one of the stories in which some choices are made already.

    fields   of its template, the first of each, as in ABOUT; `words` are what they chose

    Choices are independent of each other, but for the lists that earlier ones name. So the stories
    have the probabilities that they have in `grammar`, given these choices.
    """
    template, chosen = stories[index], {}
    for field, word in zip(fields or ABOUT[index][3], words, strict=True):
        source = field.strip("{}").partition(":")[2]
        option = next(o for o in grammar.lists[source] if o.traits[""] == word)
        template = template.replace(field, field.replace(f":{source}", f":its {source}"), 1)
        chosen[f"its {source}"] = [(word, option.traits)]
    decided = Grammar(chosen | {"story": [template + END]})
    decided.lists = grammar.lists | decided.lists
    return decided


def question(story, draw):
    """Return one of the questions of a story, or in one of 32 cases its request.

    A request's answer is a story, ten times as long as another, and all tokens count alike.

    draw   returns a uniform random number
    """
    index, parts = next((i, found.groupdict()) for i, pattern in enumerate(PATTERNS)
                        if (found := pattern.match(story)))
    _, questions, request, _ = ABOUT[index]
    nouns = {name: part.split()[-1] for name, part in parts.items()}
    if draw() < 1 / 32:
        asked = tuple(nouns[name] for name in re.findall(r"\{(\w+)\}", request))
        return Question("story", request.format(**nouns), story.strip(), index=index, asked=asked)
    kind, text, names = questions[int(draw() * len(questions))]
    of = (parts.pop("they", "It"), parts.pop("were", "was"))
    found = [parts[name] for name in names.split()]
    either = " or ".join(found if draw() < 1 / 2 else found[::-1])
    if kind == "it" and len(found) == 2:  # the animal, or what it did not cross
        found = found[:1] if parts["why"] in OWN else found[1:]
    found = found if kind == "one" else found[:1]
    answer = found[0]
    if len({part.split()[-1] for part in found}) == 2:
        answer = found[int(draw() * 2)].split()[-1]
    others = tuple(part for part in parts.values() if part not in found)
    prompt = f"{story.strip()}\n{text.format(**nouns | {'either': either})}"
    begins = ("In" if kind == "where" else " ".join(of) if kind == "why"
              else "The" if answer.islower() else "It was")  # its words are those of the story
    return Question(kind, prompt, f"{begins} {answer}.", tuple(found), others)


@cache
def known_words(asked):
    """Return the words of the tales, and of questions that are `asked` about them; no names."""
    text = generate(300_000) + " ".join(each.prompt for each in questions(2000 * asked))
    return {word for word in re.findall(r"\w+", text) if word.islower()}


def questions(count, seed=0):
    """Yield so many questions, each about a story of its own; the same ones for the same seed."""
    draw = random.Random(seed).random
    for _ in range(count):
        story = GRAMMAR.write(lambda options, _: options.draw(draw()))
        yield question(story, draw)
