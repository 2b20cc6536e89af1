"""The loop learns, repeats itself to the bit, and evaluates every token once."""

from itertools import islice

import numpy as np
import pytest

from npgpt import GPT, AdamW, GPTConfig
from npgpt.config import TrainConfig
from npgpt.training.loop import evaluate, training_steps

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
    assert model.training


def test_steps_repeat_to_the_bit_and_can_be_continued():
    whole, _, losses = trained(20)
    part, optimizer, first = trained(8)
    rest = list(islice(training_steps(part, optimizer, IDS, TRAINING, first_step=8), 12))
    assert first + rest == losses
    for name, weight in whole.parameters().items():
        assert weight.data.tobytes() == part.parameters()[name].data.tobytes(), name


@pytest.mark.parametrize("stride", [None, 1, 3, 8])
def test_evaluation_is_the_mean_over_all_tokens_in_whatever_batches(stride):
    model, _, _ = trained(10)
    ids = IDS[:30]
    counted = []
    loss, tokens = evaluate(model, ids, batch_size=3, stride=stride, progress=counted.append)
    assert tokens == sum(counted) == 29
    assert evaluate(model, ids, batch_size=16, stride=stride)[0] == pytest.approx(loss, rel=1e-5)
    if stride == 1:  # each token from the 8 before it, or all there are
        model.eval()
        surprises = []
        for t in range(1, 30):
            context = ids[max(0, t - 8) : t]
            logits = model(context[None])[0].data[0, -1].astype(float)
            surprises.append(np.log(np.exp(logits).sum()) - logits[ids[t]])
        # The first window counts all its tokens, so token t <= 8 has t before it in both.
        assert loss == pytest.approx(np.mean(surprises), rel=1e-5)
