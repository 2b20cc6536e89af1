"""llama.cpp's side, by the package xllamacpp: the GGUF file itself, or one that we write of it."""

import tempfile
from pathlib import Path

import xllamacpp

from benchmarks.runners import threads
from npgpt import Llama
from npgpt.loading import gguf
from npgpt.loading.pretrained import save_gguf


def answer(path, prompt, new, kind=None):
    """Return greedy generation; `kind`: of the matrices in a new file, None for the file itself."""
    with tempfile.TemporaryDirectory() as folder:
        if kind:
            written = Path(folder) / "model.gguf"
            save_gguf(Llama.from_pretrained(path), written, gguf.tokenizer(path), None, kind)
            path = written
        settings = xllamacpp.CommonParams()
        settings.model.path, settings.n_ctx, settings.verbosity = str(path), len(prompt) + new, 0
        settings.n_batch = settings.n_ubatch = max(len(prompt), 32)
        settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads()
        # the new file is gone by the time it would be read
        settings.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE
        server = xllamacpp.Server(settings)
    asked = {"prompt": prompt, "max_tokens": new, "temperature": 0, "ignore_eos": True,
             "cache_prompt": False}

    def run():
        used = server.handle_completions(asked)["usage"]
        if used["completion_tokens"] != new:
            raise RuntimeError(f"llama.cpp wrote {used} in place of {new} tokens")

    return run
