"""AdamW against the published algorithm; clipping, state, the schedule."""

from itertools import pairwise

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


def algorithm_2(w, g, m, v, t, lr, beta1, beta2, eps, decay):
    """Return (w, m, v) after a step by Loshchilov and Hutter, 2019, decaying by lr * decay."""
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return w - lr * decay * w - lr * m_hat / (np.sqrt(v_hat) + eps), m, v


def by_algorithm_2(name, w, gradients, lr, betas, eps, decay):
    m = v = t = 0
    for g in gradients:
        if g is not None:
            w, m, v = algorithm_2(w, g, m, v, t := t + 1, lr, *betas, eps, decay)
    return w


def by_pytorch(name, w, gradients, lr, betas, eps, decay):
    torch = pytest.importorskip("torch")
    weight = torch.nn.Parameter(torch.tensor(w))
    optimizer = torch.optim.AdamW([weight], lr, betas, eps, decay)
    for g in gradients:
        weight.grad = None if g is None else torch.tensor(g, dtype=torch.float64)
        optimizer.step()
    return weight.detach()


BETA = st.sampled_from([0.0, 0.9, 0.99999]) | st.floats(0, 0.9999)


@pytest.mark.parametrize(
    ("definition", "dtype"),
    [(by_algorithm_2, np.float64), (by_algorithm_2, np.float32), (by_pytorch, np.float64)],
)
@given(
    seed=st.integers(0, 2**31), lr=st.floats(1e-4, 0.3),
    betas=st.tuples(BETA, BETA.map(lambda beta: (1 + beta) / 2)),  # v keeps its digits
    eps=st.sampled_from([1e-8, 1e-3, 1.0]), decay=st.sampled_from([0.0, 0.1, 2.0]),
    clip=st.sampled_from([None, 0, 1e-3, 1.0, 1e6]),
)
def test_each_weight_counts_the_steps_in_which_it_has_a_gradient(
    definition, dtype, seed, lr, betas, eps, decay, clip
):
    weights, rng = parameters(dtype), np.random.default_rng(seed)
    start, gradients = {n: w.data.astype(float) for n, w in weights.items()}, []
    optimizer = AdamW(weights, lr, betas, eps, decay, clip)
    size = 10 ** rng.uniform(-3, 3)
    for _ in range(12):
        set_gradients(weights, rng, size)
        for weight in list(weights.values())[rng.integers(2) :]:  # one at least has a gradient
            weight.grad = None if rng.random() < 0.15 and weight.ndim else weight.grad
        norm = optimizer.step()
        scale = min(1, clip / norm) if clip else 1
        gradients.append({n: None if w.grad is None else w.grad * scale
                          for n, w in weights.items()})
    assert optimizer.steps == 12
    for name, weight in weights.items():
        expected = definition(name, start[name], [g[name] for g in gradients], lr, betas, eps,
                              decay if weight.ndim >= 2 else 0.0)
        allowed = 1e-11 if dtype == np.float64 else 2e-5
        np.testing.assert_allclose(weight.data, expected, rtol=allowed, atol=allowed)


@pytest.mark.parametrize(("name", "wrong"), [
    *[(name, x) for name in ("lr", "eps", "weight_decay", "grad_clip")
      for x in (-1.0, -1e-12, np.nan, np.inf)],
    *[("betas", pair) for x in (1.0, 1.5, -0.1, np.nan) for pair in ((x, 0), (0, x))],
])
def test_settings_out_of_range_are_refused(name, wrong):
    with pytest.raises(ValueError, match=f"AdamW: {name[:4]}.*=.*(use|give two)"):
        AdamW(parameters(), **{name: wrong})
    if name == "lr":
        with pytest.raises(ValueError, match=f"AdamW: lr={wrong}"):
            AdamW(parameters()).step(lr=wrong)


def test_a_step_between_a_loss_and_its_backward_is_refused():
    weights = parameters()
    optimizer = AdamW(weights)
    losses = [((weights["matrix"] + weights["bias"]) * weights["bias"]).sum() for _ in range(3)]
    for loss in losses[:2]:  # a gradient may be that of several losses
        loss.backward()
    optimizer.step()
    with pytest.raises(RuntimeError, match="mul .*before the step"):
        losses[2].backward()


@given(
    sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=4),
    clip=st.floats(0.01, 10),
    scale=st.floats(1e-3, 1e3),
)
def test_clipping_scales_all_gradients_to_the_global_norm(sizes, clip, scale):
    rng = np.random.default_rng(len(sizes))
    weights = {str(i): Tensor(np.zeros(n), requires_grad=True) for i, n in enumerate(sizes)}
    set_gradients(weights, rng, scale)
    gradient = np.concatenate([w.grad for w in weights.values()])
    optimizer = AdamW(weights, betas=(0.0, 0.0), grad_clip=clip)
    norm = optimizer.step(lr=1.0)
    assert norm == pytest.approx(np.linalg.norm(gradient), rel=1e-12)
    kept = np.concatenate(list(optimizer.m.values()))  # with beta1 = 0, the clipped gradient
    assert np.linalg.norm(kept) == pytest.approx(min(norm, clip), rel=1e-9)
    np.testing.assert_allclose(kept * norm, gradient * np.linalg.norm(kept), rtol=1e-9)


