"""Other libraries compute what we do, each in a process of its own, with its settings."""

import importlib
from dataclasses import asdict

import numpy as np
import pytest

from benchmarks import runner_npgpt, runner_numpy, runners, shapes, tuning
from benchmarks.machine import in_proc
from npgpt import GPTConfig
from npgpt.models.size import step_memory

PEAK = {"file": "self/status", "key": "VmHWM"}  # in Linux; the most kB that a process had resident
BATCH, CONFIG = 3, GPTConfig(vocab_size=40, block_size=16, n_layer=2, n_head=2, n_embd=32)


def runner(name, package):
    pytest.importorskip(package, reason="needs it: pip install '.[peers]'")
    return importlib.import_module(f"benchmarks.runner_{name}")


@pytest.mark.parametrize("op", shapes.ops(BATCH, CONFIG).values(), ids=str)
def test_an_op_has_the_same_gradients(op):
    sides = [runner_npgpt.op(*op)(), runner("torch", "torch").op(*op)()]
    if op[0] == "linear":
        sides.append(runner_numpy.op(*op)()[1:])
    for gradients in zip(*sides, strict=True):
        for other in gradients[1:]:
            np.testing.assert_allclose(other, gradients[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["torch", "jax"])
@pytest.mark.slow
def test_the_losses_of_40_steps_are_the_same(name):
    """So many, as weight decay shows slowly."""
    ours, theirs = (module.training_step(BATCH, asdict(CONFIG))
                    for module in (runner_npgpt, runner(name, name)))
    assert [theirs() for _ in range(40)] == pytest.approx([ours() for _ in range(40)], rel=1e-4)


@pytest.mark.parametrize(("name", "package"), [("transformers", "transformers"),
                                               ("llamacpp", "xllamacpp")])
@pytest.mark.filterwarnings("ignore")
@pytest.mark.kernels
@pytest.mark.slow
def test_they_write_the_same(name, package):
    module = runner(name, package)
    settings = {"prompt": [3, 1, 4, 1, 5], "new": 8, "config": asdict(CONFIG)}
    found = module.generation(**settings, kind="F32")()
    if name == "llamacpp":
        found = settings["prompt"] + [ord(letter) - module.FIRST for letter in found]
    assert found == runner_npgpt.generation(**settings)()


@pytest.mark.slow
def test_a_peer_is_tuned():
    if reason := runners.missing(runners.TORCH):
        pytest.skip(reason)
    expected = tuning.environment()
    with runners.Runner(runners.TORCH, 1) as process:
        assert {key: process.call("os:getenv", key=key) for key in expected} == expected


@pytest.mark.skipif(not in_proc(**PEAK), reason="the system tells no process its peak memory")
@pytest.mark.parametrize(
    ("batch", "config"),
    [
        (8, GPTConfig(vocab_size=65, block_size=128, n_layer=6, n_head=4, n_embd=256)),
        (1, GPTConfig(vocab_size=20000, block_size=512, n_layer=1, n_head=2, n_embd=128)),
    ],
)
@pytest.mark.slow
def test_a_step_takes_the_memory_that_npgpt_info_predicts(batch, config):
    with runners.Runner(runners.OURS, 1) as process:
        peaks = []
        for size, settings in (BATCH, CONFIG), (batch, config):  # the first loads and compiles
            process.prepare("training_step", {"batch": size, "config": asdict(settings)})
            process.timed(3)
            peaks.append(1024 * int(process.call("benchmarks.machine:in_proc", **PEAK).split()[0]))
    assert step_memory(config, batch)["total"] == pytest.approx(peaks[1] - peaks[0], rel=0.15)
