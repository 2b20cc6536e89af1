"""Arguments for every kernel, at any sizes and in both precisions.

A test with an argument `name` runs once for each function of `autograd.reference`; one that is
missing from ARGUMENTS fails there. `import conftest` is for `test_threads`, as a script.
"""

import inspect

import numpy as np
import pytest

from autograd import reference
from autograd.ops.attention import Mask

NAMES = [
    name
    for name, function in inspect.getmembers(reference, inspect.isfunction)
    if not name.startswith("_")
]

# The three sizes stand for whatever the kernel has three of; a(*shape) makes an array of floats
# and i(bound, n) makes n integers in [0, bound). Some kernels take lists of arrays.
ARGUMENTS = {
    "matmul": lambda a, i, Z, M, N: (a(Z, M, N), a(Z, N, M + 2)),
    "matmul_nt": lambda a, i, Z, M, N: (a(Z, M, N), a(Z, M + 2, N)),
    "matmul_tn": lambda a, i, Z, M, N: (a(Z, N, M), a(Z, N, M + 2)),
    "add_matmul_tn_": lambda a, i, Z, M, N: (a(Z, M, M + 2), a(Z, N, M), a(Z, N, M + 2)),
    "linear": lambda a, i, Z, M, N: (a(Z * M, N), a(N, M + 2), a(M + 2)),
    "linear_backward": lambda a, i, Z, M, N: (a(Z * M, N), a(Z * M, M + 2)),
    "gelu": lambda a, i, Z, M, N: (a(Z * M * N),),
    "gelu_backward": lambda a, i, Z, M, N: (a(Z * M * N), a(Z * M * N)),
    "gelu_exact": lambda a, i, Z, M, N: (a(Z * M * N),),
    "gelu_exact_backward": lambda a, i, Z, M, N: (a(Z * M * N), a(Z * M * N)),
    "silu": lambda a, i, Z, M, N: (a(Z * M * N),),
    "silu_backward": lambda a, i, Z, M, N: (a(Z * M * N), a(Z * M * N)),
    "softmax": lambda a, i, Z, M, N: (a(Z * M, N),),
    "softmax_backward": lambda a, i, Z, M, N: (a(Z * M, N), a(Z * M, N)),
    "log_softmax": lambda a, i, Z, M, N: (a(Z * M, N),),
    "log_softmax_backward": lambda a, i, Z, M, N: (a(Z * M, N), a(Z * M, N)),
    "layer_norm": lambda a, i, Z, M, N: (a(Z * M, N), a(N), a(N), 1e-5),
    "layer_norm_backward": lambda a, i, Z, M, N: (
        a(Z * M, N), a(Z * M, N), a(N), a(Z * M), a(Z * M),
    ),
    "rms_norm": lambda a, i, Z, M, N: (a(Z * M, N), a(N), 1e-5),
    "rms_norm_backward": lambda a, i, Z, M, N: (a(Z * M, N), a(Z * M, N), a(N), a(Z * M)),
    "rotary": lambda a, i, Z, M, N: (a(Z, M, 2, 2 * N), a(M, N), a(M, N)),
    "embedding": lambda a, i, Z, M, N: (a(M, N), i(M, Z * M)),
    "embedding_backward_": lambda a, i, Z, M, N: (a(M, N), a(Z * M, N), i(M, Z * M)),
    "dropout": lambda a, i, Z, M, N: (a(Z * M * N), 0.3, 12345),
    "attention": lambda a, i, Z, M, N: (
        a(Z, 4, M, N), a(Z, 2, M + 3, N), a(Z, 2, M + 3, N), some_keys(a, i, Z, M),
    ),
    "attention_backward": lambda a, i, Z, M, N: after_attention(
        a(Z, 4, M, N), a(Z, 4, M, N), a(Z, 2, M + 3, N), a(Z, 2, M + 3, N), some_keys(a, i, Z, M),
    ),
    "cross_entropy": lambda a, i, Z, M, N: (a(Z * M, N), i(N + 1, Z * M) - 1),
    "cross_entropy_backward": lambda a, i, Z, M, N: after_cross_entropy(
        a(Z * M, N), i(N + 1, Z * M) - 1
    ),
    "sum_of_squares": lambda a, i, Z, M, N: ([a(Z, M, N), a(0), a(N)],),
    "adamw_": lambda a, i, Z, M, N: (
        *([a(Z, M, N), a(0), a(N)] for _ in range(3)), [abs(a(Z, M, N)), a(0), abs(a(N))],
        [0.1, 0.0, 0.0], 1e-2, 0.9, 0.99, 1e-8, 0.7, 3,
    ),
}


def some_keys(a, i, Z, M):
    keys_BS, bias_BHTS = i(4, Z * (M + 3)).reshape(Z, M + 3) > 0, a(1, 4, M, M + 3)
    return Mask(True, keys_BS, bias_BHTS, i(2, Z * M).reshape(Z, M))


def after_attention(dy, q, k, v, mask):
    with np.errstate(all="ignore"):
        return dy, q, k, v, *reference.attention(q, k, v, mask), mask


def after_cross_entropy(logits, targets):
    with np.errstate(all="ignore"):
        _, m, total = reference.cross_entropy(logits, targets)
    return logits, targets, m, total, logits.dtype.type(0.25)


def make_arguments(name, sizes, dtype, seed=0, change=lambda array: array):
    """Return the tuple of a kernel's arguments; `change` maps each random array of floats."""
    rng = np.random.default_rng(seed)
    return ARGUMENTS[name](
        lambda *shape: change(rng.standard_normal(shape).astype(dtype)),
        lambda bound, n: rng.integers(max(bound, 1), size=n),
        *sizes,
    )


@pytest.fixture(scope="session")
def arguments():
    return make_arguments


def pytest_generate_tests(metafunc):
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", NAMES)
