"""JAX's side: the same GPT and its training step.

One jitted function does forward, backward, clipping and AdamW; weights and moments are donated to
it, so that XLA updates them in place. Attention is written out, which XLA compiles to faster code
for a CPU than `jax.nn.dot_product_attention`.
"""

import jax
import jax.numpy as jnp

from benchmarks import shapes
from benchmarks.shapes import BETAS, CLIP, DECAY, EPS, LR
from npgpt import GPT, GPTConfig

BETA1, BETA2 = BETAS


def training_step(batch, config):
    config = GPTConfig(**config)
    weights = {name: jnp.array(weight.data) for name, weight in GPT(config).parameters().items()}
    m, v = ({name: jnp.zeros_like(w) for name, w in weights.items()} for _ in range(2))
    state = weights, m, v, jnp.zeros(())
    idx, targets = map(jnp.array, shapes.tokens(batch, config))
    update = jax.jit(
        lambda state, idx, targets: _train(state, idx, targets, config), donate_argnums=0
    )

    def step():
        nonlocal state
        state, loss = update(state, idx, targets)
        jax.block_until_ready(state)
        return float(loss)

    return step


def loss_of(weights, idx_BT, targets_BT, config):
    """Return the mean cross-entropy; weights: name -> array."""
    T = idx_BT.shape[1]
    x_BTC = weights["wte.weight"][idx_BT] + weights["wpe.weight"][:T]
    for i in range(config.n_layer):
        block = f"h.{i}"
        normed = _layer_norm(weights, f"{block}.ln_1", x_BTC)
        x_BTC = x_BTC + _attention(weights, f"{block}.attn", normed, config.n_head)
        normed = _layer_norm(weights, f"{block}.ln_2", x_BTC)
        hidden = jax.nn.gelu(_linear(weights, f"{block}.mlp.c_fc", normed), approximate=True)
        x_BTC = x_BTC + _linear(weights, f"{block}.mlp.c_proj", hidden)
    logits_BTV = _layer_norm(weights, "ln_f", x_BTC) @ weights["wte.weight"].T
    log_total_BT = jax.nn.logsumexp(logits_BTV, axis=-1)
    chosen_BT = jnp.take_along_axis(logits_BTV, targets_BT[..., None], axis=-1)[..., 0]
    return jnp.mean(log_total_BT - chosen_BT)


def _attention(weights, name, x_BTC, n_head):
    B, T, C = x_BTC.shape
    q, k, v = (
        part.reshape(B, T, n_head, C // n_head).swapaxes(1, 2)  # b t (h d) -> b h t d
        for part in jnp.split(_linear(weights, f"{name}.c_attn", x_BTC), 3, axis=-1)
    )
    score_BHTS = q @ k.swapaxes(2, 3) * (C // n_head) ** -0.5
    score_BHTS = jnp.where(jnp.tril(jnp.ones((T, T), bool)), score_BHTS, -1e30)
    e_BHTS = jnp.exp(score_BHTS - jax.lax.stop_gradient(score_BHTS.max(-1, keepdims=True)))
    y_BHTD = e_BHTS / e_BHTS.sum(-1, keepdims=True) @ v
    return _linear(weights, f"{name}.c_proj", y_BHTD.swapaxes(1, 2).reshape(B, T, C))


def _layer_norm(weights, name, x):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    normed = (x - mean) * jax.lax.rsqrt(variance + 1e-5)
    return normed * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _linear(weights, name, x):
    return x @ weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _train(state, idx, targets, config):
    weights, m, v, steps = state
    loss, gradients = jax.value_and_grad(loss_of)(weights, idx, targets, config)
    norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in gradients.values()))
    scale = jnp.minimum(1.0, CLIP / norm)
    steps = steps + 1
    gradients = {name: g * scale for name, g in gradients.items()}
    m = {name: BETA1 * m[name] + (1 - BETA1) * g for name, g in gradients.items()}
    v = {name: BETA2 * v[name] + (1 - BETA2) * g * g for name, g in gradients.items()}
    new = {}
    for name, w in weights.items():
        decayed = w * (1 - LR * DECAY) if w.ndim >= 2 else w
        move = m[name] / (1 - BETA1**steps) / (jnp.sqrt(v[name] / (1 - BETA2**steps)) + EPS)
        new[name] = decayed - LR * move
    return (new, m, v, steps), loss
