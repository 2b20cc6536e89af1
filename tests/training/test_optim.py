"""AdamW against the published algorithm; clipping, state, the schedule."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograd import Tensor
from npgpt import AdamW
from npgpt.config import TrainConfig
from npgpt.optim import learning_rate


def parameters(dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"matrix": (3, 5), "bias": (5,), "table": (4, 2), "scalar": ()}
    return {
        name: Tensor(rng.normal(size=shape).astype(dtype), requires_grad=True)
        for name, shape in shapes.items()
    }


def set_gradients(weights, rng, size=1.0):
    for weight in weights.values():
        weight.grad = (size * rng.normal(size=weight.shape)).astype(weight.dtype)


def algorithm_2(w, gradients, lr, betas, eps, decay):
    """Return w after steps by Loshchilov and Hutter, 2019, decaying by lr * decay."""
    m = v = t = 0
    beta1, beta2 = betas
    for g in gradients:
        if g is not None:
            t += 1
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * g * g
            m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
            w = w - lr * decay * w - lr * m_hat / (np.sqrt(v_hat) + eps)
    return w


BETA = st.sampled_from([0.0, 0.9, 0.99999]) | st.floats(0, 0.9999)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(
    seed=st.integers(0, 2**31), lr=st.floats(1e-4, 0.3),
    betas=st.tuples(BETA, BETA.map(lambda beta: (1 + beta) / 2)),  # v keeps its digits
    eps=st.sampled_from([1e-8, 1e-3, 1.0]), decay=st.sampled_from([0.0, 0.1, 2.0]),
    clip=st.sampled_from([None, 0, 1e-3, 1.0, 1e6]),
)
def test_each_weight_counts_the_steps_in_which_it_has_a_gradient(
    dtype, seed, lr, betas, eps, decay, clip
):
    weights, rng = parameters(dtype), np.random.default_rng(seed)
    start, gradients = {n: w.data.astype(float) for n, w in weights.items()}, []
    optimizer = AdamW(weights, lr, betas, eps, decay, clip)
    size = 10 ** rng.uniform(-3, 3)
    for _ in range(12):
        set_gradients(weights, rng, size)
        for weight in list(weights.values())[rng.integers(2) :]:  # one at least has a gradient
            weight.grad = None if rng.random() < 0.15 and weight.ndim else weight.grad
        given_gradients = {n: w.grad for n, w in weights.items() if w.grad is not None}
        norm = optimizer.step()
        squares = [np.sum(g.astype(float) ** 2) for g in given_gradients.values()]
        assert norm == pytest.approx(np.sqrt(sum(squares)), rel=1e-12)
        scale = min(1, clip / norm) if clip else 1
        gradients.append({n: g * scale for n, g in given_gradients.items()})
    assert optimizer.steps == 12
    for name, weight in weights.items():
        expected = algorithm_2(start[name], [g.get(name) for g in gradients], lr, betas, eps,
                               decay if weight.ndim >= 2 else 0.0)
        allowed = 1e-11 if dtype == np.float64 else 2e-5
        np.testing.assert_allclose(weight.data, expected, rtol=allowed, atol=allowed)


@pytest.mark.parametrize(("name", "wrong"), [
    *[(name, x) for name in ("lr", "eps", "weight_decay", "grad_clip") for x in (-1.0, np.nan)],
    *[("betas", pair) for x in (1.0, -0.1, np.nan) for pair in ((x, 0), (0, x))],
])
def test_settings_out_of_range_are_refused(name, wrong):
    with pytest.raises(ValueError, match=name[:4]):
        AdamW(parameters(), **{name: wrong})


def test_a_step_between_a_loss_and_its_backward_is_refused():
    weights = parameters()
    optimizer = AdamW(weights)
    losses = [((weights["matrix"] + weights["bias"]) * weights["bias"]).sum() for _ in range(3)]
    for loss in losses[:2]:  # a gradient may be that of several losses
        loss.backward()
    optimizer.step()
    with pytest.raises(RuntimeError, match="mul .*before the step"):
        losses[2].backward()


def test_a_gradient_that_is_not_finite_moves_nothing():
    weights = parameters()
    optimizer = AdamW(weights)
    set_gradients(weights, np.random.default_rng(0))
    weights["table"].grad[1, 1] = np.nan
    before = {name: w.data.copy() for name, w in weights.items()}
    with pytest.raises(FloatingPointError, match="nan"):
        optimizer.step()
    assert optimizer.steps == 0
    for name, weight in weights.items():
        np.testing.assert_array_equal(weight.data, before[name])
        assert not optimizer.m[name].any()


def leaf(data):
    weight = Tensor(data, requires_grad=True)
    weight.grad = np.ones(weight.shape, weight.dtype)
    return weight


def test_what_could_not_be_updated_in_place_is_refused():
    whole = np.ones((4, 2))
    for other in (whole[:2], whole[1:]):
        with pytest.raises(ValueError, match="twice"):
            AdamW({"a": leaf(whole[:2]), "b": leaf(other)})
    AdamW({"a": leaf(whole[:2]), "b": leaf(whole[2:])}).step()
    before = whole.copy()
    with pytest.raises(ValueError, match="two dtypes"):
        AdamW({"a": leaf(whole), "b": leaf(np.ones(2, np.float32))})
    with pytest.raises(RuntimeError, match="backward"):
        AdamW(parameters()).step()
    with pytest.raises(ValueError, match="lr"):
        AdamW(parameters()).step(lr=np.nan)
    for data in (whole.T, np.broadcast_to(np.ones(5), (3, 5))):
        with pytest.raises(ValueError, match="w"):
            AdamW({"w": leaf(data)}).step()
    for part, wrong in itertools.product(
        "mv", (np.zeros((4, 2), np.float16), np.zeros((2, 4)).T, np.zeros((4, 3)))
    ):
        optimizer = AdamW({"w": leaf(whole)})
        getattr(optimizer, part)["w"] = wrong
        with pytest.raises(ValueError, match="w"):
            optimizer.step()
    for name, other in ("data", np.ones((4, 2), np.float32)), ("grad", np.ones(8)):
        optimizer = AdamW({"w": (weight := leaf(whole))})
        setattr(weight, name, other)
        with pytest.raises(ValueError, match="w"):
            optimizer.step()
    np.testing.assert_array_equal(whole, before)


def test_a_gradient_set_by_hand_may_be_of_another_dtype_or_order():
    one, other = (Tensor(np.ones((3, 5)), requires_grad=True) for _ in range(2))
    one.grad = np.arange(15.0).reshape(3, 5)
    other.grad = np.asfortranarray(one.grad.astype(np.float32))
    for weight in (one, other):
        AdamW({"w": weight}).step()
    np.testing.assert_array_equal(one.data, other.data)


@given(
    warmup=st.integers(0, 50), iters=st.integers(1, 200), lr=st.floats(1e-4, 1),
    share=st.just(0.0) | st.floats(1e-6, 1),
)
def test_the_rate_rises_to_its_peak_then_falls_to_its_minimum(warmup, iters, lr, share):
    config = TrainConfig(warmup_iters=warmup, max_iters=iters, lr=lr, min_lr=lr * share)
    rates = [learning_rate(step, config) for step in range(max(iters, warmup + 1) + 1)]
    assert all(0 < rate <= lr * (1 + 1e-12) or share == 0 for rate in rates)
    assert rates[warmup] == pytest.approx(lr)
    assert all(a <= b + 1e-15 for a, b in itertools.pairwise(rates[: warmup + 1]))
    assert all(a >= b - 1e-15 for a, b in itertools.pairwise(rates[warmup:]))
    if iters > warmup:
        assert rates[iters] == pytest.approx(config.min_lr)
