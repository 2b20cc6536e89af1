"""A tuned peer is measured with its settings."""

import pytest
from tiny_run import npgpt

from benchmarks import runners, tuning

ASK = "import ctypes; print(ctypes.CDLL(None).mkl_serv_intel_cpu_true())"


@pytest.mark.skipif(
    bool(tuning.missing("torch")) or "LD_PRELOAD" not in tuning.environment("torch"),
    reason="MKL needs no answer on this processor, or there is no C compiler",
)
def test_the_question_of_mkl_is_answered_in_a_process_that_is_tuned_and_in_no_other():
    tuned, plain = (npgpt(code=ASK, env=env) for env in (tuning.environment("torch"), {}))
    assert tuned.stdout == "1\n" and "undefined symbol" in plain.stderr


@pytest.mark.parametrize("name", runners.TUNED)
@pytest.mark.slow
def test_a_runner_that_is_tuned_has_its_settings(name):
    if reason := runners.missing(name):
        pytest.skip(reason)
    expected = tuning.environment(runners.RUNNERS[name][0])
    with runners.Runner(name, 1) as runner:
        assert {key: runner.call("os:getenv", key=key) for key in expected} == expected
