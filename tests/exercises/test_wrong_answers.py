"""Wrong answers: the judge says the cause of most, and names the faulty line or none."""

import inspect
import re

import pytest
from exercises.wrong import ROWS

from npgpt.exercises import NAMES, function_of, load
from npgpt.exercises.judge import WrongError, judge_file
from npgpt.exercises.sheet import sheet, solution

HEAD = ("import math\nimport numpy as np\nfrom npgpt.exercises.merge import merge\n"
        "from npgpt.exercises.scores import scores\n\n\n")


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """Return the judge's message for each row."""
    path, messages = tmp_path_factory.mktemp("wrong") / "answer.py", []
    for name, body, _, _ in ROWS:
        exercise = load(NAMES.index(name) + 1)
        signature = inspect.signature(function_of(exercise))
        path.write_text(f"{HEAD}def {name}{signature}:{body}", encoding="utf-8")
        try:
            judge_file(exercise, path)
            messages.append("right")
        except WrongError as error:
            messages.append(str(error))
    return messages


def test_all_but_two_wrong_answers_get_their_cause_in_words(verdicts):
    rows = zip(ROWS, verdicts, strict=True)
    without = [(name, body, said) for (name, body, words, _), said in rows if words not in said]
    assert len(ROWS) == 62 and len(without) <= 2, without


def named(said):
    """Return the lines of code that a message names."""
    return set(re.findall(r"line \d+:\n    (.*)", said))


def test_the_line_that_is_named_is_the_faulty_one_or_none_is_named(verdicts):
    for (name, _, _, line), said in zip(ROWS, verdicts, strict=True):
        assert named(said) <= {line}, (name, said)
    assert sum(map(bool, map(named, verdicts))) >= 18


@pytest.mark.parametrize("number", range(1, len(NAMES) + 1), ids=NAMES)
def test_of_a_planted_fault_no_innocent_line_is_named(number, tmp_path):
    exercise, path = load(number), tmp_path / "answer.py"
    head = sheet(exercise, "a command").partition(f"def {NAMES[number - 1]}(")[0]
    right = solution(exercise).splitlines()
    for edits in exercise.FAULTS.values():
        text = solution(exercise, edits)
        path.write_text(head + text, encoding="utf-8")
        with pytest.raises(WrongError) as refused:
            judge_file(exercise, path)
        changed = {line.strip() for line in text.splitlines() if line not in right}
        assert named(str(refused.value)) <= changed, str(refused.value)


@pytest.mark.parametrize(("name", "body", "says", "not_said"), [
    ("layer_norm_vjp", "return dy_NC, dy_NC * n_NC, dy_NC.sum(axis=0)",
     "dweight has the shape (2, 3), and should have (3,)", "dx "),
    ("layer_norm_vjp", "return dy_NC, dy_NC, dy_NC.sum(axis=0)", "[[1.304, 0.947, -0.704]", "000"),
    ("count_parameters", "return V * C + T * C + L * (12 * C * C + 4 * C) + 2 * C",
     "count is 124,356,864, and should be 124,439,808: 82,944 too few", "e+"),
    ("count_parameters", "return V * C + T * C + L * (12 * C * C + 13 * C) + 2 * C + 1",
     "124,439,809, and should be 124,439,808: 1 too many", "factor"),
    ("causal_mask", "return np.arange(T)[None, :] < np.arange(T)[:, None]",
     "mask[0, 0] is False, and should be True", "factor"),
    ("merge", "return [*ids[:1], *ids]", "ids has 6 entries, and should have 3: [1, 1, 2, 3, 1, 2]",
     "shape"),
    ("merge", "return [new_id, 3, pair[0] + 7]",
     "ids[2] is 8, and should be 9\nThe arguments", "factor"),
    ("learning_rate", "if step < warmup:\n        return 0.0\n    return lowest + (peak - lowest) *"
     " (1 + math.cos(math.pi * min(1.0, (step - warmup) / (steps - warmup)))) / 2",
     "is in line 9:\n    return 0.0", "return lowest"),
    ("backward", "return [2.0 * len(i) for i in sources]", "vjps [None, None, vjp]", "0x"),
])
def test_shapes_come_first_and_integers_and_booleans_are_shown_as_such(
    tmp_path, name, body, says, not_said
):
    exercise, path = load(NAMES.index(name) + 1), tmp_path / "answer.py"
    signature = inspect.signature(function_of(exercise))
    path.write_text(f"{HEAD}def {name}{signature}:\n    {body}\n", encoding="utf-8")
    with pytest.raises(WrongError) as refused:
        judge_file(exercise, path)
    assert says in str(refused.value)
    assert not_said not in str(refused.value).replace(body, "")
