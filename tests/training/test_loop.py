"""The loop learns, repeats itself to the bit, and evaluates every token once."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from npgpt import GPT, AdamW, GPTConfig
from npgpt.config import TrainConfig
from npgpt.train import evaluate, micro_batches, training_steps

CONFIG = GPTConfig(vocab_size=5, block_size=8, n_layer=1, n_head=2, n_embd=16, dropout=0.1)
TRAINING = TrainConfig(max_iters=60, batch_size=8, lr=1e-2, min_lr=1e-3, warmup_iters=5)
IDS = np.tile([0, 1, 2, 3, 4, 3, 2, 1], 50)


def trained(steps):
    model = GPT(CONFIG, seed=1)
    optimizer = AdamW(model.parameters())
    return model, optimizer, list(islice(training_steps(model, optimizer, IDS, TRAINING), steps))


def test_a_predictable_text_is_learned():
    model, _, taken = trained(99)
    assert [step.step for step in taken] == list(range(1, 61))
    assert taken[0].loss == pytest.approx(np.log(5), rel=0.1)
    loss, tokens = evaluate(model, IDS)
    assert loss < 0.5 * taken[0].loss and tokens == len(IDS) - 1
    assert model.training and all(w.grad is None for w in model.parameters().values())


def test_an_evaluation_has_each_token_once_or_some_of_them():
    model, _, _ = trained(10)
    ids = IDS[:30]
    surprises = []
    for t in range(1, 30):  # each token from the 8 before it, or all there are
        logits = model.next_logits(ids[None, max(0, t - 8) : t])[0].astype(float)
        surprises.append(np.log(np.exp(logits).sum()) - logits[ids[t]])
    found = evaluate(model, ids, batch_size=3, stride=1)
    assert found == (pytest.approx(np.mean(surprises), rel=1e-5), 29)
    one, other = (evaluate(model, IDS, max_tokens=99, seed=seed) for seed in (7, 8))
    assert one != other and one[1] == 13 * 8


def test_each_micro_batch_has_its_own_windows_and_dropout_masks():
    model, training = GPT(CONFIG), replace(TRAINING, gradient_accumulation_steps=3)
    seen = {batch.inputs[0].tobytes(): model.dropout_step for step in range(2)
            for batch, _ in micro_batches(model, np.arange(5000), training, step)}
    assert [*seen.values()] == list(range(6))


def test_a_loss_that_is_not_finite_stops_before_any_weight_has_moved():
    model, optimizer, _ = trained(3)
    model.ln_f.weight.data[0] = np.nan
    before = [weight.data.tobytes() for weight in model.parameters().values()]
    with pytest.raises(FloatingPointError, match="loss .*nan"):
        next(training_steps(model, optimizer, IDS, TRAINING))
    assert before == [weight.data.tobytes() for weight in model.parameters().values()]
