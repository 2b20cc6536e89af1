"""What `npgpt train` says of a text of one's own, and the settings that it gets."""

import re

import pytest
from tiny_run import TEXT, TINY


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))


@pytest.fixture
def said(done):
    """Return what a step of training says before it."""

    def say(*arguments):
        out = done("train", *TINY, "--max-iters", 1, *arguments)
        return out[: out.index("run  ", out.index("steps "))]

    return say


def test_how_often_the_text_is_read_and_what_reads_it_once(said, here):
    write(here / "hens.txt", TEXT * 3)
    out = said("--corpus", "hens.txt")
    train = int(re.search(r"([\d,]+) tokens to train on", out)[1].replace(",", ""))
    once = -(-train // 64)  # windows of 16, 4 a step
    assert f"{64 / train:.2g} times" in out and f"--max-iters {once} " in out
    out = said("--corpus", "hens.txt", "--max-iters", once, "--out", "once")
    assert f"{once * 64 / train:.2g} times" in out and "--max-iters" not in out
