"""A tuned peer's process answers MKL's question, keeps freed memory, and is measured like any."""

import os
import subprocess
import sys

import pytest

from benchmarks import runners, tuning

ASK = "import ctypes; print(ctypes.CDLL(None).mkl_serv_intel_cpu_true())"


@pytest.mark.skipif(not tuning.environment("jax"), reason="only glibc's malloc is tuned")
def test_memory_is_kept_and_products_are_left_alone_where_they_are_not_mkls():
    assert tuning.environment("jax") == tuning.MALLOC


@pytest.mark.skipif(
    bool(tuning.missing("torch")) or "LD_PRELOAD" not in tuning.environment("torch"),
    reason="MKL needs no answer on this processor, or there is no C compiler",
)
def test_the_question_of_mkl_is_answered_in_a_process_that_is_tuned_and_in_no_other():
    tuned = os.environ | tuning.environment("torch")
    ask = [sys.executable, "-c", ASK]
    answers = [
        subprocess.run(ask, env=env, capture_output=True, text=True, check=False)
        for env in (tuned, os.environ)
    ]
    assert answers[0].stdout == "1\n"
    assert "undefined symbol" in answers[1].stderr


@pytest.mark.parametrize("name", runners.TUNED)
@pytest.mark.slow
def test_a_runner_that_is_tuned_has_its_settings(name):
    if reason := runners.missing(name):
        pytest.skip(reason)
    expected = tuning.environment(runners.RUNNERS[name][0])
    with runners.Runner(name, 1) as runner:
        assert {key: runner.call("os:getenv", key=key) for key in expected} == expected
