"""What all studies share: flags, scripts, pictures, tables between the marks of their reports."""

import importlib
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import study
import study_numbers as sn
from laboratory import key

NAMES = ["08_ablations", "09_scaling_laws", "10_families", "11_reward", "12_rows", "13_skills",
         "14_training", "15_start"]


@pytest.mark.parametrize("flags", [[], ["--quick"], ["--report"], ["--all"]])
def test_one_command_runs_all(flags):
    commands = runpy.run_path(sn.STUDIES / "__main__.py")["commands"](flags)
    assert [Path(script).stem for _, script, *_ in commands] == NAMES
    assert all(rest == flags for _, _, *rest in commands)


@pytest.mark.parametrize("extra", ["", "more seeds"])
@pytest.mark.parametrize("flags", [[], ["--all"], ["--quick"], ["--all", "--workers", "3"]])
def test_each_study_knows_the_flags_of_all(monkeypatch, flags, extra):
    monkeypatch.setattr(sys, "argv", ["study", *flags])
    quick, folder, found = study.run_study(
        "", lambda *args, **more: (*args, more), None, "quick", extra)
    assert quick == ("--quick" in flags)
    assert folder == (study.FIGURES / "new" if quick else study.FIGURES)
    workers = 3 if "3" in flags else None
    assert found == {"workers": workers} | ({"extra": "--all" in flags} if extra else {})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["08_ablations", "09_scaling_laws", "12_rows", "13_skills",
                                  "14_training"])
def test_a_quick_study_leaves_a_picture(name, tmp_path):
    found = importlib.import_module(name).main(quick=True, figures=tmp_path)
    picture = tmp_path / f"{name}.png"
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert picture.stat().st_size > 5_000
    if name == "08_ablations":
        base = found[found.label == "base"].excess
        assert len(base) == 3 and 1 < base.mean() < 5
    if name == "09_scaling_laws":
        *grid, told, ahead = found
        assert "predict" in told["settings"] and "predict" not in ahead["settings"]
        flops = {row["settings"]["flops"] for row in grid}
        assert ahead["settings"]["flops"] == told["settings"]["predict"] == 4 * max(flops)
        assert all(row["result"]["excess"] > 0 for row in (*grid, ahead))
        assert told["result"]["N"] == ahead["result"]["parameters"]
        assert told["result"]["D"] == pytest.approx(ahead["result"]["tokens"], rel=0.05)


@pytest.mark.slow
def test_a_study_runs_as_a_script_from_any_folder(tmp_path):
    command = [sys.executable, sn.STUDIES / "12_rows.py", "--help"]
    found = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, encoding="utf-8")
    assert "--report" in found.stdout and not [*tmp_path.iterdir()]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["08_ablations", "09_scaling_laws", "12_rows", "13_skills", "14_training"])
def test_the_tables_are_those_of_the_rows(name):
    script = importlib.import_module(name)
    by_key = {key(settings): result for settings, result in sn.rows(f"{name}.jsonl")}
    if name in ("08_ablations", "12_rows"):
        trained = script.ROWS if name == "08_ablations" else script.ARMS + script.TALES
        found = script.tables(script.frame(trained, by_key, script.SEEDS))
    elif name == "09_scaling_laws":
        found = script.tables(script.kept(script.RESULTS))
    elif name == "14_training":
        found = script.tables(*script.frames(script.stored()))
    else:
        found = script.tables(by_key)
    if summary := found.pop("summary", None):
        assert_same(summary, sn.tables_of(sn.CONCEPTS)[f"examples/studies/{name}.py"])
    shown = sn.tables_of(f"{name}.md")
    assert shown.keys() == found.keys()
    for table, text in found.items():
        assert_same(text, shown[table])


def assert_same(found, there):
    """Up to what another processor's rounding makes of the samples of a bootstrap."""
    found, there = map(words_and_numbers, (found, there))
    assert found[0] == there[0]
    assert found[1] == pytest.approx(there[1], rel=0.05, abs=0.02)


def words_and_numbers(text):
    """Return the words of a text without its numbers, and the numbers."""
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    number = r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
    return re.sub(number, "#", text).split(), [float(x) for x in re.findall(number, text)]
