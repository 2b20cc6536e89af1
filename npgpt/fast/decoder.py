"""Compiled generation with a GPT or a Llama: one call of compiled code computes a token for all
rows.

The plain path is the model itself, ops under `no_grad` with a `KVCache`. With few rows, its time
goes into reading the weights and into Python between two ops, not into arithmetic.
`autograd.kernels.decode` computes a token without Python, from weights that may be stored in fewer
bytes (`npgpt.fast.storage`). The plain path computes long prompts, where many positions share each
read.
"""

import math
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np

from autograd.kernels import decode
from npgpt.config import check_handled
from npgpt.fast.storage import DTYPES, GROUP, HANDLED, PRODUCTS, StoredWeight, fill_panels
from npgpt.generate import KVCache

# The longest prompt, in tokens, that one step computes, a row for each token. With GPT-2 and 16
# tokens a step takes 0.27 of the plain path's time in float32 and 0.13 in int8; with 128 tokens it
# takes half of it, with 256 all of it.
SHORT = 128


class Decoder:
    """A callable from contexts to next-token logits, as `npgpt.generate.CachedLogits`.

    model   a GPT or a Llama in float32, whose matrices are copied
    kind    their storage, one of `npgpt.fast.storage.STORAGE_FORMATS`

    A context that extends its row's previous one by one token is a step. All others are prompts,
    of which equal ones are computed once, and of a long one that begins as before only the rest.
    """

    def __init__(self, model, kind="fp32"):
        where = "HANDLED of npgpt/fast/storage.py"
        check_handled(model.config, HANDLED[type(model)], "the compiled decoder", where)
        self.model, self.config = model, model.config
        self.parameters = {
            name: weight.held if isinstance(weight, StoredWeight) else weight.data
            for name, weight in model.parameters().items()
        }
        self.turns_TD = _turns(self.config)
        self.inner = len(self.parameters["h.0.mlp.c_proj.weight"])
        products = PRODUCTS[type(model)]
        blocks = [f"h.{layer}." for layer in range(self.config.n_layer)]
        rows = [[block + name for name in row] for block in blocks for row in products]
        # The largest comes first, so that the threads that fill them end together.
        head, *rest = self._products([["lm_head"], *rows], kind)
        norms = [block + norm for block in blocks for norm in ("ln_1", "ln_2")] + ["ln_f"]
        C = self.config.n_embd
        # self.products and self.norms keep the arrays at these addresses alive
        self.products = [*rest, head]
        self.norms = [(self.parameters[f"{norm}.weight"], self._bias(norm, C)) for norm in norms]
        self.addresses = _addresses(self.products), _addresses(self.norms)
        self.read, self.kv = [], None

    def _products(self, names, kind):
        """Return the stored weight, scales, bias, scales of groups, and codes in a byte of each."""
        weights = [list(map(self._weight, row)) for row in names]
        in_byte = [min(getattr(weight, "in_byte", 1) for weight in row) for row in weights]
        shapes = [(_panels(row), row[0].shape[1] // codes, decode.WIDTH)
                  for row, codes in zip(weights, in_byte, strict=True)]
        # One array, which the system puts on large pages: reading int8 takes 0.9 of the time.
        ends = np.cumsum([math.prod(shape) for shape in shapes])
        stored = np.empty(ends[-1], DTYPES[kind])
        slices = np.split(stored, ends[:-1])
        panels = [flat.reshape(shape) for flat, shape in zip(slices, shapes, strict=True)]
        self.like = stored[:0]
        # The bytes of weights that a token reads; a group has four bytes of its own.
        counts = [sum(weight_OI.size for weight_OI in row) for row in weights]
        read = sum(size // codes for size, codes in zip(counts, in_byte, strict=True))
        self.bytes_per_token = read * stored.itemsize + (kind == "q8") * sum(counts) // GROUP * 4

        def fill(panels_PIW, weights):
            if isinstance(weights[0], np.ndarray):
                return fill_panels(panels_PIW, _joined(weights), kind)
            codes, scales = zip(*(weight.stored() for weight in weights), strict=True)
            scales = _joined([x.reshape(len(x), -1) for x in scales])
            scales = scales.reshape(len(scales), -1, 2)
            return fill_panels(panels_PIW, _joined(codes), kind, scales)

        with ThreadPoolExecutor(numba.get_num_threads()) as pool:
            scales = pool.map(fill, panels, weights)
        return [
            (panels_PIW, scale_O, self._bias(row[0], scale_O.size), groups, codes)
            for row, panels_PIW, (scale_O, groups), codes in zip(
                names, panels, scales, in_byte, strict=True)
        ]

    def _weight(self, name):
        """Return a matrix (O, I)."""
        if name == "lm_head" and self.config.tie_weights:
            return self.parameters["wte.weight"]
        return self.parameters[f"{name}.weight"].T

    def _bias(self, name, size):
        given = self.parameters.get(f"{name}.bias", np.zeros(0, np.float32))
        return np.pad(given, (0, size - len(given)))

    def __call__(self, contexts):
        """Return the logits (B, V) after B contexts (T,)."""
        if len(contexts) != len(self.read):
            c = self.config
            heads = getattr(c, "kv_heads", c.n_head)
            shape = (c.n_layer, 2, len(contexts), heads, c.block_size, c.n_embd // c.n_head)
            self.kv, self.read = np.empty(shape, np.float32), [()] * len(contexts)
        logits_BV = np.empty((len(contexts), self.config.vocab_size), np.float32)
        continues = np.array([_continues(*pair) for pair in zip(contexts, self.read, strict=True)])
        steps, prompts = np.flatnonzero(continues), []
        if steps.size:
            ids_B = np.array([contexts[b][-1] for b in steps])
            before_B = np.array([len(contexts[b]) - 1 for b in steps])
            logits_BV[steps] = self._compute(steps, ids_B, before_B, len(steps))
        for b in np.flatnonzero(~continues):
            context, kept = contexts[b], _kept(contexts[b], self.read[b])
            rest = len(context) - kept
            if kept and rest <= SHORT and self._knows(context):
                rows, before = np.full(rest, b), np.arange(kept, len(context))
                logits_BV[b] = self._compute(rows, context[kept:], before, 1)
            else:
                prompts.append(b)
        self._prompts(np.array(prompts, np.int64), contexts, logits_BV)
        self.read = [np.array(ids) for ids in contexts]  # the caller may write into its own
        return logits_BV

    def _compute(self, rows_B, ids_B, before_B, count):
        """Return the logits (count, V) after the last `count` of B tokens, each in its row."""
        x_BC = self.parameters["wte.weight"][ids_B]
        if "wpe.weight" in self.parameters:
            x_BC += self.parameters["wpe.weight"][before_B]
        logits_BV = np.empty((count, self.config.vocab_size), np.float32)
        decode.gpt_step(
            x_BC, *self.addresses, self.kv, rows_B, before_B, self.turns_TD, self.like, self.inner,
            getattr(self.config, "norm_eps", 1e-5), logits_BV,
        )
        return logits_BV

    def _knows(self, ids):
        """Return whether all ids are tokens; the model raises the error if not."""
        return ids.min() >= 0 and ids.max() < self.config.vocab_size

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
            if unique_UT.size <= SHORT and self._knows(unique_UT):
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


def _panels(weights_OI):
    """Return how many panels hold the weights of a product."""
    if _gated(weights_OI):
        return -(-len(weights_OI[0]) // (decode.WIDTH // 2))
    return -(-sum(map(len, weights_OI)) // decode.WIDTH)


def _gated(weights_OI):
    return len(weights_OI) == 2


def _joined(weights_OI):
    """Return the weights of a product as one: of a gate and its factor, half a panel in turn."""
    if len(weights_OI) == 1:
        return weights_OI[0]
    if not _gated(weights_OI):
        return np.concatenate(weights_OI)
    half, I = decode.WIDTH // 2, weights_OI[0].shape[1]  # noqa: E741
    both = np.zeros((2, _panels(weights_OI) * half, I), weights_OI[0].dtype)
    both[:, : len(weights_OI[0])] = weights_OI
    return both.reshape(2, -1, half, I).swapaxes(0, 1).reshape(-1, I)


def _turns(config):
    """Return cosines and sines of rotary positions, (T, D); of a GPT an empty array."""
    D = config.n_embd // config.n_head
    if not hasattr(config, "rope_base"):
        return np.empty((0, D), np.float32)
    frequency_E = float(config.rope_base) ** (-np.arange(D // 2) / (D // 2))
    angle_TE = np.arange(config.block_size)[:, None] * frequency_E
    return np.concatenate([np.cos(angle_TE), np.sin(angle_TE)], axis=1).astype(np.float32)


def _kept(context, read):
    """Return how many tokens at the beginning of a context were there before."""
    size = min(len(context) - 1, len(read))
    return int(np.argmin(np.append(np.equal(context[:size], read[:size]), False)))


def _addresses(rows):
    """Return the addresses of arrays, 0 for None; numbers stay."""
    def of(x):
        return x.ctypes.data if isinstance(x, np.ndarray) else x or 0

    return np.array([[of(x) for x in row] for row in rows], np.int64)
