"""A GPT made of your answers. An import below becomes yours when `npgpt exercise` finds it right.

    python my_gpt.py show       runs each part once, in seconds, and says whose it is
    python my_gpt.py            learns the tales, some seven minutes on one core

After training it is judged: by its loss on stories that it has not read (2.4 % above the grammar's
with the solutions), and by how many of its own stories the grammar derives (36 of 50). What stands
here only puts your functions together; change it.
"""

import math
import os
import sys
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in examples/whole_gpt.py
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
from npgpt.exercises.embed import embed
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
    """A computation: its values in order, and the way back from each."""

    def __init__(self):
        self.values, self.sources, self.vjps = [], [], []

    def put(self, value, sources=(), vjp=None):
        """Return the position of a new value; it has the dtype of its first source."""
        dtype = self.values[sources[0]].dtype if sources else None
        self.values.append(np.asarray(value, dtype))
        self.sources.append(sources)
        self.vjps.append(vjp)
        return len(self.values) - 1


# ---- Ops. They take and return positions on the tape.
def embedding(tape, tokens, positions, ids_BT, first=0):
    """Look up rows of both tables.    first: the position of the first token"""
    tables = tape.values[tokens], tape.values[positions]
    at_BT = np.broadcast_to(np.arange(first, first + ids_BT.shape[1]), ids_BT.shape)

    def vjp(dy):
        rows = dy.reshape(ids_BT.size, -1)
        return [embedding_vjp(rows, at.ravel(), len(table))
                for table, at in zip(tables, (ids_BT, at_BT), strict=True)]

    return tape.put(embed(tables[0], tables[1][first:], ids_BT), (tokens, positions), vjp)


def add(tape, a, b):
    both = tape.values[a], tape.values[b]
    return tape.put(sum(both), (a, b), lambda dy: [broadcast_vjp(dy, x.shape) for x in both])


def matmul(tape, a, b):
    x, w = tape.values[a], tape.values[b]
    return tape.put(x @ w, (a, b), lambda dy: matmul_vjp(dy, x, w))


def transpose(tape, a):
    return tape.put(tape.values[a].T, (a,), lambda dy: [dy.T])


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
    gate = (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))) / 2
    return tape.put(x * gate, (a,), lambda dy: [gelu_vjp(dy, x)])


def attend(tape, a, H, cache=None):
    """Attend to all positions up to each; with a cache, [keys, values], to its positions, too."""
    B, T, C = tape.values[a].shape
    C //= 3

    def split(x_BTC):
        return split_heads(x_BTC, H).reshape(B * H, T, C // H)

    def join(*heads):
        return np.concatenate([x.reshape(B, H, T, -1).swapaxes(1, 2).reshape(B, T, C)
                               for x in heads], axis=2)

    q, k, v = (split(part) for part in np.split(tape.values[a], 3, axis=2))
    if cache:
        y, *cache[:] = cached_attention(q, k, v, *cache)
        return tape.put(join(y), (a,))
    y, weights = attention(q, k, v)
    return tape.put(join(y), (a,), lambda dy: [join(*attention_vjp(split(dy), q, k, v, weights))])


def cross_entropy(tape, a, y_BT):
    shape, y = tape.values[a].shape, y_BT.ravel()
    z = tape.values[a].reshape(len(y), -1)
    z = z - z.max(axis=1, keepdims=True)
    loss = (np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y]).mean()
    return tape.put(loss, (a,), lambda d: [d * cross_entropy_vjp(z, y).reshape(shape)])


