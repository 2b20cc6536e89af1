"""Where things go and what they are called: any path that a system allows, or a refusal at once."""

import os
import shlex
import shutil
from pathlib import Path

import pytest
from tiny_run import TEXT, TINY, files

from npgpt.checkpoint import FILES as ALL_FILES
from npgpt.checkpoint import read_run
from npgpt.folders import working_in

FILES = [name for name in ALL_FILES if name != "reward.png"]


def test_where_no_folder_can_be_is_refused_before_anything_is_read(
    cli, here, monkeypatch, corpus, finished
):
    def reached(*_, **__):
        raise AssertionError("the text was read first")

    for function in ("train.open_dataset", "prepare.load_corpus", "export.load_run"):
        monkeypatch.setattr(f"npgpt.cli.{function}", reached)
    for arguments in (
        ["train", "--corpus", corpus, "--out", ".", *TINY],
        ["prepare", ".", "--corpus", corpus],
        ["export", finished, "."],
    ):
        status, _, err = cli(*arguments)
        assert status == 1 and ". is the folder that you are in" in err


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_run_without_a_name_takes_no_link_for_a_free_one(cli, here, corpus):
    (here / "runs").mkdir()
    (here / "runs" / "hens").symlink_to(here / "elsewhere")
    assert cli("train", "--corpus", corpus, *TINY)[0] == 0
    assert (here / "runs" / "hens-2").is_dir() and not (here / "elsewhere").exists()


def test_a_corpus_given_twice_is_both(cli, here):
    for name in ("a", "b"):
        (here / f"{name}.txt").write_text(name * 100, encoding="utf-8")
    status, out, _ = cli("prepare", "tokens", "--corpus", "a.txt", "--corpus", "b.txt")
    assert status == 0 and "val.bin: 21 tokens" in out.replace(os.sep, "/")


@pytest.mark.parametrize(
    "name", [b"caf\xe9", b"$x$ $", b"$\\frac$", "本 بلد देश\t!".encode(), b"a b's", b"x" * 200]
)
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
    assert sorted(files(folder)) == sorted(FILES)
    assert read_run(folder).training.corpus == (str(path),)
    hints = [out.split(f"npgpt {command} ")[1].splitlines()[0] for command in ("generate", "look")]
    folder_as_printed = str(Path("runs", folder.name)).encode(errors="replace").decode()
    if os.name != "nt":
        assert [shlex.split(hint) for hint in hints] == [[folder_as_printed]] * 2
    status, _, err = cli("train", "--resume", "--corpus", str(path))
    assert (status, err) == (0, "")


def test_a_run_that_is_trained_is_not_continued_elsewhere(cli, here, corpus, monkeypatch):
    folder, refused = here / "runs" / "hens", []

    def intrude(*_):
        with pytest.raises(ValueError, match=f"being worked in by 'process {os.getpid()} on "):
            working_in(folder).__enter__()
        refused.append(1)

    monkeypatch.setattr("npgpt.run.progress.Progress.update", intrude)
    assert cli("train", "--corpus", corpus, *TINY)[0] == 0
    assert len(refused) == 6 and sorted(files(folder)) == sorted(FILES)
    before = files(folder)
    with working_in(folder):
        status, _, err = cli("train", "--resume", "--corpus", corpus)
        assert status == 1 and "hens is being worked in by 'process" in err
    assert files(folder) == before
    assert cli("train", "--resume", "--corpus", corpus)[0] == 0


def test_where_nothing_can_be_locked_that_is_said_once(cli, here, corpus, monkeypatch):
    monkeypatch.setattr("npgpt.folders.fcntl", None)  # as on Windows
    status, out, _ = cli("train", "--corpus", corpus, "--out", "run", *TINY)
    assert status == 0 and out.count("run cannot be locked: train it in one process") == 1


def test_a_run_that_lost_its_metrics_says_so_and_goes_on(cli, here, finished):
    folder = shutil.copytree(finished, here / "run")
    (folder / "metrics.csv").unlink()
    status, out, _ = cli("train", "--resume", "--out", folder)
    assert status == 0 and "metrics.csv lacks 6 of the steps before" in out
