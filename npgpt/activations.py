"""What a model computes on its way from tokens to logits: residual stream, attention weights."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from autograd import Observer, observing, softmax


@dataclass(frozen=True)
class Activations:
    """The arrays of one pass.

    logits_BTV     of the next token at each position
    stream_PBTC    the residual stream before the first block and after each branch, attention and
                   MLP in turn: P = 2 L + 1
    weights_LBHTT  the attention weights of each layer and head; a row sums to 1
    """

    logits_BTV: np.ndarray
    stream_PBTC: np.ndarray
    weights_LBHTT: np.ndarray


def activations(model: Any, ids_BT: ArrayLike) -> Activations:
    """Return the `Activations` of a GPT or a Llama that reads texts of equal length.

    Raises what the model does for ids that are not of its window or vocabulary.
    """
    with model.evaluating(), observing(Watch()) as watch:
        logits_BTV = model(ids_BT)[0].data
        weights = [attention_weights(q, k) for q, k, _ in watch.qkv]
    return Activations(logits_BTV, np.stack(watch.stream), np.stack(weights))


def attention_weights(q_BHTD, k_BGTD):
    """Return the causal softmax of the scores q k' / sqrt(D), (B, H, T, T).

    Of G heads of keys each serves H / G heads of queries.
    """
    _, H, T, D = q_BHTD.shape
    k_BHTD = k_BGTD.repeat(H // k_BGTD.shape[1], axis=1)
    scores_BHTT = q_BHTD @ k_BHTD.swapaxes(-1, -2) / math.sqrt(D)
    return softmax(np.where(np.tri(T, dtype=bool), scores_BHTT, -np.inf)).data


class Watch(Observer):
    """An observer that keeps the `stream`, and queries, keys and values (`qkv`), of a pass."""

    def __init__(self):
        self.stream, self.qkv = [], []

    def forward(self, op, node, inputs, settings, outputs, seconds):
        if op.name in ("embedding", "add") and not self.qkv:  # of tokens; of a GPT's positions
            self.stream = [outputs[0]]
        elif op.name == "add":
            self.stream.append(outputs[0])
        elif op.name == "scaled_dot_product_attention":
            self.qkv.append(inputs[:3])
