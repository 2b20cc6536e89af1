"""The compiler's waiting time, spent before training begins, with a line for each kernel.

Numba compiles a kernel at its first call and stores the machine code on disk for later processes.
`autograd.kernels.ahead` has that done on all cores for the kernels that a step of a tiny model
calls: every kernel that a training run will need. A tokenizer of byte pairs has its own kernels.
"""

import sys
import time
from contextlib import closing, nullcontext
from dataclasses import asdict

import numpy as np

from autograd import backend, using_matmul_precision
from npgpt.char import CharTokenizer
from npgpt.families import family, family_of
from npgpt.fast.tokenizer import compile_kernels
from npgpt.fast.weights import use_weights
from npgpt.gpt import GPT
from npgpt.optim import AdamW

# The settings of a tiny model of any kind; 0 derives a setting from the others.
TINY = {
    "block_size": 32, "n_layer": 1, "n_head": 1, "n_embd": 4, "n_kv_head": 0, "n_inner": 0,
    "n_decoder_layer": 0, "head_size": 0,
}


def warm_up(config, **options):
    """Compile, or load from disk, the kernels that a `WarmUp` of these arguments does."""
    if backend.name != "numba":
        return
    with closing(WarmUp(config, **options)) as warming_up:
        warming_up.finish()


class WarmUp:
    """Compile the kernels in other processes, while this one goes on and reads a text.

    config       the settings of a model of any vocabulary; None if there is no model
    byte_pairs   whether a tokenizer of byte pairs is used, too; its kernels are ready at once
    shown        whether to print the kernels compiled: of several ranks, one does
    trains       whether the model is trained; if not, the kernels are printed on standard error,
                 as standard output is for the answer
    precision    of the products (`autograd.set_matmul_precision`)
    weights      the precision in which a GPT generates (`npgpt.fast.weights`); None if the
                 compiled steps of generation are not needed

    To be closed, finished or not.
    """

    def __init__(self, config, byte_pairs=False, shown=True, trains=True, precision="float32",
                 weights=None):
        self.shown, self.file = shown, None if trains else sys.stderr
        self.parts, self.needed, self.begun, self.start = [], set(), set(), time.monotonic()
        try:
            if byte_pairs:
                self.add_byte_pairs()
            if config is not None and backend.name == "numba":
                arch = family_of(config).arch
                tiny = asdict(config) | {n: v for n, v in TINY.items() if hasattr(config, n)}
                self._begin(tiny_step, arch, tiny, precision, trains)
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

            self.parts.append(CompileAhead(*call, report=self._report, **options))

    def _report(self, what, name):
        """Count a kernel that is needed; print one that is begun, and the time since the start."""
        if what == "needs":
            self.needed.add(name)
        elif self.shown and name not in self.begun:
            if not self.begun:
                print("compiling kernels (stored on disk)", file=self.file)
            self.begun.add(name)
            count = f"{len(self.begun)}"
            if self.needed:  # else they are found one by one
                count += f" of {len(self.needed | self.begun)}"
            seconds = time.monotonic() - self.start
            print(f"    {seconds:3.0f} s  kernel {count}: {name}", file=self.file, flush=True)

    def finish(self):
        """Wait until all is compiled."""
        for part in self.parts:
            part.finish()

    def close(self):
        for part in self.parts:
            part.close()


def tiny_step(arch, settings, precision, trains):
    """Run a training step of a model of these settings (a dict), or only its loss, and write."""
    model, tokenizer, batch = _tiny(arch, settings)
    with using_matmul_precision(precision), nullcontext() if trains else model.evaluating():
        loss = model.loss(*batch.inputs, batch.targets_BT, **batch.masks)
        if trains:
            optimizer = AdamW(model.parameters())
            loss.backward()
            optimizer.step()
        list(family(arch).write(model, tokenizer, batch.inputs[0][0], 1))


def tiny_decoding(arch, settings, weights):
    """Generate from weights of a precision."""
    model, _, batch = _tiny(arch, settings)
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
