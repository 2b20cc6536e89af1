"""The transformers library's side: the same GPT-2, generating with its cache of keys and values."""

import tempfile

import torch
from transformers import GPT2LMHeadModel

from benchmarks import shapes
from benchmarks.runners import threads
from npgpt import GPT, GPTConfig

torch.set_num_threads(threads())


def loaded(config, dtype="float32"):
    """Return the GPT2LMHeadModel with the weights of our new GPT of these settings."""
    with tempfile.TemporaryDirectory() as folder:
        GPT(GPTConfig(**config)).save_pretrained(folder)
        return GPT2LMHeadModel.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()


def generation(config, batch, prompt, new, dtype="float32"):
    model = loaded(config, dtype)
    idx_BT = torch.from_numpy(shapes.prompts(batch, prompt, config))
    settings = {"do_sample": False, "min_new_tokens": new, "pad_token_id": 0, "eos_token_id": None}

    def run():
        with torch.inference_mode():
            return model.generate(
                idx_BT, attention_mask=torch.ones_like(idx_BT), max_new_tokens=new, **settings
            ).tolist()

    return run


def prefill(config, prompt, dtype="float32"):
    model = loaded(config, dtype)
    idx_BT = torch.from_numpy(shapes.prompts(1, prompt, config))

    def run():
        with torch.inference_mode():
            return model(idx_BT, logits_to_keep=1, use_cache=True).logits

    return run
