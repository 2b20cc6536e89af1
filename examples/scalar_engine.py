"""Before the first rung: a GPT's gradients, number by number.

A `Value` is one number that knows which numbers it was computed from, and how fast it changes with
each of them. That is all that backward needs, and it is the whole idea of autograd/: there the
numbers are arrays, so that what is done once for each number here is done once for thousands.

    python examples/scalar_engine.py

takes the loss and gradients of a tiny GPT in this way and as examples/whole_gpt.py does, and
compares both, and their times.
"""

import math
import time

import numpy as np
import whole_gpt as page


class Value:
    """A number. grad is how fast the loss changes with it, once the loss's `backward` was called.

    edges   pairs (value that this one was computed from, d this / d that)
    """

    __slots__ = ("data", "edges", "grad")

    def __init__(self, data, edges=()):
        self.data, self.edges, self.grad = data, edges, 0.0

    def __add__(self, other):
        if not isinstance(other, Value):
            return Value(self.data + other, ((self, 1.0),))
        return Value(self.data + other.data, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        if not isinstance(other, Value):
            return Value(self.data * other, ((self, other),))
        return Value(self.data * other.data, ((self, other.data), (other, self.data)))

    def __pow__(self, power):
        return Value(self.data**power, ((self, power * self.data ** (power - 1)),))

    def exp(self):
        e = math.exp(self.data)
        return Value(e, ((self, e),))

    def log(self):
        return Value(math.log(self.data), ((self, 1 / self.data),))

    def tanh(self):
        y = math.tanh(self.data)
        return Value(y, ((self, 1 - y * y),))

    def __sub__(self, other):
        return self + other * -1.0

    def __truediv__(self, other):
        return self * other**-1

    def backward(self):
        """Give every value that this one depends on its gradient. The number of values.

        A value passes its gradient on when it is complete: after all that were computed from it.
        Where it was used twice, the gradients add up.
        """
        self.grad, order = 1.0, in_order(self)
        for value in reversed(order):
            for source, slope in value.edges:
                source.grad += slope * value.grad
        return len(order)


def in_order(last):
    """Return all that a value depends on, each after those that it was computed from."""
    order, seen, stack = [], set(), [(last, False)]
    while stack:
        value, sources_are_listed = stack.pop()
        if sources_are_listed:
            order.append(value)
        elif id(value) not in seen:
            seen.add(id(value))
            stack.append((value, True))
            stack.extend((source, False) for source, _ in value.edges)
    return order


# ---- A GPT, as in whole_gpt.py, but a row is a list of Values, and nothing else needs a backward.


def add(values):
    first, *others = values
    for value in others:
        first = first + value
    return first


def dot(a, b):
    return add(i * j for i, j in zip(a, b, strict=True))


def linear(x, w, b):
    return [dot(x, column) + bias for column, bias in zip(zip(*w, strict=True), b, strict=True)]


def layer_norm(x, g, b):
    mean = add(x) * (1 / len(x))
    centred = [i - mean for i in x]
    rstd = (dot(centred, centred) * (1 / len(x)) + 1e-5) ** -0.5
    return [i * rstd * gain + bias for i, gain, bias in zip(centred, g, b, strict=True)]


def gelu(x):
    inner = (x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)
    return x * (inner.tanh() + 1) * 0.5


def softmax(x):
    largest = max(value.data for value in x)
    e = [(value + -largest).exp() for value in x]
    total = add(e) ** -1
    return [value * total for value in e]


def attention(rows, H):
    """rows   for each position, 3 C values: the heads of its query, then key, then value"""
    C, found = len(rows[0]) // 3, [[] for _ in rows]
    for h in range(H):
        head = slice(h * C // H, (h + 1) * C // H)
        q, k, v = ([row[i * C : (i + 1) * C][head] for row in rows] for i in range(3))
        for t, query in enumerate(q):
            a = softmax([dot(query, key) * (C // H) ** -0.5 for key in k[: t + 1]])
            found[t] += [dot(a, column) for column in zip(*v[: t + 1], strict=True)]
    return found


def block(x, w, H):
    n1 = [layer_norm(row, w["g1"], w["b1"]) for row in x]
    found = attention([linear(n, w["w_qkv"], w["b_qkv"]) for n in n1], H)
    x = [plus(row, linear(f, w["w_o"], w["b_o"])) for row, f in zip(x, found, strict=True)]
    n2 = [layer_norm(row, w["g2"], w["b2"]) for row in x]
    active = [[gelu(value) for value in linear(n, w["w_up"], w["b_up"])] for n in n2]
    made = [linear(row, w["w_down"], w["b_down"]) for row in active]
    return [plus(row, of_mlp) for row, of_mlp in zip(x, made, strict=True)]


def plus(a, b):
    return [i + j for i, j in zip(a, b, strict=True)]


def loss(weights, x_BT, y_BT, H):
    outside, *blocks = weights
    surprises = []
    for x_T, y_T in zip(x_BT.tolist(), y_BT.tolist(), strict=True):
        x = [plus(outside["wte"][i], outside["wpe"][t]) for t, i in enumerate(x_T)]
        for w in blocks:
            x = block(x, w, H)
        for row, came in zip(x, y_T, strict=True):
            n = layer_norm(row, outside["g"], outside["b"])
            p = softmax([dot(n, character) for character in outside["wte"]])
            surprises.append(p[came].log() * -1.0)
    return add(surprises) * (1 / len(surprises))


def values(array):
    return Value(array) if isinstance(array, float) else [values(part) for part in array]


def grads(found):
    return found.grad if isinstance(found, Value) else [grads(part) for part in found]


def loss_and_gradients(weights, x_BT, y_BT, H):
    """Return loss and gradients as whole_gpt.py does, and the number of Values they took."""
    of_values = [{name: values(w.tolist()) for name, w in of.items()} for of in weights]
    found = loss(of_values, x_BT, y_BT, H)
    count = found.backward()
    gradients = [{name: np.array(grads(v)) for name, v in of.items()} for of in of_values]
    return found.data, gradients, count


def main():
    rng, V, T, C, H = np.random.default_rng(0), 20, 16, 16, 2
    weights = page.initial_weights(rng, V, T, C, layers=2, dtype=np.float64)
    x_BT, y_BT = rng.integers(0, V, (2, 1, T))
    started = time.perf_counter()
    found, gradients, count = loss_and_gradients(weights, x_BT, y_BT, H)
    middle = time.perf_counter()
    expected, by_arrays = page.loss_and_gradients(weights, x_BT, y_BT, H)
    ended = time.perf_counter()
    gap = max(
        np.abs(g - by_arrays[part][name]).max()
        for part, of in enumerate(gradients) for name, g in of.items()
    )
    print(f"{T} characters: {count:,} values, {middle - started:.2f} s; with arrays "
          f"{(ended - middle) * 1e3:.1f} ms")
    print(f"loss {found:.6f}, with arrays {expected:.6f}; gradients differ by {gap:.1e} at most")
    return {"gap": max(gap, abs(found - expected)), "values": count}


if __name__ == "__main__":
    main()
