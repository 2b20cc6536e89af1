"""Peak memory is measured, and the prediction is near that of a process."""

import pytest

from benchmarks.machine import peak_memory
from benchmarks.memory import peak_memory as peak_of
from benchmarks.runners import OURS
from npgpt import GPTConfig
from npgpt.families.size import step_memory

pytestmark = pytest.mark.skipif(
    peak_memory() is None, reason="this system does not tell a process its peak memory"
)


@pytest.mark.parametrize(
    ("batch", "config"),
    [
        (8, GPTConfig(vocab_size=65, block_size=128, n_layer=6, n_head=4, n_embd=256)),
        (1, GPTConfig(vocab_size=20000, block_size=512, n_layer=1, n_head=2, n_embd=128)),
    ],
    ids=["activations", "vocabulary"],
)
@pytest.mark.slow
def test_the_prediction_is_within_15_percent_of_what_a_process_takes(batch, config):
    before, peak = peak_of(OURS, 1, batch, config)
    assert step_memory(config, batch).total == pytest.approx(peak - before, rel=0.15)
