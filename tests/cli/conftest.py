"""A finished tiny run that the tests of the commands share."""

import pytest
from tiny_run import TEXT, TINY

from npgpt.cli import main


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "hens.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def finished(tmp_path_factory, corpus):
    """Return the folder of a finished run of 6 steps; do not write to it."""
    folder = tmp_path_factory.mktemp("runs") / "hens"
    assert main(["train", "--corpus", str(corpus), "--out", str(folder), *TINY]) == 0
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
