"""A GPT made of your answers. An import below becomes yours when `npgpt exercise` finds it right.

    python my_gpt.py

learns to tell the tales, some minutes to an hour, and is judged: by its loss on stories that it has
not read, in nats per character above the least possible, and by how many of its own stories the
grammar could have told. This file only puts your functions together; change it as you like.
"""

import math
import os
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read by NumPy: small products want one thread
import numpy as np

from npgpt import tales
from npgpt.exercises.adamw import adamw
from npgpt.exercises.attention import attention
from npgpt.exercises.attention_vjp import attention_vjp
from npgpt.exercises.backward import backward
from npgpt.exercises.broadcast_vjp import broadcast_vjp
from npgpt.exercises.cached_attention import cached_attention
from npgpt.exercises.clip import clip
from npgpt.exercises.count_parameters import count_parameters
from npgpt.exercises.cross_entropy_vjp import cross_entropy_vjp
from npgpt.exercises.embedding_vjp import embedding_vjp
from npgpt.exercises.encode import encode
from npgpt.exercises.gelu_vjp import gelu_vjp
from npgpt.exercises.hunt_layer_norm import hunt_layer_norm
from npgpt.exercises.layer_norm_vjp import layer_norm_vjp
from npgpt.exercises.learn_merges import learn_merges
from npgpt.exercises.learning_rate import learning_rate
from npgpt.exercises.matmul_vjp import matmul_vjp
from npgpt.exercises.split_heads import split_heads
from npgpt.exercises.temperature import temperature
from npgpt.exercises.top_k import top_k
from npgpt.exercises.top_p import top_p
from npgpt.exercises.train import train


class Tape:
    """A computation: its values in order, and how to go back from each. An op appends to it."""

    def __init__(self):
        self.values, self.sources, self.vjps = [], [], []

    def put(self, value, sources=(), vjp=None):
        """Return the position of the new value. It has the dtype of its first source."""
        dtype = self.values[sources[0]].dtype if sources else None
        self.values.append(np.asarray(value, dtype))
        self.sources.append(sources)
        self.vjps.append(vjp)
        return len(self.values) - 1


def embedding(tape, table, ids):
    weight = tape.values[table]
    return tape.put(weight[ids], (table,), lambda dy: (
        embedding_vjp(dy.reshape(ids.size, -1), ids.ravel(), len(weight)),))


def add(tape, a, b):
    shapes = [tape.values[i].shape for i in (a, b)]
    return tape.put(tape.values[a] + tape.values[b], (a, b),
                    lambda dy: [broadcast_vjp(dy, shape) for shape in shapes])


def matmul(tape, a, b, transposed=False):
    x, w = tape.values[a], tape.values[b].T if transposed else tape.values[b]

    def vjp(dy):
        dx, dw = matmul_vjp(dy, x, w)
        return dx, dw.T if transposed else dw

    return tape.put(x @ w, (a, b), vjp)


def layer_norm(tape, a, gain, bias):
    x, g, b = (tape.values[i] for i in (a, gain, bias))
    rows = x.reshape(-1, x.shape[-1])
    n = hunt_layer_norm(rows, np.ones_like(g), np.zeros_like(b))
    rstd = 1 / np.sqrt(rows.var(axis=1) + 1e-5)

    def vjp(dy):
        dx, dg, db = layer_norm_vjp(dy.reshape(rows.shape), n, rstd, g)
        return dx.reshape(x.shape), dg, db

    return tape.put((n * g + b).reshape(x.shape), (a, gain, bias), vjp)


def gelu(tape, a):
    x = tape.values[a]
    y = x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))) / 2
    return tape.put(y, (a,), lambda dy: (gelu_vjp(dy, x),))


