"""The fast path of a GPT's generation: a token for all rows is one call of compiled code.

The plain path is the model itself, ops under `no_grad`, with the `cache` of keys and values. What
takes its time with few rows is not arithmetic but reading the weights, and what Python does between
two ops. `autograd.kernels.decode` computes a whole token without Python, and reads weights that are
stored in float32, bfloat16 or int8 (`weights`). A long prompt is computed by the plain path, as
there many positions share each weight.
"""

import numpy as np

from autograd.kernels import decode
from npgpt.config import check_known
from npgpt.fast.weights import DTYPES, fill_panels
from npgpt.generate import KVCache

# Tokens of prompts up to which a step, with a row for each, is faster than the plain path: of a
# GPT-2 with 16 tokens it takes 0.27 of the time in float32 and 0.13 in int8, with 128 half of it,
# and with 256 as long.
SHORT = 128
KNOWN = {
    "vocab_size", "block_size", "n_layer", "n_head", "n_embd", "dropout", "bias", "tie_weights",
}  # fmt: skip
PRODUCTS = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")


class Decoder:
    """The logits after each of several contexts, as `npgpt.generate.CachedLogits`.

    model   a GPT in float32, as it is now: its matrices are copied
    kind    of `npgpt.fast.weights.KINDS`: how they are stored

    A context that continues the last one of its row by one token is a step. Any other is a prompt;
    of several that are the same, one is computed.
    """

    def __init__(self, model, kind="fp32"):
        check_known(model.config, KNOWN, "the compiled decoder")
        self.model, self.config = model, model.config
        parameters = {name: weight.data for name, weight in model.parameters().items()}
        self.tokens_VC, self.positions_TC = parameters["wte.weight"], parameters["wpe.weight"]
        blocks = [f"h.{layer}." for layer in range(self.config.n_layer)]
        weights = [
            (parameters[f"{block}{part}.weight"].T, f"{block}{part}.bias")
            for block in blocks for part in PRODUCTS
        ]  # fmt: skip
        table_VC = self.tokens_VC
        if not self.config.tie_weights:
            table_VC = parameters["lm_head.weight"].T
        weights.append((table_VC, None))
        norms = [f"{block}{norm}" for block in blocks for norm in ("ln_1", "ln_2")] + ["ln_f"]

        def bias(name, size):
            return parameters.get(name, np.zeros(size, np.float32))

        rows = [-(-len(weight_OI) // decode.WIDTH) * weight_OI.shape[1] for weight_OI, _ in weights]
        # One array, which the system gives in large pages: reading int8 takes 0.9 of the time.
        stored = np.empty((sum(rows), decode.WIDTH), DTYPES[kind])
        self.products = []
        parts = np.split(stored, np.cumsum(rows)[:-1])
        for part, (weight_OI, name) in zip(parts, weights, strict=True):
            panels_PIW = part.reshape(-1, weight_OI.shape[1], decode.WIDTH)
            scale_O = fill_panels(panels_PIW, weight_OI, kind)
            self.products.append((panels_PIW, scale_O, bias(name, len(weight_OI))))
        self.norms = [
            (parameters[f"{name}.weight"], bias(f"{name}.bias", self.config.n_embd))
            for name in norms
        ]
        # of arrays that self.products and self.norms keep alive
        self.addresses = _addresses(self.products), _addresses(self.norms)
        self.like = stored[:0].reshape(-1)
        self.read, self.kv = [], None

    @property
    def bytes_per_token(self):
        """Bytes of weights that a token reads."""
        weights = sum(len(scale_O) * panels.shape[1] for panels, scale_O, _ in self.products)
        return weights * self.like.itemsize

    def __call__(self, contexts):
        """Logits (B, V) for B contexts (T,)."""
        if len(contexts) != len(self.read):
            c = self.config
            shape = (c.n_layer, 2, len(contexts), c.n_head, c.block_size, c.n_embd // c.n_head)
            self.kv, self.read = np.empty(shape, np.float32), [()] * len(contexts)
        steps = np.array([_continues(*pair) for pair in zip(contexts, self.read, strict=True)])
        logits_BV = np.empty((len(contexts), self.config.vocab_size), np.float32)
        if steps.all():
            self._step(np.arange(len(contexts)), contexts, logits_BV)
        else:
            rows = np.flatnonzero(steps)
            if rows.size:
                of_steps = np.empty((rows.size, logits_BV.shape[1]), np.float32)
                self._step(rows, [contexts[b] for b in rows], of_steps)
                logits_BV[rows] = of_steps
            self._prompts(np.flatnonzero(~steps), contexts, logits_BV)
        self.read = contexts
        return logits_BV

    def _step(self, rows_B, contexts, logits_BV):
        ids_B = np.array([context[-1] for context in contexts])
        before_B = np.array([len(context) - 1 for context in contexts])
        self._compute(rows_B, ids_B, before_B, logits_BV)

    def _compute(self, rows_B, ids_B, before_B, logits_BV):
        x_BC = self.tokens_VC[ids_B] + self.positions_TC[before_B]
        decode.gpt_step(
            x_BC, *self.addresses, self.kv, rows_B, before_B, self.like, 4 * self.config.n_embd,
            1e-5, logits_BV,
        )  # fmt: skip

    def _prompts(self, rows, contexts, logits_BV):
        """Those of one length are a batch, in which equal ones are computed once."""
        lengths = np.array([len(contexts[b]) for b in rows])
        for T in dict.fromkeys(lengths.tolist()):
            same = rows[lengths == T]
            unique_UT, first, which = np.unique(
                np.stack([contexts[b] for b in same]), axis=0, return_index=True,
                return_inverse=True,
            )  # fmt: skip
            computed, which = same[first], which.reshape(-1)
            known = unique_UT.min() >= 0 and unique_UT.max() < self.config.vocab_size
            if unique_UT.size <= SHORT and known:  # if not, the model says what is wrong
                U = len(computed)
                logits_UV = np.empty((U, logits_BV.shape[1]), np.float32)
                self._compute(  # all first tokens, all second ones, ...: the last ones come last
                    np.tile(computed, T), unique_UT.T.ravel(), np.repeat(np.arange(T), U), logits_UV
                )  # fmt: skip
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
