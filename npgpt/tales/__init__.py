"""The embedded corpus: endless short stories of kings, queens and animals, written by a grammar.

Its entropy is known exactly, as no real text's is, and so is the probability that the grammar gives
each character. So a loss shows how close a model comes to the grammar. And each story needs
attention: who is "it" or "she", what was eaten, and that three hens "were" but one "was".
"""

import random
from functools import cache, lru_cache

import numpy as np

from npgpt.support.progress import progress
from npgpt.support.text import starting_prompt
from npgpt.tales.chain import Chain
from npgpt.tales.grammar import Grammar
from npgpt.tales.words import WORDS

END = ".\n\n"  # the end of a story, which occurs nowhere else in it


def paragraphs(text):
    """Return the paragraphs of an indented text, each on one line."""
    return [" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n")]


ONE = {"number": "animal", "was": "was", "It": "It", "it": "it", "them": "it"}
SEVERAL = {"number": "animals", "was": "were", "It": "They", "it": "they", "them": "them"}

PHRASES = {
    "man": ["{:B}{:a}{:r}{:a}{:r}o"],
    "woman": ["{:B}{:a}{:r}{:a}{:r}a"],
    "land": ["{:B}{:a}{:r}{:a}{:r}ia"],
    "hero": ["{:mood} {hero:noble} {:hero.names} of {:land}"],
    "group": [
        ("was a", ONE),
        *((f"were {count}", SEVERAL) for count in ("two", "three", "four", "six")),
    ],
    # what cures a woe
    "meal": ["{:taste} {:food}"],
    "drinks": ["{:taste} {:drink}"],
    **{thing: ["a {:look} " + thing] for thing in ("bed", "coat", "doll", "lamp", "raft")},
    "sight": ["a {:look} {:place}"],
    # how stories end
    "reward": paragraphs("""
        gave the {pal} a {:look} {:thing}

        made the {pal} {hero.his} {:mood} {:job}

        fed the {pal} {:taste} {:food} and {:taste} {:drink}

        kissed the {pal} on its {:cheek}

        let the {pal} stay in {:land}

        taught the {pal} a {:mood} {:song}
    """),
    "thanks": paragraphs("""
        gave {hero.him} a {:look} {:thing}

        sang to {hero.him} until {:time}

        became {hero.his} {:mood} {:job}

        baked {hero.him} {:taste} {:food}

        took {hero.him} to {:land}
    """),
    "feast": paragraphs("""
        They {:danced} until {:time}

        Both {:danced} and had {:taste} {:food}
    """),
}

STORIES = paragraphs("""
    One {:time} {:hero} lost {hero.his} {:look} {:thing} in {:land}. A {:mood} {:look} {pal:animal}
    found it {:near} a {:look} {:place}, so {hero.he} {:reward}

    A {:mood} {:look} {:animal} of {:land} did not cross the {:look} {wall:barrier} because it was
    too {woe:wall.why}, so it {woe.cure} {:woe.by}. Soon a {:mood} {:look} {:animal} led it to
    {:land}

    Once a {:mood} {:look} {foe:monster} {:howled} in {:land} because it was {woe:woe}. All fled,
    but {:hero} gave it {:woe.by}. So the {foe} {:thanks}

    Long ago there {who:group} {:mood} {:look} {:who.number} in {:land}. {who.It} {who.was}
    {woe:woe}, so {who.it} {woe.cure} {:woe.by}. Then {:hero} led {who.them} to {:land}

    In {:land} {:hero} met {:mood} {love:hero.mates} {:love.names} of {:land}. {hero.He} gave
    {love.him} a {:look} {:thing} and {love.he} gave {hero.him} {:taste} {:food}. {:feast}

    "Who ate my {:taste} {loot:food}?" asked {:hero}. "Not I," said the {:mood} {:look} {:animal}.
    But the {:mood} {:look} {:animal} had {loot.trace} on its {:cheek}, so it was sent to {:land}
""")

GRAMMAR = Grammar(WORDS | PHRASES | {"story": [story + END for story in STORIES]})

# The beginning of a story for attention maps. The first "it" is the animal and not the street: no
# street is tired. The second is the animal too, and its next action follows from "tired".
SENTENCE_WITH_IT = (
    "A shy small dog of Velaria did not cross the red street because it was too tired, so it"
)


