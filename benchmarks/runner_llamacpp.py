"""llama.cpp's side, by the package xllamacpp: a GGUF file, or one that we write of the model."""

import tempfile
from pathlib import Path

import xllamacpp

import npgpt
from benchmarks.runner_npgpt import loaded
from benchmarks.runners import threads
from npgpt.loading.pretrained import save_gguf

FIRST = 0x10000  # a new model's tokens are characters from here on, as llama.cpp wants to name them


def generation(prompt, new, kind, config=None, path=None, **_):
    """Return greedy generation; `kind`: of the matrices in a new file, None for the file itself."""
    with tempfile.TemporaryDirectory() as folder:
        if kind:
            model, tokenizer = loaded("plain", config, path), _tokenizer(config, path)
            path = Path(folder) / "model.gguf"
            save_gguf(model, path, tokenizer, None, kind)
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
        answer = server.handle_completions(asked)
        used = answer["usage"]["completion_tokens"]
        if used != new:
            raise RuntimeError(f"llama.cpp wrote {used} in place of {new} tokens")
        return answer["choices"][0]["text"]

    return run


def _tokenizer(config, path):
    if path:
        return npgpt.load(path)[1]
    return npgpt.CharTokenizer("".join(map(chr, range(FIRST, FIRST + config["vocab_size"]))))
