"""The compiler's waiting time, spent before training begins and shown while it lasts.

Numba compiles a kernel at its first call, and keeps the machine code on disk for the next process.
One step of a tiny model calls every kernel that a training run will.
"""

import contextlib
from dataclasses import replace

import numpy as np
from tqdm import tqdm

from npgpt.model import GPT
from npgpt.training.optim import AdamW

KERNELS = (
    "_embedding", "_dropout", "_layer_norm", "_multiply", "_attention", "_gelu", "_cross_entropy",
    "_cross_entropy_backward", "_layer_norm_backward", "_gelu_backward", "_attention_backward",
    "embedding_backward_", "_sum_of_squares", "_adamw",
)  # fmt: skip


def warm_up(config):
    """Compile, or load from disk, what training a model of this GPTConfig needs."""
    tiny = replace(config, vocab_size=8, block_size=4, n_layer=1, n_head=1, n_embd=4)
    names = [name for name in KERNELS if name != "_dropout" or config.dropout]
    with _compile_bar(names):
        model = GPT(tiny)
        optimizer = AdamW(model.parameters())
        idx_BT = np.zeros((1, 4), np.int64)
        model.loss(idx_BT, idx_BT).backward()
        optimizer.step()
        model.next_logits(idx_BT)


@contextlib.contextmanager
def _compile_bar(names):
    """A progress bar that appears when a kernel has to be compiled, and counts the kernels."""
    from autograd import backend

    if backend.name != "numba":
        yield
        return
    from numba.core import event

    bar = _Bar(names)

    class Listener(event.Listener):
        def on_start(self, event):
            bar.start(event.data["dispatcher"].py_func.__name__)

        def on_end(self, event):
            bar.end(event.data["dispatcher"].py_func.__name__)

    with event.install_listener("numba:compile", Listener()):
        try:
            yield
        finally:
            bar.close()


class _Bar:
    """Counts those kernels among all functions that Numba compiles; in a pipe, line by line."""

    def __init__(self, names):
        self.names, self.bar, self.started = names, None, 0

    def start(self, name):
        if name in self.names:
            if self.bar is None:
                print("compiling the kernels, once for all runs")
                # disable=None: no bar in a pipe or a file
                self.bar = tqdm(total=len(self.names), unit="kernel", leave=False, disable=None)
            self.started += 1
            self.bar.set_description(name)
            if self.bar.disable:
                print(f"    {self.started} of {len(self.names)}: {name}", flush=True)

    def end(self, name):
        if name in self.names:
            self.bar.update()

    def close(self):
        if self.bar is not None:
            self.bar.close()
