"""Fixtures of the tests of gradients: each backend, a GPT of order one."""

import pytest

import autograd.backend
from npgpt.models import architecture


@pytest.fixture(params=["numba", "numpy"])
def backend(request):
    """A test with this argument runs on the compiled kernels and on their reference."""
    with autograd.backend.using(request.param):
        yield


@pytest.fixture(scope="session")
def gpt_of_order_one():
    """A function that makes a GPT in float64 with random weights and biases of order one."""
    settings = {"n_embd": 8, "dropout": 0.0}
    return lambda seed=0, **changes: architecture("gpt").small_model(seed, **settings | changes)[0]
