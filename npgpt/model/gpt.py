"""GPT: from token ids to the logits of the next token, and the loss if targets are given.

    tokens (B, T) -> embeddings (B, T, C) -> n_layer blocks -> norm -> logits (B, T, V)

Source: Radford et al., Language Models are Unsupervised Multitask Learners (GPT-2), 2019.
"""

import itertools
from contextlib import contextmanager
from dataclasses import asdict

import numpy as np

from autograd import cross_entropy, dropout, linear, linear_cross_entropy, no_grad, transpose
from npgpt.config import GPTConfig
from npgpt.generation.cache import CachedLogits
from npgpt.generation.generate import generate, stream
from npgpt.generation.sampling import Sampling
from npgpt.interop.huggingface import load_folder, save_folder
from npgpt.model.block import Block
from npgpt.model.embeddings import Embedding
from npgpt.model.module import LayerNorm, Linear, Module
from npgpt.model.size import check_size


class GPT(Module):
    """A decoder-only transformer.

    config   a GPTConfig
    seed     determines the initial weights and the dropout masks
    dtype    float32 to work, float64 to check gradients; the initial weights are the same

    A model starts in training mode, in which dropout acts; `eval()` and `train()` switch. The masks
    of a training forward depend on (seed, dropout_step), and each such forward counts
    dropout_step up: set it to repeat a forward exactly.
    """

    def __init__(self, config, seed=0, dtype=np.float32):
        rng = np.random.default_rng(seed)
        self.config, self.seed = config, seed
        self.training, self.dropout_step = True, 0
        C, V = config.n_embd, config.vocab_size
        self.wte = Embedding(rng, V, C, dtype=dtype)
        self.wpe = Embedding(rng, config.block_size, C, dtype=dtype)
        self.h = [Block(rng, config, dtype) for _ in range(config.n_layer)]
        self.ln_f = LayerNorm(C, bias=config.bias, dtype=dtype)
        if not config.tie_weights:
            self.lm_head = Linear(rng, C, V, bias=False, dtype=dtype)

    def __call__(self, idx_BT, targets_BT=None):
        """(logits (B, T, V), loss): the mean cross-entropy in nats per token, None without targets.

        idx_BT      token ids, T at most block_size
        targets_BT  the token that follows each; -1 for a position that does not count

        Raises ValueError for a wrong rank or a context longer than block_size, TypeError for ids
        that are no integers, IndexError for ids outside the vocabulary.
        """
        logits_BTV = self.head(self.hidden(idx_BT))
        if targets_BT is None:
            return logits_BTV, None
        return logits_BTV, cross_entropy(logits_BTV, targets_BT)

    def loss(self, idx_BT, targets_BT):
        """The loss alone, which for training is enough: the logits are never whole in memory."""
        x_BTC = self.hidden(idx_BT)
        table_VC = self.wte.weight if self.config.tie_weights else transpose(self.lm_head.weight)
        return linear_cross_entropy(x_BTC, table_VC, targets_BT)

    def hidden(self, idx_BT, cache=None):
        """What the last norm gives for each position, (B, T, C).

        cache   a `npgpt.generation.cache.KVCache` of the tokens before these; without gradients
        """
        before = cache.length if cache else 0
        idx_BT = self._checked(idx_BT, before)
        drop = self._dropout()
        positions_T = np.arange(before, before + idx_BT.shape[1])
        x_BTC = drop(self.wte(idx_BT) + self.wpe(positions_T))
        for block in self.h:
            x_BTC = block(x_BTC, drop, cache)
        return self.ln_f(x_BTC)

    def head(self, x_BTC):
        """Logits: how well each token's output vector agrees with x.    (..., C) -> (..., V)"""
        if self.config.tie_weights:
            return linear(x_BTC, transpose(self.wte.weight))
        return self.lm_head(x_BTC)

    def next_logits(self, idx_BT, cache=None):
        """The logits of the token after the last, an ndarray (B, V); no gradients, no dropout."""
        with self.evaluating():
            return self.head(self.hidden(idx_BT, cache)[:, -1]).data

    def generate(self, idx, max_new_tokens, *, temperature=1.0, top_k=None, top_p=None, seed=None,
                 stop=None):  # fmt: skip
        """Continue token ids (T,) or (B, T); see `npgpt.generation.generate.generate`."""
        return generate(
            CachedLogits(self.next_logits), idx, max_new_tokens,
            Sampling(temperature, top_k, top_p),
            block_size=self.config.block_size, seed=seed, stop=stop,
        )  # fmt: skip

    def stream(self, idx_T, max_new_tokens, *, seed=None, stop=None, **sampling):
        """Continue one text: an iterator over new token ids; the keywords are `generate`'s."""
        return stream(
            CachedLogits(self.next_logits), idx_T, max_new_tokens, Sampling(**sampling),
            block_size=self.config.block_size, seed=seed, stop=stop,
        )  # fmt: skip

    def save_pretrained(self, folder):
        """Write config.json and model.safetensors as the transformers library reads them."""
        weights = {name: weight.data for name, weight in self.parameters().items()}
        save_folder(folder, asdict(self.config), weights)

    @classmethod
    def from_pretrained(cls, folder):
        """The GPT-2 model in a folder of the transformers library's layout, in float32.

        Raises FileNotFoundError for a missing file, ValueError for another architecture or for
        weights that do not fit the configuration.
        """
        settings, weights = load_folder(folder)
        try:
            config = GPTConfig(**settings)
        except ValueError as error:
            raise ValueError(f"{folder}: config.json describes no model; {error}") from error
        check_size(config, weights, folder)
        model = cls(config)
        for name, parameter in model.parameters().items():
            found = weights.pop(name, None)
            if found is None or found.shape != parameter.shape:
                raise ValueError(
                    f"{folder}: weight {name} is {'absent' if found is None else found.shape}, by "
                    f"config.json {parameter.shape}; use the two files of one model"
                )
            parameter.data[...] = found
        if weights:
            raise ValueError(
                f"{folder}: weights {sorted(weights)} have no place in a model of this "
                "config.json; use the two files of one model"
            )
        return model

    def parameters(self):
        """Each weight once, by its dotted name, in a fixed order."""
        return dict(self.named_parameters())

    def num_parameters(self):
        return sum(weight.size for weight in self.parameters().values())

    def train(self):
        """Switch dropout on."""
        self.training = True
        return self

    def eval(self):
        """Switch dropout off."""
        self.training = False
        return self

    @contextmanager
    def evaluating(self):
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

    def _checked(self, idx_BT, before):
        idx_BT = np.asarray(idx_BT)
        T = self.config.block_size
        if idx_BT.ndim != 2 or not 1 <= idx_BT.shape[1] <= T - before:
            raise ValueError(
                f"GPT: token ids of shape {idx_BT.shape}; give (batch, time) with 1 to {T} tokens "
                f"(block_size): of a longer context keep the last, idx[:, -{T}:]; of one sequence "
                "make a batch, idx[None]"
            )
        return idx_BT
