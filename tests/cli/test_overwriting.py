"""`npgpt look` and `npgpt compare` replace a file that they made before, and no other."""

import os
import shutil

import pytest

from npgpt.support import plots

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


@pytest.mark.parametrize("there", [
    "mine", MARK, f"<!DOCTYPE html>\n<!-- {MARK} -->", "loss.png", "curves", "folder", "link",
    "its own, by a link",
])
def test_no_file_of_others_is_overwritten(done, refuses, making, finished, tmp_path, there):
    """Not one that only looks like its own, either."""
    out, command = making
    mine = tmp_path / f"mine{out.suffix}"
    if there == "folder":
        out.mkdir()
    elif there == "loss.png":
        shutil.copy(finished / there, out)
    elif there == "curves":
        mine = mine.with_suffix(".png")
        plots.curves_picture(mine, {"a": ([1], [1])}, xlabel="", ylabel="", title="compare")
        mine.rename(out)
    elif "link" in there:
        if there == "link":
            mine.touch()
        else:
            done(*command, "--out", mine)
        out.symlink_to(mine)
    else:
        out.write_text(there)
    refuses("--out", *command, "--out", out)


def test_its_own_file_is_replaced(done, making, tmp_path):
    out, command = making
    done(*command, "--out", out)
    before = out.read_bytes()
    os.link(out, tmp_path / "old")  # it changes with the file if that is written in place
    if command[0] == "look":
        command[-1] = "The end"
    else:
        command[1:] = command[:0:-1]
    done(*command, "--out", out)
    assert out.read_bytes() != before == (tmp_path / "old").read_bytes()
