"""The transformers library's side: the same models, generating with its cache; a step of AdamW."""

import tempfile

import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy
from transformers import GPT2LMHeadModel, LlamaForCausalLM

from benchmarks import shapes
from benchmarks.runner_torch import clipped_update  # and its number of threads
from npgpt import GPT, GPTConfig, Llama


def loaded(config, dtype="float32"):
    """Return the GPT2LMHeadModel with the weights of our new GPT of these settings."""
    return _theirs(GPT2LMHeadModel, GPT(GPTConfig(**config)), dtype)


def _theirs(Model, ours, dtype="float32"):
    with tempfile.TemporaryDirectory() as folder:
        ours.save_pretrained(folder)
        return Model.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()


def generation(config, batch, prompt, new, dtype="float32"):
    return _generation(loaded(config, dtype), shapes.prompts(batch, prompt, config), new)


def _generation(model, idx_BT, new):
    idx_BT = torch.as_tensor(idx_BT)
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


# ---- A published Llama: the tasks are as in `runner_npgpt`


def published(path):
    """Return the LlamaForCausalLM with the weights that a GGUF file has by our reader."""
    return _theirs(LlamaForCausalLM, Llama.from_pretrained(path))


def answer(path, prompt, new):
    return _generation(published(path), [prompt], new)


def learned(path, idx, windows, folder):
    """Return the losses, and how far our arrays in the folder are off, relative to these.

    Logits by the largest entry, the others by the norm of each weight's: the largest of these.
    """
    model = published(path)

    def logits_and_loss(ids):
        logits_TV = model(torch.tensor([ids[:-1]])).logits[0]
        return logits_TV, cross_entropy(logits_TV, torch.tensor(ids[1:]))

    def farthest(name, arrays):
        ours = load_file(f"{folder}/{name}.safetensors")
        off = {key: (ours.pop(key) - a).norm() / a.norm() for key, a in arrays.items()}
        assert not ours
        return max(off.values()).item()

    with torch.no_grad():
        nats = [logits_and_loss(ids)[1].item() for ids in windows]
    logits_TV, loss = logits_and_loss(idx)
    loss.backward()
    weights = dict(model.named_parameters())
    ours_TV = load_file(f"{folder}/logits.safetensors")["logits"]
    found = {
        "before": loss.item(), "nats": nats, "weights": len(weights),
        "logits": ((ours_TV - logits_TV).abs().max() / logits_TV.abs().max()).item(),
        "gradients": farthest("gradients", {name: w.grad for name, w in weights.items()}),
    }
    with torch.no_grad():
        before = {name: weight.clone() for name, weight in weights.items()}
        clipped_update(list(weights.values()))()
        found["updates"] = farthest("updates", {n: w - before[n] for n, w in weights.items()})
        return found | {"after": logits_and_loss(idx)[1].item()}
