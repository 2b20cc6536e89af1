"""What a taught model must not forget: its own answers, and the KL from them."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import npgpt
from npgpt import GPT, CharTokenizer, GPTConfig
from npgpt.batches import IGNORE_INDEX, Batch, Dataset
from npgpt.config import TrainConfig
from npgpt.data.chat_template import ChatTemplate
from npgpt.data.conversations import OWN, Answers, Conversations, OwnTemplate, encoded
from npgpt.objectives.reference import (
    KL_FREE_FRACTION,
    PROSE,
    QUESTIONS,
    UNTAUGHT,
    AnswersNearReference,
    PenalizedBatch,
    divergence,
    own_texts,
)
from npgpt.train import CURRENT_RANKS, micro_batches

pytest.importorskip("jinja2", reason="of the extra 'chat'")
TOKENIZER = CharTokenizer("".join(sorted({*QUESTIONS, *UNTAUGHT, *PROSE} - {*"\r"})), OWN)
CONFIG = GPTConfig(TOKENIZER.vocab_size, 600, n_layer=1, n_head=2, n_embd=16)
TRAINING = TrainConfig(hold=3.0, max_iters=40, batch_size=2, lr=1e-2, warmup_iters=2, seed=4)


def model(seed=1, dtype=np.float64):
    made = GPT(CONFIG, seed, dtype)
    for weight in made.parameters().values():  # far from uniform
        weight.data += 0.3 * np.random.default_rng(seed).standard_normal(weight.shape)
    return made


PUBLISHED = ChatTemplate("{% for m in messages %}{{ {'user': '<|user|>', 'assistant': ''}[m.role]"
                         " + m.content + {'user': '<|assistant|>', 'assistant': '<|end|>'}[m.role]"
                         " }}{% endfor %}", {}, "of a test")


def dataset(template=PUBLISHED):
    pairs = [("Who made you?", "the old mill."), ("What do cows eat?", "rain.")]
    found = [("here", [{"role": "user", "content": q}, {"role": "assistant", "content": a}], None)
             for q, a in pairs]
    talks = Conversations(encoded(found, TOKENIZER, template), 60)
    return Dataset(None, TOKENIZER, talks, talks, Answers(TOKENIZER), None, template=template)


def by_hand(start, other, batch):
    """Return the mean KL(start || other) over the targets, each row alone and without packing."""
    found = []
    for x_T, y_T in zip(batch.inputs[0], batch.targets_BT, strict=True):
        p, q = (np.exp(of(x_T[None])[0].data[0]) for of in (start, other))
        p, q = (e / e.sum(axis=-1, keepdims=True) for e in (p, q))
        found += (p * np.log(p / q)).sum(axis=-1)[y_T != IGNORE_INDEX].tolist()
    return np.mean(found)


@pytest.fixture(scope="module")
def objective():
    return AnswersNearReference(dataset(), model(), TRAINING)


def test_the_loss_is_that_of_the_answers_and_the_kl_of_the_held_ones(objective):
    start, other = objective.start, model(2)
    data = dataset().train_ids
    batch = objective.sample(data, 600, 4, seed=1, step=7)
    taught = Answers(TOKENIZER).sample(data, 600, 4, seed=1, step=7)
    kl = by_hand(start, other, batch.held)
    assert kl > 0.1 and divergence(start, other, batch.held).item() == pytest.approx(kl, rel=1e-9)
    loss = batch.loss(other).item()
    assert loss == pytest.approx(taught.loss(other).item() + 3 * kl, rel=1e-9)
    assert batch.loss(start).item() == pytest.approx(taught.loss(start).item(), rel=1e-9)


@pytest.mark.parametrize("template", [PUBLISHED, OwnTemplate()])
@pytest.mark.parametrize(("accumulated", "ranks"), [(8, 1), (1, 2), (4, 2)])
def test_its_gradient_is_the_same_however_a_step_is_cut(template, accumulated, ranks):
    data, other = dataset(template), model(2)
    objective = AnswersNearReference(data, model(), TRAINING)
    objective.steps = 0

    def gradient(count, size):
        config = replace(TRAINING, batch_size=8 // count, gradient_accumulation_steps=count)
        for rank in range(size):
            token = CURRENT_RANKS.set(SimpleNamespace(rank=rank, size=size))
            for batch, weight in micro_batches(other, data.train_ids, config, 3, objective):
                batch.loss(other).backward(np.float64(weight / size))
            CURRENT_RANKS.reset(token)
        found = {name: weight.grad for name, weight in other.parameters().items()}
        for weight in other.parameters().values():
            weight.grad = None
        return found

    whole = gradient(1, 1)
    for name, found in gradient(accumulated, ranks).items():
        assert found == pytest.approx(whole[name], rel=1e-9, abs=1e-12), name


def test_of_a_model_that_only_writes_its_own_texts_are_held():
    """One beside every fourth row: they are longer than answers."""
    start, data = model(), dataset(OwnTemplate())
    objective = AnswersNearReference(data, start, replace(TRAINING, max_iters=400))
    drawn = own_texts(start, TOKENIZER, len(objective.held))
    assert [t.ids_N.tolist() for t in objective.held] == [t.ids_N.tolist() for t in drawn]
    batch = objective.sample(data.train_ids, 600, 8, seed=1, step=200)
    assert len(batch.taught.inputs[0]) == 8 and len(batch.held.inputs[0]) == 2
    objective.steps = 40  # it is free for 20 of them, and published models for none
    free, kept = (objective.sample(data.train_ids, 600, 8, seed=1, step=step) for step in (19, 20))
    assert isinstance(free, Batch) and isinstance(kept, PenalizedBatch)


def test_the_manual_says_from_which_step_a_model_that_writes_is_held():
    manual = (Path(npgpt.__file__).parent / "guides" / "answers.md").read_text(encoding="utf-8")
    (share,) = re.findall(r"after the first\s+(\d+) %", manual)
    assert float(share) == 100 * KL_FREE_FRACTION
