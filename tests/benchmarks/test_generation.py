"""The baselines of generation write what ours does, from the same weights."""

import importlib
from dataclasses import asdict

import numpy as np
import pytest

from benchmarks import generation, runner_npgpt
from npgpt import GPTConfig

pytestmark = [pytest.mark.kernels, pytest.mark.slow]
CONFIG = asdict(GPTConfig(vocab_size=40, block_size=32, n_layer=2, n_head=2, n_embd=32))
SETTINGS = {"config": CONFIG, "batch": 3, "prompt": 5, "new": 12}


@pytest.fixture(params=["transformers", "ctranslate2", "llama_cpp"])
def theirs(request):
    pytest.importorskip(request.param, reason="needs it: pip install '.[peers]'")
    return importlib.import_module(f"benchmarks.runner_{request.param.replace('_', '')}")


@pytest.mark.filterwarnings("ignore")
def test_they_write_the_same(theirs):
    ours = runner_npgpt.generation(**SETTINGS)()
    assert theirs.generation(**SETTINGS)() == ours
    assert np.shape(ours) == (3, 17)
    theirs.prefill(CONFIG, 7)()


def test_a_share_is_of_the_limit_for_that_many_bytes():
    row = generation.speed("x", 10, 2, seconds=[1.0, 2.0], reading=[0.1, 0.1])
    assert row == ["x", "6.7", "20.0", "38% (25% – 50%)"]
