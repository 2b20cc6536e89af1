"""The compiler's waiting time, spent before training begins and shown while it lasts.

Numba compiles a kernel at its first call and keeps the machine code on disk for later processes.
`autograd.kernels.ahead` has that done on all cores for what a step of a tiny model calls, which is
every kernel that a training run will. A tokenizer of byte pairs has kernels of its own.
"""

import contextlib
import threading
from dataclasses import asdict, replace

import numpy as np
from tqdm import tqdm

from autograd import backend
from npgpt.config import GPTConfig
from npgpt.model import GPT
from npgpt.tokenizer import compile_kernels
from npgpt.training.optim import AdamW


def warm_up(config):
    """Compile, or load from disk, what training a model of this GPTConfig needs."""
    with contextlib.closing(WarmUp(config)) as warming_up:
        warming_up.finish()


class WarmUp:
    """`warm_up` in parts: other processes compile while this one reads a text.

    config       a GPTConfig of any vocabulary
    byte_pairs   whether a tokenizer of byte pairs is used, too; its kernels are ready at once
    shown        whether to print what is compiled: of several ranks, one does

    To be closed, finished or not.
    """

    def __init__(self, config, byte_pairs=False, shown=True):
        self.bar, self.parts = KernelBar(shown), []
        try:
            if backend.name == "numba":
                self._begin(config, byte_pairs)
        except BaseException:
            self.close()
            raise

    def _begin(self, config, byte_pairs):
        from autograd.kernels.ahead import CompileAhead  # here: NumPy's backend needs no compiler

        report = self.bar.report
        if byte_pairs:
            self.parts.append(CompileAhead(compile_kernels, report=report, shared=False))
        tiny = replace(config, vocab_size=8, block_size=4, n_layer=1, n_head=1, n_embd=4)
        self.parts.append(CompileAhead(tiny_step, asdict(tiny), report=report))
        if byte_pairs:
            self.parts[0].finish()

    def finish(self):
        """Wait until all is compiled."""
        for part in self.parts:
            part.finish()

    def close(self):
        for part in self.parts:
            part.close()
        self.bar.close()


def tiny_step(settings):
    """A training step, and a token generated, by a GPT of these settings (a dict)."""
    model = GPT(GPTConfig(**settings))
    optimizer = AdamW(model.parameters())
    idx_BT = np.zeros((1, settings["block_size"]), np.int64)
    model.loss(idx_BT, idx_BT).backward()
    optimizer.step()
    model.next_logits(idx_BT)


class KernelBar:
    """Shows which kernels are compiled, in whichever process; in a pipe, line by line."""

    def __init__(self, shown=True):
        self.shown, self.bar, self.lock = shown, None, threading.Lock()
        self.needed, self.begun, self.ended = {}, {}, {}  # as sets, in order

    def report(self, what, name):
        """That a kernel is needed, begun or compiled ("needs", "begin", "end")."""
        with self.lock:
            self.needed[name] = True
            if what == "needs":
                return
            seen = self.begun if what == "begin" else self.ended
            if self.shown and name not in seen:
                seen[name] = True
                self._show(what, name)

    def _show(self, what, name):
        if self.bar is None:
            print("compiling the kernels, once for all runs")
            # disable=None: no bar in a pipe or a file
            self.bar = tqdm(unit="kernel", leave=False, disable=None)
        self.bar.total = len(self.needed)
        if what == "end":
            self.bar.update()
            return
        self.bar.set_description(name)
        if self.bar.disable:
            print(f"    kernel {len(self.begun)} of {len(self.needed)}: {name}", flush=True)

    def close(self):
        if self.bar is not None:
            self.bar.close()
