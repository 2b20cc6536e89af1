"""Compiled generation with a GPT: one call of compiled code computes a token for all rows.

The plain path is the model itself, ops under `no_grad` with a `KVCache`. With few rows, its time
goes into reading the weights and into Python between two ops, not into arithmetic.
`autograd.kernels.decode` computes a token without Python, from weights in float32, bfloat16 or int8
(`npgpt.fast.storage`). The plain path computes long prompts, where many positions share each read.
"""

from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

import numba
import numpy as np

from autograd.kernels import decode
from npgpt.config import check_handled
from npgpt.fast.storage import DTYPES, fill_panels
from npgpt.generate import KVCache

# The longest prompt, in tokens, that one step computes, a row for each token. With GPT-2 and 16
# tokens a step takes 0.27 of the plain path's time in float32 and 0.13 in int8; with 128 tokens it
# takes half of it, with 256 all of it.
SHORT = 128
HANDLED = {
    "vocab_size", "block_size", "n_layer", "n_head", "n_embd", "bias", "tie_weights",
}
PRODUCTS = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")


class Decoder:
    """A callable from contexts to next-token logits, as `npgpt.generate.CachedLogits`.

    model   a GPT in float32, whose matrices are copied
    kind    their storage, one of `npgpt.fast.storage.STORAGE_FORMATS`

    A context that extends its row's previous one by one token is a step. All others are prompts;
    equal prompts are computed once.
    """

    def __init__(self, model, kind="fp32"):
        where = "HANDLED of npgpt/fast/decoder.py"
        check_handled(model.config, HANDLED, "the compiled decoder", where)
        self.model, self.config = model, model.config
        parameters = {name: weight.data for name, weight in model.parameters().items()}
        self.tokens_VC, self.positions_TC = parameters["wte.weight"], parameters["wpe.weight"]

        def bias(name, size):
            return parameters.get(f"{name}.bias", np.zeros(size, np.float32))

        blocks = [f"h.{layer}." for layer in range(self.config.n_layer)]
        names = [block + name for block in blocks for name in PRODUCTS]
        tied = self.config.tie_weights
        # The largest comes first, so that the threads below end together.
        weights = {"lm_head": self.tokens_VC if tied else parameters["lm_head.weight"].T}
        weights |= {name: parameters[f"{name}.weight"].T for name in names}
        rows = [-(-len(w_OI) // decode.WIDTH) * w_OI.shape[1] for w_OI in weights.values()]
        # One array, which the system puts on large pages: reading int8 takes 0.9 of the time.
        stored = np.empty((sum(rows), decode.WIDTH), DTYPES[kind])
        slices = np.split(stored, np.cumsum(rows)[:-1])
        panels = [
            slice_.reshape(-1, w_OI.shape[1], decode.WIDTH)
            for slice_, w_OI in zip(slices, weights.values(), strict=True)
        ]
        with ThreadPoolExecutor(numba.get_num_threads()) as pool:
            scales = pool.map(fill_panels, panels, weights.values(), repeat(kind))
        biases = [bias(name, len(w_OI)) for name, w_OI in weights.items()]
        head, *rest = zip(panels, scales, biases, strict=True)
        self.products = [*rest, head]
        norms = [block + norm for block in blocks for norm in ("ln_1", "ln_2")] + ["ln_f"]
        self.norms = [
            (parameters[f"{name}.weight"], bias(name, self.config.n_embd)) for name in norms
        ]
        # self.products and self.norms keep the arrays at these addresses alive
        self.addresses = _addresses(self.products), _addresses(self.norms)
        self.like = stored[:0].reshape(-1)
        self.read, self.kv = [], None

    @property
    def bytes_per_token(self):
        """The bytes of weights that a token reads."""
        weights = sum(len(scale_O) * panels.shape[1] for panels, scale_O, _ in self.products)
        return weights * self.like.itemsize

    def __call__(self, contexts):
        """Return the logits (B, V) after B contexts (T,)."""
        if len(contexts) != len(self.read):
            c = self.config
            shape = (c.n_layer, 2, len(contexts), c.n_head, c.block_size, c.n_embd // c.n_head)
            self.kv, self.read = np.empty(shape, np.float32), [()] * len(contexts)
        logits_BV = np.empty((len(contexts), self.config.vocab_size), np.float32)
        continues = np.array([_continues(*pair) for pair in zip(contexts, self.read, strict=True)])
        steps, prompts = np.flatnonzero(continues), np.flatnonzero(~continues)
        if steps.size:
            ids_B = np.array([contexts[b][-1] for b in steps])
            before_B = np.array([len(contexts[b]) - 1 for b in steps])
            logits_BV[steps] = self._compute(steps, ids_B, before_B, len(steps))
        self._prompts(prompts, contexts, logits_BV)
        self.read = contexts
        return logits_BV

    def _compute(self, rows_B, ids_B, before_B, count):
        """Return the logits (count, V) after the last `count` of B tokens, each in its row."""
        x_BC = self.tokens_VC[ids_B] + self.positions_TC[before_B]
        logits_BV = np.empty((count, self.config.vocab_size), np.float32)
        decode.gpt_step(
            x_BC, *self.addresses, self.kv, rows_B, before_B, self.like, 4 * self.config.n_embd,
            1e-5, logits_BV,
        )
        return logits_BV

    def _prompts(self, rows, contexts, logits_BV):
        """Compute prompts of equal length as a batch, and equal prompts once."""
        lengths = np.array([len(contexts[b]) for b in rows])
        for T in dict.fromkeys(lengths.tolist()):
            same = rows[lengths == T]
            unique_UT, first, which = np.unique(
                np.stack([contexts[b] for b in same]), axis=0, return_index=True,
                return_inverse=True,
            )
            computed, which = same[first], which.reshape(-1)
            in_vocabulary = unique_UT.min() >= 0 and unique_UT.max() < self.config.vocab_size
            if unique_UT.size <= SHORT and in_vocabulary:  # else the model raises the error
                U = len(computed)
                logits_UV = self._compute(  # by position: all first tokens, all second ones, ...
                    np.tile(computed, T), unique_UT.T.ravel(), np.repeat(np.arange(T), U), U
                )
            else:
                cache = KVCache(T)
                logits_UV = self.model.next_logits(unique_UT, cache)
                for kv, new in zip(self.kv, cache.layers.values(), strict=True):
                    kv[:, computed, :, :T] = new
            logits_BV[same] = logits_UV[which]
            for b, like in zip(same, computed[which], strict=True):
                if b != like:
                    self.kv[:, :, b, :, :T] = self.kv[:, :, like, :, :T]


def _continues(context, read):
    S = len(read)
    return S > 0 and len(context) == S + 1 and np.array_equal(context[:S], read)


def _addresses(rows):
    return np.array([[array.ctypes.data for array in row] for row in rows], np.int64)
