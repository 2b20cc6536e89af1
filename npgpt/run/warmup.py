"""The compiler's waiting time, spent before work begins, and said.

Numba compiles a kernel at its first call and stores the machine code on disk for later processes.
`autograd.kernels.ahead` finds the kernels that a step of a tiny model calls: every kernel that a
run will need. A tokenizer of byte pairs and compiled generation have kernels of their own.
"""

import os
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict, fields
from functools import partial

import numpy as np
from tqdm import tqdm

from autograd import Tensor, backend, log_softmax, softmax, using_matmul_precision
from npgpt.char import CharTokenizer
from npgpt.families import FAMILIES, family, family_of
from npgpt.fast.tokenizer import compile_kernels
from npgpt.fast.weights import use_weights
from npgpt.gpt import GPT
from npgpt.optim import AdamW

# The settings of a tiny model of any kind; 0 derives a setting from the others.
TINY = {
    "block_size": 32, "n_layer": 1, "n_head": 1, "n_embd": 4, "n_kv_head": 0, "n_inner": 0,
    "n_decoder_layer": 0, "head_size": 0,
}
# CPU seconds of compiling, on an AMD EPYC with AVX-512: kernels that take more than OTHERS.
SECONDS = {
    "attend": 4.5, "attend_backward": 3.5, "multiply": 2.5, "attend_bf16": 5.0,
    "attend_backward_bf16": 4.5, "multiply_bf16": 4.0, "_gpt_step": 6.0, "count_pre_tokens": 1.4,
    "learn_merges": 2.4, "build_vocabulary": 1.8, "encode": 3.4, "_cross_entropy": 1.0,
}
OTHERS = 0.4


# The kernels of `compile_kernels`, in the order in which it compiles them.
BYTE_PAIRS = ("count_pre_tokens", "count_pairs", "learn_merges", "build_vocabulary", "encode",
              "decode")


def warm_up(config, *, shown=True, trains=True, **options):
    """Compile, or load from disk, the kernels that a model uses.

    config    as for `calls_of`, which has the options
    shown     whether to say what is compiled: of several ranks, one does
    trains    whether the model is trained; if not, it is said on standard error, as standard
              output is for the answer
    """
    if backend.name == "numba":
        calls = calls_of(config, trains=trains, **options)
        compile_all(calls, (sys.stdout if trains else sys.stderr) if shown else None)


def calls_of(config, *, byte_pairs=False, trains=True, precision="float32", weights=None,
             dtype=np.float32):
    """Return functions without arguments that call each kernel that a model uses.

    config       its settings, with any vocabulary; None if there is no model
    byte_pairs   whether a tokenizer of byte pairs is used, too
    precision    of the products (`autograd.set_matmul_precision`)
    weights      the precision in which a GPT generates (`npgpt.fast.weights`); None if the
                 compiled steps of generation are not needed
    dtype        of the model
    """
    from autograd.kernels.ahead import kernel_calls  # NumPy's backend needs no compiler

    calls = [compile_kernels] * byte_pairs
    if config is not None:
        arch = family_of(config).arch
        tiny = asdict(config) | {n: v for n, v in TINY.items() if hasattr(config, n)}
        with backend.using("numpy"):
            calls += kernel_calls(partial(tiny_step, arch, tiny, precision, trains, dtype))
        if weights and family(arch).Model is GPT:
            calls.append(partial(tiny_decoding, arch, tiny, weights))
    return calls


def calls_of_all(dtype=np.float32, **options):
    """Return the same for a model of each family and for the ops that none of them calls."""
    from autograd.kernels.ahead import kernel_calls

    with backend.using("numpy"):
        calls = kernel_calls(partial(tiny_softmax, dtype))
    for kind in FAMILIES.values():
        known = {field.name for field in fields(kind.Config)}
        tiny = {name: value for name, value in TINY.items() if name in known}
        config = kind.Config(vocab_size=2, dropout=0.1, **tiny)
        calls += calls_of(config, dtype=dtype, **options)
    return calls


def compile_all(calls, file):
    """Make calls; tell a file, before and after, if they have to compile kernels.

    On a terminal a bar shows the share of the time, by SECONDS.
    """
    from autograd.kernels.ahead import listening, missing_kernel

    missing = dict.fromkeys(filter(None, map(missing_kernel, calls)))
    names = [kernel.__name__ for kernel, types in missing]
    for name in set(names).intersection(BYTE_PAIRS):  # all after it are missing, too, or quick
        names += BYTE_PAIRS[BYTE_PAIRS.index(name) + 1 :]
    if not names:
        return
    total, started, begun = sum(map(_seconds, names)), time.monotonic(), []

    def begin(kernel, types):
        bar.update(sum(map(_seconds, begun[-1:])))
        begun.append(kernel.__name__)
        bar.set_postfix_str(kernel.__name__)

    if file:
        print(f"compiling {len(names)} kernels, about {max(1, round(total))} s, once; kept in "
              f"{os.path.dirname(next(iter(missing))[0].stats.cache_path)}", file=file, flush=True)
    with tqdm(total=total, leave=False, disable=None if file else True,
              bar_format="{percentage:3.0f}%|{bar}| {elapsed}{postfix}") as bar, listening(begin):
        for call in calls:
            call()
    if file:
        print(f"compiled in {time.monotonic() - started:.0f} s", file=file, flush=True)


def _seconds(name):
    return SECONDS.get(name, OTHERS)


def tiny_step(arch, settings, precision, trains, dtype=np.float32):
    """Run a training step of a model of these settings (a dict), or only its loss, and write."""
    model, tokenizer, batch = _tiny(arch, settings, dtype)
    with using_matmul_precision(precision), nullcontext() if trains else model.evaluating():
        loss = model.loss(*batch.inputs, batch.targets_BT, **batch.masks)
        if trains:
            optimizer = AdamW(model.parameters())
            loss.backward()
            optimizer.step()
        list(family(arch).write(model, tokenizer, batch.inputs[0][0], 1))


def tiny_softmax(dtype):
    """Run the ops of softmax, forward and backward."""
    x_NC = Tensor(np.zeros((1, 2), dtype), requires_grad=True)
    (softmax(x_NC) + log_softmax(x_NC)).sum().backward()


def tiny_decoding(arch, settings, weights):
    """Generate from weights of a precision."""
    model, _, batch = _tiny(arch, settings)
    list(use_weights(model, weights).stream(batch.inputs[0][0][:1], 2))


def _tiny(arch, settings, dtype=np.float32):
    objective = family(arch).Objective
    tokenizer = CharTokenizer("ab", objective.special_tokens)
    settings = settings | {"vocab_size": tokenizer.vocab_size}
    model = family(arch).Model(family(arch).Config(**settings), dtype=dtype)
    ids_N = np.zeros(2 * settings["block_size"], np.int64)
    return model, tokenizer, objective(tokenizer).sample(
        ids_N, settings["block_size"], 1, seed=0, step=0
    )
