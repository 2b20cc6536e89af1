"""`npgpt compare`: what it finds to differ and prints, and what it refuses, with nothing lost."""

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import TINY, files, run_program

from npgpt.cli.compare import differing
from npgpt.loading.runs import load_run

pytestmark = pytest.mark.pictures
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text())
SETTINGS = st.dictionaries(st.sampled_from("abcdef"), VALUES)


@pytest.fixture(scope="module")
def other(tmp_path_factory, corpus):
    """Return a run with a different rate and depth than `finished`; do not write to it."""
    folder = tmp_path_factory.mktemp("other") / "deep"
    changes = ("--lr", "0.01", "--n-layer", "2")
    run_program("train", corpus, "--out", folder, *TINY, *changes)
    return folder


def rows_in(out):
    """Name in the first column -> the other cells."""
    rows = (re.split(r"\s{2,}", line) for line in out.splitlines())
    return {name: cells for name, *cells in rows}


@given(st.dictionaries(st.text(min_size=1), SETTINGS, min_size=2, max_size=4))
def test_a_setting_is_in_the_table_exactly_if_two_runs_have_it_differently(settings):
    found = differing(list(settings.values()))
    for name in "abcdef":
        column = [of_run.get(name) for of_run in settings.values()]
        differs = any(value != column[0] for value in column[1:])
        assert found.pop(name, None) == (column if differs else None)
    assert not found


def test_two_runs_side_by_side(as_json, done, finished, other, here):
    runs = finished, other
    before = [*map(files, runs)]
    out = done("compare", *runs)
    assert [*map(files, runs)] == before
    [picture] = here.iterdir()
    assert picture.name == "hens-deep.png" and picture.name in out
    assert picture.read_bytes().startswith(b"\x89PNG")
    rows = rows_in(out)
    assert rows["lr"] == ["0.006", "0.01"] and rows["n_layer"] == ["1", "2"]
    assert rows["parameters"] == [f"{load_run(run)[0].num_parameters():,}" for run in runs]
    losses = [as_json("eval", run)["loss"] for run in runs]
    assert rows["validation loss"] == [f"{loss:.4f}" for loss in losses]
    result = as_json("compare", *runs, "--out", here / "a.png")
    assert result["settings"] == {"lr": [0.006, 0.01], "n_layer": [1, 2]}
    assert result["picture"] == str(here / "a.png") and result["notes"] == []
    hens = result["runs"]["hens"]
    assert hens["validation text"] == "all" and hens["tokens read"] == 6 * 64


def test_a_picture_that_cannot_be_written_loses_no_table(cli, finished, other, here):
    status, out, err = cli("compare", finished, other, "--out", here)
    assert status == 1 and "--out" in err and rows_in(out)["n_layer"] == ["1", "2"]


@pytest.mark.slow
def test_the_grammars_loss_is_there_where_it_is_known_and_other_texts_are_noted(
    as_json, done, finished, here
):
    for name, preset in (("gpt", ["tales"]), ("bert", ["tales-bert", "--n-inner", "16"])):
        sizes = ("--eval-tokens", "2000", *TINY, "--block-size", "192")
        done("train", "--out", name, *sizes, "--preset", *preset)
    result = as_json("compare", "gpt", "bert", finished)
    for name in ("gpt", "bert"):
        run, whole = result["runs"][name], as_json("eval", name)
        loss, grammar = whole["loss"], whole["grammar_loss"]
        assert run["grammar's loss"] == grammar
        assert run["loss above the grammar's"] == pytest.approx(loss - grammar)
        assert run["grammar's loss there"] not in (None, grammar)  # of the part that is drawn
    assert result["runs"]["gpt"]["grammar's loss"] == pytest.approx(0.3929, abs=1e-4)
    assert result["runs"]["hens"]["grammar's loss"] is None
    notes = " ".join(result["notes"])
    assert all(fact in notes for fact in ("texts", "targets", "tokenizers", "drawn part"))
    assert result["settings"]["n_inner"][0] is None


def test_without_matplotlib_the_table_is_there_and_the_way_to_get_a_picture(
    done, finished, other, here, monkeypatch
):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # what an import then finds
    out = done("compare", finished, other)
    assert "[plot]" in out and "n_layer" in out and list(here.iterdir()) == []


def test_what_is_no_run_is_refused(refuses, finished, here):
    refuses("nowhere", "compare", finished, "nowhere")
