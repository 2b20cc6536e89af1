"""Our side. A task returns the function to time; the baselines' modules have the same names.

Only names that stay put are imported, as `benchmarks.paired` runs this on older checkouts, too.
"""

import tempfile
from functools import partial

import numpy as np

import autograd
from autograd import Tensor
from benchmarks import shapes
from npgpt import GPT, AdamW, GPTConfig, Llama
from npgpt.generate import generate
from npgpt.sampling import Sampling


def op(op, sizes):
    """Return forward and backward of an op on the arrays of `shapes.op_arrays`."""
    inputs, targets, d_output = shapes.op_arrays(op, sizes)
    function = {
        "linear": autograd.linear,
        "attention": partial(autograd.scaled_dot_product_attention, causal=True),
        "layer_norm": autograd.layer_norm,
        "softmax": autograd.softmax,
        "gelu": autograd.gelu,
        "cross_entropy": partial(autograd.cross_entropy, targets=targets),
    }[op]
    tensors = [Tensor(x, requires_grad=True) for x in inputs]

    def run():
        for tensor in tensors:
            tensor.grad = None
        function(*tensors).backward(d_output)
        return [tensor.grad for tensor in tensors]

    return run


def adamw(config):
    """Return clipping by the global norm and the update of all weights of a model."""
    model = GPT(GPTConfig(**config))
    for p in model.parameters().values():
        p.grad = shapes.random(*p.shape)
    return AdamW(model.parameters(), grad_clip=shapes.CLIP).step


def training_step(batch, config, bf16=False):
    autograd.set_matmul_precision("bfloat16" if bf16 else "float32")
    config = GPTConfig(**config)
    model = GPT(config)
    optimizer = AdamW(model.parameters())
    idx_BT, targets_BT = shapes.tokens(batch, config)

    def step():
        loss = model.loss(idx_BT, targets_BT)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step


def loaded(weights, config=None, path=None):
    """Return the new GPT of a config, or the Llama of a GGUF file.

    weights   how generation stores them; "plain": float32, for ops alone
    """
    if path:
        return Llama.from_pretrained(path, weights)
    with tempfile.TemporaryDirectory() as folder:
        GPT(GPTConfig(**config)).save_pretrained(folder)
        return GPT.from_pretrained(folder, weights)


def generation(prompt, new, weights="fp32", bf16=False, config=None, path=None, **_):
    """Return greedy generation; prompt: token ids."""
    autograd.set_matmul_precision("bfloat16" if bf16 else "float32")
    model = loaded(weights, config, path)
    decoder, block_size = model.decoder(), model.config.block_size

    def run():
        decoder.read = []  # else it would know the prompt from the call before
        ids = generate(decoder, np.array(prompt), new, Sampling(0), block_size=block_size)
        return ids.tolist()

    return run


def learned(path, idx, windows, folder):
    """Return mean losses: of a text, before and after a step of AdamW on it, and of `windows`.

    idx, windows   token ids of a text; those of several

    The folder gets logits.npy, and gradients and updates as models in folders of these names.
    """
    model = Llama.from_pretrained(path, "plain")
    with model.evaluating():
        nats = [model.loss([ids[:-1]], [ids[1:]]).item() for ids in windows]
    logits, loss = model([idx[:-1]], [idx[1:]])
    np.save(f"{folder}/logits.npy", logits.data[0])
    loss.backward()
    weights = model.parameters()
    before = {name: weight.data.copy() for name, weight in weights.items()}
    AdamW(weights).step()
    after = model.loss([idx[:-1]], [idx[1:]]).item()
    updates = {name: weight.data - before[name] for name, weight in weights.items()}
    gradients = {name: weight.grad for name, weight in weights.items()}
    for kind, arrays in (("gradients", gradients), ("updates", updates)):
        for name, weight in weights.items():
            weight.data = arrays[name]
        model.save_pretrained(f"{folder}/{kind}")
    return {"before": loss.item(), "after": after, "nats": nats}
