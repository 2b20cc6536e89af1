"""The exercises: right answers are accepted in any form, wrong ones are named."""

import inspect
import os
import pkgutil
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from exercises import right
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tiny_run import files

from npgpt.exercises import NAMES, SECTIONS, function_of, load
from npgpt.exercises.judge import WrongError, difference, judge, judge_file
from npgpt.exercises.sheet import BLANK, edited, sheet, solution

NUMBERS = range(1, len(NAMES) + 1)
SOFTMAX = NAMES.index("softmax_vjp") + 1
FAULTS = [(n, words) for n in NUMBERS for words in load(n).FAULTS]
ROOT = Path(__file__).parents[2]

def filled(number):
    return right.with_solution(sheet(load(number), "a command"), number)


@pytest.fixture
def answer(tmp_path):
    """Return a function that writes a file and returns its path."""

    def write(text):
        (tmp_path / "answer.py").write_text(text, encoding="utf-8")
        return tmp_path / "answer.py"

    return write


def test_every_exercise_has_all_that_it_takes():
    headings = re.findall("^## (.*)", (ROOT / "CONCEPTS.md").read_text(encoding="utf-8"), re.M)
    assert set(SECTIONS) <= set(headings)
    files = {path.stem for path in (ROOT / "npgpt" / "exercises").glob("*.py")}
    assert files - set(NAMES) == {"__init__", "apart", "judge", "my_gpt", "sheet", "track"}, (
        "npgpt/exercises/__init__.py: list each exercise in SECTIONS"
    )
    missing = [name for name in NAMES if not hasattr(right, name)]
    assert not missing, f"tests/exercises/right.py: write right answers for {missing}"
    for number in NUMBERS:
        exercise = load(number)
        assert len(exercise.FAULTS) >= 5 and len(exercise.HINTS.split("\n")) >= 5
        pkgutil.resolve_name(exercise.WHERE)
        arguments = next(iter(exercise.cases(np.random.default_rng(0))))
        assert list(inspect.signature(function_of(exercise)).parameters) == list(arguments)


@pytest.mark.parametrize("number", NUMBERS, ids=NAMES)
def test_right_answers_are_accepted_however_they_are_written(answer, number):
    judge_file(load(number), answer(filled(number)))
    judge(load(number), getattr(right, NAMES[number - 1]))


@pytest.mark.parametrize(("number", "words"), FAULTS)
def test_a_known_fault_is_refused_by_its_name(number, words):
    exercise = load(number)
    with pytest.raises(WrongError) as refused:
        judge(exercise, edited(exercise, exercise.FAULTS[words]))
    assert str(refused.value).startswith(f"The cause: {words}.")


def test_a_wrong_file_is_refused_with_the_fault_and_its_line(cli, answer):
    number = NAMES.index("layer_norm_vjp") + 1
    text = filled(number)
    status, out, _ = cli("exercise", number, "--out", answer(text))
    assert status == 0 and load(number).WHERE in out
    wrong = text.replace("- along_scale", "+ along_scale")
    status, out, _ = cli("exercise", number, "--out", answer(wrong))
    assert status == 1 and "n mean(g n) is added" in out and "--hint" in out
    line = next(i for i, text in enumerate(wrong.splitlines(), 1) if "+ along" in text)
    assert f" line {line}:" in out


@given(st.data(), arrays(float, st.tuples(st.integers(1, 4), st.integers(1, 4)),
                         elements=st.floats(1, 9)), st.floats(1.1, 5))
def test_one_wrong_entry_is_named_with_its_factor(data, expected, factor):
    at = tuple(data.draw(st.integers(0, size - 1)) for size in expected.shape)
    found = expected.copy()
    found[at] *= factor
    words = difference("dx", found, expected)
    assert f" 1 of {expected.size} " in words and f"dx{list(at)} " in words
    assert float(words.split()[-1]) == pytest.approx(factor, rel=1e-5)
    found[at] = np.nan
    assert f"dx{list(at)} is nan" in difference("dx", found, expected)
    assert difference("dx", expected * (1 + 1e-9), expected) is None
    assert "sign" in difference("dx", -expected, expected)
    assert "shape" in difference("dx", expected[None], expected)
    assert "no numbers" in difference("dx", np.full(expected.shape, "a"), expected)


