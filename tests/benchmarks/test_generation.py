"""The baselines of generation write what ours does, from the same weights."""

import importlib
from dataclasses import asdict

import numpy as np
import pytest

from autograd import backend
from benchmarks import generation, runner_npgpt
from npgpt import GPT, GPTConfig
from npgpt.fast.weights import use_weights

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


@pytest.mark.parametrize(
    ("dtype", "weights", "bound"),
    [("F32", "fp32", 2e-3), ("BF16", "bf16", 1e-2), ("Q8_0", "int8", 5e-2)],
)
def test_llamacpp_has_all_weights_of_a_model(monkeypatch, dtype, weights, bound):
    """Norms and biases differ. llama.cpp stores keys in float16, and rounds x for Q8_0."""
    pytest.importorskip("llama_cpp", reason="needs it: pip install llama-cpp-python gguf")
    from benchmarks import runner_llamacpp

    def lively(config):
        model, rng = GPT(config), np.random.default_rng(1)
        for p in model.parameters().values():
            p.data += rng.standard_normal(p.shape, np.float32) * 0.2
        return model

    idx_BT = np.random.default_rng(2).integers(0, 40, (3, 9))
    expected_BV = use_weights(lively(GPTConfig(**CONFIG)), weights).next_logits(idx_BT)
    monkeypatch.setattr(runner_llamacpp, "GPT", lively)
    model = runner_llamacpp.Model(CONFIG, dtype, 3, 9)
    model.read(idx_BT[:, :5], 0)
    model.read(idx_BT[:, 5:], 5)
    error = np.abs(model.logits(3) - expected_BV).max() / np.abs(expected_BV).max()
    assert error < bound


@pytest.mark.parametrize("weights", ["fp32", "bf16", "int8"])
def test_reading_reads_the_bytes_of_the_weights(monkeypatch, weights):
    read = []
    monkeypatch.setattr(backend, "sum_of_squares", lambda arrays: read.append(arrays[0].nbytes))
    runner_npgpt.generation(**SETTINGS, weights=weights, reading=True)()
    matrices = 2 * 12 * 32 * 32 + 40 * 32
    assert read == [matrices * {"fp32": 4, "bf16": 2, "int8": 1}[weights]]


def test_a_share_is_of_the_limit_for_that_many_bytes():
    row = generation._speed("x", 10, 2, seconds=[1.0, 2.0], reading=[0.1, 0.1])
    assert row == ["x", "6.7", "20.0", "38% (25% – 50%)"]
