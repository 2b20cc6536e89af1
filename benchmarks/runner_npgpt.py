"""Our side. A task returns the function to time; the baselines' modules have the same names."""

import numpy as np

import autograd
from autograd import Tensor, backend
from benchmarks import ladder, shapes
from npgpt import GPT, AdamW, GPTConfig

FORMS = {"nn": "matmul", "nt": "matmul_nt", "tn": "matmul_tn"}


def product(form, Z, M, N, K):
    a, b = shapes.operands(form, Z, M, N, K)
    kernel = getattr(backend, FORMS[form])
    return lambda: kernel(a, b)


def rung(name, size):
    """A rung of the ladder to `product`."""
    a, b = shapes.random(size, size), shapes.random(size, size, seed=1)
    function = getattr(ladder, name)
    return lambda: function(a, b)


def attention(B, H, T, D):
    q, k, v, dy = (shapes.random(B, H, T, D, seed=seed) for seed in range(4))
    attend = autograd.scaled_dot_product_attention
    return _forward_and_backward(lambda q, k, v: attend(q, k, v, causal=True), (q, k, v), dy)


def layer_norm(N, C):
    inputs = shapes.random(N, C), shapes.random(C), shapes.random(C)
    return _forward_and_backward(autograd.layer_norm, inputs, shapes.random(N, C, seed=1))


def softmax(N, C):
    x, dy = shapes.random(N, C), shapes.random(N, C, seed=1)
    return _forward_and_backward(autograd.softmax, (x,), dy)


def gelu(N, C):
    x, dy = shapes.random(N, C), shapes.random(N, C, seed=1)
    return _forward_and_backward(autograd.gelu, (x,), dy)


def cross_entropy(N, V):
    targets = np.random.default_rng(0).integers(0, V, N)
    return _forward_and_backward(
        lambda x: autograd.cross_entropy(x, targets), (shapes.random(N, V),), None
    )


def adamw(config):
    """Clipping by the global norm, and the update of all weights of a model."""
    model = GPT(GPTConfig(**config))
    for p in model.parameters().values():
        p.grad = shapes.random(*p.shape)
    return AdamW(model.parameters(), grad_clip=1.0).step


def training_step(batch, config):
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


def _forward_and_backward(op, inputs, d_output):
    tensors = [Tensor(x, requires_grad=True) for x in inputs]

    def run():
        for tensor in tensors:
            tensor.grad = None
        op(*tensors).backward(d_output)

    return run