def test_the_list_a_file_its_hints_and_its_solution(cli, here):
    status, out, _ = cli("exercise")
    assert status == 0 and all(f"{n:>2}  {name} " in out for n, name in enumerate(NAMES, 1))
    status, out, _ = cli("exercise", SOFTMAX)
    path = here / f"exercise_{SOFTMAX}_softmax_vjp.py"
    assert status == 0 and f"npgpt exercise {SOFTMAX}" in out and path.name in out
    assert BLANK in path.read_text(encoding="utf-8")
    before = files(here)
    status, out, _ = cli("exercise", SOFTMAX)
    assert status == 1 and "blank" in out
    hints = load(SOFTMAX).HINTS.split("\n")[1:]
    assert hints[0] in cli("exercise", SOFTMAX, "--hint")[1]
    out = cli("exercise", SOFTMAX, "--hint", 2)[1]
    assert hints[1] in out and hints[2] not in out and "--hint 3" in out
    assert "--solution" in cli("exercise", SOFTMAX, "--hint", 3)[1]
    assert cli("exercise", SOFTMAX, "--solution")[1] == solution(load(SOFTMAX))
    assert files(here) == before


@pytest.mark.parametrize("number", NUMBERS, ids=NAMES)
def test_a_new_file_compiles_and_does_not_tell_the_solution(cli, tmp_path, number):
    path = tmp_path / "new.py"
    assert cli("exercise", number, "--out", path)[0] == 0
    text = path.read_text(encoding="utf-8")
    compile(text, path, "exec")
    last = solution(load(number)).splitlines()[-1]
    assert hasattr(load(number), "PLANTED") or last not in text
    assert cli("exercise", number, "--out", path)[0] == 1  # a hunt, too, is not right as it is


HEAD = "def softmax_vjp(dy_NC, y_NC):\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEAD + "    return (dy_NC\n", "line 2: "),
        (HEAD + "    z = 1\n    return dy_NC @ y_NC\n", "line 3: ValueError"),
        (HEAD + "    return dy_NC * y\n", "line 2: NameError"),
        (HEAD + "    return softmax_vjp(dy_NC, y_NC)\n", "line 2: RecursionError"),
        ("1 / 0\n", "line 1: ZeroDivisionError"),
        ("softmax_vjp = 3\n", "no function"),
        (HEAD + "    dx = dy_NC * y_NC\n", "returns nothing"),
        (HEAD + "    return dy_NC, y_NC\n", "2 results"),
        (HEAD + "    return 'dx'\n", "no numbers"),
        (HEAD + "    return dy_NC * 1j\n", "no numbers"),
        (HEAD + "    return [[1], [2, 3]]\n", "ValueError"),
        (HEAD + "    dy_NC *= y_NC\n    return dy_NC\n", "argument dy_NC"),
        ("def softmax_vjp(dy):\n    return dy\n", "TypeError"),
        ("def make():\n    n = 0\n    def softmax_vjp(dy_NC, y_NC):\n        nonlocal n\n"
         "        n += 1\n        return dy_NC\n    return softmax_vjp\nsoftmax_vjp = make()\n",
         "dx is wrong in"),
        (HEAD + "    return dy_NC[0]\n", "the shape (3,), and should have (2, 3): [1.3"),
    ],
)
def test_errors_are_told_with_their_line_and_without_a_traceback(cli, answer, text, says):
    status, out, err = cli("exercise", SOFTMAX, "--out", answer(text))
    assert status == 1 and says in out and "Traceback" not in out + err


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r")))
def test_any_text_is_a_wrong_answer_and_never_a_crash(text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answer.py"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(WrongError):
            judge_file(load(SOFTMAX), path)


@pytest.mark.skipif(os.name == "nt", reason="links and pipes are others there")
def test_what_is_there_is_never_overwritten_nor_a_pipe_waited_for(cli, tmp_path):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.iterdir())
    for path in before:
        assert cli("exercise", SOFTMAX, "--out", path)[0] == 1
        assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


def test_what_cannot_be_asked_is_refused(cli, here):
    for arguments, says in (
        ((0,), "give 1 to"), ((99,), "give 1 to"),
        ((SOFTMAX, "--out", here / "no" / "a.py"), "no"),
    ):
        status, _, err = cli("exercise", *arguments)
        assert status == 1 and says in err and list(here.iterdir()) == []
