"""What the tests of gradients share: one thread, float32 beside float64, a GPT of order one."""

import numpy as np
import pytest

import autograd.backend
from autograd.gradcheck import Function
from npgpt.config import GPTConfig
from npgpt.gpt import GPT


@pytest.fixture(autouse=True, scope="module")
def small_arrays(one_thread):
    """Every test of this folder runs on one thread."""


@pytest.fixture(params=["numba", "numpy"])
def backend(request):
    """A test with this argument runs on the compiled kernels and on their reference."""
    with autograd.backend.using(request.param):
        yield


@pytest.fixture(scope="session")
def float32_gaps():
    """A function that computes the gradients of f in both precisions.

    For the same numbers and the same cotangent; returns for each input the pair (largest
    difference, largest entry of the float64 gradient).
    """

    def gaps(f, inputs):
        def rounded(x):
            return x.astype(np.float32).astype(np.float64)

        function = Function(f, inputs)
        checked = function.checked
        with function.restored():
            for x in checked.values():
                x.data = rounded(x.data)
            cotangents = [rounded(c) for c in function.cotangents(np.random.default_rng(0))]
            double = function.gradients(cotangents)
            for x in checked.values():
                x.data = x.data.astype(np.float32, order="K")
            single = function.gradients(cotangents)
        assert all(gradient.dtype == np.float32 for gradient in single.values())
        return [
            (np.abs(single[name] - double[name]).max(), np.abs(double[name]).max())
            for name in checked
        ]

    return gaps


@pytest.fixture(scope="session")
def gpt_of_order_one():
    """A function that makes a GPT in float64 with random weights and biases.

    Of order one: behind GPT-2's initial weights of 0.02 attention looks at everything alike, and
    an error of its gradient is lost among larger ones.
    """

    def make(seed=0, **changes):
        config = {"vocab_size": 7, "block_size": 5, "n_layer": 2, "n_head": 2, "n_embd": 8}
        model = GPT(GPTConfig(**config | changes), seed=seed, dtype=np.float64)
        rng = np.random.default_rng(seed)
        for name, weight in model.parameters().items():
            of_a_norm = ".ln_" in f".{name}" and name.endswith("weight")
            weight.data = of_a_norm + 0.5 * rng.normal(size=weight.shape)
        return model

    return make
