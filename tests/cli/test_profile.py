"""`npgpt train --profile`: a table of ops among what training prints, and a run like any other."""

import re

import numpy as np
from safetensors.numpy import load_file
from tiny_run import TINY


def test_the_profile_is_printed_and_the_run_is_the_same(done, corpus, finished, here):
    out = done("train", "--corpus", corpus, "--out", "profiled", "--profile", "2", *TINY)
    assert re.search(r"op +calls +ms +GFLOP/s +of step\n", out)
    assert re.search(r"\nlinear +backward ", out)
    plain = load_file(finished / "model.safetensors")
    for name, weight in load_file(here / "profiled" / "model.safetensors").items():
        np.testing.assert_array_equal(weight, plain[name])
