"""The track: right answers become parts of my_gpt.py, which learns exactly as whole_gpt.py does."""

import contextlib
import importlib
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from exercises.right import with_solution
from hypothesis import given
from hypothesis import strategies as st

from npgpt import tales
from npgpt.exercises import NAMES, SECTIONS, load, my_gpt, track
from npgpt.exercises.sheet import file_of

ROOT = Path(__file__).parents[2]
PARTS = re.findall(r"^from npgpt.exercises.\w+ import (\w+)$",
                   Path(my_gpt.__file__).read_text(encoding="utf-8"), re.M)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder, whose modules are imported, and forgotten at the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    for name in list(sys.modules):
        if name.startswith("exercise_") or name == "my_gpt":
            del sys.modules[name]


def solve(cli, name, check=True):
    """Begin an exercise, write its solution into the file, and check it. Return what is printed."""
    number, path = NAMES.index(name) + 1, Path(file_of(name))
    assert cli("exercise", number)[0] == 0
    text = with_solution(path.read_text(encoding="utf-8"), number)
    path.write_text(text, encoding="utf-8")
    status, out, _ = cli("exercise", number) if check else (0, "", "")
    assert status == 0, out
    return out


@pytest.fixture(scope="module")
def page():
    sys.path.insert(0, str(ROOT / "examples"))
    yield importlib.import_module("whole_gpt")
    sys.path.remove(str(ROOT / "examples"))


def equal_gpts(module, page, V=11, T=6, C=8, H=2, layers=2):
    """Return (a GPT, its weights, those of whole_gpt.py): equal, in float64."""
    gpt = module.GPT(V, T, C, H, layers)
    weights = gpt.initial(np.random.default_rng(3), np.float64)
    theirs = page.initial_weights(np.random.default_rng(3), V, T, C, layers, np.float64)
    return gpt, weights, theirs


def test_solved_in_order_it_is_the_readers_gpt_and_learns_as_whole_gpt_does(cli, here, page):
    for count, name in enumerate(NAMES, 1):
        check = name in {names[-1] for names in SECTIONS.values()}  # each starts Python anew
        out = solve(cli, name, check)
        if check:
            assert f"{count} of {len(NAMES)} " in out
            assert (f"({NAMES[count]})" if count < len(NAMES) else "python my_gpt.py") in out
            own = sum(part in NAMES[:count] for part in PARTS)
            assert f"{own} of {len(PARTS)} " in out
        helpers = getattr(load(count), "HELPERS", ())
        for helper in helpers:  # earlier answers, by the reader
            line = f"from {file_of(helper.__name__)[:-3]} import {helper.__name__}\n"
            assert line in (here / file_of(name)).read_text(encoding="utf-8")
    out = cli("exercise")[1]
    assert len(re.findall("^right ", out, re.M)) == len(NAMES)

    mine = importlib.import_module("my_gpt")
    assert Path(mine.__file__).parent == here
    assert {Path(sys.modules[getattr(mine, part).__module__].__file__).parent
            for part in PARTS} == {here}
    gpt, weights, theirs = equal_gpts(mine, page)
    steps, data = 100, np.random.default_rng(0).integers(0, 11, (100, 2, 3, 6))
    states, losses = mine.train(
        [(w, 0 * w, 0 * w) for w in weights], steps, lambda step: data[step],
        lambda states, x, y: gpt.loss_and_gradient([w for w, _, _ in states], x, y),
        lambda states, g, step: mine.update(states, g, step, steps, warmup=10, peak=0.01),
    )
    m, v = ([{name: 0 * w for name, w in part.items()} for part in theirs] for _ in "mv")
    for step in range(steps):
        loss, gradients = page.loss_and_gradients(theirs, *data[step], 2)
        assert losses[step] == pytest.approx(loss, rel=0, abs=1e-10), step
        page.adamw(theirs, gradients, m, v, step + 1, page.learning_rate(step, steps, 10, 0.01))
    matrices = [w.ravel() for part in theirs for w in part.values() if w.ndim == 2]
    np.testing.assert_allclose(states[0][0], np.concatenate(matrices), rtol=0, atol=1e-10)


