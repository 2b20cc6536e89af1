"""llama.cpp's side: the same GPT-2 as a GGUF file, its matrices in F32, BF16 or Q8_0.

It is called through its C functions: the class `llama_cpp.Llama` needs a tokenizer, and does more
in Python for each token. Q8_0 has a scale for each 32 weights of a row, so rows must be that long.
"""

import logging
import tempfile
from pathlib import Path

import llama_cpp as lib
import numpy as np
from numpy.ctypeslib import as_array

from benchmarks import shapes
from benchmarks.runners import threads
from npgpt import GPT, GPTConfig
from npgpt.loading.pretrained import save_gguf

logging.getLogger("llama-cpp-python").setLevel(logging.CRITICAL)  # it takes warnings for errors


def generation(config, batch, prompt, new, dtype="F32"):
    idx_BT = shapes.prompts(batch, prompt, config)
    model = Model(config, dtype, batch, prompt + new)

    def run():
        model.forget()
        texts = idx_BT.T.tolist()  # by position
        next_B = model.read(idx_BT, 0)
        for position in range(prompt, prompt + new):
            texts.append(next_B.tolist())
            if position < prompt + new - 1:
                next_B = model.read(next_B[:, None], position)
        return np.transpose(texts).tolist()

    return run


def prefill(config, prompt, dtype="F32"):
    idx_BT, model = shapes.prompts(1, prompt, config), Model(config, dtype, 1, prompt)

    def run():
        model.forget()
        model.read(idx_BT, 0)

    return run


class Model:
    """The new GPT of these settings, with room for `batch` texts of `longest` tokens."""

    def __init__(self, config, dtype, batch, longest):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.gguf"
            save_gguf(GPT(GPTConfig(**config)), path, kind=dtype)
            settings = lib.llama_model_default_params()
            settings.use_mmap = False  # the file is gone by the time it would be read
            self.model = lib.llama_model_load_from_file(str(path).encode(), settings)
        size = batch * longest
        settings = lib.llama_context_default_params()
        settings.n_ctx = settings.n_batch = settings.n_ubatch = size
        settings.n_seq_max, settings.kv_unified = batch, True
        settings.n_threads = settings.n_threads_batch = threads()
        self.context = lib.llama_init_from_model(self.model, settings)
        if not self.context:
            raise RuntimeError(f"llama.cpp has no context of {size} tokens for {config}")
        self.vocab_size, self.batch = config["vocab_size"], lib.llama_batch_init(size, 0, 1)
        for i in range(size):  # the batch holds the texts' first tokens, then their second ones
            self.batch.n_seq_id[i], self.batch.seq_id[i][0] = 1, i % batch
        parts = self.batch.token, self.batch.pos, self.batch.logits
        self.tokens, self.positions, self.asked = (as_array(part, (size,)) for part in parts)

    def forget(self):
        lib.llama_memory_clear(lib.llama_get_memory(self.context), False)

    def read(self, idx_BT, position):
        """Return the likeliest token of each text after some more of its tokens, (B,)."""
        B, T = idx_BT.shape
        self.batch.n_tokens = size = B * T
        self.tokens[:size] = idx_BT.T.ravel()
        self.positions[:size] = position + np.arange(size) // B
        self.asked[:size] = np.arange(size) // B == T - 1
        status = lib.llama_decode(self.context, self.batch)
        if status:
            raise RuntimeError(f"llama_decode({B} x {T} tokens) returned {status}")
        return self.logits(B).argmax(axis=1)

    def logits(self, B):
        """Return the logits of the last `read`, (B, V)."""
        return as_array(lib.llama_get_logits(self.context), (B, self.vocab_size))

    def __del__(self):
        lib.llama_batch_free(self.batch)
        lib.llama_free(self.context)
        lib.llama_model_free(self.model)
