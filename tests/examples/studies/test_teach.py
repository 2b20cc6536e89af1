"""What a published model is taught, and what is measured beside it, are different questions."""

import json

import teach

from npgpt.families.held import QUESTIONS, questions_in


def test_what_is_measured_is_neither_taught_nor_held():
    pairs = [json.loads(line)["messages"] for line in teach.PAIRS.read_text().splitlines()]
    taught = [user["content"] for user, _ in pairs]
    far, near, kept = map(questions_in, (teach.FAR, teach.NEAR, QUESTIONS))
    assert [*map(len, (taught, far, near, kept))] == [30, 25, 25, 60]
    assert len({*taught, *far, *near, *kept}) == 140
