"""`npgpt train --profile`: a table of ops among what training prints, and a run like any other."""

import numpy as np
from safetensors.numpy import load_file
from tiny_run import TINY


def test_the_profile_is_printed_and_the_run_is_the_same(cli, corpus, finished, here):
    status, out, _ = cli("train", "--corpus", corpus, "--out", "profiled", "--profile", "2", *TINY)
    assert status == 0
    lines = out.splitlines()
    assert sum(line.startswith("run ") for line in lines) == 1
    start = next(i for i, line in enumerate(lines) if "mean of 2:" in line)
    assert lines[start + 1].split() == ["op", "calls", "ms", "GFLOP/s", "GB/s", "of", "step"]
    assert any(line.split()[:2] == ["linear", "backward"] for line in lines[start:])
    plain = load_file(finished / "model.safetensors")
    for name, weight in load_file(here / "profiled" / "model.safetensors").items():
        np.testing.assert_array_equal(weight, plain[name])


def test_steps_to_profile_that_there_are_not(cli, corpus):
    for arguments in (["--profile", "-2"], ["--profile", "--check"]):
        status, _, err = cli("train", "--corpus", corpus, *arguments, *TINY)
        assert status == 1 and "--profile: give 1 step or more" in err