def attend(tape, a, H, cache=None):
    """Attend to all positions up to each or, with a cache (keys, values), to those in it."""
    qkv = tape.values[a]
    B, T, C = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3

    def split(x_BTC):
        return split_heads(x_BTC, H).reshape(B * H, T, C // H)

    def join(x_HTD):
        return x_HTD.reshape(B, H, T, C // H).swapaxes(1, 2).reshape(B, T, C)

    q, k, v = (split(part) for part in np.split(qkv, 3, axis=2))
    if cache is not None:
        y, *cache[:] = cached_attention(q, k, v, *cache)
        return tape.put(join(y), (a,))
    y, weights = attention(q, k, v)
    return tape.put(join(y), (a,), lambda dy: (
        np.concatenate([join(d) for d in attention_vjp(split(dy), q, k, v, weights)], axis=2),))


def cross_entropy(tape, logits, y_BT):
    """Return the position of the mean loss."""
    z = tape.values[logits].reshape(y_BT.size, -1)
    largest = z.max(axis=1)
    sums = largest + np.log(np.exp(z - largest[:, None]).sum(axis=1))
    loss = (sums - z[np.arange(len(z)), y_BT.ravel()]).mean()
    return tape.put(loss, (logits,), lambda d: (
        d * cross_entropy_vjp(z, y_BT.ravel()).reshape(tape.values[logits].shape),))


class GPT:
    """The model. Its weights are two long vectors, of all matrices and of all gains and biases."""

    def __init__(self, V, T, C, H, layers):
        self.T, self.H, self.layers = T, H, layers
        self.matrices, self.vectors = {"wte": (V, C), "wpe": (T, C)}, {"g": (C,), "b": (C,)}
        for i in range(layers):
            for name, size_in, size_out in (("qkv", C, 3 * C), ("o", C, C),
                                            ("up", C, 4 * C), ("down", 4 * C, C)):
                self.matrices[f"w_{name}{i}"] = size_in, size_out
                self.vectors[f"b_{name}{i}"] = (size_out,)
            self.vectors |= {f"{name}{i}": (C,) for name in ("g1_", "b1_", "g2_", "b2_")}

    def initial(self, rng, dtype=np.float32):
        """Return both vectors: random matrices, gains of 1, biases of 0."""
        end = 0.02 / math.sqrt(2 * self.layers)  # 2 additions a block: their sum stays small
        matrices = [rng.standard_normal(shape) * (end if name[:3] in ("w_o", "w_d") else 0.02)
                    for name, shape in self.matrices.items()]
        vectors = [np.full(shape, name[0] == "g") for name, shape in self.vectors.items()]
        return [np.concatenate([part.ravel() for part in parts], dtype=dtype)
                for parts in (matrices, vectors)]

    def begin(self, weights):
        """Return a new tape with the weights on it, and their positions by name."""
        tape, positions = Tape(), {}
        for long, shapes in zip(weights, (self.matrices, self.vectors), strict=True):
            start = 0
            for name, shape in shapes.items():
                end = start + math.prod(shape)
                positions[name] = tape.put(long[start:end].reshape(shape))
                start = end
        return tape, positions

    def forward(self, tape, w, x_BT, caches=None):
        """Return the position of the logits (B, T, V)."""
        first = caches[0][0].shape[1] if caches else 0
        places = first + np.arange(x_BT.shape[1])
        x = add(tape, embedding(tape, w["wte"], x_BT), embedding(tape, w["wpe"], places))

        def linear(a, name):
            return add(tape, matmul(tape, a, w[f"w_{name}"]), w[f"b_{name}"])

        for i in range(self.layers):
            qkv = linear(layer_norm(tape, x, w[f"g1_{i}"], w[f"b1_{i}"]), f"qkv{i}")
            found = attend(tape, qkv, self.H, caches[i] if caches else None)
            x = add(tape, x, linear(found, f"o{i}"))
            up = linear(layer_norm(tape, x, w[f"g2_{i}"], w[f"b2_{i}"]), f"up{i}")
            x = add(tape, x, linear(gelu(tape, up), f"down{i}"))
        return matmul(tape, layer_norm(tape, x, w["g"], w["b"]), w["wte"], transposed=True)

    def gradient(self, weights, x_BT, y_BT):
        """Return the loss, and its gradient with respect to both vectors."""
        tape, w = self.begin(weights)
        loss = cross_entropy(tape, self.forward(tape, w, x_BT), y_BT)
        grads = backward(tape.sources, tape.vjps)
        return float(tape.values[loss]), [
            np.concatenate([np.ravel(grads[w[name]]) for name in names])
            for names in (self.matrices, self.vectors)
        ]

    def loss(self, weights, ids):
        """Return the sum of the losses of ids[1:], in nats."""
        tape, w = self.begin(weights)
        loss = cross_entropy(tape, self.forward(tape, w, ids[None, :-1]), ids[None, 1:])
        return float(tape.values[loss]) * (len(ids) - 1)

    def tell(self, weights, start, ended, rng):
        """Return the ids of a story after the id `start`, until ended(ids) or T tokens."""
        D = self.matrices["wte"][1] // self.H
        caches, ids = [[np.zeros((self.H, 0, D))] * 2 for _ in range(self.layers)], [start]
        while len(ids) <= self.T and not ended(ids):
            tape, w = self.begin(weights)
            logits = tape.values[self.forward(tape, w, np.array([ids[-1:]]), caches)][0, 0]
            p = top_p(top_k(temperature(logits.astype(float), 0.9), 20), 0.99)
            ids.append(int(rng.choice(len(p), p=p)))
        return ids[1:]


def updates(steps, warmup=100, peak=4e-3):
    """Return the update of `train`. Its weights are a list of (w, m, v), one for each vector."""

    def update(state, gradients, step):
        rate = learning_rate(step, steps, warmup, peak, peak / 10)
        new = []
        for (w, m, v), g, decay in zip(state, clip(*gradients, 1.0), (0.1, 0.0), strict=True):
            after = adamw(w, g, m, v, step + 1, rate, 0.9, 0.99, 1e-8, decay)
            new.append(tuple(array.astype(w.dtype) for array in after))
        return new

    return update


def main(steps=3000, C=96, H=4, layers=3, B=8, merges=0, told=2**21, judged=2**15, tell=50):
    """Learn the tales, `told` characters, and be judged. merges: 0 has a token per character."""
    rng, started = np.random.default_rng(1), time.perf_counter()
    seen, unseen = (tales.stories(tales.generate(n, i)) for i, n in enumerate((told, judged)))
    pieces = sorted(set("".join(seen)))
    number = {piece: i for i, piece in enumerate(pieces)}
    pairs = learn_merges([number[c] for c in "".join(seen[:100])], merges, len(pieces))
    table = {pair: len(pieces) + i for i, pair in enumerate(pairs)}
    for a, b in pairs:
        pieces.append(pieces[a] + pieces[b])

    def tokens(story):  # a newline, then the story
        return np.array([number["\n"], *encode([number[c] for c in story], table)])

    def text(ids):
        return "".join(pieces[i] for i in ids)

    texts = [tokens(story) for story in seen]
    T, ids, ends = max(map(len, texts)), np.concatenate(texts), np.cumsum([*map(len, texts)])
    starts = ends[ends < len(ids) - T]
    gpt = GPT(len(pieces), T, C, H, layers)
    state = [(w, 0 * w, 0 * w) for w in gpt.initial(rng)]
    print(f"{count_parameters(len(pieces), T, C, layers):,} parameters learn {len(seen):,} stories")

    def batch(_):
        windows = rng.choice(starts, B)[:, None] + np.arange(T)
        return ids[windows], ids[windows + 1]

    update, floor = updates(steps), -sum(tales.log_probability(story) for story in unseen)
    for first in range(0, steps, 250):
        state, _ = train(
            state, min(250, steps - first), batch,
            lambda state, x, y: gpt.gradient([w for w, _, _ in state], x, y),
            lambda state, g, step, first=first: update(state, g, first + step),
        )
        weights = [w for w, _, _ in state]
        above = sum(gpt.loss(weights, tokens(story)) for story in unseen) - floor
        print(f"{time.perf_counter() - started:5.0f} s: {above / len(''.join(unseen)):.4f} nats per "
              f"character above the least possible, {above / floor:.1%} of it", flush=True)
    own = [text(gpt.tell(weights, number["\n"], lambda ids: text(ids).endswith(tales.END), rng))
           for _ in range(tell)]
    print(*own[:3], sep="")
    right = sum(tales.log_probability(story) is not None for story in own)
    print(f"The grammar could have told {right} of its {tell} stories.")
    return above / floor, right


if __name__ == "__main__":
    main()
