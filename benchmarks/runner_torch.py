"""PyTorch's side: its ops, and the same GPT with its training step.

GPT-2's architecture: norm before each branch, GELU in its tanh form, head tied to the embedding,
biases, no dropout. Fast paths that PyTorch offers are taken: its fused attention, its fused AdamW,
and gradients that are set to None rather than to zero.
"""

from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks import shapes
from benchmarks.runners import threads
from benchmarks.shapes import BETAS, CLIP, DECAY, EPS, LR
from npgpt import GPT as OurGPT
from npgpt import GPTConfig

torch.set_num_threads(threads())


class Block(nn.Module):
    def __init__(self, n_embd, n_head):
        super().__init__()
        self.n_head = n_head
        self.ln_1, self.ln_2 = nn.LayerNorm(n_embd), nn.LayerNorm(n_embd)
        self.attn = nn.ModuleDict({
            "c_attn": nn.Linear(n_embd, 3 * n_embd), "c_proj": nn.Linear(n_embd, n_embd),
        })
        self.mlp = nn.ModuleDict({
            "c_fc": nn.Linear(n_embd, 4 * n_embd), "c_proj": nn.Linear(4 * n_embd, n_embd),
        })

    def forward(self, x_BTC):
        B, T, C = x_BTC.shape
        q, k, v = (
            part.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
            for part in self.attn["c_attn"](self.ln_1(x_BTC)).split(C, dim=-1)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x_BTC = x_BTC + self.attn["c_proj"](y.transpose(1, 2).reshape(B, T, C))
        hidden = F.gelu(self.mlp["c_fc"](self.ln_2(x_BTC)), approximate="tanh")
        return x_BTC + self.mlp["c_proj"](hidden)


class GPT(nn.Module):
    """forward(idx (B, T), targets (B, T)) -> the mean cross-entropy"""

    def __init__(self, config):
        super().__init__()
        C, V = config.n_embd, config.vocab_size
        self.wte, self.wpe = nn.Embedding(V, C), nn.Embedding(config.block_size, C)
        self.h = nn.ModuleList(Block(C, config.n_head) for _ in range(config.n_layer))
        self.ln_f = nn.LayerNorm(C)

    def forward(self, idx_BT, targets_BT):
        positions = torch.arange(idx_BT.shape[1])
        x_BTC = self.wte(idx_BT) + self.wpe(positions)
        for block in self.h:
            x_BTC = block(x_BTC)
        logits = F.linear(self.ln_f(x_BTC), self.wte.weight)
        return F.cross_entropy(logits.flatten(0, 1), targets_BT.flatten())

    def load(self, weights):
        """Take the values of `npgpt.GPT.parameters()`, by name. nn.Linear keeps (out, in)."""
        with torch.no_grad():
            for name, p in self.named_parameters():
                p.copy_(torch.from_numpy(_turned(name, weights[name].data)))
        return self


def op(op, sizes):
    inputs, targets, d_output = shapes.op_arrays(op, sizes)
    function = {
        "linear": torch.matmul,
        "attention": partial(F.scaled_dot_product_attention, is_causal=True),
        "layer_norm": lambda x, w, b: F.layer_norm(x, w.shape, w, b),
        "softmax": partial(F.softmax, dim=-1),
        "gelu": partial(F.gelu, approximate="tanh"),
        "cross_entropy": partial(F.cross_entropy, target=torch.from_numpy(targets)),
    }[op]
    leaves = [torch.from_numpy(x).requires_grad_() for x in inputs]
    d_output = None if d_output is None else torch.from_numpy(d_output)

    def run():
        for leaf in leaves:
            leaf.grad = None
        function(*leaves).backward(d_output)
        return [leaf.grad for leaf in leaves]

    return run


def adamw(config):
    model = GPT(GPTConfig(**config))
    for p in model.parameters():
        p.grad = torch.from_numpy(shapes.random(*p.shape))
    return clipped_update(list(model.parameters()))


def training_step(batch, config, bf16=False):
    config = GPTConfig(**config)
    model = GPT(config).load(OurGPT(config).parameters())
    update = clipped_update(list(model.parameters()))
    idx_BT, targets_BT = map(torch.from_numpy, shapes.tokens(batch, config))

    def step():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            loss = model(idx_BT, targets_BT)
        loss.backward()
        update()
        for p in model.parameters():
            p.grad = None
        return loss.item()

    return step


def clipped_update(parameters):
    """Return the function that takes a step of AdamW, as ours."""
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": DECAY},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=BETAS, eps=EPS, fused=True)

    def update():
        nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()

    return update


def _turned(name, array):
    linear = name.endswith("weight") and (".attn." in name or ".mlp." in name)
    return np.ascontiguousarray(array.T) if linear else array
