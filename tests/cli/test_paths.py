"""Where things go and what they are called: any path that a system allows, or a refusal at once."""

import os
import shlex
from pathlib import Path

import pytest
from tiny_run import TEXT, TINY, files

from npgpt.folders import working_in
from npgpt.loading.runs import RUN_FILES, read_run

FILES = [name for name in RUN_FILES if name != "reward.png"]


@pytest.mark.parametrize(
    ("command", "reads"),
    [(["train", *TINY, "--corpus", "tales", "--out", "."], "npgpt.run.opening.open_dataset"),
     (["prepare", ".", "--corpus", "tales"], "npgpt.cli.prepare.load_corpus"),
     (["export", "tales", "."], "npgpt.cli.export.load_model")],
)
def test_where_no_folder_can_be_is_refused_before_anything_is_read(
    refused, here, monkeypatch, command, reads
):
    monkeypatch.setattr(reads, None)
    assert " . " in refused(*command)


@pytest.mark.parametrize(
    "name", [b"caf\xe9", b"$x$ $", b"$\\frac$", "本 بلد देश\t!".encode(), b"a b's", b"x" * 200]
)
@pytest.mark.pictures
@pytest.mark.slow
def test_a_text_with_any_name_is_trained_on_and_drawn(cli, here, name):
    path = Path(os.fsdecode(name + b".txt"))
    try:
        path.write_text(TEXT, encoding="utf-8")
    except (OSError, UnicodeError):
        pytest.skip("this system allows no such name")
    status, out, err = cli("train", "--corpus", str(path), *TINY)
    assert (status, err) == (0, "")
    (folder,) = (here / "runs").iterdir()
    assert sorted(files(folder)) == sorted([".lock", *FILES])
    assert read_run(folder).training.corpus == (str(path),)
    hints = [out.split(f"npgpt {command} ")[1].splitlines()[0] for command in ("generate", "look")]
    folder_as_printed = str(Path("runs", folder.name)).encode(errors="replace").decode()
    if os.name != "nt":
        assert [shlex.split(hint) for hint in hints] == [[folder_as_printed]] * 2
    assert cli("train", "--resume", "--corpus", str(path), "--max-iters", 7)[::2] == (0, "")


@pytest.mark.pictures
def test_a_run_that_is_trained_is_not_continued_elsewhere(
    done, refused, here, corpus, monkeypatch
):
    folder, refusals = here / "runs" / "hens", []

    def intrude(*_):
        with pytest.raises(ValueError, match=f"process {os.getpid()} on "):
            working_in(folder).__enter__()
        refusals.append(1)

    monkeypatch.setattr("npgpt.run.watch.Watch.update", intrude)
    done("train", "--corpus", corpus, *TINY)
    assert len(refusals) == 6 and sorted(files(folder)) == sorted([".lock", *FILES])
    before = files(folder)
    with working_in(folder):
        err = refused("train", "--resume", "--corpus", corpus)
        assert "hens" in err and f"process {os.getpid()}" in err
    assert files(folder) == before
    done("train", "--resume", "--corpus", corpus)
