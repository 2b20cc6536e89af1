"""A backward engine: the chain rule for any computation."""

import itertools

TASK = """
An engine. A computation is a list of values in the order in which they were computed; sources[i]
has the positions of the values that value i was computed from (none for an input), and vjps[i] goes
back: it takes the gradient with respect to value i and returns one for each of its sources. Return
the gradient of the last value with respect to every value. A value that is used several times
reaches the end by each use, so its gradients add up; go back only when all of them are there.
"""
RETURNS = "grads"
WHERE = "autograd.engine.backward"
HINTS = """
The last value's gradient is 1; all others begin at 0.
Go through the list from its end: all uses of a value come after it.
for source, grad in zip(sources[i], vjps[i](grads[i])): grads[source] = grads[source] + grad
"""


def backward(sources, vjps):
    """Return the gradients, a list.    sources: lists of positions; vjps: None for an input"""
    grads = [0.0] * len(sources)
    grads[-1] = 1.0
    for i in reversed(range(len(sources))):
        if sources[i]:
            for source, grad in zip(sources[i], vjps[i](grads[i]), strict=True):
                grads[source] = grads[source] + grad
    return grads


def _product(*by):
    def vjp(d):
        return [d * other for other in by]

    return vjp


def _counted():
    calls = itertools.count(1)

    def vjp(d):
        if next(calls) > 100_000:
            raise RuntimeError("100,000 calls of vjps for 40 values: each path is followed by "
                               "itself; add up all gradients of a value, then go back from it")
        return [d, d]

    return vjp


def cases(rng):
    yield {"sources": [[], [], [0, 1]], "vjps": [None, None, _product(3.0, 2.0)]}
    yield {"sources": [[], [0, 0], [1, 0]], "vjps": [None, _product(2.0, 2.0), _product(2.0, 4.0)]}
    yield {"sources": [[], [], [0, 1], [], [2, 2], [4, 3], [5, 2]],
           "vjps": [None, None, _product(3.0, 2.0), None, _product(6.0, 6.0), _product(5.0, 36.0),
                    _product(6.0, 180.0)]}
    yield {"sources": [[], *([i, max(0, i - 1)] for i in range(39))],  # 10^8 paths
           "vjps": [None, *[_counted()] * 39]}


FAULTS = {
    "of a value that is used more than once only one gradient counts; they add up":
        {"grads[source] + grad": "grad"},
    "it goes forward, where only the gradient of the last value is there": {"reversed": ""},
    "each vjp gets 1, and not the gradient of its value": {"vjps[i](grads[i])": "vjps[i](1.0)"},
    "the last value has no gradient: it is 1": {"grads[-1] = 1.0": "grads[-1] = 0.0"},
    "only the first source of a value gets its gradient":
        {"zip(sources[i], vjps[i](grads[i]), strict=True)":
         "[(sources[i][0], vjps[i](grads[i])[0])]"},
}
