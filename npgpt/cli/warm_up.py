"""`npgpt warm-up`: compile all kernels at once, for an image or a classroom."""

import sys

import numpy as np

from autograd import backend
from npgpt.fast.weights import KINDS
from npgpt.run.warmup import calls_of, calls_of_all, compile_all


def add_arguments(parser):
    pass


def run(args):
    if backend.name != "numba":
        raise ValueError("AUTOGRAD_BACKEND=numpy compiles nothing; leave it unset")
    compile_all(every_call(), sys.stdout)
    print("all kernels are compiled")


def every_call():
    """Return functions without arguments that call each kernel, for all types and precisions."""
    calls = calls_of(None, byte_pairs=True) + calls_of_all(dtype=np.float64)
    for weights in KINDS:
        calls += calls_of_all(weights=weights)
    return calls + calls_of_all(precision="bfloat16")
