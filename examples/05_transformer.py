"""Section 5, the transformer: a forward pass followed from token ids to the loss, shape by shape.

Attention lets positions read from one another, the MLP works on each position, and both only add
to the stream that runs past them. The norm stands before each branch (pre-norm), so that a
gradient reaches the first block through additions alone.

Try:
- LAYERS = 24: compare the first blocks' gradients again, with twice as many norms on the way.
- tie_weights=False in CONFIG: the output head becomes a matrix of its own in the table.
"""

import math

import numpy as np
from example import FIGURES, expect, picture, run

from autograd import cross_entropy, layer_norm
from npgpt import GPT, GPTConfig, plots
from npgpt.model.size import flops_per_token, parameters_by_part

CONFIG = GPTConfig(vocab_size=50, block_size=32, n_layer=4, n_head=4, n_embd=64)
LAYERS = 12


def forward_by_hand(model, idx_BT, targets_BT):
    expect(f"""
        1. A forward pass by hand. Expect (B, T) ids to become (B, T, C) vectors, to stay so through
        every block, to grow a little as each branch adds to them, and to become (B, T, V) logits;
        the loss of an untrained model is near ln V = {math.log(model.config.vocab_size):.3f}.
        """)

    def show(name, x):
        print(f"{name:22} {x.shape!s:14} mean length of a vector "
              f"{np.linalg.norm(x.data, axis=-1).mean():.3f}")  # fmt: skip

    print(f"{'token ids':22} {idx_BT.shape}")
    positions_T = np.arange(idx_BT.shape[1])
    x_BTC = model.wte(idx_BT) + model.wpe(positions_T)
    show("token + position", x_BTC)
    for i, block in enumerate(model.h):
        x_BTC = x_BTC + block.attn(block.ln_1(x_BTC))
        show(f"block {i}: + attention", x_BTC)
        x_BTC = x_BTC + block.mlp(block.ln_2(x_BTC))
        show(f"block {i}: + MLP", x_BTC)
    x_BTC = model.ln_f(x_BTC)
    show("final norm", x_BTC)
    logits_BTV = model.head(x_BTC)
    print(f"{'logits':22} {logits_BTV.shape}")
    loss = cross_entropy(logits_BTV, targets_BT)
    print(f"{'loss':22} {loss.item():.4f}")
    return logits_BTV.data, loss.item()


def sizes(config):
    expect("""
        2. Where the parameters are. Expect about 12 C^2 in each block, a third of them in its
        attention and two thirds in its MLP.
        """)
    parts = parameters_by_part(config)
    for part, count in parts.items():
        print(f"{part:20} {count:9,}")
    print(f"{'in all':20} {sum(parts.values()):9,}; "
          f"{flops_per_token(config):,} FLOPs per token forward")  # fmt: skip
    return parts


def gradient_by_block(pre_norm, idx_BT, targets_BT):
    """The length of the gradient of each block's first matrix, in a model of many layers."""
    config = GPTConfig(**(vars(CONFIG) | {"n_layer": LAYERS}))
    model = GPT(config, seed=0)
    rng = np.random.default_rng(0)
    for name, weight in model.parameters().items():
        if name.endswith("c_proj.weight"):  # branches of order one, as later in training
            weight.data[...] = rng.normal(0, 0.1, weight.shape)
    x_BTC = model.wte(idx_BT) + model.wpe(np.arange(idx_BT.shape[1]))
    for block in model.h:
        if pre_norm:
            x_BTC = block(x_BTC, drop=lambda x: x)
        else:  # the transformer of 2017: the norm stands in the stream
            x_BTC = layer_norm(x_BTC + block.attn(x_BTC))
            x_BTC = layer_norm(x_BTC + block.mlp(x_BTC))
    cross_entropy(model.head(model.ln_f(x_BTC)), targets_BT).backward()
    return [float(np.linalg.norm(block.attn.c_attn.weight.grad)) for block in model.h]


def norms(idx_BT, targets_BT, figures):
    expect(f"""
        3. The gradient that reaches each of {LAYERS} blocks, with the norm before the branch and
        with the norm in the stream. Expect the first block to get several times more of it with
        the norm before the branch: there it arrives through additions, while every norm in the
        stream divides it by the spread of what it normalises.
        """)
    curves = {}
    for name, pre_norm in {"norm before the branch": True, "norm in the stream": False}.items():
        gradients = gradient_by_block(pre_norm, idx_BT, targets_BT)
        curves[name] = list(range(LAYERS)), gradients
        print(f"{name:24} first {gradients[0]:.2e}, last {gradients[-1]:.2e}, "
              f"ratio {gradients[0] / gradients[-1]:.2f}")  # fmt: skip
    picture(
        plots.curves_picture, figures / "05_transformer.png", curves, log="y", xlabel="block",
        ylabel="length of the gradient", title="What reaches each block's first matrix",
    )  # fmt: skip
    return {name: gradients for name, (_, gradients) in curves.items()}


def main(quick=False, figures=FIGURES):
    rng = np.random.default_rng(0)
    idx_BT, targets_BT = rng.integers(0, CONFIG.vocab_size, (2, 8, CONFIG.block_size))
    model = GPT(CONFIG, seed=0)
    logits_BTV, loss = forward_by_hand(model, idx_BT, targets_BT)
    return {
        "same_as_model": np.array_equal(logits_BTV, model(idx_BT)[0].data),
        "loss": loss,
        "ln_V": math.log(CONFIG.vocab_size),
        "parts": sizes(CONFIG),
        "parameters": model.num_parameters(),
        "gradients": norms(idx_BT, targets_BT, figures),
    }


if __name__ == "__main__":
    run(main)
