"""Where things go and what they are called: any path that a system allows, or a refusal at once."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_run import TEXT, TINY, environment, files

from npgpt import train as training_run
from npgpt.checkpoint import FILES, read_run
from npgpt.cli import _parsed
from npgpt.cli import train as train_command
from npgpt.io.folders import working_in

ROOT = Path(__file__).parents[2]
LINKS = pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")


@pytest.fixture
def nothing_is_encoded(monkeypatch):
    def reached(*_, **__):
        raise AssertionError("the text was read first")

    monkeypatch.setattr(train_command, "open_dataset", reached)
    monkeypatch.setattr("npgpt.cli.prepare.load_corpus", reached)
    monkeypatch.setattr("npgpt.cli.export.load_run", reached)


@LINKS
@pytest.mark.parametrize(
    ("out", "message"),
    [
        (".", "cannot be replaced by a new folder"),
        ("sub/..", "cannot be replaced by a new folder"),
        ("../loop", "is a link that leads nowhere"),
        ("../to-full", "is not empty"),
    ],
)
def test_where_no_folder_can_be_is_refused_before_anything_is_read(
    cli, tmp_path, monkeypatch, corpus, finished, nothing_is_encoded, out, message
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "full" / "a").mkdir(parents=True)
    (tmp_path / "to-full").symlink_to(tmp_path / "full")
    for arguments in (
        ["train", "--corpus", corpus, "--out", out, *TINY],
        ["prepare", out, "--corpus", corpus],
        ["export", finished, out],
    ):
        status, _, err = cli(*arguments)
        assert status == 1 and f"{Path(out)} {message}" in err


@LINKS
@pytest.mark.parametrize("target", ["empty", "new", "far/new"])
def test_a_link_to_an_empty_folder_or_to_nothing_is_used(cli, here, corpus, finished, target):
    (here / "empty").mkdir()
    (here / "link").symlink_to(here / target)
    for arguments in (
        ["prepare", "link", "--corpus", corpus],
        ["export", finished, "link"],
        ["train", "--corpus", corpus, "--out", "link", *TINY],
    ):
        status, _, err = cli(*arguments)
        assert status == 0, err
        made = files(here / target)
        assert "tokenizer.json" in made and (here / "link").is_symlink()
        for name in made:
            (here / target / name).unlink()
        if target != "empty":
            (here / target).rmdir()


@LINKS
def test_a_run_without_a_name_takes_no_link_for_a_free_one(cli, here, corpus):
    (here / "runs").mkdir()
    (here / "runs" / "hens").symlink_to(here / "elsewhere")
    assert cli("train", "--corpus", corpus, *TINY)[0] == 0
    assert (here / "runs" / "hens-2").is_dir() and not (here / "elsewhere").exists()


def test_a_leftover_of_a_process_with_the_same_number_is_no_obstacle(cli, here, corpus):
    """The first process of each container has the same number."""
    leftover = here / "runs" / f".hens.{os.getpid()}.tmp"
    leftover.mkdir(parents=True)
    (leftover / "config.json").touch()
    status, _, err = cli("train", "--corpus", corpus, *TINY)
    assert status == 0, err


def test_a_corpus_given_twice_is_both(cli, here):
    for name in ("a", "b"):
        (here / f"{name}.txt").write_text(name * 100, encoding="utf-8")
    status, out, _ = cli("prepare", "tokens", "--corpus", "a.txt", "--corpus", "b.txt")
    assert status == 0 and "val.bin: 21 tokens" in out.replace(os.sep, "/")
    for command in (["train"], ["eval", "run"], ["prepare", "out"]):
        args = _parsed([*command, "--corpus", "a", "b", "--corpus", "c"])
        assert args.corpus == ["a", "b", "c"]


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


def test_no_other_process_continues_a_run_that_is_being_trained(cli, here, corpus, monkeypatch):
    steps, refused = training_run.training_steps, []

    def intruded(*arguments):
        for step in steps(*arguments):
            with pytest.raises(ValueError, match=f"being worked in by 'process {os.getpid()} on "):
                working_in(Path("runs", "hens")).__enter__()
            refused.append(step.step)
            yield step

    monkeypatch.setattr(training_run, "training_steps", intruded)
    settings = ["--corpus", corpus, *TINY]
    assert cli("train", *settings)[0] == 0
    assert refused == [1, 2, 3, 4, 5, 6]
    assert sorted(files(here / "runs" / "hens")) == sorted(FILES)


HOLD = """
import sys, time
from pathlib import Path
from npgpt.io.folders import working_in
with working_in(Path(sys.argv[1])):
    print(flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
def test_a_second_resume_is_refused_until_the_first_is_killed(cli, here, finished):
    folder = shutil.copytree(finished, here / "run")
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], cwd=ROOT, env=environment(),
        stdout=subprocess.PIPE,
    )
    process.stdout.readline()
    before = {name: data for name, data in files(folder).items() if name != ".lock"}
    status, _, err = cli("train", "--resume", "--out", folder)
    assert status == 1 and f"run is being worked in by 'process {process.pid} on " in err
    assert {name: data for name, data in files(folder).items() if name != ".lock"} == before
    process.kill()
    process.wait()
    process.stdout.close()
    assert cli("train", "--resume", "--out", folder)[0] == 0
    assert sorted(files(folder)) == sorted(FILES)


def test_where_nothing_can_be_locked_that_is_said_once(cli, here, corpus, monkeypatch):
    def lock(descriptor):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("npgpt.io.folders.lock", lock)
    status, out, _ = cli("train", "--corpus", corpus, "--out", "run", *TINY)
    assert status == 0 and out.count("run cannot be locked: train it in one process") == 1


def test_a_run_that_lost_its_metrics_says_so_and_goes_on(cli, here, finished):
    folder = shutil.copytree(finished, here / "run")
    (folder / "metrics.csv").unlink()
    status, out, _ = cli("train", "--resume", "--out", folder)
    assert status == 0 and "metrics.csv lacks 6 of the steps before" in out
