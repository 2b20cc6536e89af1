"""One loss and its gradient; for a model that a page does not run, what the views show of it."""

import numpy as np

from autograd import Observer, Tensor, no_grad, observing, softmax
from npgpt.activations import Watch
from npgpt.look.packing import base64_of

LARGEST, SAMPLED = 8, 64  # entries of each weight's gradient that a page holds
LIKELIEST = 12  # tokens of each distribution in a page without weights


class Saliency(Observer):
    """An observer that keeps the gradient of a model's token embeddings, `d_tokens_BTC`."""

    def __init__(self):
        self.node = None

    def forward(self, op, node, inputs, settings, outputs, seconds):
        if op.name == "embedding" and self.node is None:  # the first is of tokens
            self.node = node

    def vjp(self, op, node, d_outputs, gradients, seconds):
        if node is self.node:
            self.d_tokens_BTC = d_outputs[0]


def record_gradient(model, ids_T, seed=0, entries=True):
    """Return the loss of a text's next tokens and its gradient, as an object for JSON.

    loss       nats per token
    saliency   for each input token, the norm of its embedding's gradient
    weights    name -> norm, and with `entries` some of them, the largest and a sample drawn with
               the seed: their flat indices `at` and their `values`

    Raises FloatingPointError if the loss is not finite.
    """
    model.eval()
    with observing(Saliency()) as found:
        loss = model.loss(ids_T[None, :-1], ids_T[None, 1:])
        if not np.isfinite(loss.item()):
            raise FloatingPointError(
                f"the loss of the prompt is {loss.item()}: the weights are too large to compute "
                "with; train again with a lower learning rate"
            )
        loss.backward()
    rng, weights = np.random.default_rng(seed), {}
    for name, weight in model.parameters().items():
        d = weight.grad.ravel()
        weights[name] = {"norm": float(np.linalg.norm(d))}
        weight.grad = None
        if not entries:
            continue
        largest = np.argsort(-np.abs(d), kind="stable")[:LARGEST]
        drawn = rng.choice(d.size, min(SAMPLED, d.size), replace=False)
        at = np.unique(np.concatenate([largest, drawn]))
        weights[name] |= {"at": at.tolist(), "values": d[at].tolist()}
    saliency_T = np.linalg.norm(found.d_tokens_BTC[0], axis=1)
    return {
        "loss": loss.item(),
        "dtype": str(loss.dtype),
        "saliency": saliency_T.tolist(),
        "weights": weights,
    }


def record_pass(model, ids_T):
    """Return the forward of a text by a GPT or a Llama as an object for JSON.

    arrays   name -> base64 of float16: a block's queries, keys and values side by side, (T, 3 C) or
             narrower, if several heads of queries share one of keys and values
    stream, added   by point of the stream, by position: its length, and that of what was added
    lens     by point, by position: the likeliest tokens [id, probability] if the last norm and the
             head read the stream there; the last point is the model's prediction
    given    by position, the probability of the next token
    """
    with model.evaluating(), observing(Watch()) as watch:
        model.hidden(ids_T[None])
    arrays, lens = {}, []
    for layer, qkv in enumerate(watch.qkv):  # b h t d -> t (h d)
        found = np.concatenate([x[0].swapaxes(0, 1).reshape(len(ids_T), -1) for x in qkv], axis=1)
        arrays[f"h.{layer}.attn.c_attn"] = base64_of(found, "f2")
    stream_PTC = np.concatenate(watch.stream)
    for found in watch.stream:
        with no_grad():
            probs_TV = softmax(model.head(model.ln_f(Tensor(found)))).data[0]
        likeliest_TK = np.argsort(-probs_TV, axis=1, kind="stable")[:, :LIKELIEST]
        lens.append([
            [[int(v), float(f"{probs_V[v]:.5g}")] for v in likeliest_K]
            for probs_V, likeliest_K in zip(probs_TV, likeliest_TK, strict=True)
        ])
    given = probs_TV[np.arange(len(ids_T) - 1), ids_T[1:]].tolist()
    added_PTC = np.diff(stream_PTC, axis=0, prepend=0)
    lengths = {"stream": _lengths(stream_PTC), "added": _lengths(added_PTC)}
    return {"arrays": arrays, "lens": lens, "given": given} | lengths


def _lengths(x_PTC):
    return [[float(f"{length:.5g}") for length in row] for row in np.linalg.norm(x_PTC, axis=2)]


def record_rounding(model, rounded, ids_T):
    """Return the loss of a text with the model's own weights, in nats per token, and `moved`, the
    largest change of a probability by rounding them, as an object for JSON."""
    with model.evaluating(), no_grad():
        loss = model.loss(ids_T[None, :-1], ids_T[None, 1:]).item()
        own, page = (softmax(each(ids_T[None])[0]).data for each in (model, rounded))
    return {"loss": loss, "moved": float(np.abs(own - page).max())}
