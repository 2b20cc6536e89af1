"""The places that `too_wide.py` looks at are those of the words asked about."""

import too_wide

from npgpt.data.conversations import OWN
from npgpt.tales.questions import OWN as OF_ANIMALS
from npgpt.tokenizers import WordTokenizer


def test_the_places_are_those_of_the_words_asked_about():
    text = " ".join(question.prompt for question in too_wide.questions(3000, too_wide.SEED))
    tokenizer, seen = WordTokenizer.train([text], "".join(sorted({*text})), OWN), set()
    for _, (kind, question, ids, places) in zip(range(20), too_wide.asked(tokenizer), strict=False):
        word = {name: tokenizer.decode([ids[at]]).strip() for name, at in places.items()}
        assert question.prompt.split("\n")[1] == f"What was too {word['reason']}?"
        assert kind == ("tired" if word["reason"] in OF_ANIMALS else "wide")
        assert question.answer.split()[1] == word["animal" if kind == "tired" else "crossed"]
        assert places["reason"] < list(ids).index(tokenizer.encode("What")[0])
        seen.add(kind)
    assert seen == {*too_wide.KINDS}
