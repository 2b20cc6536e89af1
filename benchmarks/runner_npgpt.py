"""Our side. A task returns the function to time; the baselines' modules have the same names."""

from functools import partial

import numpy as np

import autograd
from autograd import Tensor, backend
from benchmarks import ladder, shapes
from npgpt import GPT, AdamW, GPTConfig
from npgpt.fast.storage import use_storage
from npgpt.generate import KVCache, generate
from npgpt.sampling import Sampling

FORMS = {"nn": "matmul", "nt": "matmul_nt", "tn": "matmul_tn"}


def product(form, Z, M, N, K, bf16=False):
    a, b = shapes.operands(form, Z, M, N, K)
    kernel = getattr(backend, FORMS[form])
    return lambda: kernel(a, b, bf16)


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
    decoder = model.decoder()
    if reading:
        bytes_read = [np.ones(decoder.bytes_per_token // 4, np.float32)]
        return lambda: backend.sum_of_squares(bytes_read)
    idx_BT, block_size = shapes.prompts(batch, prompt, config), config["block_size"]
    return lambda: generate(decoder, idx_BT, new, Sampling(0), block_size=block_size).tolist()


def prefill(config, prompt):
    model, idx_BT = GPT(GPTConfig(**config)), shapes.prompts(1, prompt, config)
    return lambda: model.next_logits(idx_BT, KVCache(prompt))
