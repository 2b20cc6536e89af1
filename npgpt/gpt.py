"""GPT, the complete model: from token ids to the logits of the next token, and the loss.

    tokens (B, T) -> embeddings (B, T, C) -> n_layer blocks -> norm -> logits (B, T, V)

Attributes are named as in the published GPT-2: `h.0.attn.c_attn.weight` is the same array in both.
Weights of linear layers have shape (in, out), so that code reads x @ w.
Source: Radford et al., Language Models are Unsupervised Multitask Learners (GPT-2), 2019.
"""

import itertools
import math
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Self, Unpack

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from autograd import (
    Tensor,
    cross_entropy,
    dropout,
    embedding,
    gelu,
    layer_norm,
    linear,
    linear_cross_entropy,
    no_grad,
    scaled_dot_product_attention,
    split,
    transpose,
)
from npgpt.config import GPTConfig
from npgpt.generate import KVCache, generate, stream
from npgpt.sampling import Sampling, SamplingKeywords

INIT_STD = 0.02  # the standard deviation of initial weights, as in GPT-2
UNDRAWN = ContextVar("undrawn", default=None)  # (shape, dtype) -> initial weights to replace
IN_EVAL_MODE = ContextVar("in_eval_mode", default=())  # models in `evaluating` blocks, by thread
# What lies above the core; `npgpt/__init__.py`, which is always loaded first, fills it.
ABOVE: dict[str, Callable] = {}
MaybeIds = ArrayLike | None  # token ids or a mask that may be left out
LogitsAndLoss = tuple[Tensor, Any]  # the loss, a Tensor, or None without targets


# ---- Layers


class Module:
    """A part of a model. Its attributes are Tensors, Modules and lists of Modules."""

    def __init_subclass__(cls) -> None:
        if "forward" in vars(cls):
            raise TypeError(f"{cls.__name__}.forward is never called; name it __call__")

    def parameters(self) -> dict[str, Tensor]:
        """Return {dotted name: weight}, each weight once, in a fixed order."""
        return {
            f"{path}.{name}".lstrip("."): value
            for path, module in self.named_modules()
            for name, value in vars(module).items() if isinstance(value, Tensor)
        }

    def named_modules(self, path: str = "") -> Iterator[tuple[str, "Module"]]:
        """Yield (dotted path, Module) for this module, at `path`, and for all modules in it."""
        yield path, self
        for name, value in vars(self).items():
            children = {name: value}
            if isinstance(value, list):
                children = {f"{name}.{i}": child for i, child in enumerate(value)}
            for inner, child in children.items():
                if isinstance(child, Module):
                    yield from child.named_modules(f"{path}.{inner}".lstrip("."))


class Linear(Module):
    """y = x weight + bias.    weight (I, O), bias (O,) or None"""

    def __init__(self, rng, n_in, n_out, *, bias, dtype, std):
        self.weight = normal(rng, (n_in, n_out), std, dtype)
        self.bias = Tensor(np.zeros(n_out, dtype), requires_grad=True) if bias else None

    def __call__(self, x):
        return linear(x, self.weight, self.bias)


class LayerNorm(Module):
    """y = (x - mean) / std * weight + bias, over channels.    weight (C,), bias (C,) or None"""

    def __init__(self, n_embd, *, bias, dtype, eps=1e-5):
        self.weight = Tensor(np.ones(n_embd, dtype), requires_grad=True)
        self.bias = Tensor(np.zeros(n_embd, dtype), requires_grad=True) if bias else None
        self.eps = eps

    def __call__(self, x):
        return layer_norm(x, self.weight, self.bias, self.eps)


class Embedding(Module):
    """y = weight[indices], one learned row per index.    weight (rows, C), (...) -> (..., C)"""

    def __init__(self, rng, n_rows, n_embd, *, dtype, std):
        self.weight = normal(rng, (n_rows, n_embd), std, dtype)

    def __call__(self, indices):
        return embedding(self.weight, indices)


def normal(rng, shape, std, dtype):
    """Return weights drawn in float64, then rounded: all dtypes start from the same model."""
    undrawn = UNDRAWN.get()
    array = undrawn(shape, dtype) if undrawn else (rng.standard_normal(shape) * std).astype(dtype)
    return Tensor(array, requires_grad=True)


