"""Predicted sizes against what a model and a training step really take."""

import tracemalloc

import numpy as np
import pytest

from npgpt import BertConfig, GPTConfig, LlamaConfig, T5Config
from npgpt.models import architecture_of
from npgpt.models.size import parameters_by_part, step_memory


def test_gpt2_small_has_its_124_million_parameters():
    # Radford et al. 2019 as published: V = 50257, T = 1024, 12 layers, 12 heads, C = 768
    parts = parameters_by_part(GPTConfig(50257, 1024, 12, 12, 768))
    assert sum(parts.values()) == 124_439_808


CONFIGS = [
    GPTConfig(65, 64, 2, 4, 64),
    LlamaConfig(65, 64, 4, 4, 64, n_kv_head=2, tie_weights=False),
    BertConfig(65, 64, 4, 4, 64),
    T5Config(65, 64, 2, 4, 64, n_decoder_layer=3, head_size=8, gated=True, tie_weights=False),
]


@pytest.mark.kernels
@pytest.mark.parametrize(("config", "batch_size", "batches", "rel"), [
    *((config, 12, 1, 0.1) for config in CONFIGS),
    pytest.param(GPTConfig(20_000, 64, 4, 4, 256), 1, 2, 0.05, marks=pytest.mark.slow),
])
def test_a_training_step_takes_about_the_memory_that_is_predicted(config, batch_size, batches, rel):
    cls, idx_BT = architecture_of(config).Model, np.zeros((batch_size, 64), np.int64)
    batch = [idx_BT] * (3 if isinstance(config, T5Config) else 2)
    cls(config).loss(*batch).backward()  # compiled, imported
    tracemalloc.start()
    try:
        model = cls(config)
        for _ in range(batches):
            model.loss(*batch).backward()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    predicted = step_memory(config, batch_size, batches)
    assert peak == pytest.approx(predicted["total"] - predicted["moments"], rel=rel)
