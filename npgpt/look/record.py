"""One loss and its gradient, recorded by an observer of the engine.

The forward gives each op, its module path, its shapes and its saved arrays. The backward gives the
gradient of every weight and the gradient norm at each op's output. For a model that is too large
for a page, `record_pass` adds the numbers that the views show.
"""

import numpy as np

from autograd import Observer, Tensor, no_grad, observing, softmax
from npgpt.activations import Watch
from npgpt.look.packing import base64_of
from npgpt.run.diagnostics import module_at_work

LARGEST, SAMPLED = 8, 64  # entries of each weight's gradient that a page holds
LIKELIEST = 12  # tokens of each distribution in a page without weights


class Recorder(Observer):
    """The ops of a forward in order, as objects for JSON, and a gradient.

    ops             op, module path, shapes, inputs (an op's index, a weight's name, or null), saved
                    arrays; after backward the Euclidean norm of its output's gradient
    d_tokens_BTC    the gradient of the token embeddings
    """

    def __init__(self, model):
        self.ops, self.d_tokens_BTC = [], None
        self.index = {}  # Node -> its position in ops
        self.where = module_at_work(model)
        self.names = {id(weight): name for name, weight in model.parameters().items()}

    def forward(self, op, node, inputs, settings, outputs, seconds):
        if node is None:
            return
        self.index[node] = len(self.ops)
        self.ops.append({
            "op": op.name,
            "where": self.where(),
            "inputs": [self._source(edge) for edge in node.edges],
            "shapes": [None if array is None else array.shape for array in inputs],
            "outputs": [shape for shape, _ in node.outputs],
            "saved": list(_described(node.saved)),
        })

    def _source(self, edge):
        if edge is None:
            return None
        return self.names[id(edge)] if isinstance(edge, Tensor) else self.index[edge[0]]

    def vjp(self, op, node, d_outputs, gradients, seconds):
        recorded = self.ops[self.index[node]]
        recorded["norm"] = float(np.sqrt(sum((d**2).sum() for d in d_outputs)))
        if op.name == "embedding" and recorded["where"] == "wte":
            self.d_tokens_BTC = d_outputs[0]


def record_gradient(model, ids_T, seed=0):
    """Return the loss of a text's next tokens and its gradient, as an object for JSON.

    loss       nats per token
    saliency   for each input token, the norm of its embedding's gradient
    weights    name -> norm, and some entries, the largest and a sample drawn with the seed: their
               flat indices `at` and their `values`

    Raises FloatingPointError if the loss is not finite.
    """
    model.eval()
    with observing(Recorder(model)) as recorder:
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
        largest = np.argsort(-np.abs(d), kind="stable")[:LARGEST]
        drawn = rng.choice(d.size, min(SAMPLED, d.size), replace=False)
        at = np.unique(np.concatenate([largest, drawn]))
        weights[name] = {
            "norm": float(np.linalg.norm(d)),
            "at": at.tolist(),
            "values": d[at].tolist(),
        }
        weight.grad = None
    saliency_T = np.linalg.norm(recorder.d_tokens_BTC[0], axis=1)
    return {
        "loss": loss.item(),
        "dtype": str(loss.dtype),
        "saliency": saliency_T.tolist(),
        "ops": recorder.ops,
        "weights": weights,
    }


def record_pass(model, ids_T):
    """Return the forward of a text as an object for JSON, for a page without weights.

    arrays   name -> base64 of float16: the stream, (T, C) each, and queries, keys and values side
             by side, (T, 3 C) each
    lens     by point of the stream, by position: the likeliest tokens [id, probability] if the
             head read the stream there; the last point is the model's prediction
    given    by position, the probability of the next token
    """
    with model.evaluating(), observing(Watch()) as watch:
        model.hidden(ids_T[None])
    arrays, lens = {}, []
    for layer, qkv in enumerate(watch.qkv):  # b h t d -> t (h d)
        found = np.concatenate([x[0].swapaxes(0, 1).reshape(len(ids_T), -1) for x in qkv], axis=1)
        arrays[f"h.{layer}.attn.c_attn"] = base64_of(found, "f2")
    for point, found in enumerate(watch.stream):
        arrays[f"x.{point}"] = base64_of(found[0], "f2")
        with no_grad():
            probs_TV = softmax(model.head(model.ln_f(Tensor(found)))).data[0]
        likeliest_TK = np.argsort(-probs_TV, axis=1, kind="stable")[:, :LIKELIEST]
        lens.append([
            [[int(v), float(f"{probs_V[v]:.5g}")] for v in likeliest_K]
            for probs_V, likeliest_K in zip(probs_TV, likeliest_TK, strict=True)
        ])
    given = probs_TV[np.arange(len(ids_T) - 1), ids_T[1:]].tolist()
    return {"arrays": arrays, "lens": lens, "given": given}


def record_rounding(model, rounded, ids_T):
    """Return the loss of a text with the model's own weights, in nats per token, and `moved`, the
    largest change of a probability by rounding them, as an object for JSON."""
    with model.evaluating(), no_grad():
        loss = model.loss(ids_T[None, :-1], ids_T[None, 1:]).item()
        own, page = (softmax(each(ids_T[None])[0]).data for each in (model, rounded))
    return {"loss": loss, "moved": float(np.abs(own - page).max())}


def _described(saved):
    """Yield a short description of each item that an op saved."""
    for item in saved if isinstance(saved, tuple | list) else (saved,):
        if isinstance(item, np.ndarray):
            yield f"{item.dtype} {item.shape}"
        elif isinstance(item, tuple | list) and any(isinstance(i, np.ndarray) for i in item):
            yield from _described(item)
        else:
            yield repr(item)[:40]
