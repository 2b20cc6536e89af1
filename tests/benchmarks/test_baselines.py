"""The baselines train the same model as ours: step by step, the same losses."""

import importlib

import pytest

from benchmarks import shapes
from npgpt import GPT, AdamW, GPTConfig

CONFIG = GPTConfig(vocab_size=11, block_size=6, n_layer=1, n_head=2, n_embd=8)
BATCH = 3


def losses(config, steps):
    """Yield our losses."""
    model = GPT(config)
    optimizer = AdamW(model.parameters(), lr=shapes.LR)
    for _ in range(steps):
        loss = model.loss(*shapes.tokens(BATCH, config))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        yield loss.item()


@pytest.mark.parametrize("peer", ["torch", "jax"])
@pytest.mark.slow
def test_the_losses_of_several_steps(peer):
    """40 steps, as weight decay shows slowly."""
    pytest.importorskip(peer, reason="parity needs it: pip install '.[peers]'")
    step = importlib.import_module(f"benchmarks.runner_{peer}").training_step(BATCH, vars(CONFIG))
    assert [step() for _ in range(40)] == pytest.approx([*losses(CONFIG, 40)], rel=1e-4)
