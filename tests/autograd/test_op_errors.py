"""What neither NumPy nor Python refuses: an error names the op, the shapes, what to write instead.

One table, each line a call and the text that has to be in its error. The last test finds the
`raise` statements in the sources of the ops that no line of the table reaches.
"""

import ast
from pathlib import Path

import numpy as np
import pytest

import autograd as ag
from autograd import Tensor, checks, ops


def t(*shape, dtype=np.float32):
    return Tensor(np.ones(shape, dtype), requires_grad=True)


attention = ag.scaled_dot_product_attention
QKV = [t(1, 2, 3, 4)] * 3
VALUES = [
    *[(lambda f=f: f(t(2, 0), axis=1), f"{f.name}: (2, 0)")
      for f in (ag.mean, ag.var, ag.softmax, ag.log_softmax)],
    (lambda: ag.var(t(2, 3), 0, correction=2), "var: 2 elements"),
    *[(lambda size=size: ag.split(t(2, 3), size, 1), "split: 3")
      for size in (0, [1, 1], [4, -1], 1.5)],
    *[(lambda a=a, b=b: t(*a) @ t(*b), f"matmul: {a}")
      for a, b in [((2, 3), (4, 2)), ((2, 3), ()), ((), (2, 3))]],
    *[(lambda arrays=arrays: ag.linear(*arrays), "linear: in")
      for arrays in [(t(2, 3), t(4, 3)), (t(), t(4, 3)), (t(2, 3), t(3, 4), t(3))]],
    *[(lambda arrays=arrays: ag.layer_norm(*arrays), "layer_norm: 2")
      for arrays in [(t(2, 3), t(2)), (t(2, 3), t(3), t(2)), (t(2, 0),)]],
    (lambda: ag.layer_norm(t()), "layer_norm: "),
    *[(lambda x=x, at=at: ag.rotary_embedding(x, at), "rotary_embedding: time")
      for x, at in [(t(1, 2, 3, 5), [0, 1, 2]), (t(3, 4), [0, 1, 2]), *[
          (QKV[0], at) for at in ([0, 1], 0, [0.0, 1.0, 2.0], np.zeros((1, 3), int))]]],
    *[(lambda p=p: ag.dropout(t(2), p, seed=0), "dropout: 1)") for p in (1.0, -0.1, np.nan)],
    *[(lambda shapes=shapes: attention(*[t(*shape) for shape in shapes]), "attention: heads")
      for shapes in [[(2, 3, 4)] * 3, [(1, 2, 3, 4), (1, 2, 3, 4), (1, 2, 3, 5)],
                     [(1, 2, 3, 4)] + [(1, 3, 3, 4)] * 2, [(1, 2, 3, 4)] + [(2, 2, 3, 4)] * 2,
                     [(1, 2, 3, 4)] + [(1, 2, 3, 5)] * 2, [(1, 2, 0, 4)] * 3]],
    (lambda: attention(t(1, 2, 3, 4), *[t(1, 2, 2, 4)] * 2), "attention: causal=False"),
    *[(lambda mask=mask: attention(*QKV, mask=mask), "attention: (1, 3)")
      for mask in ([1, 1, 1], [[1, 1]], [[1, 1, 2]], [[0.5, 1, 1]])],
    *[(lambda first=first: attention(*QKV, first=first), "attention: (1, 3)")
      for first in ([0, 0, 0], [[0, 0]], [[0, 0, -1]], [[0, 0, 0.5]])],
    *[(lambda shape=shape: attention(*QKV, t(*shape)), "attention: (1, 2, 3, 3)")
      for shape in [(2, 3, 3), (2, 2, 3, 3), (1, 1, 3, 3)]],
    *[(lambda wrong=wrong: ag.binary_cross_entropy(t(3, 1), wrong), "binary_cross_entropy: 1]")
      for wrong in (np.ones(3), np.array([[0], [1], [2]]), np.array([[0], [-1], [1]]))],
    (lambda: ag.cross_entropy(t(2, 3), [0]), "cross_entropy: (1,)"),
    (lambda: ag.cross_entropy(t(), np.array(0)), "cross_entropy: "),
    (lambda: ag.cross_entropy(t(2, 3), [-1, -1]), "cross_entropy: ignore_index"),
    *[(lambda x=x, table=table: ag.linear_cross_entropy(x, table, [0, 0]),
       "linear_cross_entropy: channels")
      for x, table in [(t(2, 3), t(3, 4)), (t(2, 3), t(3)), (t(), t(4, 3))]],
    (lambda: t(2).backward(1.0), "backward: (2,)"),
    (lambda: ag.stack([]), "stack: one array"),
    (lambda: ag.gelu(t(2), approximate="exact"), "gelu: 'none'"),
    *[(lambda shape=shape: ag.embedding(t(*shape), [0]), "embedding: (vocabulary, channels)")
      for shape in [(2, 3, 4), (3,), ()]],
]
TYPES = [
    *[(lambda ids=ids: ag.embedding(t(3, 2), ids), "embedding: int")
      for ids in (1.0, np.zeros(2), [True])],
    (lambda: ag.cross_entropy(t(2, 3), [0.0, 1.0]), "cross_entropy: int"),
    *[(lambda a=a, b=b: ag.mul(a, b), "mul: float64")
      for a, b in [(t(2), t(2, dtype=float)), (t(2, dtype=float), t(2)),
                   (t(2).data, np.ones(2))]],
    *[(lambda x=x: ag.exp(x), "exp: float32")
      for x in (np.ones(2, np.float16), "1", np.ones(2, complex))],
    (lambda: ag.exp(np.ma.masked_array([1.0], [True])), "exp: filled"),
    (lambda: Tensor([1], requires_grad=True), "Tensor: int64"),
    *[(lambda join=join, arrays=arrays: join(*arrays), f"{join.name}: {join.name}([a, b])")
      for join in (ag.concat, ag.stack) for arrays in [(t(2), t(2)), ()]],
]
INDICES = [
    (lambda: ag.embedding(t(3, 2), np.array([[0, 1], [3, -1]])), "embedding: (1, 0)"),
    (lambda: ag.embedding(t(3, 2), -1), "embedding: -1"),
    (lambda: ag.linear_cross_entropy(t(2, 3), t(4, 3), [0, 4]), "linear_cross_entropy: 4"),
    *[(lambda ids=ids: ag.cross_entropy(t(2, 3), ids), "cross_entropy: (1,)")
      for ids in ([0, 3], [0, -100])],
]
ERRORS = [
    *[(call, ValueError, said) for call, said in VALUES],
    *[(call, TypeError, said) for call, said in TYPES],
    *[(call, IndexError, said) for call, said in INDICES],
    (lambda: t(2).backward(), RuntimeError, "backward: (2,)"),
]


@pytest.mark.parametrize(("call", "error", "said"), ERRORS, ids=[said for *_, said in ERRORS])
def test_the_error_says_what_to_do(call, error, said):
    name, fact = said.replace("attention", attention.name).split(": ")
    with pytest.raises(error) as caught:
        call()
    text = str(caught.value)
    assert text.startswith(f"{name}: ") and fact in text and ";" in text


def test_no_error_of_the_ops_is_missing_from_the_table():
    raised = set()
    for call, error, _ in ERRORS:
        with pytest.raises(error) as caught:
            call()
        last = caught.traceback[-1]
        raised.add((Path(last.path).name, last.lineno + 1))
    for path in [*Path(ops.__file__).parent.glob("*.py"), Path(checks.__file__)]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise):
                lines = {(path.name, n) for n in range(node.lineno, node.end_lineno + 1)}
                assert lines & raised, f"{path.name}:{node.lineno}: no line of the table gets here"