class GPT:
    """The model. Its weights are two vectors, of all matrices and of all gains and biases."""

    def __init__(self, V, T, C, H, layers):
        self.T, self.H, self.layers = T, H, layers
        self.matrices, self.vectors = {"wte": (V, C), "wpe": (T, C)}, {"g": (C,), "b": (C,)}
        for i in range(layers):
            for name, rows, columns in (("qkv", 1, 3), ("o", 1, 1), ("up", 1, 4), ("down", 4, 1)):
                self.matrices[f"w_{name}{i}"] = rows * C, columns * C
                self.vectors[f"b_{name}{i}"] = (columns * C,)
            self.vectors |= {f"{name}_{i}": (C,) for name in ("g1", "b1", "g2", "b2")}

    def initial(self, rng, dtype=np.float32):
        """Return both vectors: random matrices, gains of 1, biases of 0."""
        end = 0.02 / math.sqrt(2 * self.layers)  # 2 additions a block: their sum stays small
        matrices = [rng.standard_normal(shape) * (end if name[:3] in ("w_o", "w_d") else 0.02)
                    for name, shape in self.matrices.items()]
        vectors = [np.full(shape, name[0] == "g") for name, shape in self.vectors.items()]
        return [np.concatenate([part.ravel() for part in parts], dtype=dtype)
                for parts in (matrices, vectors)]

    def run(self, weights, x_BT, caches=None):
        """Return a tape, the positions of the weights by name, and of the logits (B, T, V)."""
        tape, w = Tape(), {}
        for vector, shapes in zip(weights, (self.matrices, self.vectors), strict=True):
            ends = np.cumsum([math.prod(shape) for shape in shapes.values()])
            for name, part in zip(shapes, np.split(vector, ends[:-1]), strict=True):
                w[name] = tape.put(part.reshape(shapes[name]))

        def linear(a, name):
            return add(tape, matmul(tape, a, w[f"w_{name}"]), w[f"b_{name}"])

        first = caches[0][0].shape[1] if caches else 0
        x = embedding(tape, w["wte"], w["wpe"], x_BT, first)
        for i in range(self.layers):
            qkv = linear(layer_norm(tape, x, w[f"g1_{i}"], w[f"b1_{i}"]), f"qkv{i}")
            found = attend(tape, qkv, self.H, caches and caches[i])
            x = add(tape, x, linear(found, f"o{i}"))
            up = linear(layer_norm(tape, x, w[f"g2_{i}"], w[f"b2_{i}"]), f"up{i}")
            x = add(tape, x, linear(gelu(tape, up), f"down{i}"))
        x = layer_norm(tape, x, w["g"], w["b"])
        return tape, w, matmul(tape, x, transpose(tape, w["wte"]))

    def loss(self, weights, x_BT, y_BT):
        """Return the mean loss, its tape, and the positions of the weights."""
        tape, w, logits = self.run(weights, x_BT)
        return float(tape.values[cross_entropy(tape, logits, y_BT)]), tape, w

    def loss_and_gradient(self, weights, x_BT, y_BT):
        """Return the loss, and the gradients with respect to both vectors."""
        loss, tape, w = self.loss(weights, x_BT, y_BT)
        grads = backward(tape.sources, tape.vjps)
        return loss, [np.concatenate([np.ravel(grads[w[name]]) for name in names])
                      for names in (self.matrices, self.vectors)]

    def tell(self, weights, ids, ended, rng):
        """Return ids and what follows, until ended(ids) or T tokens."""
        D = self.matrices["wte"][1] // self.H
        caches = [[np.zeros((self.H, 0, D))] * 2 for _ in range(self.layers)]
        while len(ids) <= self.T and not ended(ids):
            tape, _, logits = self.run(weights, np.array([ids[-1:]]), caches)
            logits_V = tape.values[logits][0, 0].astype(float)
            p_V = top_p(top_k(temperature(logits_V, 0.9), min(20, len(logits_V))), 0.99)
            ids = [*ids, int(rng.choice(len(p_V), p=p_V))]
        return ids


def update(states, gradients, step, steps, warmup=100, peak=4e-3):
    """Return the states (w, m, v) of both vectors of weights after a step."""
    rate, new = learning_rate(step, steps, warmup, peak, peak / 10), []
    for (w, m, v), g, decay in zip(states, clip(*gradients, 1.0), (0.1, 0.0), strict=True):
        after = adamw(w, g, m, v, step + 1, rate, 0.9, 0.99, 1e-8, decay)
        new.append([array.astype(w.dtype) for array in after])
    return new


def tokenizer(stories, merges):
    """Return the vocabulary, and two functions: from a story to its tokens, and back."""
    vocab = sorted(set("".join(stories)))
    number = {character: i for i, character in enumerate(vocab)}
    table = {}
    for pair in learn_merges([number[c] for c in "".join(stories[:100])], merges, len(vocab)):
        table[pair] = len(vocab)
        vocab.append(vocab[pair[0]] + vocab[pair[1]])

    def tokens(story):
        return np.array([number["\n"], *encode([number[c] for c in story], table)])

    def text(ids):
        return "".join(vocab[i] for i in ids[1:])

    return vocab, tokens, text


