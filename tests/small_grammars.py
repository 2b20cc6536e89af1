"""Grammars that are small enough to enumerate all their texts."""

import math

from hypothesis import strategies as st

from npgpt.tales.grammar import Grammar


def derivations(grammar):
    """Yield (text, the option of each choice) for every derivation, by counting through them."""
    picks = []
    while True:
        sizes, chosen = [], []

        def choose(options, _, sizes=sizes, chosen=chosen):
            if len(sizes) == len(picks):
                picks.append(0)
            sizes.append(len(options))
            chosen.append(options[picks[len(chosen)]])
            return chosen[-1]

        yield grammar.write(choose), chosen
        while picks and picks[-1] == sizes[len(picks) - 1] - 1:
            picks.pop()
        if not picks:
            return
        picks[-1] += 1


def texts_of(grammar):
    """Return {text: probability}."""
    return {
        text: math.prod(option.probability for option in chosen)
        for text, chosen in derivations(grammar)
    }


PETS = Grammar(
    {
        "story": ["A {:colour} {pet:animal} {pet.sang}, so {who:pet.owners} fed the {pet}.", "No."],
        "colour": ["red", "blue", "green"],
        "animal": [
            ("cat", {"sang": "mewed", "owners": "lady"}),
            ("dog", {"sang": "barked", "owners": "lord"}),
        ],
        "lady": ["Ada", "Mia"],
        "lord": ["{:title} Otto"],
        "title": ["King", "Duke", "Earl"],
    }
)


@st.composite
def grammars(draw):
    """Draw lists that refer to later ones; options have different leads, and half have weights."""
    texts = st.text("xy", max_size=2)
    count = draw(st.integers(1, 3))
    lists = {"few": ["x"], "many": ["xy", "yx"]}
    for i in range(count):
        options = []
        for lead in "ab"[: draw(st.integers(1, 2))]:
            template = lead + draw(texts)
            for _ in range(draw(st.integers(0, 2)) if i < count - 1 else 0):
                later = draw(st.integers(i + 1, count - 1))
                slot = draw(st.sampled_from("pq"))  # two in all, so that slots are bound anew
                mention = draw(st.sampled_from(["", f"{{{slot}.t}}", f"{{:{slot}.names}}"]))
                template += f"{{{slot}:list{later}}}" + mention + draw(texts)
            traits = {"t": draw(texts), "names": draw(st.sampled_from(["few", "many"]))}
            options.append((template, traits, draw(st.sampled_from([1, 1, 0.25, 3]))))
        lists["story" if i == 0 else f"list{i}"] = options
    return Grammar(lists)


any_grammar = st.just(PETS) | grammars()