def test_the_cache_gives_the_logits_of_the_whole_text(page):
    gpt, weights, _ = equal_gpts(my_gpt, page)
    ids = np.random.default_rng(1).integers(0, 11, (1, 6))
    tape, _, logits = gpt.run(weights, ids)
    caches = [[np.zeros((2, 0, 4))] * 2 for _ in range(2)]
    for t in range(6):
        one, _, position = gpt.run(weights, ids[:, t : t + 1], caches)
        np.testing.assert_allclose(one.values[position][0, 0], tape.values[logits][0, t],
                                   rtol=0, atol=1e-12)


@pytest.mark.parametrize("merges", [0, 12])
def test_my_gpt_learns_the_tales_and_is_judged(capsys, merges):
    above, _ = my_gpt.main(steps=40, C=8, H=2, layers=1, B=2, merges=merges, read=5_000,
                           judged=500, write=1)
    found = float(re.search(r"(\d\.\d+) nats", capsys.readouterr().out)[1])
    assert above == pytest.approx(found / tales.entropy_rate(), rel=0.1)
    assert found < 3.4 < np.log(50) - tales.entropy_rate()  # a blind guess


def test_show_runs_each_part_of_the_readers_gpt_once(cli, here, capfd):
    solve(cli, "attention")
    importlib.import_module("my_gpt").show()
    out = capfd.readouterr().out
    assert re.search(r"^exercises 5 to 9 +1 of 2 yours .* 1, 2, 3 tokens$", out, re.M)
    assert re.search(r"^exercises 1 to 3 +0 of 2 yours ", out, re.M)
    first, last = (float(x) for x in re.findall(r"loss (\S+) at first|story (\S+)$", out, re.M)
                   for x in x if x)
    assert last < 0.1 < 3 < first
    found, nudged = re.search(r"gradient of (\S+), by nudging (\S+)$", out, re.M).groups()
    assert float(found) == pytest.approx(float(nudged), abs=2e-6)


def test_a_broken_answer_leaves_my_gpt_and_what_the_reader_wrote_there_stays(cli, here):
    solve(cli, "clip")
    path = here / "my_gpt.py"
    text = path.read_text(encoding="utf-8").replace("B=8", "B=9")
    path.write_text(text, encoding="utf-8")
    assert "from exercise_13_clip import clip\n" in text
    answer = here / file_of("clip")
    answer.write_text(answer.read_text(encoding="utf-8").replace("min(", "max("), encoding="utf-8")
    assert cli("exercise", NAMES.index("clip") + 1)[0] == 1
    assert path.read_text(encoding="utf-8") == text.replace("exercise_13_", "npgpt.exercises.")
    path.write_text("mine = 1\n", encoding="utf-8")
    solve(cli, "top_k")
    assert path.read_text(encoding="utf-8") == "mine = 1\n"
    assert f"1 of {len(NAMES)} " in cli("exercise")[1]


def test_a_file_elsewhere_imports_the_solutions(cli, here):
    solve(cli, "scores")
    (here / "folder").mkdir()
    assert cli("exercise", NAMES.index("attention") + 1, "--out", "folder/mine.py")[0] == 0
    text = (here / "folder" / "mine.py").read_text(encoding="utf-8")
    assert "from npgpt.exercises.scores import scores\n" in text


@given(st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)))
def test_my_gpt_imports_the_right_answers_and_no_others(before, right):
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        track.update_my_gpt(before)
        track.update_my_gpt(right)
        path = Path("my_gpt.py") if Path("my_gpt.py").exists() else track.TEMPLATE
        text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"^from exercise_\d\d_(\w+) import \1$", text, re.M)) == {*PARTS} & right
    assert re.findall(r"^from \S+ import (\w+)$", text, re.M)[1:] == PARTS


def test_the_documents_give_the_exercises_their_numbers():
    lesson = (ROOT / "CONCEPTS.md").read_text(encoding="utf-8")
    for section, names in SECTIONS.items():
        numbers = [NAMES.index(name) + 1 for name in names]
        row = re.search(rf"^\| {re.escape(section)} \|.*\| ([^|]*) \|$", lesson, re.M)
        last = f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else f"{numbers[0]}"
        assert row and row[1] == last, f"the row of {section}"
    for part in re.split("^## ", lesson, flags=re.M)[1:]:
        names = SECTIONS.get(part.splitlines()[0], ())
        cited = {int(n) for line in re.findall("npgpt exercise (.*)", part)
                 for n in re.findall(r"\d+", line)}
        assert cited <= {NAMES.index(name) + 1 for name in names}, part.splitlines()[0]
        assert bool(cited) == bool(names), part.splitlines()[0]
