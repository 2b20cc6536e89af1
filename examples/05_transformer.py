"""Section 5, the transformer: a forward pass followed from token ids to the loss, shape by shape.

Attention lets positions read from one another, the MLP works on each position, and both only add
to the stream that runs past them. The norm stands before each branch (pre-norm), so that the
stream reaches from the first block to the last through additions alone, and so does the gradient.

Try:
- LAYERS = 2: without residuals the loss stays where it was.
- A line more in RATES: which peak and warm-up let post-norm learn as fast as pre-norm?
- Without init="fan_in" in `trained_as`: which wiring suffers most from small first weights?
- tie_weights=False in CONFIG: the output head becomes a matrix of its own in the table.
- `npgpt look RUN`, view Residual stream: what each block of your own model adds, and would say.
"""

import math

import numpy as np
from example import FIGURES, expect, picture, run

from autograd import cross_entropy
from npgpt import GPT, AdamW, CharTokenizer, GPTConfig, tales
from npgpt.batches import sample_batch
from npgpt.models.size import flops_per_token, parameters_by_part
from npgpt.ngram import NgramModel
from npgpt.support import plots

CONFIG = GPTConfig(vocab_size=50, block_size=32, n_layer=4, n_head=4, n_embd=64)
LAYERS = 12
RATES = {"from the first step": (3e-3, 0), "after warm-up": (1e-3, 50)}  # (peak, steps of warm-up)
SEEDS = 0, 1, 2  # of weights and batches
STYLES = {"pre-norm": "-", "post-norm": "--", "no residuals": ":"}  # they cover one another


