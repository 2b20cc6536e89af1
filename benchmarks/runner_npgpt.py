"""Our side. A task returns the function to time; the baselines' modules have the same names."""

from functools import partial

import numpy as np
from safetensors.numpy import save_file

import autograd
from autograd import Tensor, backend
from benchmarks import ladder, shapes
from npgpt import GPT, AdamW, GPTConfig, Llama
from npgpt.families import llama
from npgpt.families.file_layout import their_weights
from npgpt.fast.storage import use_storage
from npgpt.generate import KVCache, generate
from npgpt.sampling import Sampling

FORMS = {"nn": "matmul", "nt": "matmul_nt", "tn": "matmul_tn"}


def product(form, Z, M, N, K, bf16=False):
    a, b = shapes.operands(form, Z, M, N, K)
    kernel = getattr(backend.bf16 if bf16 else backend, FORMS[form])
    return lambda: kernel(a, b)


def rung(name, size):
    """Return a rung of the ladder to `product`."""
    a, b = shapes.random(size, size), shapes.random(size, size, seed=1)
    function = getattr(ladder, name)
    return lambda: function(a, b)


def op(name, sizes):
    """Return forward and backward of an op on the arrays of `shapes.op_arrays`."""
    inputs, targets, d_output = shapes.op_arrays(name, sizes)
    function = {
        "attention": partial(autograd.scaled_dot_product_attention, causal=True),
        "layer_norm": autograd.layer_norm,
        "softmax": autograd.softmax,
        "gelu": autograd.gelu,
        "cross_entropy": partial(autograd.cross_entropy, targets=targets),
    }[name]
    tensors = [Tensor(x, requires_grad=True) for x in inputs]

    def run():
        for tensor in tensors:
            tensor.grad = None
        function(*tensors).backward(d_output)

    return run


def adamw(config):
    """Return clipping by the global norm and the update of all weights of a model."""
    model = GPT(GPTConfig(**config))
    for p in model.parameters().values():
        p.grad = shapes.random(*p.shape)
    return AdamW(model.parameters(), grad_clip=1.0).step


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


def generation(config, batch, prompt, new, weights="fp32", reading=False):
    """Return `reading`: of all that, only reading as many bytes as the weights have."""
    model = use_storage(GPT(GPTConfig(**config)), weights)
    return _generation(model, shapes.prompts(batch, prompt, config), new, reading)


def _generation(model, idx_BT, new, reading):
    decoder = model.decoder()
    if reading:
        bytes_read = [np.ones(decoder.bytes_per_token // 4, np.float32)]
        return lambda: backend.sum_of_squares(bytes_read)

    def run():
        decoder.read = []  # else it would know the prompt from the call before
        block_size = model.config.block_size
        return generate(decoder, idx_BT, new, Sampling(0), block_size=block_size).tolist()

    return run


def prefill(config, prompt):
    model, idx_BT = GPT(GPTConfig(**config)), shapes.prompts(1, prompt, config)
    return lambda: model.next_logits(idx_BT, KVCache(prompt))


# ---- A published Llama, of a GGUF file


def answer(path, prompt, new, weights="fp32", bf16=False, reading=False):
    autograd.set_matmul_precision("bfloat16" if bf16 else "float32")
    return _generation(Llama.from_pretrained(path, weights), np.array([prompt]), new, reading)


def learned(path, idx, windows, folder):
    """Return mean losses: of a text, before and after a step of AdamW on it, and of `windows`.

    idx, windows   token ids of a text; those of several

    The folder gets logits.safetensors, gradients.safetensors and updates.safetensors.
    """
    model = Llama.from_pretrained(path)
    with model.evaluating():
        nats = [model.loss([ids[:-1]], [ids[1:]]).item() for ids in windows]
    logits, loss = model([idx[:-1]], [idx[1:]])
    loss.backward()
    before = {name: weight.data.copy() for name, weight in model.parameters().items()}
    arrays = {"gradients": {name: weight.grad for name, weight in model.parameters().items()}}
    AdamW(model.parameters()).step()
    arrays["updates"] = {name: model.parameters()[name].data - w for name, w in before.items()}
    for name, found in arrays.items():
        save_file(their_weights(found, llama.FILES, llama.PREFIX), f"{folder}/{name}.safetensors")
    save_file({"logits": logits.data[0]}, f"{folder}/logits.safetensors")
    return {"before": loss.item(), "after": model.loss([idx[:-1]], [idx[1:]]).item(), "nats": nats}
