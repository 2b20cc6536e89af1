"""`npgpt look` and `npgpt compare` replace a file that they made before, and no other."""

import os
import shutil

import pytest
from tiny_run import files

from npgpt import plots

pytestmark = pytest.mark.pictures
MARK = '<meta name="generator" content="npgpt look">'


@pytest.fixture(params=["look", "compare"])
def making(request, finished, tmp_path):
    """Return (a path for what the command makes, the command)."""
    (tmp_path / "runs").mkdir()
    other = shutil.copytree(finished, tmp_path / "runs" / "other")
    if request.param == "look":
        return tmp_path / "a.html", ["look", finished, "--prompt", "The hen"]
    return tmp_path / "a.png", ["compare", finished, other]


@pytest.mark.parametrize("there", ["file", "folder", "link", "its own, by a link"])
def test_nothing_that_is_there_is_overwritten(done, refused, making, tmp_path, there):
    out, command = making
    mine = tmp_path / "mine"
    if there == "folder":
        out.mkdir()
    elif there == "file":
        out.write_text("mine", encoding="utf-8")
    else:
        mine.write_text("mine", encoding="utf-8")
        if there != "link":
            mine = mine.with_suffix(out.suffix)
            done(*command, "--out", mine)
        out.symlink_to(mine)
    before = files(tmp_path)
    assert "--out" in refused(*command, "--out", out)
    assert files(tmp_path) == before


@pytest.mark.parametrize("content", [f"<!DOCTYPE html>\n<!-- {MARK} -->", MARK, "train", "curves"])
def test_a_file_that_only_looks_like_its_own_stays(refused, making, finished, tmp_path, content):
    out, command = making
    if content == "train":
        shutil.copy(finished / "loss.png", out)
    elif content == "curves":
        drawn = tmp_path / "drawn.png"
        plots.curves_picture(drawn, {"a": ([1], [1])}, xlabel="", ylabel="", title="compare")
        drawn.rename(out)
    else:
        out.write_text(content, encoding="utf-8")
    before = files(tmp_path)
    assert "--out" in refused(*command, "--out", out)
    assert files(tmp_path) == before


def test_its_own_file_is_replaced_and_that_is_said(done, making, tmp_path):
    out, command = making
    assert "replaces" not in done(*command, "--out", out)
    before = out.read_bytes()
    os.link(out, tmp_path / "old")  # it changes with the file if that is written in place
    if command[0] == "look":
        command[-1] = "The end"
    else:
        command[1:] = command[:0:-1]
    assert "replaces" in done(*command, "--out", out)
    assert out.read_bytes() != before == (tmp_path / "old").read_bytes()
