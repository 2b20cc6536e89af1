"""Multi-head attention: where positions read from one another.

Every position has three vectors: what it looks for (query), what it is found by (key) and what it
passes on (value). A head gives position t the average of the values at s <= t, or at all s where
attention is not causal, weighted by how well the keys there match its query. Heads work side by
side on their own D channels, C / H as a rule, and a last projection mixes what they found.
"""

from autograd import scaled_dot_product_attention, split
from npgpt.model.module import INIT_STD, Linear, Module, branch_std


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
        y_BHTD = self.attend(q, k, v)
        y_BTC = y_BHTD.swapaxes(1, 2).reshape(x_BTC.shape)  # b h t d -> b t (h d)
        return self.c_proj(y_BTC)

    def attend(self, q, k, v):
        # scores are divided by sqrt(D) there, unless it is given a `scale`
        return scaled_dot_product_attention(q, k, v, causal=True)

    def heads(self, x_BTC):
        """Queries, keys and values, (B, H, T, D) each."""
        B, T, C = x_BTC.shape
        H = self.n_head
        # The 3 C channels are the heads of q side by side, then those of k, then those of v.
        qkv_BTC = self.c_attn(x_BTC)
        qkv_BHTD = qkv_BTC.reshape(B, T, 3 * H, C // H).swapaxes(1, 2)  # b t (h d) -> b h t d
        return split(qkv_BHTD, H, axis=1)


class Attention(Module):
    """(B, T, C) -> (B, T, C): as Llama, BERT and T5 have it, with a projection each for q, k and v.

    n_kv_head   heads of keys and values, G, which divide n_head
    std         of the initial projections to q, k and v, and from the heads
    """

    def __init__(self, rng, n_embd, n_head, head_size, n_kv_head, *, bias, dtype,
                 std=(INIT_STD,) * 4):  # fmt: skip
        self.n_head, self.n_kv_head, inner = n_head, n_kv_head, n_head * head_size
        self.q = Linear(rng, n_embd, inner, bias=bias, dtype=dtype, std=std[0])
        for name, size in (("k", std[1]), ("v", std[2])):
            part = Linear(rng, n_embd, n_kv_head * head_size, bias=bias, dtype=dtype, std=size)
            setattr(self, name, part)
        self.o = Linear(rng, inner, n_embd, bias=bias, dtype=dtype, std=std[3])

    def __call__(self, x_BTC, source_BSC=None, *, turn=None, cache=None, bias=None, **settings):
        """source   what is read from, if it is not x
        turn     what is done to queries and keys before they meet, such as rotary positions
        cache    a KVCache in generation: the keys and values of the tokens before these
        bias, settings   of `autograd.scaled_dot_product_attention`
        """
        source_BSC = x_BTC if source_BSC is None else source_BSC
        q = _heads(self.q(x_BTC), self.n_head)
        k, v = (_heads(part(source_BSC), self.n_kv_head) for part in (self.k, self.v))
        if turn is not None:
            q, k = turn(q), turn(k)
        if cache is not None:
            k, v = cache.extend(self, k.data, v.data)
        y_BHTD = scaled_dot_product_attention(q, k, v, bias, **settings)
        y_BTHD = y_BHTD.swapaxes(1, 2)
        return self.o(y_BTHD.reshape(*x_BTC.shape[:2], -1))  # b t h d -> b t (h d)


def _heads(x_BTC, n_head):
    B, T, C = x_BTC.shape
    return x_BTC.reshape(B, T, n_head, C // n_head).swapaxes(1, 2)  # b t (h d) -> b h t d
