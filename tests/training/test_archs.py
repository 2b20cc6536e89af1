"""The loop trains every kind of model, on its own objective, as it trains a GPT."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from npgpt import AdamW, CharTokenizer, tales
from npgpt.config import TrainConfig
from npgpt.models import FAMILIES, family
from npgpt.objectives.denoising import MASK, SENTINELS
from npgpt.train import evaluate, training_steps

ARCHS = tuple(FAMILIES)
TEXT = tales.generate(6_000, seed=2)
TRAINING = TrainConfig(max_iters=20, batch_size=4, lr=1e-2, min_lr=1e-3, warmup_iters=2)


def made(arch, dtype=np.float32, **changes):
    """Return (model, objective, ids) of a tiny model and a text."""
    objective = family(arch).Objective
    tokenizer = CharTokenizer("".join(sorted(set(TEXT))), objective.special_tokens)
    settings = {"block_size": 190, "n_layer": 1, "n_head": 2, "n_embd": 8} | changes
    config = family(arch).Config(vocab_size=tokenizer.vocab_size, **settings)
    model = family(arch).Model(config, seed=1, dtype=dtype)
    return model, objective(tokenizer), tokenizer.encode(TEXT)


def trained(arch, count, model=None, optimizer=None, training=TRAINING, **changes):
    made_model, objective, ids = made(arch, **changes)
    model = model or made_model
    optimizer = optimizer or AdamW(model.parameters())
    steps = training_steps(model, optimizer, ids, training, objective=objective)
    return model, optimizer, list(islice(steps, count))


@pytest.mark.parametrize("arch", ARCHS)
def test_steps_repeat_to_the_bit_and_can_be_continued(arch):
    whole, _, steps = trained(arch, 6, dropout=0.1)
    part, optimizer, first = trained(arch, 2, dropout=0.1)
    part.dropout_step = 99  # whatever was computed in between
    _, _, rest = trained(arch, 4, part, optimizer, dropout=0.1)
    assert first + rest == steps
    for name, weight in whole.parameters().items():
        assert weight.data.tobytes() == part.parameters()[name].data.tobytes(), name


@pytest.mark.parametrize("arch", ARCHS)
def test_two_rows_twice_are_a_batch_of_four(arch):
    """Rows have different numbers of targets; each target counts as much as any other."""
    results = []
    for count in (1, 2):
        training = replace(TRAINING, batch_size=4 // count, gradient_accumulation_steps=count)
        _, _, taken = trained(arch, 3, training=training, dtype=np.float64)
        # AdamW's steps do not depend on the scale of the gradient; its norm tells it.
        results.append([(step.loss, step.grad_norm) for step in taken])
    np.testing.assert_allclose(results[0], results[1], rtol=1e-9)


@pytest.mark.parametrize("arch", ["bert", "t5"])
def test_an_evaluation_is_the_mean_over_all_targets_in_whatever_batches(arch):
    model, objective, ids = made(arch)
    loss, tokens = evaluate(model, ids, batch_size=3, objective=objective, seed=4)
    rows = objective.rows(ids, 190, seed=4)
    assert tokens == sum(objective.count(hidden) for _, hidden in rows)
    again, _ = evaluate(model, ids, batch_size=16, objective=objective, seed=4)
    assert again == pytest.approx(loss, rel=1e-5)
    with model.evaluating():
        by_row = [objective.batch([(*row, None)]) for row in rows]
        nats = sum(b.loss(model).item() * b.n_targets for b in by_row)
    assert loss == pytest.approx(nats / tokens, rel=1e-5)  # padding changes nothing


# ---- writing


def test_a_mask_is_drawn_from_what_the_model_says_of_it_and_sees_those_before_it():
    model, objective, _ = made("bert")
    ids = objective.prompt(f"a{MASK}b{MASK}").astype(np.int64)
    found = list(family("bert").write(model, objective.tokenizer, ids, 9, temperature=0))
    for t in (1, 3):
        with model.evaluating():
            logits_V = model(ids[None])[0].data[0, t]
        ids[t] = objective.ordinary[np.argmax(logits_V[objective.ordinary])]
    assert found == ids.tolist()


def test_spans_are_rewritten_as_the_decoder_writes_them_greedily():
    model, objective, _ = made("t5", n_embd=32)
    tokenizer, (pad, *sentinels) = objective.tokenizer, objective.special
    ids = objective.prompt(f"A {SENTINELS[0]} dog{SENTINELS[1]} sat.")
    found = list(family("t5").write(model, tokenizer, ids, 12, temperature=0))
    written, spans = [pad], []
    for i in (0, 1):
        written.append(sentinels[i])
        spans.append([])
        while len(written) < 12:
            with model.evaluating():
                logits_V = model(ids[None], np.array([written]))[0].data[0, -1]
            logits_V[[s for s in [pad, *sentinels] if s != sentinels[i + 1]]] = -np.inf
            if np.argmax(logits_V) == sentinels[i + 1]:
                break
            written.append(int(np.argmax(logits_V)))
            spans[-1].append(written[-1])
    first, second = (tokenizer.decode(span) for span in spans)
    assert tokenizer.decode(found) == f"A {first} dog{second} sat."
    assert first + second


@pytest.mark.parametrize("arch", ["bert", "t5"])
def test_a_text_of_which_nothing_is_hidden_stays_as_it_is(arch):
    model, objective, ids = made(arch)
    found = list(family(arch).write(model, objective.tokenizer, ids[:20], 9))
    assert found == ids[:20].tolist()
