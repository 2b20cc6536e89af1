"""The same GPT written with PyTorch: loss and every gradient agree in float64.

PyTorch is no part of the project but an independent opinion: extra `peers`.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="parity with PyTorch needs it: pip install '.[peers]'")
F = torch.nn.functional


def torch_gpt(weights, config, idx_BT, targets_BT):
    """(logits, loss) of the model with these weights, by the names of `GPT.parameters()`."""

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights.get(f"{name}.bias"))

    def linear(x, name):
        return F.linear(x, weights[f"{name}.weight"].T, weights.get(f"{name}.bias"))

    B, T = idx_BT.shape
    H, C = config.n_head, config.n_embd
    x_BTC = weights["wte.weight"][idx_BT] + weights["wpe.weight"][:T]
    for block in (f"h.{i}" for i in range(config.n_layer)):
        qkv = linear(norm(x_BTC, f"{block}.ln_1"), f"{block}.attn.c_attn").split(C, dim=-1)
        q, k, v = (part.view(B, T, H, C // H).transpose(1, 2) for part in qkv)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        y = y.transpose(1, 2).reshape(B, T, C)
        x_BTC = x_BTC + linear(y, f"{block}.attn.c_proj")
        hidden = linear(norm(x_BTC, f"{block}.ln_2"), f"{block}.mlp.c_fc")
        x_BTC = x_BTC + linear(F.gelu(hidden, approximate="tanh"), f"{block}.mlp.c_proj")
    x_BTC = norm(x_BTC, "ln_f")
    logits = x_BTC @ (weights["wte.weight"].T if config.tie_weights else weights["lm_head.weight"])
    return logits, F.cross_entropy(logits.flatten(0, 1), targets_BT.flatten(), ignore_index=-1)


def assert_near(found, expected, name):
    expected = expected.detach().numpy()
    scale = np.abs(expected).max()
    assert np.abs(found - expected).max() <= 1e-9 * scale, name


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("tie_weights", [True, False])
def test_loss_logits_and_every_gradient(seed, bias, tie_weights, gpt_of_order_one):
    rng = np.random.default_rng([seed, bias, tie_weights])
    B, n_layer, n_head, V, T = map(int, rng.integers(1, [4, 4, 5, 40, 20]))
    n_embd, V, shape = n_head * int(rng.integers(4, 9)), V + 1, (B, T)
    model = gpt_of_order_one(seed=seed, vocab_size=V, block_size=T, n_layer=n_layer, n_head=n_head,
                             n_embd=n_embd, bias=bias, tie_weights=tie_weights)
    idx_BT, targets_BT = rng.integers(0, V, shape), rng.integers(-1, V, shape)
    targets_BT[0, 0] = 0  # at least one target counts

    logits, loss = model(idx_BT, targets_BT)
    loss.backward()
    weights = {
        name: torch.tensor(weight.data, requires_grad=True)
        for name, weight in model.parameters().items()
    }
    torch_logits, torch_loss = torch_gpt(
        weights, model.config, torch.from_numpy(idx_BT), torch.from_numpy(targets_BT)
    )
    torch_loss.backward()

    assert_near(logits.data, torch_logits, "logits")
    assert_near(loss.data, torch_loss, "loss")
    for name, weight in model.parameters().items():
        assert_near(weight.grad, weights[name].grad, name)
