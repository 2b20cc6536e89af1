"""What a published model is taught, and what is measured beside it, are different questions."""

import json

import pytest

pytest.importorskip("pandas", reason="of the extra 'studies'")
import teach

from npgpt.objectives.reference import PROSE, QUESTIONS, UNTAUGHT, questions_in


def test_what_is_measured_is_neither_taught_nor_held_nor_printed():
    pairs = [json.loads(line)["messages"] for line in teach.PAIRS.read_text().splitlines()]
    taught = [user["content"] for user, _ in pairs]
    others = [questions_in(text) for text in (*teach.ASKED.values(), QUESTIONS, UNTAUGHT)]
    assert [*map(len, (taught, *others))] == [30, 20, 20, 25, 60, 12]
    assert len({*taught}.union(*others)) == 167
    assert teach.PROSE != PROSE
