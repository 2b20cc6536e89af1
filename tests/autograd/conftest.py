"""Ops of a test's own. A test with an argument `name` runs once for each op."""

import pytest

from autograd import OPS, op, vjp


@pytest.fixture
def register():
    """`op` and `vjp` for ops that exist during one test."""
    before = dict(OPS)
    yield op, vjp
    OPS.clear()
    OPS.update(before)


def pytest_generate_tests(metafunc):
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", sorted(OPS))
