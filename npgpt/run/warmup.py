"""The compiler's waiting time, spent before training begins and shown while it lasts.

Numba compiles a kernel at its first call and keeps the machine code on disk for later processes.
`autograd.kernels.ahead` has that done on all cores for what a step of a tiny model calls, which is
every kernel that a training run will. A tokenizer of byte pairs has kernels of its own.
"""

import contextlib
import sys
import threading
from dataclasses import asdict

import numpy as np
from tqdm import tqdm

from autograd import backend, using_matmul_precision
from npgpt.char import CharTokenizer
from npgpt.families import family, family_of
from npgpt.fast.tokenizer import compile_kernels
from npgpt.fast.weights import use_weights
from npgpt.gpt import GPT
from npgpt.optim import AdamW

# The settings of a tiny model of any kind; 0 is what follows from the others.
TINY = {
    "block_size": 32, "n_layer": 1, "n_head": 1, "n_embd": 4, "n_kv_head": 0, "n_inner": 0,
    "n_decoder_layer": 0, "head_size": 0,
}  # fmt: skip


def warm_up(config, **options):
    """Compile, or load from disk, what a `WarmUp` of these arguments does."""
    with contextlib.closing(WarmUp(config, **options)) as warming_up:
        warming_up.finish()


class WarmUp:
    """`warm_up` in parts: other processes compile while this one reads a text.

    config       the settings of a model of any vocabulary; None if there is no model
    byte_pairs   whether a tokenizer of byte pairs is used, too; its kernels are ready at once
    shown        whether to print what is compiled: of several ranks, one does
    trains       whether the model is trained; if not, what is compiled is shown on standard error,
                 as the output is the answer to what was asked
    precision    of the products (`autograd.set_matmul_precision`)
    weights      of which kind (`npgpt.fast.weights`) a GPT generates; None for none: the
                 compiled steps of generation are not needed
    command      what they are compiled for, as it is shown

    To be closed, finished or not.
    """

    def __init__(self, config, byte_pairs=False, shown=True, trains=True, precision="float32",
                 weights=None, command="this program"):  # fmt: skip
        self.bar, self.parts = KernelBar(command, shown, None if trains else sys.stderr), []
        try:
            if byte_pairs:
                self.add_byte_pairs()
            if config is not None:
                arch = family_of(config).arch
                tiny = asdict(config) | {n: v for n, v in TINY.items() if hasattr(config, n)}
                self._begin(tiny_step if trains else tiny_forward, arch, tiny, precision)
                if weights and family(arch).Model is GPT:
                    self._begin(tiny_decoding, arch, tiny, weights, shared=False)
            if byte_pairs and self.parts:
                self.parts[0].finish()
        except BaseException:
            self.close()
            raise

    def add_byte_pairs(self):
        """Begin with the kernels of a tokenizer of byte pairs."""
        self._begin(compile_kernels, shared=False)

    def _begin(self, *call, **options):
        if backend.name == "numba":
            from autograd.kernels.ahead import CompileAhead  # NumPy's backend needs no compiler

            self.parts.append(CompileAhead(*call, report=self.bar.report, **options))

    def finish(self):
        """Wait until all is compiled."""
        for part in self.parts:
            part.finish()

    def close(self):
        for part in self.parts:
            part.close()
        self.bar.close()


def tiny_step(arch, settings, precision):
    """A training step by a model of these settings (a dict), and what it writes."""
    model, tokenizer, batch = _tiny(arch, settings)
    optimizer = AdamW(model.parameters())
    with using_matmul_precision(precision):
        model.loss(*batch.inputs, batch.targets_BT, **batch.masks).backward()
        optimizer.step()
        _write(model, arch, tokenizer, batch)


def tiny_forward(arch, settings, precision):
    """A loss, and what it writes, without gradients."""
    model, tokenizer, batch = _tiny(arch, settings)
    with using_matmul_precision(precision), model.evaluating():
        model.loss(*batch.inputs, batch.targets_BT, **batch.masks)
        _write(model, arch, tokenizer, batch)


def tiny_decoding(arch, settings, weights):
    """What a GPT writes from weights of a kind."""
    model, tokenizer, batch = _tiny(arch, settings)
    list(use_weights(model, weights).stream(batch.inputs[0][0][:1], 2))


def _tiny(arch, settings):
    objective = family(arch).Objective
    tokenizer = CharTokenizer("ab", objective.special_tokens)
    settings = settings | {"vocab_size": tokenizer.vocab_size}
    model = family(arch).Model(family(arch).Config(**settings))
    ids_N = np.zeros(2 * settings["block_size"], np.int64)
    return model, tokenizer, objective(tokenizer).sample(
        ids_N, settings["block_size"], 1, seed=0, step=0
    )


def _write(model, arch, tokenizer, batch):
    prompt_T = batch.inputs[0][0]
    list(family(arch).write(model, tokenizer, prompt_T, 1))


class KernelBar:
    """Shows which kernels are compiled, in whichever process, and the time since the first; in a
    pipe, line by line. A kernel takes 0.03 to 30 s, so that nobody can tell the time left.

    command   that needs them    file   where the lines go; None for standard output
    """

    def __init__(self, command, shown=True, file=None):
        self.command, self.shown, self.file, self.bar = command, shown, file, None
        self.lock, self.closed, self.ticking = threading.Lock(), threading.Event(), None
        self.needed, self.begun = set(), set()

    def report(self, what, name):
        """That a kernel is needed, begun or compiled ("needs", "begin", "end")."""
        with self.lock:
            if what == "needs":
                self.needed.add(name)
            elif what == "begin" and self.shown and name not in self.begun:
                self.begun.add(name)
                self._show(name)

    def _show(self, name):
        count = f" {len(self.needed | self.begun)}" if self.needed else ""  # else: one by one
        if self.bar is None:
            print(f"compiling{count} kernels for {self.command} (kept on disk)", file=self.file)
            # disable=None: no bar in a pipe or a file
            self.bar = tqdm(bar_format="    {elapsed} {desc}", leave=False, disable=None)
            self.ticking = threading.Thread(target=self._tick, daemon=True)
            self.ticking.start()
        said = f"kernel {len(self.begun)}{count and f' of{count}'}: {name}"
        self.bar.set_description_str(said)
        if self.bar.disable:
            print(f"    {said}", file=self.file, flush=True)

    def _tick(self):
        while not self.closed.wait(1):
            self.bar.refresh()

    def close(self):
        if self.bar is not None:
            self.closed.set()
            self.ticking.join()
            self.bar.close()
