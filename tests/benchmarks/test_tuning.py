"""A tuned peer is measured with its settings."""

import pytest

from benchmarks import runners, tuning


@pytest.mark.parametrize("name", runners.TUNED)
@pytest.mark.slow
def test_a_runner_that_is_tuned_has_its_settings(name):
    if reason := runners.missing(name):
        pytest.skip(reason)
    expected = tuning.environment(runners.RUNNERS[name][0])
    with runners.Runner(name, 1) as runner:
        assert {key: runner.call("os:getenv", key=key) for key in expected} == expected
