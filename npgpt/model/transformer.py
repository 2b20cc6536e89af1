"""What the models share: their weights by name, a training mode, an output layer, files; and for
those that continue a text, how.
"""

import itertools
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from autograd import (
    Tensor,
    backend,
    cross_entropy,
    dropout,
    linear,
    linear_cross_entropy,
    no_grad,
    transpose,
)
from npgpt.generation.cache import CachedLogits
from npgpt.generation.generate import generate, stream
from npgpt.generation.sampling import Sampling
from npgpt.generation.weights import use_weights
from npgpt.interop.huggingface import load_folder, local_folder, save_folder
from npgpt.model.module import Module, without_initial_weights
from npgpt.model.size import check_size

MaybeIds = ArrayLike | None  # token ids or a mask that may be left out
LogitsAndLoss = tuple[Tensor, Tensor | None]


class Transformer(Module):
    """A model. A subclass names its settings' class, `Config`, and its files' `layout`, a module of
    `npgpt.interop`; it sets `wte`, the token embedding, and `lm_head` unless weights are tied.

    config   a Config
    seed     determines the initial weights and the dropout masks
    dtype    float32 to work, float64 to check gradients; the initial weights are the same

    A model starts in training mode, in which dropout acts; `eval()` and `train()` switch. The masks
    of a training forward depend on (seed, dropout_step), and each such forward counts
    dropout_step up: set it to repeat a forward exactly.

    decodes   whether `npgpt.generation.decoder.Decoder` knows this kind of model
    weights   how generation stores them, set by `npgpt.generation.weights.use_weights`; None for
              the plain path, which reads them as they are
    """

    decodes, weights = False, None

    def __init__(self, config: Any, seed: int) -> None:
        if not isinstance(config, self.Config):
            name, kind = type(self).__name__, self.Config.__name__
            raise TypeError(f"{name}: the config is a {type(config).__name__}; write "
                            f"{name}({kind}(...))")  # fmt: skip
        self.config, self.seed = config, seed
        self.training, self.dropout_step = True, 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.config}, {self.num_parameters():,} parameters)"

    def head(self, x_BTC: Tensor) -> Tensor:
        """Logits: how well each token's output vector agrees with x.    (..., C) -> (..., V)"""
        if self.config.tie_weights:
            return linear(x_BTC, transpose(self.wte.weight))
        return self.lm_head(x_BTC)

    def head_loss(self, x_BTC: Tensor, targets_BT: ArrayLike) -> Tensor:
        """The loss of these logits, which are never whole in memory."""
        table_VC = self.wte.weight if self.config.tie_weights else transpose(self.lm_head.weight)
        return linear_cross_entropy(x_BTC, table_VC, targets_BT)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors as the transformers library reads them."""
        weights = {name: weight.data for name, weight in self.parameters().items()}
        save_folder(folder, self.layout, asdict(self.config), weights)

    @classmethod
    def from_pretrained(cls, folder: str | Path, weights: str | None = None) -> Self:
        """The model in a folder of the transformers library's layout, in float32.

        folder    or, with huggingface_hub installed, the name of a model there
        weights   "fp32", "bf16" or "int8": generate by the fast path from weights that are stored
                  so (`npgpt.generation.weights`); None for the plain path

        Weights that are in float32 in the file are not copied: they are read from it when they are
        first needed. Raises FileNotFoundError for a missing file, ValueError for another
        architecture, for weights that do not fit the configuration, or are not finite.
        """
        model = cls._loaded(local_folder(folder))
        return use_weights(model, weights) if weights else model

    @classmethod
    def _loaded(cls, folder):
        settings, weights = load_folder(folder, cls.layout)
        try:
            config = cls.Config(**settings)
        except ValueError as error:
            raise ValueError(f"{folder}: config.json describes no model; {error}") from error
        check_size(config, weights, folder)
        with without_initial_weights():
            model = cls(config)
        for name, parameter in model.parameters().items():
            found = weights.pop(name, None)
            if found is None or found.shape != parameter.shape:
                raise ValueError(
                    f"{folder}: weight {name} is {'absent' if found is None else found.shape}, by "
                    f"config.json {parameter.shape}; use the two files of one model"
                )
            if not np.isfinite(found).all():
                raise ValueError(
                    f"{folder}: weight {name} has values that are no finite numbers; restore its "
                    "file from a copy, or write it again"
                )
            parameter.data = found
        if weights:
            raise ValueError(
                f"{folder}: weights {sorted(weights)} have no place in a model of this "
                "config.json; use the two files of one model"
            )
        return model

    def grown(self, config: Any, seed: int) -> Self:
        """Return a model of this config and these weights; the vocabulary may be larger than here.

        The rows of new tokens, which come last, are those of a new model of this seed.
        """
        larger, old = type(self)(config, seed, self.wte.weight.dtype), self.parameters()
        for name, weight in larger.parameters().items():
            weight.data[tuple(map(slice, old[name].shape))] = old[name].data
        return larger

    def parameters(self) -> dict[str, Tensor]:
        """Each weight once, by its dotted name, in a fixed order."""
        return dict(self.named_parameters())

    def num_parameters(self) -> int:
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
        """`with model.evaluating():` no dropout and no gradients; the mode is restored after."""
        was_training = self.training
        self.eval()
        try:
            with no_grad():
                yield
        finally:
            self.training = was_training

    def _dropout(self):
        """The dropout of one forward: a function that uses another mask at each call."""
        p = self.config.dropout
        if p == 0 or not self.training:
            return lambda x: x
        # Any distinct seeds will do: dropout hashes them. 2^12 masks a forward.
        masks = itertools.count((self.seed << 40) + (self.dropout_step << 12))
        self.dropout_step += 1
        return lambda x: dropout(x, p, seed=next(masks))

    def _checked(self, idx_BT, longest=None):
        """Token ids as an array (B, T), T at most `longest`."""
        idx_BT = np.asarray(idx_BT)
        name, T = type(self).__name__, self.config.block_size
        if idx_BT.ndim != 2 or idx_BT.shape[1] < 1:
            raise ValueError(
                f"{name}: token ids of shape {idx_BT.shape}; give (batch, time) with 1 to {T} "
                "tokens: of one sequence make a batch, idx[None]"
            )
        if longest is not None and idx_BT.shape[1] > longest:
            raise ValueError(
                f"{name}: token ids of shape {idx_BT.shape}; give (batch, time) with 1 to {T} "
                f"tokens (block_size): of a longer context keep the last, idx[:, -{T}:]"
            )
        return idx_BT


class CausalTransformer(Transformer):
    """A decoder-only model. A subclass has `hidden(idx_BT, cache=None)`, (B, T, C)."""

    def __call__(self, idx_BT: ArrayLike, targets_BT: MaybeIds = None) -> LogitsAndLoss:
        """(logits (B, T, V), loss): the mean cross-entropy in nats per token, None without targets.

        idx_BT      token ids, T at most block_size
        targets_BT  the token that follows each; -1 for a position that does not count

        Raises ValueError for a wrong rank or a context longer than block_size, TypeError for ids
        that are no integers, IndexError for ids outside the vocabulary.
        """
        return with_loss(self.head(self.hidden(idx_BT)), targets_BT)

    def loss(self, idx_BT: ArrayLike, targets_BT: ArrayLike) -> Tensor:
        """The loss alone, which for training is enough: the logits are never whole in memory."""
        return self.head_loss(self.hidden(idx_BT), targets_BT)

    def next_logits(self, idx_BT: ArrayLike, cache: Any = None) -> np.ndarray:
        """The logits of the token after the last, an ndarray (B, V); no gradients, no dropout.

        cache   a `npgpt.generation.cache.KVCache` of the tokens before these
        """
        with self.evaluating():
            return self.head(self.hidden(idx_BT, cache)[:, -1]).data

    def decoder(self) -> Callable[..., np.ndarray]:
        """What computes logits for a loop over tokens: `Decoder` for a GPT whose `weights` say how
        it is to read them, else `CachedLogits`, the plain path.

        A Decoder copies the weights as they are now; to continue many texts, make one and give it
        to `npgpt.generation.generate.generate` or `stream`.
        """
        compiled = self.weights and self.decodes and self.wte.weight.dtype == np.float32
        if not compiled or backend.name != "numba":
            return CachedLogits(self.next_logits, self.config.block_size)
        from npgpt.generation.decoder import Decoder  # NumPy's backend needs no compiler

        return Decoder(self, self.weights)

    def generate(
        self, idx: Any, max_new_tokens: int, *, temperature: float = 1.0, top_k: int | None = None,
        top_p: float | None = None, min_p: float | None = None, repetition_penalty: float = 1.0,
        seed: int | None = None, stop: int | Collection[int] | None = None,
    ) -> Any:  # fmt: skip
        """Continue token ids (T,) or (B, T), or a list of rows of any lengths; see
        `npgpt.generation.generate.generate`, and `Sampling` for the settings.
        """
        return generate(
            self.decoder(), idx, max_new_tokens,
            Sampling(temperature, top_k, top_p, min_p, repetition_penalty),
            block_size=self.config.block_size, seed=seed, stop=stop,
        )  # fmt: skip

    def stream(
        self, idx_T: ArrayLike, max_new_tokens: int, *, temperature: float = 1.0,
        top_k: int | None = None, top_p: float | None = None, min_p: float | None = None,
        repetition_penalty: float = 1.0, seed: int | None = None,
        stop: int | Collection[int] | None = None,
    ) -> Iterator[int]:  # fmt: skip
        """Continue one text: an iterator over new token ids; the keywords are `generate`'s."""
        return stream(
            self.decoder(), idx_T, max_new_tokens,
            Sampling(temperature, top_k, top_p, min_p, repetition_penalty),
            block_size=self.config.block_size, seed=seed, stop=stop,
        )  # fmt: skip


def with_loss(logits_BTV: Tensor, targets_BT: MaybeIds) -> LogitsAndLoss:
    """(logits, their loss), None without targets."""
    if targets_BT is None:
        return logits_BTV, None
    return logits_BTV, cross_entropy(logits_BTV, targets_BT)
