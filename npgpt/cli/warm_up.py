"""`npgpt warm-up`: compile all kernels at once, for an image or a classroom."""

import sys

from autograd import backend
from npgpt.config import GPTConfig
from npgpt.families import FAMILIES
from npgpt.fast.weights import KINDS
from npgpt.run.warmup import calls_of, compile_all, float64_calls


def add_arguments(parser):
    pass


def run(args):
    if backend.name != "numba":
        raise ValueError("AUTOGRAD_BACKEND=numpy compiles nothing; leave it unset")
    configs = [kind.Config(vocab_size=2) for kind in FAMILIES.values()]
    calls = calls_of(None, byte_pairs=True)
    for config in configs:
        calls += calls_of(config)
    for weights in KINDS:
        calls += calls_of(GPTConfig(2), weights=weights)
    compile_all(calls + float64_calls(), sys.stdout)
    print("all kernels are compiled")