@contextmanager
def without_initial_weights(array=np.empty):
    """Leave the matrices of new models uninitialised inside a `with` block.

    A loader replaces them, and drawing a hundred million numbers takes seconds.
    """
    with _during(UNDRAWN, array), np.errstate(all="ignore"):
        yield


@contextmanager
def _during(variable, value):
    before = variable.set(value)
    try:
        yield
    finally:
        variable.reset(before)


def init_std(config, fan_in):
    """Return the deviation of initial weights by `config.init`.

    gpt2     0.02, about 1/sqrt(n_embd) at GPT-2's sizes
    fan_in   1/sqrt(fan_in), which keeps a variance of 1 (LeCun et al., Efficient BackProp, 1998)
    """
    return INIT_STD if config.init == "gpt2" else fan_in**-0.5


def branch_std(config, fan_in):
    """Return the deviation of a branch's last weights: smaller, as 2 n_layer branches add up."""
    return init_std(config, fan_in) / math.sqrt(2 * config.n_layer)


# ---- A block: attention, then an MLP


class CausalSelfAttention(Module):
    """Multi-head attention: each position reads itself and earlier ones.    (B, T, C) -> (B, T, C)

    Every position has a query (what it looks for), a key (what it offers) and a value (what it
    passes on). In each of H heads, with D = C / H channels, position t receives the mean of the
    values at s <= t, weighted by how well the key at s matches the query at t.

    cache   in generation, a `KVCache`: the keys and values of the tokens before these
    mask    in training on rows of several texts, `first`: see `scaled_dot_product_attention`
    """

    def __init__(self, rng, config, dtype):
        C, bias = config.n_embd, config.bias
        self.n_head = config.n_head
        std = init_std(config, C)
        self.c_attn = Linear(rng, C, 3 * C, bias=bias, dtype=dtype, std=std)  # q, k and v in one
        self.c_proj = Linear(rng, C, C, bias=bias, dtype=dtype, std=branch_std(config, C))

    def __call__(self, x_BTC, cache=None, **mask):
        q, k, v = self.heads(x_BTC)
        if cache is not None:
            k, v = cache.extend(self, k.data, v.data)
        y_BHTD = scaled_dot_product_attention(q, k, v, causal=True, **mask)  # scores / sqrt(D)
        return self.c_proj(y_BHTD.swapaxes(1, 2).reshape(x_BTC.shape))  # b h t d -> b t (h d)

    def heads(self, x_BTC):
        """Return the queries, keys and values, (B, H, T, D) each."""
        B, T, C = x_BTC.shape
        H = self.n_head
        # The 3 C channels hold all heads of q, then all heads of k, then all heads of v.
        qkv_BHTD = self.c_attn(x_BTC).reshape(B, T, 3 * H, C // H).swapaxes(1, 2)
        return split(qkv_BHTD, H, axis=1)


class MLP(Module):
    """y = f(x W + b) W' + b' at each position.    (B, T, C) -> (B, T, F) -> (B, T, C)

    f, std   an activation; the deviations of the initial W and W'
    """

    def __init__(self, rng, n_embd, n_inner, f, *, bias, dtype, std):
        self.f = f
        self.c_fc = Linear(rng, n_embd, n_inner, bias=bias, dtype=dtype, std=std[0])
        self.c_proj = Linear(rng, n_inner, n_embd, bias=bias, dtype=dtype, std=std[1])

    def __call__(self, x_BTC):
        return self.c_proj(self.f(self.c_fc(x_BTC)))


class Block(Module):
    """Attention, then an MLP, each added to the residual stream.    (B, T, C) -> (B, T, C)

    Pre-norm: a branch normalises its own input, and the sum x + branch(x) is not normalised. So the
    gradient has a path from `ln_f` to every block through additions alone.

    drop   the dropout applied to each branch before it is added
    """

    def __init__(self, rng, config, dtype):
        C, bias = config.n_embd, config.bias
        self.ln_1 = LayerNorm(C, bias=bias, dtype=dtype)
        self.attn = CausalSelfAttention(rng, config, dtype)
        self.ln_2 = LayerNorm(C, bias=bias, dtype=dtype)
        std = (init_std(config, C), branch_std(config, 4 * C))
        self.mlp = MLP(rng, C, 4 * C, gelu, bias=bias, dtype=dtype, std=std)

    def __call__(self, x_BTC, drop, cache=None, **mask):
        x_BTC = x_BTC + drop(self.attn(self.ln_1(x_BTC), cache, **mask))
        return x_BTC + drop(self.mlp(self.ln_2(x_BTC)))


# ---- The model


class Model(Module):
    """The base class of all models: weights by name, a training mode, dropout, an output layer.

    A subclass has `Config`, the class of its settings, `wte`, the token embedding, and `lm_head`
    unless `config.tie_weights`.

    seed    determines the initial weights and the dropout masks
    dtype   float32 for training, float64 for gradient checks; both have the same initial weights

    A new model is in training mode, in which dropout acts; one that was loaded, in evaluation mode;
    `eval()` and `train()` switch it. The masks depend on (seed, dropout_step); each forward pass in
    training increments dropout_step. Set it to repeat a forward pass exactly.
    """

    def __init__(self, config: Any, seed: int) -> None:
        self.config, self.seed = config, seed
        self.training, self.dropout_step = True, 0
        self.storage = None  # the format of `npgpt.fast.storage` that it generates from

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.config}, {self.num_parameters():,} parameters)"

    def head(self, x_BTC: Tensor) -> Tensor:
        """Return logits, dot products of x with each token's vector.    (..., C) -> (..., V)"""
        if self.config.tie_weights:
            return linear(x_BTC, transpose(self.wte.weight))
        return self.lm_head(x_BTC)

    def head_loss(self, x_BTC: Tensor, targets_BT: ArrayLike) -> Tensor:
        """Return the mean cross-entropy of `head(x_BTC)` without holding all logits in memory."""
        table_VC = self.wte.weight if self.config.tie_weights else transpose(self.lm_head.weight)
        return linear_cross_entropy(x_BTC, table_VC, targets_BT)

    def num_parameters(self) -> int:
        """Return the number of weights, tied ones counted once."""
        return sum(weight.size for weight in self.parameters().values())

    def train(self) -> Self:
        """Switch dropout on."""
        self.training = True
        return self

    def eval(self) -> Self:
        """Switch dropout off."""
        self.training = False
        return self

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Switch dropout and gradients off inside a `with` block, for this thread alone."""
        with _during(IN_EVAL_MODE, (*IN_EVAL_MODE.get(), self)), no_grad():
            yield

    def _dropout(self):
        """Return the dropout of one forward pass: a function with a new mask at each call."""
        p = self.config.dropout
        if p == 0 or not self.training or self in IN_EVAL_MODE.get():
            return lambda x: x
        # Dropout hashes its seed, so distinct seeds suffice: 2^12 for each forward pass.
        masks = itertools.count((self.seed << 40) + (self.dropout_step << 12))
        self.dropout_step += 1
        return lambda x: dropout(x, p, seed=next(masks))

    def _checked(self, idx_BT, longest=math.inf):
        """Return token ids as an array (B, T); ValueError for a wrong rank, or T > longest."""
        idx_BT, T = np.asarray(idx_BT), self.config.block_size
        if idx_BT.ndim != 2 or not 1 <= idx_BT.shape[1] <= longest:
            raise ValueError(f"{type(self).__name__}: ids of shape {idx_BT.shape}; give (batch, "
                             f"time), 1 to {longest} tokens (block_size={T}): idx[None], or "
                             f"the last, idx[:, -{T}:]")
        return idx_BT

    @classmethod
    def from_pretrained(cls, folder: str | Path, weights: str | None = None) -> Self:
        """Return a model in float32 and evaluation mode from a folder of the transformers library.

        folder    or the name of a model on the Hugging Face Hub, if huggingface_hub is installed
        weights   their dtype in compiled generation: "fp32", "bf16", "int8" or "q8"; "plain" for
                  ops alone; None: "fp32" where it pays (`npgpt.fast.storage`), else "plain"

        Raises FileNotFoundError for a missing file, ValueError for a model that does not fit.
        """
        return ABOVE["from_pretrained"](cls, folder, weights)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors for the transformers library."""
        ABOVE["save_pretrained"](self, folder)


