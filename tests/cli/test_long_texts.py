"""The evaluation at the end of a run takes a part of a long text."""

import json
import re
import signal

import pytest
from tiny_run import CHAR, TINY, files

from npgpt.run import summary


def result_of(folder):
    return json.loads((folder / "result.json").read_text())


@pytest.mark.parametrize("arch", ["gpt", "bert"])
def test_the_last_evaluation_takes_a_named_part_of_a_long_text(
    as_json, done, here, corpus, monkeypatch, arch
):
    monkeypatch.setattr(summary, "LAST_TOKENS", 48)
    flags = ("--arch", arch, *TINY, *CHAR, "--eval-tokens", 0, "--eval-stride", 0)
    out = " ".join(done("train", corpus, "--out", "run", *flags).split())
    part = result_of(here / "run")
    assert part["tokens"] == 48 and part["loss"] != as_json("eval", "run")["loss"]
    drawn = re.search(r"over (\d+) tokens drawn from .*npgpt eval run", out)
    assert arch == "bert" or abs(int(drawn[1]) - 48) <= 16


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_last_evaluation_loses_nothing_and_says_so(
    cli, done, here, corpus, monkeypatch, sent
):
    with monkeypatch.context() as patched:
        patched.setattr(summary, "evaluate", lambda *_, **__: signal.raise_signal(sent))
        status, out, _ = cli("train", corpus, "--out", "run", *TINY)
    assert status == 128 + sent and "npgpt train --resume --out run" in out
    before = files(here / "run")
    done("train", "--resume", "run")
    assert files(here / "run")["model.safetensors"] == before["model.safetensors"]
    assert "result.json" not in before and result_of(here / "run")["step"] == 6


def test_the_last_evaluation_and_eval_have_the_stride_of_training(as_json, done, here, corpus):
    done("train", corpus, "--out", "run", *TINY, "--eval-stride", 4)
    found = as_json("eval", "run")
    assert found["loss"] == result_of(here / "run")["loss"] and found["stride"] == 4
