"""AdamW against the published algorithm; clipping, state, the schedule."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograd import Tensor
from npgpt import AdamW
from npgpt.config import TrainConfig
from npgpt.optim import learning_rate

SHAPES = {"matrix": (3, 5), "bias": (5,), "table": (4, 2), "scalar": ()}


def algorithm_2(w, gradients, lr, betas, eps, decay):
    """Return w after steps by Loshchilov and Hutter, 2019, decaying by lr * decay."""
    m = v = 0
    beta1, beta2 = betas
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        w = w - lr * decay * w - lr * m_hat / (np.sqrt(v_hat) + eps)
    return w


BETA = st.sampled_from([0.0, 0.9, 0.99999]) | st.floats(0, 0.9999)


@pytest.mark.parametrize(("dtype", "allowed"), [(np.float64, 1e-11), (np.float32, 2e-5)])
@given(
    seed=st.integers(0, 2**31), lr=st.floats(1e-4, 0.3),
    betas=st.tuples(BETA, BETA.map(lambda beta: (1 + beta) / 2)),  # v keeps its digits
    eps=st.sampled_from([1e-8, 1e-3, 1.0]), decay=st.sampled_from([0.0, 0.1, 2.0]),
    clip=st.sampled_from([None, 0, 1e-3, 1.0, 1e6]),
)
def test_each_weight_counts_the_steps_in_which_it_has_a_gradient(
    dtype, allowed, seed, lr, betas, eps, decay, clip
):
    rng, taken = np.random.default_rng(seed), []
    weights = {name: Tensor(rng.normal(size=shape).astype(dtype), requires_grad=True)
               for name, shape in SHAPES.items()}
    start = {name: weight.data.astype(float) for name, weight in weights.items()}
    optimizer = AdamW(weights, lr, betas, eps, decay, clip)
    size = 10 ** rng.uniform(-3, 3)
    for _ in range(12):
        gradients = {
            name: (size * rng.normal(size=shape)).astype(dtype) for name, shape in SHAPES.items()
            if name == "scalar" or rng.random() > 0.15
        }
        optimizer.zero_grad()
        for name, gradient in gradients.items():  # any dtype and order will do
            weights[name].grad = gradient.astype(float, "F")
        norm = optimizer.step()
        squares = [np.sum(gradient.astype(float) ** 2) for gradient in gradients.values()]
        assert norm == pytest.approx(np.sqrt(sum(squares)), rel=1e-12)
        scale = min(1, clip / norm) if clip else 1
        taken.append({name: scale * gradient for name, gradient in gradients.items()})
    assert optimizer.steps == 12
    for name, weight in weights.items():
        after = algorithm_2(start[name], [step[name] for step in taken if name in step], lr, betas,
                            eps, decay * (weight.ndim >= 2))
        np.testing.assert_allclose(weight.data, after, rtol=allowed, atol=allowed)


@pytest.mark.parametrize("name", ["lr", "eps", "weight_decay", "grad_clip", "betas"])
def test_settings_out_of_range_are_refused(name):
    for wrong in [(1.0, 0), (0, np.nan)] if name == "betas" else (-1.0, np.nan):
        with pytest.raises(ValueError, match=name[:4]):
            AdamW({}, **{name: wrong})


def leaf(data):
    weight = Tensor(data, requires_grad=True)
    weight.grad = np.ones(weight.shape, weight.dtype)
    return weight


def test_a_step_between_a_loss_and_its_backward_is_refused():
    weight = leaf(np.ones(3))
    loss = (weight * weight).sum()
    AdamW({"w": weight}).step()
    with pytest.raises(RuntimeError, match="mul .*before the step"):
        loss.backward()


@pytest.mark.parametrize(("gradient", "lr", "error", "fact"), [
    (np.nan, None, FloatingPointError, "nan"), (None, None, RuntimeError, "backward"),
    (0.0, np.nan, ValueError, "lr"),
])
def test_a_step_that_is_refused_moves_nothing(gradient, lr, error, fact):
    weight = Tensor(1.0, requires_grad=True)
    weight.grad = gradient
    optimizer = AdamW({"w": weight})
    with pytest.raises(error, match=fact):
        optimizer.step(lr)
    assert (weight.data, optimizer.m["w"], optimizer.steps) == (1, 0, 0)


WHOLE = np.ones((4, 2))


@pytest.mark.parametrize(("a", "b", "fact"), [
    (WHOLE[:2], WHOLE[1:], "twice"),
    (WHOLE, np.ones(2, np.float32), "two dtypes"),
    (WHOLE, np.broadcast_to(1.0, (3, 5)), "read-only"),
])
def test_weights_that_could_not_be_updated_in_place_are_refused(a, b, fact):
    with pytest.raises(ValueError, match=fact):
        AdamW({"a": leaf(a), "b": leaf(b)})


@pytest.mark.parametrize(("part", "wrong"), [
    ("m", np.zeros((4, 2), np.float16)), ("v", np.zeros((2, 4)).T),
    ("data", np.ones((4, 2), np.float32)), ("grad", np.ones(8)),
])
def test_what_the_kernel_could_not_address_is_refused(part, wrong):
    optimizer = AdamW({"w": (weight := leaf(WHOLE))})
    if part in "mv":
        getattr(optimizer, part)["w"] = wrong
    else:
        setattr(weight, part, wrong)
    with pytest.raises(ValueError, match="w"):
        optimizer.step()


@given(warmup=st.integers(0, 50), iters=st.integers(1, 200), least=st.floats(0, 0.5))
def test_the_rate_rises_to_its_peak_then_falls_to_its_minimum(warmup, iters, least):
    config = TrainConfig(warmup_iters=warmup, max_iters=iters, lr=0.5, min_lr=least)
    rates = [learning_rate(step, config) for step in range(warmup + iters)]
    assert rates[warmup] == pytest.approx(0.5) and rates[0] > 0
    assert (np.diff(rates[: warmup + 1]) > 0).all() and (np.diff(rates[warmup:]) <= 1e-15).all()
    assert learning_rate(max(iters, warmup + 1), config) == pytest.approx(least)
