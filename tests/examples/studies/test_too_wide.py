"""What the heads of a model that answers read: where they are asked to look, and what is said."""

import json

import numpy as np
import study_numbers as sn
import too_wide

from npgpt.families.conversations import OWN
from npgpt.tales.questions import OWN as OF_ANIMALS
from npgpt.tokenizers import WordTokenizer


def test_the_places_are_those_of_the_words_asked_about():
    text = " ".join(question.prompt for question in too_wide.questions(3000, too_wide.SEED))
    tokenizer, seen = WordTokenizer.train([text], "".join(sorted({*text})), OWN), set()
    for i, (kind, question, ids, places) in enumerate(too_wide.asked(tokenizer)):
        word = {name: tokenizer.decode([ids[at]]).strip() for name, at in places.items()}
        assert question.prompt.split("\n")[1] == f"What was too {word['reason']}?"
        assert kind == ("tired" if word["reason"] in OF_ANIMALS else "wide")
        assert question.answer.split()[1] == word["animal" if kind == "tired" else "crossed"]
        assert f"because it was too {word['reason']}," in question.prompt
        assert places["reason"] < list(ids).index(tokenizer.encode("What")[0])
        seen.add(kind)
        if i == 20:
            break
    assert seen == {*too_wide.KINDS}


def test_what_the_text_says_is_what_was_found():
    found = json.loads(too_wide.RESULT.read_text(encoding="utf-8"))
    right = sum(of["right"] for of in found.values())
    wide, tired = (np.array(found[kind]["weights"]["reason"]) for kind in ("wide", "tired"))
    read, animal = np.sort(wide[1])[1:], np.array(found["tired"]["weights"]["animal"])
    moved = {place: of["mean"] for place, of in found["wide"]["moved"].items()}
    assert wide[0].max() < 0.01 and np.sort(wide[1])[0] < 0.05 and tired.max() < 0.05
    assert animal[0].argmax() == 2 and moved["crossed"][:2] == [1, 0.001]
    assert found["wide"]["moved"]["reason"]["least"][1] > 0.9
    sn.assert_says(
        sn.CONCEPTS, f"{right} of {2 * too_wide.TALES} questions",
        "three heads of the second block put {:.2f} {:.2f} {:.2f}".format(*sorted(read)),
        f"vector of *wide* ({moved['reason'][1]:.2f}",
        f"animal's first word ({animal[0].max():.2f} "
                     f"{found['wide']['weights']['animal'][0][2]:.2f} *wide*")
