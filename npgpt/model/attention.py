"""Causal multi-head self-attention: where positions read from one another.

Every position has three vectors: what it looks for (query), what it is found by (key) and what it
passes on (value). A head gives position t the average of the values at s <= t, weighted by how
well the keys there match its query. Heads work side by side on their own D = C / H channels, and a
last projection mixes what they found.
"""

from autograd import scaled_dot_product_attention, split
from npgpt.model.module import Linear, Module, branch_std


class CausalSelfAttention(Module):
    """(B, T, C) -> (B, T, C); position t of the result depends on positions 0..t only."""

    def __init__(self, rng, config, dtype):
        C = config.n_embd
        self.n_head = config.n_head
        self.c_attn = Linear(rng, C, 3 * C, bias=config.bias, dtype=dtype)  # q, k and v in one
        self.c_proj = Linear(rng, C, C, bias=config.bias, dtype=dtype, std=branch_std(config))

    def __call__(self, x_BTC, cache=None):
        """cache   a KVCache in generation: the keys and values of the tokens before these"""
        q, k, v = self.heads(x_BTC)
        if cache is not None:
            k, v = cache.extend(self, k.data, v.data)
        # scores are divided by sqrt(D) there, unless it is given a `scale`
        y_BHTD = scaled_dot_product_attention(q, k, v, causal=True)
        y_BTC = y_BHTD.swapaxes(1, 2).reshape(x_BTC.shape)  # b h t d -> b t (h d)
        return self.c_proj(y_BTC)

    def heads(self, x_BTC):
        """Queries, keys and values, (B, H, T, D) each."""
        B, T, C = x_BTC.shape
        H = self.n_head
        # The 3 C channels are the heads of q side by side, then those of k, then those of v.
        qkv_BTC = self.c_attn(x_BTC)
        qkv_BHTD = qkv_BTC.reshape(B, T, 3 * H, C // H).swapaxes(1, 2)  # b t (h d) -> b h t d
        return split(qkv_BHTD, H, axis=1)
