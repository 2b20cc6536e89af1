"""The compiler's waiting time, spent before training begins and shown while it lasts.

Numba compiles a kernel at its first call, and keeps the machine code on disk for the next process.
One step of a tiny model calls every kernel that a training run will.

Numba compiles on one core. So while this process compiles the first kernels of a step, two others
compile the rest, and this one loads them when it gets there. They are three on two cores, too: the
system then shares out what one with less to do would leave unused. The others take the same step,
with NumPy twins for what they do not compile, so that each kernel is called with the types that
training calls it with. If one fails, its kernels are compiled here.

A tokenizer of byte pairs has kernels too, and needs them before a step does: the others begin with
the first of them.
"""

import contextlib
import importlib
import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict, replace

import numpy as np
from tqdm import tqdm

from autograd import backend
from npgpt.config import GPTConfig
from npgpt.model import GPT
from npgpt.training.optim import AdamW

# In the order of their first use.
TOKENIZER = ("count_pre_tokens", "count_pairs", "learn_merges", "build_vocabulary", "encode")
HERE = ("_embedding", "_dropout", "_layer_norm", "_multiply")
# What each of the other processes compiles; they take about as long.
ELSEWHERE = (
    ("_attention", "_gelu", "_cross_entropy", "_cross_entropy_backward"),
    ("_layer_norm_backward", "_gelu_backward", "_attention_backward", "embedding_backward_",
     "_sum_of_squares", "_adamw"),
)  # fmt: skip
KERNELS = HERE + sum(ELSEWHERE, ())


def warm_up(config):
    """Compile, or load from disk, what training a model of this GPTConfig needs."""
    with contextlib.closing(WarmUp(config)) as warming_up:
        warming_up.finish()


class WarmUp:
    """`warm_up` in two parts: what is compiled from its making on is shown, too.

    config     a GPTConfig of any vocabulary
    tokenizer  whether a tokenizer's kernels will be used before `finish`
    shown      whether to say what is compiled: of several ranks, one does

    To be closed if it cannot be finished.
    """

    def __init__(self, config, tokenizer=False, shown=True):
        self.config = replace(config, vocab_size=8, block_size=4, n_layer=1, n_head=1, n_embd=4)
        self.stack = contextlib.ExitStack()
        if backend.name != "numba":
            return
        here = (TOKENIZER if tokenizer else ()) + HERE
        unused = () if config.dropout else ("_dropout",)
        names = [name for name in here + sum(ELSEWHERE, ()) if name not in unused]
        bar = _Bar(names if shown else [])
        others = [_OtherProcess(self.config, names, bar) for names in ELSEWHERE]

        def tell(what, function):
            name = function.__name__
            if what == "start" and name in here:
                for other in others:
                    other.start(function)
            bar.tell(what, name)

        for resource in (bar, *others):
            self.stack.callback(resource.close)
        self.stack.enter_context(_compiling(tell))

    def finish(self):
        """Compile or load the rest."""
        with self.stack:
            if backend.name == "numba":
                _step(self.config)

    def close(self):
        self.stack.close()


def _step(config):
    model = GPT(config)
    optimizer = AdamW(model.parameters())
    idx_BT = np.zeros((1, 4), np.int64)
    model.loss(idx_BT, idx_BT).backward()
    optimizer.step()
    model.next_logits(idx_BT)


@contextlib.contextmanager
def _compiling(tell):
    """Call tell("start" or "end", function) for each function compiled inside this context."""
    from numba.core import event

    class Listener(event.Listener):
        def on_start(self, event):
            tell("start", event.data["dispatcher"])

        def on_end(self, event):
            tell("end", event.data["dispatcher"])

    with event.install_listener("numba:compile", Listener()):
        yield


class _OtherProcess:
    """Compiles the kernels of these names, and has the bar count them."""

    def __init__(self, config, names, bar):
        self.config, self.names, self.bar, self.process = config, names, bar, None

    def start(self, kernel):
        """Start it, if there is a second core for it, and code of this kernel's kind is kept."""
        from numba import get_num_threads

        if self.process or get_num_threads() == 1 or kernel.stats.cache_path is None:
            return
        settings = {
            "AUTOGRAD_BACKEND": "numpy",
            "PYTHONPATH": os.pathsep.join(sys.path),
            "PYTHONSAFEPATH": "1",  # the folder it starts in is in sys.path only if it is here
        }
        with contextlib.suppress(OSError):
            self.process = subprocess.Popen(
                [sys.executable, "-m", __name__, json.dumps(asdict(self.config)), *self.names],
                env=os.environ | settings, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, encoding="utf-8",
            )  # fmt: skip
            self.reader = threading.Thread(target=self._follow)
            self.reader.start()
            for name, function in _calling(self.names).items():
                setattr(backend, name, self._after_waiting(function))

    def _follow(self):
        for line in self.process.stdout:
            what, _, name = line.strip().partition(" ")  # or Numba says something: to be read, too
            self.bar.tell(what, name)

    def _after_waiting(self, function):
        def wait_and_call(*arguments):
            self.wait()
            return function(*arguments)

        return wait_and_call

    def wait(self):
        if self.process:
            self.reader.join()
            self.process.wait()
            vars(backend).update(_calling(self.names))

    def close(self):
        if self.process:
            self.process.kill()
            self.wait()
            self.process.stdout.close()


def _calling(kernels):
    """{name: function} of the kernels package for those that call these kernels."""
    names = {name.strip("_") for name in kernels}
    functions = vars(importlib.import_module(backend.MODULES["numba"]))
    return {name: f for name, f in functions.items() if name.strip("_") in names}


def _compile(config, kernels):
    """What another process does; it prints a line when a kernel is begun and when it is done."""
    vars(backend).update(_calling(kernels))
    with _compiling(lambda what, function: print(what, function.__name__, flush=True)):
        _step(config)


class _Bar:
    """Counts those kernels among all functions that Numba compiles; in a pipe, line by line."""

    def __init__(self, names):
        self.names, self.bar, self.told = names, None, []
        self.lock = threading.Lock()

    def tell(self, what, name):
        """That a kernel was begun or done ("start" or "end"), whichever process tells it first."""
        with self.lock:
            if name in self.names and (what, name) not in self.told:
                self.told.append((what, name))
                if what == "start":
                    self._show(name)
                else:
                    self.bar.update()

    def _show(self, name):
        if self.bar is None:
            print("compiling the kernels, once for all runs")
            # disable=None: no bar in a pipe or a file
            self.bar = tqdm(total=len(self.names), unit="kernel", leave=False, disable=None)
        self.bar.set_description(name)
        if self.bar.disable:
            begun = sum(what == "start" for what, _ in self.told)
            print(f"    kernel {begun} of {len(self.names)}: {name}", flush=True)

    def close(self):
        if self.bar is not None:
            self.bar.close()


if __name__ == "__main__":
    _compile(GPTConfig(**json.loads(sys.argv[1])), sys.argv[2:])
