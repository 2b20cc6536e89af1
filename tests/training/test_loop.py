"""The loop learns, repeats itself to the bit, and evaluates every token once."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from npgpt import GPT, AdamW, GPTConfig
from npgpt.config import TrainConfig
from npgpt.metrics import measured
from npgpt.train import evaluate, micro_batches, training_steps

CONFIG = GPTConfig(vocab_size=5, block_size=8, n_layer=1, n_head=2, n_embd=16, dropout=0.1)
TRAINING = TrainConfig(max_iters=60, batch_size=8, lr=1e-2, min_lr=1e-3, warmup_iters=5)
IDS = np.tile(np.array([0, 1, 2, 3, 4, 3, 2, 1]), 50)


def trained(steps, seed=1):
    model = GPT(CONFIG, seed=seed)
    optimizer = AdamW(model.parameters())
    taken = list(islice(training_steps(model, optimizer, IDS, TRAINING), steps))
    return model, optimizer, taken


def test_a_predictable_text_is_learned():
    model, _, taken = trained(60)
    assert [step.step for step in taken] == list(range(1, 61))
    assert taken[0].loss == pytest.approx(np.log(5), rel=0.1)
    loss, tokens = evaluate(model, IDS)
    assert loss < 0.5 * taken[0].loss
    assert tokens == len(IDS) - 1
    assert model.training and all(w.grad is None for w in model.parameters().values())


def test_a_model_that_was_evaluated_is_trained_with_its_dropout():
    model = GPT(CONFIG, seed=1).eval()
    assert next(training_steps(model, AdamW(model.parameters()), IDS, TRAINING)) == trained(1)[2][0]


def test_evaluation_is_the_mean_over_all_tokens_in_whatever_batches():
    model, _, _ = trained(10)
    ids = IDS[:30]
    found = [evaluate(model, ids, batch_size=size, stride=1) for size in (3, 16)]
    surprises = []
    for t in range(1, 30):  # each token from the 8 before it, or all there are
        logits = model.eval()(ids[None, max(0, t - 8) : t])[0].data[0, -1].astype(float)
        surprises.append(np.log(np.exp(logits).sum()) - logits[ids[t]])
    for loss, tokens in found:
        assert loss == pytest.approx(np.mean(surprises), rel=1e-5) and tokens == 29


def test_micro_batches_have_their_own_windows_and_dropout_masks():
    model, seen = GPT(CONFIG), []
    training = replace(TRAINING, gradient_accumulation_steps=3)
    for step in range(2):
        for batch, weight in micro_batches(model, np.arange(5000), training, step):
            assert weight == 1 / 3
            seen.append((model.dropout_step, batch.inputs[0].tobytes()))
    assert [mask for mask, _ in seen] == list(range(6)) and len({x for _, x in seen}) == 6


def test_the_update_is_measured_against_the_weights():
    model, found = GPT(CONFIG, seed=1), []
    optimizer = AdamW(model.parameters())
    weights = [np.concatenate([w.data.ravel() for w in model.parameters().values()])]
    steps = measured(training_steps(model, optimizer, IDS, TRAINING), optimizer)
    for _, _, ratio in islice(steps, 11):
        weights.append(np.concatenate([w.data.ravel() for w in model.parameters().values()]))
        found.append(ratio)
    for n in (0, 10):
        expected = np.linalg.norm(weights[n + 1] - weights[n]) / np.linalg.norm(weights[n])
        assert found[n] == pytest.approx(expected, rel=1e-5)
    assert found[1:10] == [None] * 9


def test_an_evaluation_of_some_tokens_repeats_and_lies_near_that_of_all():
    model, _, _ = trained(20)
    ids = np.random.default_rng(0).integers(0, 5, 4000)
    whole, tokens = evaluate(model, ids, stride=4)
    part, counted = evaluate(model, ids, stride=4, max_tokens=1000, seed=7)
    assert tokens == 3999 and 996 <= counted <= 1008
    assert evaluate(model, ids, stride=4, max_tokens=1000, seed=7) == (part, counted)
    assert evaluate(model, ids, stride=4, max_tokens=1000, seed=8)[0] != part != whole
    assert part == pytest.approx(whole, rel=0.1)


def test_a_loss_that_is_not_finite_stops_before_any_weight_has_moved():
    model, optimizer, _ = trained(3)
    model.parameters()["ln_f.weight"].data[0] = np.nan
    before = {name: w.data.copy() for name, w in model.parameters().items()}
    with pytest.raises(FloatingPointError, match="loss .*nan"):
        next(training_steps(model, optimizer, IDS, TRAINING))
    for name, weight in model.parameters().items():
        np.testing.assert_array_equal(weight.data, before[name])
