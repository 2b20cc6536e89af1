"""Ops of a test's own."""

import pytest

from autograd import OPS, op, vjp


@pytest.fixture
def register():
    """`op` and `vjp` for ops that exist during one test."""
    before = dict(OPS)
    yield op, vjp
    OPS.clear()
    OPS.update(before)
