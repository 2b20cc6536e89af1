"""The grammar's loss on the targets of an evaluation: `npgpt.batches.NextToken.grammar_loss`."""

import math
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest

from npgpt import GPT, GPTConfig, TrainConfig, load_run, tales
from npgpt.batches import Dataset, NextToken, TextSource
from npgpt.data.tokens import open_run
from npgpt.files import read_json
from npgpt.loading.runs import SHIPPED_RUN
from npgpt.models import family
from npgpt.optim import make_optimizer
from npgpt.tokenizers import BPETokenizer, CharTokenizer, WordTokenizer
from npgpt.train import evaluate, evaluation, training_steps

TEXT = tales.generate(60_000, seed=2)
ALPHABET = "".join(sorted(set(TEXT)))
CHARACTERS = CharTokenizer(ALPHABET)
TOKENIZERS = [CHARACTERS, WordTokenizer.train([TEXT], ALPHABET), BPETokenizer.train(TEXT, 400)]
STORIES = tales.stories(TEXT)[:40]
STORY_TEXT = "".join(STORIES)
SOURCE = TextSource("tales", len(TEXT), "", tales.entropy_rate())


def dataset(tokenizer, train_text, val_text):
    ids = tokenizer.encode(train_text), tokenizer.encode(val_text)
    return Dataset(SOURCE, tokenizer, *ids, NextToken(tokenizer), None)


def likely(beginning):
    """Return ln P(a story begins so): of each choice, the options that agree as far as it goes."""
    masses = []

    def choose(options, so_far):
        rest = beginning[sum(map(len, so_far)) :]
        fits = [o for o in options if rest.startswith(o.lead) or o.lead.startswith(rest)]
        masses.append(sum(o.probability for o in fits))
        return fits[0]

    tales.GRAMMAR.write(choose)
    return math.log(math.prod(masses))


NATS = np.concatenate([
    -np.diff([likely(story[:i]) for i in range(len(story) + 1)]) for story in STORIES
])  # of each character


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda tokenizer: type(tokenizer).__name__)
@pytest.mark.parametrize("drawn", [{}, {"stride": 7, "max_tokens": 300, "seed": 3}], ids=str)
def test_it_is_the_mean_over_the_targets_that_are_evaluated(tokenizer, drawn):
    data = dataset(tokenizer, "", STORY_TEXT)
    ends = np.cumsum([len(tokenizer.decode([i])) for i in data.val_ids])
    nats = np.array([part.sum() for part in np.split(NATS, ends[:-1])])  # of each token
    assert nats.sum() == pytest.approx(-sum(map(tales.log_probability, STORIES)))
    total = count = 0
    for batch in data.objective.evaluation(data.val_ids, 64, 4, **drawn):
        for x_T, y_T in zip(batch.inputs[0], batch.targets_BT, strict=True):
            windows = np.lib.stride_tricks.sliding_window_view(data.val_ids, len(x_T))
            [at] = np.flatnonzero((windows == x_T).all(axis=1))  # each occurs once
            counted = np.flatnonzero(y_T >= 0)
            total += nats[at + 1 + counted].sum()
            count += len(counted)
    found = data.grammar_loss(64, **drawn)
    assert found.targets == count and found.nats == pytest.approx(total / count)
    assert found.exact == (tokenizer is CHARACTERS or not drawn)


def test_a_story_that_the_split_cuts_is_read_from_its_beginning():
    cut = len("".join(STORIES[:30])) + 40
    found = dataset(CHARACTERS, STORY_TEXT[:cut], STORY_TEXT[cut:]).grammar_loss(64)
    assert found.nats == pytest.approx(NATS[cut + 1 :].mean())


def test_only_a_text_that_the_grammar_wrote_has_one():
    assert dataset(CHARACTERS, "", "a hen " * 20).grammar_loss(8) is None
    data = dataset(CHARACTERS, "", STORY_TEXT)
    assert data.grammar_loss(8) and not replace(
        data, source=replace(SOURCE, entropy_rate=None)).grammar_loss(8)


@pytest.mark.kernels
def test_a_model_that_was_trained_on_the_text_ends_below_and_the_line_says_so():
    data = dataset(CHARACTERS, STORY_TEXT[:1500], STORY_TEXT[:1500])
    config = TrainConfig(max_iters=300, batch_size=16, lr=1e-2, eval_stride=8, sample_tokens=0)
    model = GPT(GPTConfig(len(ALPHABET), 32, 2, 2, 64, init="fan_in"), 1)
    grammar = replace(data, train_ids=()).grammar_loss(32, stride=8)
    steps = training_steps(model, make_optimizer(model, config), data.train_ids, config)
    first = evaluation(model, data, config, next(steps), [3.9], grammar)[2]
    *_, last = steps
    loss, _, text = evaluation(model, data, config, last, [last.loss], grammar)
    assert " above" in first and loss < grammar.nats
    assert f"{grammar.nats - loss:.4f}" in text and "below: it has seen this text" in text


@pytest.mark.slow
def test_the_excess_of_the_packaged_model_hardly_depends_on_the_tokens_that_are_drawn():
    model, tokenizer, run = load_run(SHIPPED_RUN)
    training, excess = run.training, []
    with ExitStack() as stack:
        data = open_run(run, family(training.arch), stack, tokenizer)
        for seed in range(1, 6):
            drawn = {"stride": training.eval_stride, "max_tokens": training.eval_tokens,
                     "seed": seed}
            loss, targets = evaluate(model, data.val_ids, **drawn)
            grammar = data.grammar_loss(run.model.block_size, **drawn)
            assert targets == grammar.targets == 20_032
            excess.append(loss - grammar.nats)
        grammar = data.grammar_loss(run.model.block_size, stride=training.eval_stride)
    whole = read_json(SHIPPED_RUN / "result.json")
    assert whole["grammar_loss"] == pytest.approx(grammar.nats, rel=1e-9)
    assert grammar.targets == whole["tokens"]
    assert np.std(excess, ddof=1) <= 0.001
    assert abs(np.mean(excess) - (whole["loss"] - grammar.nats)) <= 0.001
