"""Layers that Llama, BERT and T5 share: norms, attention, MLPs."""

import numpy as np

from autograd import Tensor, rms_norm, scaled_dot_product_attention
from npgpt.gpt import Linear, Module


class RMSNorm(Module):
    """y = x / sqrt(mean(x^2)) * weight, over channels.    weight (C,)"""

    def __init__(self, n_embd, *, dtype, eps=1e-6):
        self.weight = Tensor(np.ones(n_embd, dtype), requires_grad=True)
        self.eps = eps

    def __call__(self, x):
        return rms_norm(x, self.weight, self.eps)


class Attention(Module):
    """Attention with separate projections for q, k, v and the output o.    (B, T, C) -> (B, T, C)

    n_kv_head   G, heads of keys and values; divides n_head
    std         standard deviations of the initial weights of q, k, v and o
    """

    def __init__(self, rng, n_embd, n_head, head_size, n_kv_head, *, bias, dtype, std):
        self.n_head, self.n_kv_head, inner = n_head, n_kv_head, n_head * head_size
        self.q = Linear(rng, n_embd, inner, bias=bias, dtype=dtype, std=std[0])
        for name, size in (("k", std[1]), ("v", std[2])):
            linear = Linear(rng, n_embd, n_kv_head * head_size, bias=bias, dtype=dtype, std=size)
            setattr(self, name, linear)
        self.o = Linear(rng, inner, n_embd, bias=bias, dtype=dtype, std=std[3])

    def __call__(self, x_BTC, source_BSC=None, *, rotate=None, cache=None, bias=None, **settings):
        """source   the sequence that attention reads, x by default
        rotate   a function of queries and of keys, such as rotary positions
        cache    in generation, a `KVCache`: the keys and values of the tokens before these
        bias, settings   see `autograd.scaled_dot_product_attention`
        """
        source_BSC = x_BTC if source_BSC is None else source_BSC
        q = _heads(self.q(x_BTC), self.n_head)
        k, v = (_heads(linear(source_BSC), self.n_kv_head) for linear in (self.k, self.v))
        if rotate is not None:
            q, k = rotate(q), rotate(k)
        if cache is not None:
            k, v = cache.extend(self, k.data, v.data)
        y_BHTD = scaled_dot_product_attention(q, k, v, bias, **settings)
        y_BTHD = y_BHTD.swapaxes(1, 2)
        return self.o(y_BTHD.reshape(*x_BTC.shape[:2], -1))  # b h t d -> b t (h d)


def _heads(x_BTC, n_head):
    B, T, C = x_BTC.shape
    return x_BTC.reshape(B, T, n_head, C // n_head).swapaxes(1, 2)  # b t (h d) -> b h t d


class GatedFeedForward(Module):
    """y = (f(x W) * x U) W': f(x W) gates x U.    (B, T, C) -> (B, T, F) -> (B, T, C)

    f, std   an activation; the deviations of the initial W and U, and W'

    Source: Shazeer, GLU Variants Improve Transformer, 2020.
    """

    def __init__(self, rng, n_embd, n_inner, f, *, dtype, std):
        self.f = f
        self.gate = Linear(rng, n_embd, n_inner, bias=False, dtype=dtype, std=std[0])
        self.up = Linear(rng, n_embd, n_inner, bias=False, dtype=dtype, std=std[0])
        self.c_proj = Linear(rng, n_inner, n_embd, bias=False, dtype=dtype, std=std[1])

    def __call__(self, x_BTC):
        return self.c_proj(self.f(self.gate(x_BTC)) * self.up(x_BTC))
