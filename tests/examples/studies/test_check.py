"""Reports are what the rows make them, rows say where they are from, and a study runs."""

import importlib
import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("pandas", reason="of the extra 'studies'")
import study
from laboratory import key

ROOT, ROWS = study.HERE.parents[1], sorted(study.HERE.glob("*.jsonl"))


@pytest.mark.slow
def test_every_report_is_made_of_its_rows():
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-m", "examples.studies", "--check"], cwd=ROOT,
                          env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_changed_digit_and_a_lost_row_are_found(monkeypatch, tmp_path):
    monkeypatch.setattr(study, "HERE", tmp_path)
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/small.md").write_text("Two and two are {four}.\n")
    (tmp_path / "small.jsonl").write_text('{"settings": {"seed": 1}, "result": 2}\n')

    class small:
        numbers = staticmethod(lambda results: {"four": 2 * results['{"seed": 1}']})
        trials = staticmethod(lambda results: [{"seed": 1}])
        __file__ = "small.py"

    study.write(study.outputs(small))
    study.check(small)
    (tmp_path / "small.md").write_text("Two and two are 5.\n")
    with pytest.raises(SystemExit, match="are 5"):
        study.check(small)
    (tmp_path / "small.jsonl").write_text("")
    with pytest.raises(SystemExit, match="no row"):
        study.check(small)


def test_a_changed_digit_in_a_quoted_sentence_is_found(monkeypatch, tmp_path):
    claims, document = importlib.import_module("claims"), tmp_path / "document.md"
    monkeypatch.setattr(study, "HERE", tmp_path)
    monkeypatch.setattr(study, "DOCUMENT", document)
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/quoted.md").write_text("it falls by {x:.0f} %\nand {x:.1f}\n")
    document.write_text("Here it falls\nby 12 %, and 12.3.")
    claims.check_quotes({"x": -12.3})
    with pytest.raises(SystemExit, match=r"lacks.*\nand -12\.4$"):
        claims.check_quotes({"x": -12.4})


@pytest.mark.parametrize("path", ROWS, ids=lambda path: path.stem)
def test_a_row_says_where_it_is_from_and_is_there_once(path):
    rows = [*map(json.loads, path.read_text(encoding="utf-8").splitlines())]
    assert all(row["made"].keys() in ({"not after"}, {"when", "commit", "versions"})
               for row in rows)
    assert len({key(row["settings"]) for row in rows}) == len(rows)


def test_no_row_is_of_no_training():
    wanted = {}
    for name in study.NAMES:
        of = importlib.import_module(name)
        for trial in of.trials(study.results(of)):
            wanted.setdefault(name, set()).add(key(trial))
    for path in ROWS:
        assert study.results_of(path).keys() <= wanted[path.stem], path


def test_seeds_of_trainings_again_are_new():
    again = importlib.import_module("again")
    for of, seeds in again.SEEDS.items():
        seen = {json.loads(settings).get("seed") for settings in study.results(of)}
        assert seen and not seen & {*seeds}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*study.NAMES} - {"teach"}))
def test_a_quick_study_has_a_result(name):
    results = study.quick(importlib.import_module(name))
    assert len(results) == 1 and all(results.values())


def test_paragraphs_are_filled_and_tables_are_not():
    text = "# A\n\n- one\n  two\n- three\n\nfour\nfive\n\n| a |\n| - |\n"
    assert study.wrapped(text) == "# A\n\n- one two\n- three\n\nfour five\n\n| a |\n| - |\n"
