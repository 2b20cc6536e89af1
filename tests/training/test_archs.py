"""The loop trains every kind of model, on its own objective, as it trains a GPT."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from npgpt import AdamW, CharTokenizer, tales
from npgpt.config import TrainConfig
from npgpt.models import ARCHITECTURES, architecture
from npgpt.objectives.denoising import MASK, SENTINELS
from npgpt.train import evaluate, training_steps

ARCHS = tuple(ARCHITECTURES)
TEXT = tales.generate(6_000, seed=2)
TRAINING = TrainConfig(max_iters=20, batch_size=4, lr=1e-2, min_lr=1e-3, warmup_iters=2)


def made(arch, dtype=np.float32, **changes):
    """Return (model, objective, ids) of a tiny model and a text."""
    objective = architecture(arch).Objective
    tokenizer = CharTokenizer("".join(sorted(set(TEXT))), objective.special_tokens)
    settings = {"block_size": 190, "n_layer": 1, "n_head": 2, "n_embd": 8} | changes
    config = architecture(arch).Config(vocab_size=tokenizer.vocab_size, **settings)
    model = architecture(arch).Model(config, seed=1, dtype=dtype)
    return model, objective(tokenizer), tokenizer.encode(TEXT)


def steps_of(model, objective, ids, training=TRAINING, optimizer=None):
    optimizer = optimizer or AdamW(model.parameters())
    return training_steps(model, optimizer, ids, training, objective=objective)


@pytest.mark.parametrize("arch", ARCHS)
def test_steps_repeat_to_the_bit_and_can_be_continued(arch):
    (whole, *data), (part, *_) = (made(arch, dropout=0.1) for _ in range(2))
    steps = list(islice(steps_of(whole, *data), 6))
    optimizer = AdamW(part.parameters())
    found = list(islice(steps_of(part, *data, optimizer=optimizer), 2))
    part.eval().dropout_step = 99  # whatever was computed in between
    found += islice(steps_of(part, *data, optimizer=optimizer), 4)
    assert found == steps
    for name, weight in whole.parameters().items():
        assert weight.data.tobytes() == part.parameters()[name].data.tobytes(), name


@pytest.mark.parametrize("arch", ARCHS)
def test_two_rows_twice_are_a_batch_of_four(arch):
    """Rows have different numbers of targets; each target counts as much as any other."""
    one, two = (
        # AdamW's steps do not depend on the scale of the gradient; its norm tells it.
        [(step.loss, step.grad_norm) for step in islice(steps_of(
            *made(arch, np.float64),
            replace(TRAINING, batch_size=4 // count, gradient_accumulation_steps=count)), 3)]
        for count in (1, 2)
    )
    np.testing.assert_allclose(one, two, rtol=1e-9)


@pytest.mark.parametrize("arch", ARCHS)
def test_an_evaluation_is_the_mean_over_all_targets_in_whatever_batches(arch):
    model, objective, ids = made(arch)
    (loss, tokens), *others = (
        evaluate(model, ids, batch_size=size, objective=objective, seed=4) for size in (1, 3, 16))
    for found in others:  # padding changes nothing
        assert found == (pytest.approx(loss, rel=1e-5), tokens)


# ---- writing


def written(model, objective, prompt, most):
    """Return (ids of a prompt, the ids that a model makes of them greedily)."""
    ids = objective.prompt(prompt).astype(np.int64)
    write = architecture(type(model).__name__.lower()).write
    return ids, list(write(model, objective.tokenizer, ids, most, temperature=0))


def test_a_mask_is_drawn_from_what_the_model_says_of_it_and_sees_those_before_it():
    model, objective, _ = made("bert")
    ids, found = written(model, objective, f"a{MASK}b{MASK}", 9)
    for t in (1, 3):
        logits_V = model.eval()(ids[None])[0].data[0, t]
        ids[t] = objective.ordinary[np.argmax(logits_V[objective.ordinary])]
    assert found == ids.tolist()


def test_spans_are_rewritten_as_the_decoder_writes_them_greedily():
    model, objective, _ = made("t5", n_embd=32)
    pad, *sentinels = objective.special
    ids, found = written(model, objective, f"A {SENTINELS[0]} dog{SENTINELS[1]} sat.", 12)
    decoded, expected = [pad], []
    for token in ids.tolist():
        if token not in sentinels:
            expected.append(token)
            continue
        decoded.append(token)
        end = sentinels[sentinels.index(token) + 1]
        while len(decoded) < 12:
            logits_V = model.eval()(ids[None], [decoded])[0].data[0, -1]
            logits_V[[s for s in objective.special if s != end]] = -np.inf
            if np.argmax(logits_V) == end:
                break
            decoded.append(int(np.argmax(logits_V)))
            expected.append(decoded[-1])
    assert found == expected and len(found) > len(ids)
