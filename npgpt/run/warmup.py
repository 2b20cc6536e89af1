"""The compiler's waiting time, spent before work begins, and said.

Numba compiles a kernel at its first call and stores the machine code on disk for later processes.
Nobody lists the kernels of a run: a step of a tiny model runs on the reference implementations,
their calls are recorded, and the kernels of the same names are called with the same arguments. A
tokenizer of byte pairs and compiled generation have kernels of their own.
"""

import sys
import time
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import fields, replace
from functools import partial

import numpy as np
from tqdm import tqdm

from autograd import Tensor, backend, log_softmax, softmax, using_matmul_precision
from npgpt.families import FAMILIES, family_of
from npgpt.fast.tokenizer import compile_kernels
from npgpt.fast.weights import use_weights
from npgpt.gpt import GPT
from npgpt.optim import AdamW
from npgpt.tokenizers import CharTokenizer

# The settings of a tiny model of any kind; 0 derives a setting from the others.
TINY = {
    "block_size": 32, "n_layer": 1, "n_head": 1, "n_embd": 4, "n_kv_head": 0, "n_inner": 0,
    "n_decoder_layer": 0, "head_size": 0,
}
# CPU seconds of compiling, on an AMD EPYC with AVX-512: kernels that take more than OTHERS.
SECONDS = {
    "attend": 4.5, "attend_backward": 3.5, "multiply": 2.5, "attend_bf16": 5.0,
    "attend_backward_bf16": 4.5, "_multiply_bf16": 4.0, "_gpt_step": 6.0, "count_pre_tokens": 1.4,
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
    calls = [compile_kernels] * byte_pairs
    if config is not None:
        config = replace(config, **_tiny_settings(type(config)))
        calls += kernel_calls(partial(tiny_step, config, precision, trains, dtype))
        if weights and family_of(config).Model is GPT:
            calls.append(partial(tiny_decoding, config, weights))
    return calls


def calls_of_all(dtype=np.float32, **options):
    """Return the same for a model of each family and for the ops that none of them calls."""
    calls = kernel_calls(partial(tiny_softmax, dtype))
    for kind in FAMILIES.values():
        config = kind.Config(vocab_size=2, dropout=0.1, **_tiny_settings(kind.Config))
        calls += calls_of(config, dtype=dtype, **options)
    return calls


def kernel_calls(function):
    """Run a function on the reference implementations; return the matching calls of the backend in
    force, as functions without arguments."""
    calls = []

    def recorded(name, reference):
        def call(*arguments, **options):
            calls.append(lambda: getattr(backend, name)(*arguments, **options))
            return reference(*arguments, **options)

        return call

    with backend.using("numpy"):
        for name, reference in list(vars(backend).items()):
            if getattr(reference, "__module__", None) == "autograd.reference":
                setattr(backend, name, recorded(name, reference))
        function()
    return calls


class NotCompiledError(Exception):
    """A kernel would have to be compiled first."""


def missing_kernels(calls):
    """Make calls, each up to the first kernel that it would have to compile; return a list of
    these, (kernel, types), each once."""
    missing = {}

    def refuse(kernel, types):
        missing[kernel, types] = None
        raise NotCompiledError

    with listening(refuse):
        for call in calls:
            with suppress(NotCompiledError):
                call()
    return list(missing)


@contextmanager
def listening(listener):
    """While open, call listener(kernel, types) before a kernel is compiled; an error stops it."""
    from autograd.kernels.compiler import listeners  # NumPy's backend needs no compiler

    listeners.append(listener)
    try:
        yield
    finally:
        listeners.remove(listener)


def compile_all(calls, file):
    """Make calls; tell a file, before and after, if they have to compile kernels.

    On a terminal a bar shows the share of the time, by SECONDS.
    """
    missing = missing_kernels(calls)
    names = [kernel.name for kernel, types in missing]
    for name in set(names).intersection(BYTE_PAIRS):  # all after it are missing, too, or quick
        names += BYTE_PAIRS[BYTE_PAIRS.index(name) + 1 :]
    if not names:
        return
    total, started, last = sum(map(_seconds, names)), time.monotonic(), [0]

    def begin(kernel, types):
        if kernel.name in names:  # else it is part of the last one
            bar.update(last.pop())
            last.append(_seconds(kernel.name))
            bar.set_postfix_str(kernel.name)

    if file:
        print(f"compiling {len(names)} kernels, about {max(1, round(total))} s, once; kept in "
              f"{missing[0][0].cache_path.parent}", file=file, flush=True)
    with tqdm(total=total, leave=False, disable=None if file else True,
              bar_format="{percentage:3.0f}%|{bar}| {elapsed}{postfix}") as bar, listening(begin):
        for call in calls:
            call()
    if file:
        print(f"compiled in {time.monotonic() - started:.0f} s", file=file, flush=True)


def _seconds(name):
    return SECONDS.get(name, OTHERS)


def tiny_step(config, precision, trains, dtype=np.float32):
    """Run a training step of a model, or only its loss, and write a token."""
    model, tokenizer, batch = _tiny(config, dtype)
    with using_matmul_precision(precision), nullcontext() if trains else model.evaluating():
        loss = model.loss(*batch.inputs, batch.targets_BT, **batch.masks)
        if trains:
            optimizer = AdamW(model.parameters())
            loss.backward()
            optimizer.step()
        list(family_of(config).write(model, tokenizer, batch.inputs[0][0], 1))


def tiny_softmax(dtype):
    """Run the ops of softmax, forward and backward."""
    x_NC = Tensor(np.zeros((1, 2), dtype), requires_grad=True)
    (softmax(x_NC) + log_softmax(x_NC)).sum().backward()


def tiny_decoding(config, weights):
    """Generate from weights of a precision."""
    model, _, batch = _tiny(config)
    list(use_weights(model, weights).stream(batch.inputs[0][0][:1], 2))


def _tiny(config, dtype=np.float32):
    """Return (a model, a tokenizer of two letters, a batch of one text)."""
    kind, length = family_of(config), config.block_size
    tokenizer = CharTokenizer("ab", kind.Objective.special_tokens)
    model = kind.Model(replace(config, vocab_size=tokenizer.vocab_size), dtype=dtype)
    ids_N = np.zeros(2 * length, np.int64)
    return model, tokenizer, kind.Objective(tokenizer).sample(ids_N, length, 1, seed=0, step=0)


def _tiny_settings(Config):
    return {field.name: TINY[field.name] for field in fields(Config) if field.name in TINY}
