"""What the studies of parts and of training compute, on numbers that are known."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="of the extra 'studies'")
pd = pytest.importorskip("pandas", reason="of the extra 'studies'")
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

import ablations  # noqa: E402
from laboratory import first_below  # noqa: E402

parts, training = map(importlib.import_module, ("12_rows", "14_training"))


def test_steps_to_a_level_are_read_between_two_points_of_a_curve():
    curve, steps = [1.0, 0.5, 0.3, 0.1], [20, 45, 70, 95]
    assert first_below(steps, curve, 0.4) == pytest.approx(57.5)
    assert first_below(steps, curve, 1.0) == 20
    assert np.isnan(first_below(steps, curve, 0.05))


def test_rate_and_decay_are_those_that_are_best_with_the_first_seed():
    found = pd.DataFrame([
        {"group": "Rows", "steps": 1000, "optimizer": name, "label": f"{name}, {rate}",
         "seed": seed, "excess": excess + seed, 1.2: steps * seed, 1.05: np.nan}
        for name, rate, excess, steps in (("AdamW", 1, 0.1, 40), ("AdamW", 2, 0.2, 30),
                                          ("Muon", 1, 0.1, 10), ("Muon", 2, 0.2, 20))
        for seed in (1, 2, 3)])
    assert [*training.best(found, "excess")] == ["AdamW, 1", "Muon, 1"]
    assert [*training.best(found, 1.2)] == ["AdamW, 2", "Muon, 1"]
    assert {*training.at_best(found, 1.2).seed} == {2, 3}
    assert np.exp(training.speed_ups(found, "excess")[1.2]).to_numpy() == pytest.approx([4, 4])
    assert np.exp(training.speed_ups(found)[1.2]).to_numpy() == pytest.approx([3, 3])


def test_the_critical_batch_is_found_where_steps_follow_the_law():
    B = np.repeat([1, 2, 4, 8, 16, 32], 3)
    found = training.critical_batch(pd.DataFrame({"batch_size": B, "steps": 100 * (1 + 7 / B)}))
    assert found == pytest.approx((100, 7), rel=1e-4)


def test_runs_that_do_not_reach_the_goal_are_in_no_fit():
    B = np.repeat([1, 2, 4, 8, 16, 32], 2)
    steps = np.where(B == 1, training.MOST, 100 * (1 + 7 / B))
    found = training.critical_batch(pd.DataFrame({"batch_size": B, "steps": steps}))
    assert found == pytest.approx((100, 7), rel=1e-4)


def test_a_training_with_a_goal_ends_where_its_loss_is_below():
    settings = parts.ON["Rows"] | {"n_embd": 8, "n_head": 2, "steps": 60, "warm_up": 2,
                                   "evaluations": 0, "lr": 1e-2}
    losses, floors, _ = ablations.train(ablations.new_model(settings), settings)
    goal = float(np.mean(losses[20:40]) - np.mean(floors[20:40])) + 0.02
    some = settings | {"goal": goal}
    ended, _, stopped = ablations.train(ablations.new_model(some), some)
    assert 20 <= len(ended) < 60 and stopped is None


@pytest.mark.parametrize("name", ["QK-norm", "squared ReLU", "sinusoids"])
def test_the_variants_of_the_second_edition_learn(name):
    settings = parts.ON["Rows"] | {"variant": name, "n_embd": 8, "n_head": 2, "steps": 30,
                                   "warm_up": 2, "lr": 1e-2}
    losses, _, stopped = ablations.train(ablations.new_model(settings), settings)
    assert stopped is None
    assert losses[-5:].mean() < losses[:5].mean() - 0.1


def test_queries_and_keys_are_normalised():
    model = ablations.new_model(parts.ON["Rows"] | {"variant": "QK-norm"})
    x = ablations.stories("train", "rows").x_NT[:2]
    from autograd import Tensor

    attention = model.h[0].attn
    q, k, _ = attention.heads(Tensor(100 * model.hidden(x).data))
    for part in (q, k):
        assert np.square(part.data).mean(axis=-1) == pytest.approx(1, rel=1e-3)
