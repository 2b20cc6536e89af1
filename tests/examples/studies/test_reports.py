"""What all studies share: flags, scripts, pictures, tables between the marks of their reports."""

import importlib
import re

import pytest
import study_numbers as sn
from laboratory import key


@pytest.mark.slow
@pytest.mark.parametrize("name", ["08_ablations", "09_scaling_laws", "10_families", "12_rows",
                                  "13_skills", "14_training"])
def test_a_quick_study_leaves_a_picture(name, tmp_path):
    importlib.import_module(name).main(quick=True, figures=tmp_path)
    picture = tmp_path / f"{name}.png"
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert picture.stat().st_size > 5_000


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["08_ablations", "09_scaling_laws", "12_rows", "13_skills", "14_training"])
def test_the_tables_are_those_of_the_rows(name):
    script = importlib.import_module(name)
    by_key = {key(settings): result for settings, result in sn.rows(f"{name}.jsonl")}
    if name in ("08_ablations", "12_rows"):
        trained = script.ROWS if name == "08_ablations" else script.ARMS + script.TALES
        found = script.tables(script.frame(trained, by_key, script.SEEDS))
        if name == "12_rows":
            finer = script.frame(script.FINER, by_key, script.SEEDS)
            found["finer"] = script.at_best_rates(finer)
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