def generate(n_characters: int, seed: int = 0, grammar: Grammar = GRAMMAR) -> str:
    """Return stories one after another, cut to exactly n_characters.

    The same seed gives the same text everywhere: of Python's Random only `random()` is used, whose
    sequence is the same in every version and on every platform.
    """
    draw = random.Random(seed).random
    written, length = [], 0
    while length < n_characters:
        written.append(grammar.write(lambda options, _: options.draw(draw())))
        length += len(written[-1])
    return "".join(written)[:n_characters]


@cache
def entropy_rate():
    """Return the exact entropy of the text in nats per character: the lowest expected loss.

    Cross-entropy is entropy plus a divergence that is never negative, so no model's expected loss
    is below the entropy of the text. Stories are independent of each other. So n stories have n
    times the entropy of one story, and about n times its expected length: the entropy per character
    is the ratio of the two (the renewal-reward theorem).

    That holds for a fixed set of targets and a model that predicts from the text before and does
    not depend on the text otherwise; one text may have less, by more than ln n nats in all with a
    probability of at most 1 / n.

    A model that knows the grammar and all text so far reaches the bound. A model that sees only the
    last T characters has to guess the beginning of the story, so its lowest loss is higher. A story
    has about 160 characters: T = 256 costs next to nothing where every prediction has that much
    context, but in disjoint windows most predictions have less, and the cost shows.
    """
    nats, characters = GRAMMAR.expectation()
    return nats / characters


log_probability = GRAMMAR.log_probability  # of a story, its END included


@lru_cache(maxsize=1)  # at its beginning and at its end a training asks for the same
def surprisals(text, before=""):
    """Return -ln P(character | all text before it) for each character of a text of the tales.

    before   the text that comes first, in which the first story may begin

    Return None if the grammar does not write the text.
    """
    *complete, cut = (before.rpartition(END)[2] + text).split(END)
    found = [*(GRAMMAR.surprisals(story + END) for story in complete), GRAMMAR.surprisals(cut)]
    return None if None in found else np.concatenate(found)[-len(text) :]


_chain = lru_cache(maxsize=2)(Chain)


def least_in_windows(tokens, nats_N, windows, before="", write=None, grammar=GRAMMAR):
    """Return the least loss of each target from its window, as `Chain.in_windows` does.

    tokens   of a text of the tales, as texts
    nats_N   `surprisals`, summed over each token's characters
    before   the text that comes first, as for `surprisals`
    write    the tokenizer, character by character; None for tokens that are not characters or words

    The grammar reads tokens here, too, which say more than their characters do. The end of the text
    may cut off a word: its tokens count by their characters.
    """
    chain, known = _chain(grammar, write), nats_N
    pending = ""
    for character in "".join(tokens).rpartition(END)[2] if write else "":
        _, pending = write(pending, character)
    cut = len(write(pending, "")[0]) if write else 0
    whole = len(tokens) - cut
    if write and any(len(token) > 1 for token in tokens):
        letters, belief = _chain(grammar, None), _chain(grammar, None).beginning
        for character in before.rpartition(END)[2]:
            _, belief = letters.read(belief, character)
        belief = {chain.state(state.left): p for state, p in belief.items()}
        known = np.append(chain.surprisals(tokens[:whole], belief), nats_N[whole:])
    found = chain.in_windows(tokens, known, [(s, min(e, whole), f) for s, e, f in windows],
                             chain.cut_anywhere())
    found[whole:] = known[whole:]
    return found


def stories(text):
    """Return the complete stories in a text, each with its END.

    Text after the last END is left out. If the text begins inside a story, the rest of that story
    comes first.
    """
    return [story + END for story in text.split(END)[:-1]]


@progress("telling stories")
def stories_written(model, tokenizer, count=64):
    """Return (complete stories by the model, how many of them the grammar derives)."""
    prompt_T = tokenizer.encode(starting_prompt(tokenizer))
    length = model.config.block_size - len(prompt_T)
    texts_BT = model.generate(np.tile(prompt_T, (count, 1)), length, seed=0)
    written = [s for ids_T in texts_BT for s in stories(tokenizer.decode(ids_T[len(prompt_T) :]))]
    return len(written), sum(log_probability(story) is not None for story in written)
