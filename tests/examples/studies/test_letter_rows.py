"""The text of rows written twice: its entropy and the least loss on each token, by brute force."""

import math
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import rows

SMALL = {"letters": "abcd", "shortest": 1, "longest": 3}


def every_row():
    """Yield (tokens, probability) of all small rows: every way through the choices, once."""
    paths = [()]
    while paths:
        path = paths.pop()
        probability, step = 1.0, 0

        def choose(options, path=path):
            nonlocal probability, step
            if step == len(path):
                raise _Open(options)
            probability, step = probability / options, step + 1
            return path[step - 1]

        try:
            yield rows.row(choose, **SMALL), probability
        except _Open as end:
            paths += [(*path, i) for i in range(end.args[0])]


class _Open(Exception):
    pass


def test_the_entropy_is_that_of_all_rows():
    texts, length = defaultdict(float), 0.0
    for tokens, probability in every_row():
        texts["".join(t.text for t in tokens)] += probability
        length += probability * len(tokens)
    assert sum(texts.values()) == pytest.approx(1, abs=1e-14)
    entropy = -sum(p * math.log(p) for p in texts.values())
    assert rows.expectation(**SMALL) == pytest.approx((entropy, length), abs=1e-13)


def test_the_least_loss_on_a_token_is_its_conditional_probability():
    prefixes, found = defaultdict(float), list(every_row())
    for tokens, probability in found:
        for i in range(len(tokens) + 1):
            prefixes[tuple(t.text for t in tokens[:i])] += probability
    for tokens, _ in found:
        text = tuple(t.text for t in tokens)
        for i, token in enumerate(tokens):
            nats = math.log(prefixes[text[:i]] / prefixes[text[: i + 1]])
            assert token.nats == pytest.approx(nats, abs=1e-13)


def test_drawn_rows_have_the_entropy_and_every_kind():
    nats, length = rows.expectation()
    some = rows.rows(4000, seed=1)
    totals = np.array([(sum(t.nats for t in row), len(row)) for row in some])
    error = totals.std(axis=0) / len(some) ** 0.5
    assert (np.abs(totals.mean(axis=0) - (nats, length)) < 4 * error).all()
    assert {t.kind for row in some for t in row} == set(rows.KINDS)
    assert {t.text for row in some for t in row} == set(rows.TOKENS)
