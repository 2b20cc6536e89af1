"""`compile_kernels` leaves nothing to compile for learning, encoding and decoding after it."""

import subprocess
import sys

import pytest

from autograd import backend

CHILD = """
import sys
import numpy as np
from numba.core import event
from numba.core.dispatcher import Dispatcher
from npgpt import BPETokenizer
from npgpt.fast.tokenizer import compile_kernels

def specialised():
    modules = [m for name, m in sys.modules.items() if name.startswith("npgpt.fast.tokenizer")]
    functions = [f for m in modules for f in vars(m).values() if isinstance(f, Dispatcher)]
    return sorted({f"{f.__name__}{s}" for f in functions for s in f.signatures})

compile_kernels()
before = specialised()
with event.install_recorder("numba:compile") as recorder:
    for pattern in ("gpt2", "cl100k", None):
        tokenizer = BPETokenizer.train(
            ["It's 12 hens.<|end|>", "The hen's 3 eggs.  "], 270, ["<|end|>"], pattern=pattern,
            byte_order=np.random.default_rng(0).permutation(256),
        )
        ids = tokenizer.encode("It's <|end|>an egg; die Hühner, 東京")
        tokenizer.decode(ids[::-1]), tokenizer.decode(ids.astype(np.uint16)), tokenizer.decode([])
        tokenizer.encode(""), tokenizer.encode("hen" * 1000)
    BPETokenizer.train("", 256).encode("no merges")
print(len(before), len(recorder.buffer), specialised() == before)
"""


@pytest.mark.skipif(backend.name == "numpy", reason="the NumPy backend compiles nothing")
@pytest.mark.slow
def test_nothing_is_left_to_compile():
    """Ask Numba's events and the kernels themselves, which may have found new code on disk."""
    run = subprocess.run(
        [sys.executable, "-c", CHILD], check=False, capture_output=True, encoding="utf-8"
    )
    assert run.returncode == 0, run.stderr
    known, compiled, same = run.stdout.split()
    assert int(known) >= 6  # count_pre_tokens, count_pairs, learn_merges, build_vocabulary, ...
    assert (int(compiled), same) == (0, "True")