def forward_by_hand(model, idx_BT, targets_BT):
    expect(f"""
        1. A forward pass by hand. Expect (B, T) ids to become (B, T, C) vectors, to stay so through
        every block, to grow a little as each branch adds to them, and to become (B, T, V) logits;
        the loss of an untrained model is near ln V = {math.log(model.config.vocab_size):.3f}.
        """)

    def show(name, x):
        print(f"{name:22} {x.shape!s:14} mean length of a vector "
              f"{np.linalg.norm(x.data, axis=-1).mean():.3f}")

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
        attention and two thirds in its MLP; what the embeddings add depends on V and T.
        """)
    parts, C = parameters_by_part(config), config.n_embd
    for part, count in parts.items():
        print(f"{part:20} {count:9,}  {count / sum(parts.values()):5.1%}")
    of_a_block = (parts["attention"] + parts["MLP"]) / config.n_layer
    print(f"{'in all':20} {sum(parts.values()):9,}; {flops_per_token(config):,} FLOPs per token "
          f"forward; a block has {of_a_block / C**2:.2f} C^2")
    return parts


def stream(kind, model, x_BTC):
    """Return the stream after the blocks, wired in one of three ways."""
    for block in model.h:
        if kind == "pre-norm":
            x_BTC = x_BTC + block.attn(block.ln_1(x_BTC))
            x_BTC = x_BTC + block.mlp(block.ln_2(x_BTC))
        elif kind == "post-norm":  # the transformer of 2017: the norms stand in the stream
            x_BTC = block.ln_1(x_BTC + block.attn(x_BTC))
            x_BTC = block.ln_2(x_BTC + block.mlp(x_BTC))
        elif kind == "no residuals":
            x_BTC = block.attn(block.ln_1(x_BTC))
            x_BTC = block.mlp(block.ln_2(x_BTC))
    return x_BTC


def trained_as(kind, ids_N, vocab_size, steps, peak, warmup, seed):
    """Train a deep and narrow model: (loss of each step, spread, gradient of the first block).

    It starts by fan-in. With GPT-2's weights of 0.02, branches of 32 channels would give numbers
    so small that the epsilon of the norms outweighs them: post-norm could then hardly learn.

    spread   of the vectors that leave the last block: 0 if all positions have the same one
    """
    config = GPTConfig(
        vocab_size, block_size=32, n_layer=LAYERS, n_head=4, n_embd=32, init="fan_in"
    )
    model = GPT(config, seed=seed)
    optimizer = AdamW(model.parameters())
    losses = []
    first = model.h[0].mlp.c_fc.weight
    for step in range(steps):
        idx_BT, targets_BT = sample_batch(ids_N, 32, 8, seed=seed, step=step)
        x_BTC = stream(kind, model, model.wte(idx_BT) + model.wpe(np.arange(32)))
        loss = cross_entropy(model.head(model.ln_f(x_BTC)), targets_BT)
        loss.backward()
        gradient = float(np.linalg.norm(first.grad))
        optimizer.step(peak * min(1.0, (step + 1) / (warmup + 1)))
        optimizer.zero_grad()
        losses.append(loss.item())
    off_mean_BTC = x_BTC.data - x_BTC.data.mean(axis=(0, 1))
    spread = float(np.linalg.norm(off_mean_BTC) / np.linalg.norm(x_BTC.data))
    return np.array(losses), spread, gradient


def norms_and_residuals(steps, seeds, figures):
    text = tales.generate(200_000, seed=0)
    tokenizer = CharTokenizer.train(text)
    ids_N = tokenizer.encode(text)
    unigram = NgramModel(ids_N, tokenizer.vocab_size, 1).loss(ids_N)
    expect(f"""
        3. {LAYERS} blocks in three wirings, trained for {steps} steps from {len(seeds)} seeds, with
        each of {len(RATES)} learning rates. Expect pre-norm to learn fastest at the higher rate,
        and post-norm to come close at the lower one. Without residual connections all positions
        leave the last block as nearly the same vector, next to no gradient reaches the first block,
        and the loss stays where it is enough to know which characters are frequent, {unigram:.2f}.
        """)
    curves, last, spreads, gradients = {}, {}, {}, {}
    for rate, (peak, warmup) in RATES.items():
        curves[rate] = {}
        print(f"peak {peak}, warm-up of {warmup} steps")
        for kind in STYLES:
            runs = [trained_as(kind, ids_N, tokenizer.vocab_size, steps, peak, warmup, seed)
                    for seed in seeds]
            losses, spread, gradient = (np.mean(each, axis=0) for each in zip(*runs, strict=True))
            means = losses.reshape(-1, 10).mean(axis=1)  # single batches are noisy
            curves[rate][kind] = np.arange(5, steps, 10), means
            last[rate, kind], spreads[rate, kind] = float(means[-1]), float(spread)
            gradients[rate, kind] = float(gradient)
            learns = "learns" if means[-1] < unigram - 0.05 else "knows frequencies"
            print(f"  {kind:12} {learns:18} loss of the last 10 steps {means[-1]:.3f}, spread of "
                  f"positions {spread:.4f}, gradient of the first block {gradient:.0e}")
    picture(draw_wirings, figures / "05_transformer.png", curves, unigram)
    return {"last": last, "spreads": spreads, "gradients": gradients, "unigram": unigram}


def draw_wirings(path, curves, unigram):
    """Return a panel for each learning rate.    curves: rate -> wiring -> (steps, losses)"""
    drawing, axes = plots.figure(
        4.6 * len(curves), 4, 1, len(curves), squeeze=False, sharey=True, sharex=True
    )
    for panel, (rate, by_kind) in zip(axes[0], curves.items(), strict=True):
        for (kind, (steps, losses)), colour in zip(by_kind.items(), plots.COLOURS, strict=False):
            panel.plot(steps, losses, STYLES[kind], color=colour, label=kind, linewidth=2)
        panel.axhline(unigram, **plots.LANDMARK_STYLE)
        panel.annotate("unigram model", (steps[-1], unigram), (0, 4), ha="right",
                       **plots.NOTE_STYLE)
        peak, warmup = RATES[rate]
        panel.set_title(f"learning rate {peak}, {rate}", fontsize=10)
        panel.set(xlabel="step")
    axes[0, 0].set(ylabel="loss, nats per character")
    axes[0, 0].legend(frameon=False)
    drawing.suptitle(f"{LAYERS} blocks need residual connections; post-norm learns later "
                     "than pre-norm at the higher rate")
    return plots.save(drawing, path)


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
    } | norms_and_residuals(
        50 if quick else 250, SEEDS[:1] if quick else SEEDS, figures
    )


if __name__ == "__main__":
    run(main)