class CausalLM(Model):
    """The base class of models that predict each token from the tokens before it.

    A subclass has `h`, the blocks, `ln_f`, the last norm, and `_embedded`.
    """

    def hidden(
        self, idx_BT: ArrayLike, cache: KVCache | None = None, starts_BT: MaybeIds = None
    ) -> Tensor:
        """Return the output of the last norm at each position, (B, T, C).

        cache      a `KVCache` of the tokens before these; it receives no gradients
        starts_BT  where the text of each token begins, if a row holds several: none reads another,
                   and each counts its positions from 0
        """
        before = cache.length if cache else 0
        idx_BT = self._checked(idx_BT, self.config.block_size - before)
        drop = self._dropout()
        positions, mask = np.arange(before, before + idx_BT.shape[1]), {}
        if starts_BT is not None:
            positions, mask = positions - starts_BT, {"first": starts_BT}
        x_BTC = drop(self._embedded(idx_BT, positions))
        for block in self.h:
            x_BTC = block(x_BTC, drop, cache, **mask)
        return self.ln_f(x_BTC)

    def __call__(self, idx_BT: ArrayLike, targets_BT: MaybeIds = None) -> LogitsAndLoss:
        """Return (logits (B, T, V), mean cross-entropy in nats per token, None without targets).

        idx_BT      token ids, T at most block_size
        targets_BT  the token that follows each; -1 excludes a position from the loss

        Raises ValueError for a wrong rank or a context longer than block_size, TypeError for ids
        that are not integers, IndexError for ids outside the vocabulary.
        """
        logits_BTV = self.head(self.hidden(idx_BT))
        return logits_BTV, None if targets_BT is None else cross_entropy(logits_BTV, targets_BT)

    def loss(
        self, idx_BT: ArrayLike, targets_BT: ArrayLike, starts_BT: MaybeIds = None
    ) -> Tensor:
        """Return the loss alone, for training: it needs less memory than all logits."""
        return self.head_loss(self.hidden(idx_BT, starts_BT=starts_BT), targets_BT)

    def next_logits(self, idx_BT: ArrayLike, cache: KVCache | None = None) -> np.ndarray:
        """Return the logits of the token after the last, an ndarray (B, V), without gradients."""
        with self.evaluating():
            return self.head(self.hidden(idx_BT, cache)[:, -1]).data

    def generate(
        self, idx: Any, max_new_tokens: int, *, seed: int | None = None,
        stop: int | Collection[int] | None = None, **sampling: Unpack[SamplingKeywords],
    ) -> Any:
        """Continue token ids (T,) or (B, T), or a list of rows of different lengths.

        sampling   settings of `npgpt.sampling.Sampling`; the rest is as in `npgpt.generate`
        """
        return generate(self.decoder(), idx, max_new_tokens, Sampling(**sampling),
                        block_size=self.config.block_size, seed=seed, stop=stop)

    def stream(
        self, idx_T: ArrayLike, max_new_tokens: int, *, seed: int | None = None,
        stop: int | Collection[int] | None = None, **sampling: Unpack[SamplingKeywords],
    ) -> Iterator[int]:
        """Return an iterator over the new token ids of one text; keywords as in `generate`."""
        return stream(self.decoder(), idx_T, max_new_tokens, Sampling(**sampling),
                      block_size=self.config.block_size, seed=seed, stop=stop)

    def decoder(self) -> Callable[..., np.ndarray]:
        """Return a function from contexts to next-token logits; for many texts make it once."""
        return ABOVE["decoder"](self)


class GPT(CausalLM):
    """GPT-2: learned positions are added to the token embeddings."""

    Config = GPTConfig

    def __init__(self, config: GPTConfig, seed: int = 0, dtype: DTypeLike = np.float32) -> None:
        super().__init__(config, seed)
        rng = np.random.default_rng(seed)
        C, V, std = config.n_embd, config.vocab_size, init_std(config, config.n_embd)
        self.wte = Embedding(rng, V, C, dtype=dtype, std=std)  # a vector for each token ...
        self.wpe = Embedding(rng, config.block_size, C, dtype=dtype, std=std)  # ... and position
        self.h = [Block(rng, config, dtype) for _ in range(config.n_layer)]
        self.ln_f = LayerNorm(C, bias=config.bias, dtype=dtype)
        if not config.tie_weights:
            self.lm_head = Linear(rng, C, V, bias=False, dtype=dtype, std=std)

    def _embedded(self, idx_BT, positions):
        """Return the input of the first block, before dropout, (B, T, C)."""
        return self.wte(idx_BT) + self.wpe(positions)
