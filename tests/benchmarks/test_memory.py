"""The memory that `npgpt info` predicts is near that of a process."""

from dataclasses import asdict

import pytest

from benchmarks.machine import peak_memory
from benchmarks.runners import OURS, Runner
from npgpt import GPTConfig
from npgpt.families.size import step_memory


@pytest.mark.skipif(peak_memory() is None, reason="the system tells no process its peak memory")
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
    tiny = GPTConfig(vocab_size=40, block_size=16, n_layer=2, n_head=2, n_embd=32)
    with Runner(OURS, 1) as runner:
        peaks = []
        for size, settings in (2, tiny), (batch, config):  # the first loads and compiles
            runner.prepare("training_step", {"batch": size, "config": asdict(settings)})
            runner.time(3)
            peaks.append(runner.call("benchmarks.machine:peak_memory"))
    assert step_memory(config, batch).total == pytest.approx(peaks[1] - peaks[0], rel=0.15)
