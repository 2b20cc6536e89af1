"""Where things go and what they are called: any path that a system allows, or a refusal at once."""

import os
import shlex
from pathlib import Path

import pytest
from tiny_run import TEXT, TINY, files

from npgpt.loading.runs import RUN_FILES
from npgpt.support.folders import working_in

FILES = [name for name in RUN_FILES if name != "reward.png"]


@pytest.mark.parametrize(("words", "reads"), [
    ("train --corpus tales --out .", "npgpt.run.opening.open_dataset"),
    ("prepare . --corpus tales", "npgpt.cli.prepare.load_corpus"),
    ("export tales .", "npgpt.cli.export.load_model"),
])
def test_where_no_folder_can_be_is_refused_before_anything_is_read(
    refused, here, monkeypatch, words, reads
):
    monkeypatch.setattr(reads, None)
    assert " . " in refused(*words.split())


@pytest.mark.parametrize(
    "name", [b"caf\xe9", b"$x$ $", "本 بلد देश\t!".encode(), b"a b's", b"x" * 200]
)
@pytest.mark.pictures
@pytest.mark.slow
def test_a_text_with_any_name_is_trained_on_and_drawn(cli, here, name):
    path = Path(os.fsdecode(name + b".txt"))
    try:
        path.write_text(TEXT, encoding="utf-8")
    except (OSError, UnicodeError):
        pytest.skip("this system allows no such name")
    status, out, err = cli("train", path, *TINY)
    assert (status, err) == (0, "")
    (folder,) = Path("runs").iterdir()
    assert sorted(files(folder)) == sorted([".lock", *FILES])
    hint = out.split("npgpt look ")[1].splitlines()[0]
    assert os.name == "nt" or shlex.split(hint) == [
        str(folder).encode(errors="replace").decode()]
    assert cli("train", "--resume", folder, "--max-iters", 7)[::2] == (0, "")


def test_a_run_that_is_trained_is_not_continued_elsewhere(done, refuses, here, corpus, monkeypatch):
    folder, refusals = here / "runs" / "hens", []

    def intrude(*_):
        with pytest.raises(ValueError, match=f"process {os.getpid()} on "):
            working_in(folder).__enter__()
        refusals.append(1)

    monkeypatch.setattr("npgpt.run.watch.Watch.update", intrude)
    done("train", corpus, *TINY)
    assert len(refusals) == 6
    with working_in(folder):
        refuses(f"hens process {os.getpid()}", "train", "--resume", folder)
    done("train", "--resume", folder)
