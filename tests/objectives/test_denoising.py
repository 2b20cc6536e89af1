"""The objectives of BERT and T5: `npgpt.objectives.denoising`."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt import tales
from npgpt.objectives.denoising import (
    MASK,
    PAD,
    SENTINELS,
    MaskedTokens,
    SpanCorruption,
)
from npgpt.tokenizers import CharTokenizer, WordTokenizer

TEXT = tales.generate(30_000, seed=1)
DENOISING = (MaskedTokens, SpanCorruption)


def made(cls, text=TEXT):
    """Return (objective, ids) of a text with characters as tokens."""
    tokenizer = CharTokenizer("".join(sorted(set(text))), cls.special_tokens)
    return cls(tokenizer), tokenizer.encode(text)


def made_of_words(cls):
    """Return the same with words as tokens."""
    tokenizer = WordTokenizer.train([TEXT], "".join(sorted(set(TEXT))), cls.special_tokens)
    return cls(tokenizer), tokenizer.encode(TEXT)


def rows_of(array_BT, mask_BT):
    return [row[kept == 1] for row, kept in zip(array_BT, mask_BT, strict=True)]


# ---- masked tokens


def test_masked_tokens_are_asked_for_where_they_are_hidden_and_nowhere_else():
    objective, ids = made(MaskedTokens)
    pad, mask = objective.special
    text, given, wanted = objective.tokenizer.decode(ids), [], []
    for step in range(40):
        batch = objective.sample(ids, 192, 4, seed=1, step=step)
        (x_BT,), y_BT, m_BT = batch.inputs, batch.targets_BT, batch.masks["mask_BT"]
        assert ((x_BT == pad) == (m_BT == 0)).all() and (y_BT[m_BT == 0] == -1).all()
        whole_BT = np.where(y_BT >= 0, y_BT, x_BT)
        for row, y_T in zip(rows_of(whole_BT, m_BT), rows_of(y_BT, m_BT), strict=True):
            assert objective.tokenizer.decode(row) in text
            assert (y_T >= 0).sum() == round(0.15 * len(row))
        given, wanted = [*given, *x_BT[y_BT >= 0]], [*wanted, *y_BT[y_BT >= 0]]
        assert (x_BT[(y_BT < 0) & (m_BT == 1)] != mask).all()
        assert batch.step_targets == batch.n_targets == (y_BT >= 0).sum()
    masked, kept = np.equal(given, mask).mean(), np.equal(given, wanted).mean()
    assert masked == pytest.approx(0.8, abs=4 * (0.16 / len(given)) ** 0.5)
    # a random token is the right one by chance
    assert kept == pytest.approx(0.1 + 0.1 / 50, abs=4 * (0.09 / len(given)) ** 0.5)


# ---- span corruption


def restored(source, targets, sentinels):
    """Return (ids with each sentinel replaced by its span in the targets, the spans)."""
    spans, opened = {}, None
    for token in targets.tolist():
        if token in sentinels:
            opened = token
            spans[opened] = []
        else:
            spans[opened].append(token)
    assert list(spans) == sentinels[: len(spans)] and spans[opened] == []
    return [t for token in source.tolist() for t in spans.get(token, [token])], spans


def test_source_and_targets_together_are_the_text():
    objective, ids = made(SpanCorruption)
    pad, *sentinels = objective.special
    text = objective.tokenizer.decode(ids)
    hidden, read, lengths = 0, 0, []
    for step in range(60):
        batch = objective.sample(ids, 192, 4, seed=1, step=step)
        (s_BS, x_BT), y_BT, m_BS = batch.inputs, batch.targets_BT, batch.masks["mask_BS"]
        assert ((s_BS == pad) == (m_BS == 0)).all() and (x_BT[:, 0] == pad).all()
        assert (x_BT[:, 1:] == np.where(y_BT < 0, pad, y_BT)[:, :-1])[y_BT[:, 1:] >= 0].all()
        for source, row_T in zip(rows_of(s_BS, m_BS), y_BT, strict=True):
            whole, spans = restored(source, row_T[row_T >= 0], sentinels)
            assert objective.tokenizer.decode(whole) in text
            *inner, _ = spans.values()
            lengths += map(len, inner)
            hidden, read = hidden + sum(map(len, inner)), read + len(whole)
        assert batch.step_targets == batch.n_targets
    assert np.mean(lengths) == pytest.approx(3, abs=0.2)
    assert hidden / read == pytest.approx(0.15, abs=0.012)


# ---- both


@pytest.mark.parametrize("cls", DENOISING)
def test_a_batch_is_a_function_of_seed_and_step_and_rows_are_those_of_the_whole(cls):
    objective, ids = made(cls)
    first, again = (objective.sample(ids, 192, 6, seed=1, step=2) for _ in range(2))
    np.testing.assert_equal(first, again)
    part = objective.sample(ids, 192, 6, seed=1, step=2, rows=slice(2, 4))
    assert part.step_targets == first.n_targets and part.n_targets < first.n_targets
    assert np.array_equal(part.inputs[0], first.inputs[0][2:4, : part.inputs[0].shape[1]])


@pytest.mark.parametrize("cls", DENOISING)
def test_an_evaluation_reads_every_whole_story_once(cls):
    objective, ids = made(cls)
    rows = objective.rows(ids, 192, seed=4)
    written = [objective.tokenizer.decode(row) for row, _ in rows]
    assert written == tales.stories(TEXT)[1:]  # the first may be the end of one
    some = objective.rows(ids, 192, max_tokens=3000, seed=4)
    assert 3000 <= sum(len(row) for row, _ in some) < 3200
    by_text = {row.tobytes(): hidden for row, hidden in rows}
    for row, hidden in some:
        assert np.array_equal(by_text[row.tobytes()], hidden)


@given(st.text("ab\n", min_size=1, max_size=60), st.integers(1, 9))
def test_passages_begin_after_blank_lines_and_are_cut_at_the_longest(text, longest):
    objective, _ = made(MaskedTokens, "ab\n")
    ids = objective.tokenizer.encode(text)
    begins = [
        i for i in range(2, len(text)) if text[i - 2 : i] == "\n\n" and text[i] != "\n"
    ]
    edges = begins if len(begins) > 1 else [0, len(text)]
    expected = [
        text[a : min(a + longest, last)]
        for first, last in pairwise(edges)
        for a in range(first, last, longest)
    ]
    rows = objective.rows(ids, longest)
    assert [objective.tokenizer.decode(row) for row, _ in rows] == expected


@pytest.mark.parametrize(
    ("make", "least", "most"), [(made, 0.1, 0.3), (made_of_words, 0.2, 0.6)], ids=["char", "words"]
)
@pytest.mark.parametrize("cls", DENOISING)
def test_the_grammars_loss_is_the_surprise_of_the_draws_that_are_evaluated(cls, make, least, most):
    objective, ids = make(cls)
    grammar = objective.grammar_loss(ids, 192, max_tokens=2000, seed=3)
    rows = objective.rows(ids, 192, max_tokens=2000, seed=3)
    nats = sum(objective.surprise(row, h) for row, h in rows)
    batches = list(objective.evaluation(ids, 192, 4, max_tokens=2000, seed=3))
    n_targets = sum(b.n_targets for b in batches)
    assert grammar.nats == pytest.approx(nats / n_targets) and grammar.share == 1
    assert least < grammar.nats < most and grammar.targets == n_targets
    assert objective.grammar_loss(ids, 50) is None  # no story is as short


def test_prompts():
    masked, _ = made(MaskedTokens)
    spans, _ = made(SpanCorruption)
    assert len(spans.prompt("a<extra_id_0>b<extra_id_1>")) == 4
    for objective, text in (
        (masked, "a"), (masked, f"a{PAD}{MASK}"), (spans, "a<extra_id_1>"),
        (spans, "".join(SENTINELS)),
    ):
        with pytest.raises(ValueError, match="write <"):
            objective.prompt(text)
