"""The evaluation at the end of a run takes a part of a long text; `--minutes` sets the end."""

import json
import re
import signal

import pytest
from tiny_run import CHAR, TINY, files, settings_of

from npgpt.run import estimate, summary


@pytest.fixture
def capped(monkeypatch):
    monkeypatch.setattr(summary, "LAST_TOKENS", 48)


def result_of(folder):
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("arch", ["gpt", "bert"])
def test_the_last_evaluation_takes_a_named_part_of_a_long_text(done, here, corpus, capped, arch):
    flags = ("--arch", arch, *TINY, *CHAR, "--eval-tokens", 0, "--eval-stride", 0)
    out = " ".join(done("train", "--corpus", corpus, "--out", "run", *flags).split())
    whole = json.loads(done("eval", "run", "--json"))
    part = result_of(here / "run")
    assert part["tokens"] == 48 and part["loss"] != pytest.approx(whole["loss"], abs=1e-12)
    drawn = re.search(r"over (\d+) tokens drawn from (\d+) ", out)
    assert arch == "bert" or abs(int(drawn[1]) - 48) <= 16
    assert drawn and "npgpt eval run" in out


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_last_evaluation_loses_nothing_and_says_so(
    cli, done, here, corpus, monkeypatch, sent
):
    def interrupt(*_, **__):
        signal.raise_signal(sent)

    with monkeypatch.context() as patched:
        patched.setattr(summary, "evaluate", interrupt)
        status, out, _ = cli("train", "--corpus", corpus, "--out", "run", *TINY)
    assert status == 128 + sent
    assert "npgpt train --resume --out run" in out and "generate run" in out
    weights = files(here / "run")["model.safetensors"]
    assert "result.json" not in files(here / "run")
    done("train", "--resume", "--out", "run")
    assert files(here / "run")["model.safetensors"] == weights
    assert result_of(here / "run")["step"] == 6


@pytest.mark.parametrize(("seconds", "steps"), [(0.5, 6), (0.1, 30), (10.0, 1)])
def test_minutes_are_steps_at_the_speed_of_the_first(
    done, here, corpus, monkeypatch, seconds, steps
):
    tiny = [*TINY[:10], *TINY[12:]]
    monkeypatch.setattr(estimate.StepTimer, "stop", lambda timer: (seconds, None))
    done("train", "--corpus", corpus, "--out", "run", *tiny, "--minutes", 0.05)
    assert settings_of("run")["training"]["max_iters"] == steps
    done("train", "--corpus", corpus, "--out", "same", *tiny, "--max-iters", steps)
    one, two = files(here / "run"), files(here / "same")
    assert one["train_state.safetensors"] == two["train_state.safetensors"]
    done("train", "--resume", "--out", "run", "--minutes", 0.05)
    assert settings_of("run")["training"]["max_iters"] == 2 * steps
    assert settings_of("run")["changes"][0]["after_step"] == steps