def show(C=32, H=2):
    """Run each part once on a story, and say whose it is."""
    stories = tales.stories(tales.generate(2**15, 1))
    vocab, tokens, text = tokenizer(stories, 30)
    ids = tokens(stories[0])[None]
    x_BT, y_BT, T, V = ids[:, :-1], ids[:, 1:], ids.size - 1, len(vocab)
    gpt = GPT(V, T, C, H, 1)
    weights = gpt.initial(np.random.default_rng(1), float)
    states = [(w, 0 * w, 0 * w) for w in weights]

    def say(exercises, functions, result):
        own = sum(function.__module__.startswith("exercise_") for function in functions)
        print(f"exercises {exercises:10}{own} of {len(functions)} yours   {result}", flush=True)

    cut = "|".join(vocab[i] for i in ids[0, 1:12])
    say("1 to 3", (learn_merges, encode), f"{T} tokens: {cut}| ...")
    h = embed(*(gpt.run(weights, x_BT)[0].values[i] for i in (0, 1)), x_BT)
    say("4", (embed,), f"a vector for each, an array of the shape {h.shape}")
    a = attention(*split_heads(np.tile(h, 3), 3 * H)[0].reshape(3, H, T, C // H))[1]
    say("5 to 9", (split_heads, attention),
        f"the first 3 tokens read {', '.join(map(str, (a[0, :3] > 0).sum(axis=1)))} tokens")
    loss, gradient = gpt.loss_and_gradient(weights, x_BT, y_BT)
    say("10", (hunt_layer_norm,), f"its bets: loss {loss:.2f} at first, ln V {math.log(V):.2f}")
    states, losses = train(
        states, 200, lambda step: (x_BT, y_BT),
        lambda states, x, y: gpt.loss_and_gradient([w for w, _, _ in states], x, y),
        lambda states, g, step: update(states, g, step, 200, 10, 0.01))
    say("11 to 15", (cross_entropy_vjp, learning_rate, clip, adamw, train),
        f"after 200 steps on this one story {losses[-1]:.2f}")
    own = text(gpt.tell([w for w, _, _ in states], list(ids[0, :1]),
                        lambda ids: len(ids) > 12, np.random.default_rng(1)))
    say("16 to 19", (temperature, top_k, top_p, cached_attention), f"it writes: {own.strip()} ...")
    say("20", (count_parameters,), f"{count_parameters(V, T, C, 1):,} parameters")
    i, nudged = int(np.abs(gradient[0]).argmax()), []
    for eps in (1e-5, -1e-5):
        moved = [weights[0].copy(), weights[1]]
        moved[0][i] += eps
        nudged.append(gpt.loss(moved, x_BT, y_BT)[0])
    say("23 to 31", (embedding_vjp, broadcast_vjp, matmul_vjp, gelu_vjp, layer_norm_vjp,
                     attention_vjp, backward),
        f"a gradient of {gradient[0][i]:.6f}, by nudging {(nudged[0] - nudged[1]) / 2e-5:.6f}")


def main(steps=5000, C=128, H=2, layers=2, B=8, merges=0, read=2**21, judged=2**15, write=50):
    """Train on so many characters, judge by others and by the stories written; merges: of pairs."""
    rng, started = np.random.default_rng(1), time.perf_counter()
    seen, unseen = (tales.stories(tales.generate(n, i)) for i, n in enumerate((read, judged)))
    vocab, tokens, text = tokenizer(seen, merges)
    texts, judges = [tokens(story) for story in seen], [tokens(story) for story in unseen]
    T, ends = max(map(len, texts + judges)), np.cumsum([len(ids) for ids in texts])
    ids, starts = np.concatenate(texts), ends[ends < ends[-1] - T]
    gpt = GPT(len(vocab), T, C, H, layers)
    states = [(w, 0 * w, 0 * w) for w in gpt.initial(rng)]
    print(f"{count_parameters(len(vocab), T, C, layers):,} parameters learn {len(seen):,} stories")

    def batch(_):  # windows that begin with a story: nothing that it depends on is out of sight
        windows = rng.choice(starts, B)[:, None] + np.arange(T)
        return ids[windows], ids[windows + 1]

    def gradient(states, x, y):
        return gpt.loss_and_gradient([w for w, _, _ in states], x, y)

    grammar = -sum(map(tales.log_probability, unseen))  # what it loses on the same stories
    for first in range(0, steps, 250):
        states, _ = train(states, min(250, steps - first), batch, gradient,
                          lambda states, g, i, first=first: update(states, g, first + i, steps))
        weights = [w for w, _, _ in states]
        above = sum(gpt.loss(weights, ids[None, :-1], ids[None, 1:])[0] * (len(ids) - 1)
                    for ids in judges) - grammar
        each = above / sum(map(len, unseen))
        print(f"{time.perf_counter() - started:5.0f} s  {each:.4f} nats per character above the "
              f"grammar's, {above / grammar:.1%} of it", flush=True)
    own = [text(gpt.tell(weights, tokens(""), lambda ids: text(ids).endswith(tales.END), rng))
           for _ in range(write)]
    derived = sum(tales.log_probability(story) is not None for story in own)
    print(*own[:3], f"The grammar derives {derived} of its {write} stories.", sep="")
    return above / grammar, derived


if __name__ == "__main__":
    show() if "show" in sys.argv else main()