def test_a_gradient_that_is_not_finite_moves_nothing():
    weights = parameters()
    optimizer = AdamW(weights)
    set_gradients(weights, np.random.default_rng(0))
    weights["table"].grad[1, 1] = np.nan
    before = {name: w.data.copy() for name, w in weights.items()}
    with pytest.raises(FloatingPointError, match=r"norm is nan, so no weight was moved.*lower"):
        optimizer.step()
    assert optimizer.steps == 0
    for name, weight in weights.items():
        np.testing.assert_array_equal(weight.data, before[name])
        assert not optimizer.m[name].any()


def test_misuse_is_refused():
    weights = parameters()
    with pytest.raises(ValueError, match="twice"):
        AdamW({"a": weights["matrix"], "b": weights["matrix"]})
    with pytest.raises(ValueError, match="twice"):
        AdamW({"a": weights["matrix"], "b": Tensor(weights["matrix"].data, requires_grad=True)})
    whole = np.ones((4, 2))
    parts = {"a": Tensor(whole[:2], requires_grad=True), "b": Tensor(whole[1:], requires_grad=True)}
    with pytest.raises(ValueError, match="twice"):
        AdamW(parts)
    AdamW(parts | {"b": Tensor(whole[2:], requires_grad=True)})
    with pytest.raises(RuntimeError, match=r"call loss.backward\(\) first"):
        AdamW(weights).step()
    single = Tensor(np.ones(2, np.float32), requires_grad=True)
    with pytest.raises(ValueError, match="two dtypes"):
        AdamW({"single": single, **weights})


def test_what_could_not_be_updated_in_place_is_refused():
    whole = np.ones((3, 5))
    for data in (whole.T, np.broadcast_to(np.ones(5), (3, 5))):
        weight = Tensor(data, requires_grad=True)
        weight.grad = np.ones(weight.shape)
        with pytest.raises(ValueError, match=r"AdamW: w.*np.array\("):
            AdamW({"w": weight}).step()
    weight = Tensor(whole, requires_grad=True)
    optimizer = AdamW({"w": weight})
    weight.data, weight.grad = np.ones((3, 5), np.float32), np.ones((3, 5), np.float32)
    with pytest.raises(ValueError, match=r"w, .*float32 \(3, 5\).*float64"):
        optimizer.step()
    weight.data, weight.grad = whole, np.ones((3, 5))
    for moments in (optimizer.m, optimizer.v):
        right = moments["w"]
        for wrong in (np.zeros((3, 5), np.float16), np.zeros((5, 3)).T, np.zeros((3, 4))):
            moments["w"] = wrong
            with pytest.raises(ValueError, match="AdamW: w"):
                optimizer.step()
        moments["w"] = right
    weight.grad = np.ones(15)
    with pytest.raises(ValueError, match=r"w, .*\(3, 5\).*\(15,\)"):
        AdamW({"w": weight}).step()
    assert (whole == 1).all()


def test_a_gradient_set_by_hand_may_be_of_another_dtype_or_order():
    one, other = (Tensor(np.ones((3, 5)), requires_grad=True) for _ in range(2))
    one.grad = np.arange(15.0).reshape(3, 5)
    other.grad = np.asfortranarray(one.grad.astype(np.float32))
    for weight in (one, other):
        AdamW({"w": weight}).step()
    np.testing.assert_array_equal(one.data, other.data)


def test_zero_grad_forgets_and_a_weight_without_gradient_stays():
    weights = parameters()
    optimizer = AdamW(weights)
    set_gradients(weights, np.random.default_rng(0))
    optimizer.zero_grad()
    assert all(w.grad is None for w in weights.values())
    before = weights["matrix"].data.copy()
    weights["bias"].grad = np.ones(5)
    optimizer.step()
    np.testing.assert_array_equal(weights["matrix"].data, before)


@given(
    warmup=st.integers(0, 50), iters=st.integers(1, 200), lr=st.floats(1e-4, 1),
    share=st.just(0.0) | st.floats(1e-6, 1),
)
def test_the_rate_rises_to_its_peak_then_falls_to_its_minimum(warmup, iters, lr, share):
    config = TrainConfig(warmup_iters=warmup, max_iters=iters, lr=lr, min_lr=lr * share)
    rates = [learning_rate(step, config) for step in range(max(iters, warmup + 1) + 1)]
    assert all(0 < rate <= lr * (1 + 1e-12) or share == 0 for rate in rates)
    assert rates[warmup] == pytest.approx(lr)
    assert all(a <= b + 1e-15 for a, b in pairwise(rates[: warmup + 1]))
    assert all(a >= b - 1e-15 for a, b in pairwise(rates[warmup:]))
    if iters > warmup:
        assert rates[iters] == pytest.approx(config.min_lr)
