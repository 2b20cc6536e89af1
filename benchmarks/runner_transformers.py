"""The transformers library's side: the same models, generating with its cache; a step of AdamW."""

import tempfile

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy
from transformers import GPT2LMHeadModel, LlamaForCausalLM

from benchmarks.runner_npgpt import loaded
from benchmarks.runner_torch import clipped_update  # and its number of threads
from npgpt import Llama


def theirs(config=None, path=None):
    """Return the model of the library with the weights of ours, `runner_npgpt.loaded`."""
    ours = loaded("plain", config, path)
    Model = LlamaForCausalLM if isinstance(ours, Llama) else GPT2LMHeadModel
    with tempfile.TemporaryDirectory() as folder:
        ours.save_pretrained(folder)
        return Model.from_pretrained(folder, dtype=torch.float32).eval()


def generation(prompt, new, config=None, path=None, **_):
    model, idx_BT = theirs(config, path), torch.tensor([prompt])
    settings = {"do_sample": False, "min_new_tokens": new, "pad_token_id": 0, "eos_token_id": None}

    def run():
        with torch.inference_mode():
            return model.generate(
                idx_BT, attention_mask=torch.ones_like(idx_BT), max_new_tokens=new, **settings
            )[0].tolist()

    return run


def learned(path, idx, windows, folder):
    """Return the losses in float32, and how far our arrays and those in float32 are off float64's.

    {"before", "after", "nats", "weights": their number, "off": {name: (ours, theirs)}}; logits by
    the largest entry, the others by the norm of each weight's: the largest of these.
    """
    exact, _ = _learned(path, torch.float64, idx, ())  # no losses of it are shown
    found, losses = _learned(path, torch.float32, idx, windows)
    ours = {name: load_file(f"{folder}/{name}/model.safetensors")
            for name in ("gradients", "updates")}
    ours["logits"] = {"logits": torch.from_numpy(np.load(f"{folder}/logits.npy"))}
    return losses | {"weights": len(exact["gradients"]), "off": {
        name: [_farthest(side[name], exact[name], name == "logits") for side in (ours, found)]
        for name in found
    }}


def _learned(path, dtype, idx, windows):
    """Return {name: {weight: array}} and the losses of a step of AdamW on the text `idx`."""
    model = theirs(path=path).to(dtype)
    weights = dict(model.named_parameters())

    def logits_and_loss(ids):
        logits_TV = model(torch.tensor([ids[:-1]])).logits[0]
        return logits_TV, cross_entropy(logits_TV, torch.tensor(ids[1:]))

    with torch.no_grad():
        nats = [logits_and_loss(ids)[1].item() for ids in windows]
    logits_TV, loss = logits_and_loss(idx)
    loss.backward()
    found = {"logits": {"logits": logits_TV.detach()},
             "gradients": {name: w.grad.clone() for name, w in weights.items()}}
    with torch.no_grad():
        before = {name: w.clone() for name, w in weights.items()}
        clipped_update(list(weights.values()))()
        found["updates"] = {name: w - before[name] for name, w in weights.items()}
        return found, {"before": loss.item(), "nats": nats, "after": logits_and_loss(idx)[1].item()}


def _farthest(arrays, exact, by_entry):
    assert arrays.keys() == exact.keys()
    order = torch.inf if by_entry else 2
    return max((torch.linalg.vector_norm(arrays[name] - x, order)
                / torch.linalg.vector_norm(x, order)).item() for name, x in exact.items())
