"""The grammar's loss on the targets of an evaluation: `npgpt.batches.NextToken.grammar_loss`."""

from dataclasses import replace

import numpy as np
import pytest

from npgpt import GPT, GPTConfig, TrainConfig, tales
from npgpt.batches import Dataset, GrammarLoss, NextToken, TextSource
from npgpt.tokenizers import BPETokenizer, CharTokenizer, WordTokenizer
from npgpt.train import Step, evaluation

TEXT = tales.generate(60_000, seed=2)
ALPHABET = "".join(sorted(set(TEXT)))
CHARACTERS = CharTokenizer(ALPHABET)
TOKENIZERS = [CHARACTERS, WordTokenizer.train([TEXT], ALPHABET), BPETokenizer.train(TEXT, 400)]
STORIES = "".join(tales.stories(TEXT)[:40])
NATS = tales.surprisals(STORIES)  # of each character
SOURCE = TextSource("tales", len(TEXT), "", tales.entropy_rate())


def dataset(tokenizer, val_text, train_text=""):
    ids = tokenizer.encode(train_text), tokenizer.encode(val_text)
    return Dataset(SOURCE, tokenizer, *ids, NextToken(tokenizer), None)


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda tokenizer: type(tokenizer).__name__)
@pytest.mark.parametrize("drawn", [{}, {"stride": 7, "max_tokens": 300, "seed": 3}], ids=str)
def test_it_is_the_mean_over_the_targets_that_are_evaluated(tokenizer, drawn):
    data = dataset(tokenizer, STORIES)
    ends = np.cumsum([len(tokenizer.decode([i])) for i in data.val_ids])
    nats = [part.sum() for part in np.split(NATS, ends[:-1])]  # of each token
    counted = [  # a target in the place of its token is its position
        nats[t] for batch in data.objective.evaluation(np.arange(len(nats)), 64, 4, **drawn)
        for t in batch.targets_BT.ravel() if t >= 0
    ]
    found = data.grammar_loss(64, **drawn)
    assert found.targets == len(counted) and found.nats == pytest.approx(np.mean(counted))
    assert found.exact == (tokenizer is CHARACTERS or not drawn)


def test_a_story_that_the_split_cuts_is_read_from_its_beginning():
    cut = len(STORIES) // 2
    found = dataset(CHARACTERS, STORIES[cut:], STORIES[:cut]).grammar_loss(64)
    assert found.nats == pytest.approx(NATS[cut + 1 :].mean())


def test_only_a_text_that_the_grammar_wrote_has_one():
    assert dataset(CHARACTERS, "a hen " * 20).grammar_loss(8) is None
    data = dataset(CHARACTERS, STORIES)
    assert replace(data, source=replace(SOURCE, entropy_rate=None)).grammar_loss(8) is None


def test_an_evaluation_has_the_distance_from_it():
    data = dataset(CHARACTERS, STORIES[:500])
    model, config = GPT(GPTConfig(len(ALPHABET), 8, 1, 1, 4)), TrainConfig(sample_tokens=0)
    loss, _, text = evaluation(model, data, config, Step(1, 0, 0, 0), [0], GrammarLoss(2.0, 9))
    assert f"{loss - 2.0:.4f}" in text
