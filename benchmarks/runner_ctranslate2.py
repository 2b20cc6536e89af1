"""CTranslate2's side: the same GPT-2, converted, in float32 or int8.

    python -m benchmarks.runner_ctranslate2 FOLDER TYPE CONFIG     converts a new GPT of ours

It is converted in a process of its own, as that takes PyTorch, whose threads would get in the way.
"""

import json
import subprocess
import sys
import tempfile

import ctranslate2

from benchmarks import shapes
from benchmarks.runners import ROOT, threads


def generation(config, batch, prompt, new, dtype="float32"):
    generator = loaded(config, dtype)
    tokens = [list(map(str, row)) for row in shapes.prompts(batch, prompt, config).tolist()]

    def run():
        # the first token of a prompt, which begins a text, is not counted
        results = generator.generate_batch(
            tokens, max_length=prompt + new - 1, min_length=prompt + new - 1,
            sampling_topk=1, include_prompt_in_result=True, end_token=[],
        )
        return [list(map(int, result.sequences[0])) for result in results]

    return run


def prefill(config, prompt, dtype="float32"):
    generator = loaded(config, dtype)
    tokens = [list(map(str, row)) for row in shapes.prompts(1, prompt, config).tolist()]
    return lambda: generator.generate_batch(tokens, max_length=1, include_prompt_in_result=False)


def loaded(config, dtype):
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", __name__, folder, dtype, json.dumps(config)]
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        return ctranslate2.Generator(
            folder, device="cpu", compute_type=dtype, inter_threads=1, intra_threads=threads()
        )


def convert(folder, dtype, config):
    from ctranslate2.converters.transformers import GPT2Loader

    from benchmarks.runner_transformers import loaded as theirs

    spec = GPT2Loader().get_model_spec(theirs(config))
    spec.register_vocabulary([str(i) for i in range(config["vocab_size"])])
    spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = "0"
    spec.validate()
    spec.optimize(quantization=dtype)
    spec.save(folder)


if __name__ == "__main__":
    convert(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
