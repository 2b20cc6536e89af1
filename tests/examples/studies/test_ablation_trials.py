"""The variants of the ablations have right gradients, and trainings are measured rightly."""

import importlib

import numpy as np
import pytest
from ablation_rows import best_rate
from ablation_trials import (
    LONGEST,
    SGD,
    AdamL2,
    InOrder,
    Muon,
    new_model,
    orthogonal,
    stories,
    tokenizer,
)
from laboratory import key, results_of
from variants import VARIANTS

from autograd import Tensor, gradcheck
from npgpt.config import GPTConfig
from npgpt.optim import AdamW


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_has_the_gradients_of_finite_differences(name):
    config = GPTConfig(vocab_size=7, block_size=5, n_layer=2, n_head=2, n_embd=8)
    model = VARIANTS[name](config, seed=1, dtype=np.float64)
    rng = np.random.default_rng(1)
    for weight in model.parameters().values():
        weight.data[...] = rng.normal(1.0 if weight.ndim == 1 else 0.0, 0.5, weight.shape)
    x_BT, y_BT = rng.integers(0, 7, (2, 2, 5))
    report = gradcheck(lambda **_: model(x_BT, y_BT)[1], model.parameters())
    assert len(report.inputs) == len(model.parameters())


def test_variants_are_as_large_as_the_base():
    sizes = {name: new_model({"variant": name}).num_parameters() for name in VARIANTS}
    for name, size in sizes.items():
        without_positions = name in ("no positions", "sinusoids", "rotary", "Llama")
        assert size == pytest.approx(sizes["GPT"] - 64 * LONGEST * without_positions, rel=0.005)


@pytest.fixture
def parts():
    """Return 08_ablations and 12_rows, the modules."""
    for name in ("scipy", "pandas"):
        pytest.importorskip(name, reason="of the extra 'studies'")
    return [importlib.import_module(name) for name in ("08_ablations", "12_rows")]


def test_each_variant_is_tried(parts):
    settings, parts = parts
    everything = settings.ROWS + parts.ARMS + parts.TALES
    assert {row.changes.get("variant", "GPT") for row in everything} == {*VARIANTS}


def test_every_training_of_the_tables_is_in_the_data_under_its_settings(parts):
    settings, parts = parts
    for rows, module in ((settings.ROWS, settings), (parts.ARMS + parts.TALES, parts)):
        known, labels = results_of(module.RESULTS), {(row.group, row.label) for row in rows}
        assert len(labels) == len(rows) > 40
        for row in rows:
            assert {key(trial) for trial in row.trials_of_rates()} <= known.keys(), row
            rate = best_rate(row, known)
            assert {key(row.trial(seed, rate)) for seed in module.SEEDS} <= known.keys(), row
            assert {(row.group, other) for other in row.beside} <= labels


def test_post_norm_leaves_every_position_with_mean_0_and_variance_1():
    x_BTC = new_model({"variant": "post-norm"}).hidden(np.arange(20)[None]).data
    np.testing.assert_allclose(x_BTC.mean(axis=-1), 0, atol=1e-5)
    np.testing.assert_allclose(x_BTC.var(axis=-1), 1, rtol=1e-2)


@pytest.mark.parametrize("name", VARIANTS)
def test_only_without_the_mask_does_a_position_see_what_comes_after_it(name):
    model = new_model({"variant": name})
    x_BT = np.arange(20)[None]
    changed_BT = np.append(x_BT[:, :-1], [[99]], axis=1)
    before = [model.hidden(ids_BT).data[0, :-1] for ids_BT in (x_BT, changed_BT)]
    assert np.allclose(*before, rtol=1e-4, atol=1e-5) == (name != "leaking")


def _weight():
    w = Tensor(np.array([[1.0, -2.0]]), requires_grad=True)
    w.grad = np.array([[0.3, 0.1]])
    return w


def test_l2_is_a_part_of_the_gradient():
    found, expected = _weight(), _weight()
    AdamL2({"w": found}, lr=0.1, weight_decay=0.5, grad_clip=0).step()
    expected.grad = expected.grad + 0.5 * expected.data
    AdamW({"w": expected}, lr=0.1, weight_decay=0.0, grad_clip=0).step()
    np.testing.assert_allclose(found.data, expected.data)


def test_momentum_adds_up_gradients():
    w = _weight()
    optimizer = SGD({"w": w}, betas=(0.9, 0.99), weight_decay=0.0, grad_clip=0)
    optimizer.step(0.1)
    np.testing.assert_allclose(w.data, [[0.97, -2.01]])
    optimizer.step(0.1)
    np.testing.assert_allclose(w.data, [[0.97 - 0.057, -2.01 - 0.019]])
    w.grad = w.grad * 100
    assert optimizer.step(0.1) == pytest.approx(100 * 0.1**0.5)


def test_muon_steps_as_far_in_every_direction_of_a_hidden_matrix():
    matrix = np.random.default_rng(1).normal(size=(4, 12)) * np.geomspace(1, 10, 4)[:, None]
    u, _, v = np.linalg.svd(matrix, full_matrices=False)
    sizes = u.T @ orthogonal(matrix) @ v.T
    assert np.diag(sizes).min() > 0.6 and np.diag(sizes).max() < 1.3
    np.testing.assert_allclose(sizes, np.diag(np.diag(sizes)), atol=1e-12)
    np.testing.assert_allclose(orthogonal(matrix.T), orthogonal(matrix).T, atol=1e-12)


def test_muon_is_adamw_but_for_hidden_matrices():
    weights = {name: Tensor(np.full((4, 12), 2.0), requires_grad=True)
               for name in ("wte.weight", "h.0.mlp.c_fc.weight")}
    alone = Tensor(np.full((4, 12), 2.0), requires_grad=True)
    gradient = np.random.default_rng(1).normal(size=(4, 12))
    for weight in (alone, *weights.values()):
        weight.grad = gradient.copy()
    Muon(weights, lr=0.1, weight_decay=0.5, grad_clip=0).step(0.1)
    AdamW({"w": alone}, lr=0.02, weight_decay=0.5, grad_clip=0).step(0.02)
    np.testing.assert_array_equal(weights["wte.weight"].data, alone.data)
    moved = 2.0 * (1 - 0.1 * 0.5) - weights["h.0.mlp.c_fc.weight"].data
    np.testing.assert_allclose(moved, 0.1 * 3**0.5 * orthogonal(gradient * 1.95), atol=1e-12)


def test_a_row_is_one_story_and_its_floor_that_of_the_grammar():
    x_NT, y_NT, nats_N = stories("test")
    for x_T, y_T in zip(x_NT[:50], y_NT[:50], strict=True):
        length = (y_T >= 0).sum()
        np.testing.assert_array_equal(x_T[1:length], y_T[: length - 1])
        text = tokenizer().decode(y_T[:length])
        assert text.endswith(".\n\n") and text.count("\n\n") == 1
    batch, floor = stories("test").batch(np.arange(400))
    assert floor == pytest.approx(nats_N[:400].sum() / batch.n_targets)
    assert floor == pytest.approx(1.397, abs=0.02)  # 0.394 a character, over a token's characters


@pytest.mark.slow
def test_no_story_is_read_twice_unless_it_is_asked_for():
    def rows(n, steps):
        objective = InOrder(1, n)
        batches = (objective.sample(stories("train"), 0, 8, seed=1, step=s) for s in range(steps))
        return [x_T.tobytes() for batch in batches for x_T in batch.inputs[0]]

    assert len({*rows(0, 100)}) == 800
    assert len({*rows(16, 100)}) == 16
