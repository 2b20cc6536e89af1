"""Grammars small enough to enumerate every text of, for the tests of what is computed from one."""

from hypothesis import strategies as st

from npgpt.data.grammar import Grammar


def derivations(grammar):
    """(text, sizes of its choices) of every derivation, found by counting through the choices."""
    picks = []
    while True:
        sizes = []

        def choose(options, _, sizes=sizes):
            if len(sizes) == len(picks):
                picks.append(0)
            sizes.append(len(options))
            return options[picks[len(sizes) - 1]]

        yield grammar.write(choose), sizes
        while picks and picks[-1] == sizes[len(picks) - 1] - 1:
            picks.pop()
        if not picks:
            return
        picks[-1] += 1


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
    """Lists that refer to later lists; the options of a list begin with different letters."""
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
            options.append((template, traits))
        lists["story" if i == 0 else f"list{i}"] = options
    return Grammar(lists)


any_grammar = st.just(PETS) | grammars()
