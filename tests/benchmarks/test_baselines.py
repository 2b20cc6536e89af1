"""The baselines' models are ours: same weights, same loss, same gradients, same optimizer step."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import runner_examples, shapes
from npgpt import GPT, AdamW, GPTConfig

CONFIG = GPTConfig(vocab_size=11, block_size=6, n_layer=2, n_head=2, n_embd=8)
BATCH = 3


@pytest.fixture
def model():
    """A model with weights of order one: a wrong gradient is large beside the tolerance."""
    model, rng = GPT(CONFIG), np.random.default_rng(1)
    for p in model.parameters().values():
        p.data[:] = rng.standard_normal(p.shape) * 0.5
    return model


@pytest.fixture
def torch_runner():
    reason = "parity with PyTorch needs it: pip install '.[peers]'"
    pytest.importorskip("torch", reason=reason)
    from benchmarks import runner_torch

    return runner_torch


@pytest.fixture
def jax_runner():
    pytest.importorskip("jax", reason="parity with JAX needs it: pip install '.[peers]'")
    from benchmarks import runner_jax

    return runner_jax


def ours(model):
    """Return (loss, name -> gradient)."""
    loss = model.loss(*shapes.tokens(BATCH, CONFIG))
    loss.backward()
    return loss.item(), {name: p.grad for name, p in model.parameters().items()}


def assert_near(found, expected):
    assert set(found) == set(expected)
    for name, array in expected.items():
        worst = np.abs(np.asarray(found[name]) - array).max()
        assert worst <= 1e-4 * np.abs(array).max() + 1e-6, name


def test_pytorch(model, torch_runner):
    loss, gradients = ours(model)
    baseline = torch_runner.GPT(CONFIG).load(model.parameters())
    their_loss = baseline(*map(torch_runner.torch.from_numpy, shapes.tokens(BATCH, CONFIG)))
    their_loss.backward()
    assert their_loss.item() == pytest.approx(loss, rel=1e-5)
    found = {
        name: torch_runner._turned(name, p.grad.numpy()) for name, p in baseline.named_parameters()
    }
    assert_near(found, gradients)


@pytest.mark.slow
def test_jax(model, jax_runner):
    loss, gradients = ours(model)
    weights = {name: jax_runner.jnp.array(p.data) for name, p in model.parameters().items()}
    their_loss, found = jax_runner.jax.value_and_grad(jax_runner.loss_of)(
        weights, *shapes.tokens(BATCH, CONFIG), CONFIG
    )
    assert float(their_loss) == pytest.approx(loss, rel=1e-5)
    assert_near(found, gradients)


@pytest.mark.parametrize("runner", ["torch_runner", "jax_runner"])
@pytest.mark.slow
def test_the_losses_of_several_steps(runner, request):
    module = request.getfixturevalue(runner)
    config = replace(CONFIG, n_layer=1)
    model = GPT(config)
    optimizer = AdamW(model.parameters())
    step = module.training_step(BATCH, vars(config))
    for _ in range(40):  # weight decay shows slowly
        loss = model.loss(*shapes.tokens(BATCH, config))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        assert step() == pytest.approx(loss.item(), rel=1e-4)


@pytest.mark.parametrize(("scalars", "steps"), [(False, 40), (True, 3)])
def test_the_examples_that_need_no_engine_of_ours(scalars, steps):
    config = replace(CONFIG, n_layer=1)
    model = GPT(config)
    optimizer = AdamW(model.parameters(), lr=shapes.LR)
    step = runner_examples.training_step(BATCH, vars(config), scalars)
    losses = []
    for _ in range(steps):
        loss = model.loss(*shapes.tokens(BATCH, config))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(step())
        assert losses[-1] == pytest.approx(loss.item(), rel=1e-4)
    assert losses[-1] < losses[0] - 1e-3
