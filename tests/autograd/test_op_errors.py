"""Every error of an op names the op, the shapes it got, and what to write instead.

One table, each line a call and the text that has to be in its error, which may be NumPy's own. The
last test finds the `raise` statements in the sources of the ops that no line of the table reaches.
"""

import ast
from pathlib import Path

import numpy as np
import pytest

import autograd
from autograd import Tensor, checks, ops

OPS_FOLDER = Path(ops.__file__).parent


def t(*shape):
    return Tensor(np.ones(shape, np.float32))


def targets(*ids):
    return np.array(ids)


ag = autograd
attention = autograd.scaled_dot_product_attention
BROADCAST = r"(?s)broadcast.*\(2,3\) \(4,\)"
AXIS = "axis 2 is out of bounds"
EMPTY = r"\(2, 0\)"

ERRORS = [
    # arithmetic
    *[(lambda f=f: f(t(2, 3), t(4)), ValueError, BROADCAST)
      for f in (ag.add, ag.sub, ag.mul, ag.div, ag.pow, ag.maximum)],
    (lambda: ag.where(t(2, 3), t(4), t(2, 3)), ValueError, BROADCAST),
    # reductions
    *[(lambda f=f: f(t(2, 3), 2), ValueError, AXIS)
      for f in (ag.sum, ag.mean, ag.max, ag.logsumexp, ag.var)],
    *[(lambda f=f: f(t(2, 0), 1), ValueError, f"{f.name}: {EMPTY}") for f in (ag.mean, ag.var)],
    *[(lambda f=f: f(t(2, 0), 1), ValueError, "zero-size") for f in (ag.max, ag.logsumexp)],
    (lambda: ag.mean(t(2, 0)), ValueError, f"mean: {EMPTY}"),
    (lambda: ag.sum(t(2, 3), (0, -2)), ValueError, "repeated"),
    (lambda: ag.sum(t(2, 3), (0, 2)), ValueError, AXIS),
    (lambda: ag.sum(t(2, 3), 1.0), TypeError, "float"),
    (lambda: ag.sum(t(2, 3), "all"), TypeError, "str"),
    (lambda: ag.max(t(), 0), ValueError, "axis 0"),
    (lambda: ag.var(t(2, 3), 0, correction=2), ValueError, r"var: \(2, 3\).*more than 2"),
    # shaping
    (lambda: t(2, 3).reshape(4, 2), ValueError, r"\(4,2\)"),
    (lambda: t(2, 3).reshape(-1, -1), ValueError, "one unknown"),
    (lambda: t(2, 3).reshape(6.0), TypeError, "integer"),
    (lambda: t(2, 3).transpose(0, 0), ValueError, "repeated"),
    (lambda: t(2, 3).transpose(0), ValueError, "match"),
    (lambda: t(2, 3).transpose(0, 2), ValueError, AXIS),
    (lambda: t(2, 3).swapaxes(0, 2), ValueError, AXIS),
    (lambda: t(2, 3).swapaxes(None, 1), TypeError, "None"),
    (lambda: ag.broadcast_to(t(2, 3), (4, 3)), ValueError, "broadcast"),
    (lambda: ag.broadcast_to(t(), (1.5,)), TypeError, "float"),
    (lambda: t(2, 3)[5], IndexError, "index 5"),
    (lambda: t(2, 3)[np.array([0, 9])], IndexError, "index 9"),
    (lambda: t(2, 3)[0, 0, 0], IndexError, "too many"),
    (lambda: t(2, 3)[[True]], IndexError, "boolean"),
    *[(lambda index=index: t(2, 3)[index], IndexError, "integer")
      for index in ("a", 1.0, np.float32(1), np.ones(2), [0.5], t(2), (0, 1.0))],
    (lambda: ag.concat([t(2, 3), t(2, 4)]), ValueError, "dimension"),
    (lambda: ag.concat([t(2, 3), t(2)]), ValueError, "dimension"),
    (lambda: ag.concat([t(2, 3)], 2), ValueError, AXIS),
    (lambda: ag.concat([t()]), ValueError, "zero-dimensional"),
    (lambda: ag.stack([t(2, 3), t(2)]), ValueError, "shape"),
    (lambda: ag.stack([t(2, 3)] * 5, 3), ValueError, "axis 3"),
    (lambda: ag.split(t(2, 3), 1, 2), IndexError, "range"),
    (lambda: ag.split(t(2, 3), 0), ValueError, r"split: size 0.*1 or more"),
    *[(lambda size=size: ag.split(t(2, 3), size, 1), ValueError, "split: size .* adds up to 3")
      for size in ([1, 1], [4, -1], [], 1.5, "ab", [[3]])],
    (lambda: ag.split(t(2, 3), [1.5, 1.5], 1), TypeError, "float"),
    *[(lambda widths=widths: ag.pad(t(2, 3), widths), error, ".")
      for widths, error in ((1, ValueError), ([(1, 1)], ValueError), ([(1, 1), (1,)], ValueError),
                            ([(1, 1), (1, -1)], ValueError), ([(1, 1), (0.5, 1)], TypeError))],
    # linalg
    (lambda: t(2, 3) @ t(4, 2), ValueError, r"matmul: \(2, 3\) .*\(4, 2\)"),
    (lambda: t(3) @ t(4), ValueError, r"matmul: \(3,\) .*\(4,\)"),
    (lambda: t(2, 3) @ 2.0, ValueError, r"matmul: \(2, 3\) .*\(\)"),
    (lambda: t(2, 2, 3) @ t(3, 3, 2), ValueError, "broadcast"),
    (lambda: ag.linear(t(2, 3), t(4, 3)), ValueError, r"linear: \(2, 3\), .*\(4, 3\).*\(out, in"),
    (lambda: ag.linear(t(), t(4, 3)), ValueError, r"linear: \(\), .*\(4, 3\)"),
    (lambda: ag.linear(t(2, 3), t(3)), ValueError, r"linear: \(2, 3\), .*\(3,\)"),
    (lambda: ag.linear(t(2, 3), t(3, 4), t(3)), ValueError, r"linear: bias \(3,\).*\(out,\)"),
    # nn
    (lambda: ag.gelu(t(2), approximate="erf"), KeyError, "erf"),
    (lambda: ag.softmax(t(2, 3), 2), ValueError, AXIS),
    (lambda: ag.softmax(t(2, 3), None), TypeError, "None"),
    (lambda: ag.softmax(t(2, 0)), ValueError, f"softmax: {EMPTY}"),
    (lambda: ag.log_softmax(t(2, 3), 2), ValueError, AXIS),
    (lambda: ag.log_softmax(t(2, 0)), ValueError, f"log_softmax: {EMPTY}"),
    (lambda: ag.layer_norm(t(2, 3), t(2), t(3)), ValueError, r"layer_norm: weight \(2,\).*\[-1:\]"),
    (lambda: ag.layer_norm(t(2, 3), t(3), t()), ValueError, r"layer_norm: bias \(\).*\[-1:\]"),
    (lambda: ag.layer_norm(t()), ValueError, r"layer_norm: x \(\)"),
    (lambda: ag.layer_norm(t(2, 0)), ValueError, f"layer_norm: {EMPTY}"),
    (lambda: ag.rms_norm(t(2, 3), t(2)), ValueError, r"rms_norm: weight \(2,\).*\[-1:\]"),
    (lambda: ag.rms_norm(t(), t()), ValueError, r"rms_norm: x \(\)"),
    (lambda: ag.rms_norm(t(2, 0), t(0)), ValueError, f"rms_norm: {EMPTY}"),
    (lambda: ag.rotary_embedding(t(1, 2, 3, 5), [0, 1, 2]), ValueError,
     r"rotary_embedding: \(1, 2, 3, 5\).*even"),
    (lambda: ag.rotary_embedding(t(3, 4), [0, 1, 2]), ValueError, r"rotary_embedding: \(3, 4\)"),
    *[(lambda positions=positions: ag.rotary_embedding(t(1, 2, 3, 4), positions), ValueError,
       r"rotary_embedding: \(1, 2, 3, 4\), positions")
      for positions in ([0, 1], 0, [0.0, 1.0, 2.0], np.zeros((1, 3), int))],
    (lambda: ag.embedding(t(3), [0]), IndexError, "range"),
    (lambda: ag.embedding(t(3, 2), np.array([[0, 1], [3, -1]])), IndexError,
     r"embedding: index 3 .*\(1, 0\) .*\[0, 3\)"),
    (lambda: ag.embedding(t(3, 2), -1), IndexError, r"embedding: index -1 .*\(\)"),
    *[(lambda ids=ids: ag.embedding(t(3, 2), ids), TypeError,
       r"embedding: dtype .*astype\(int\)") for ids in (1.0, np.zeros(2), [True], t(2))],
    (lambda: ag.dropout(t(2), 1.0, seed=0), ValueError, r"dropout: p=1\.0.*\[0, 1\)"),
    (lambda: ag.dropout(t(2), -0.1, seed=0), ValueError, r"dropout: p=-0\.1"),
    (lambda: ag.dropout(t(2), np.nan, seed=0), ValueError, "dropout: p=nan"),
    (lambda: ag.dropout(t(2), 0.5, seed=0.5), TypeError, "float"),
    (lambda: ag.dropout(t(2), 0.5, seed=None), TypeError, "None"),
    (lambda: attention(t(2, 3, 4), t(2, 3, 4), t(2, 3, 4)), ValueError,
     r"attention: q \(2, 3, 4\).*reshape"),
    (lambda: attention(t(1, 2, 3, 4), t(1, 2, 3, 4), t(1, 2, 3, 5)), ValueError,
     r"attention: v \(1, 2, 3, 5\)"),
    (lambda: attention(t(1, 2, 3, 4), t(1, 3, 3, 4), t(1, 3, 3, 4)), ValueError,
     r"attention: q \(1, 2, 3, 4\), k \(1, 3, 3, 4\).*multiple"),
    (lambda: attention(t(1, 2, 0, 4), t(1, 2, 0, 4), t(1, 2, 0, 4)), ValueError,
     "attention: not empty"),
    (lambda: attention(t(1, 2, 3, 4), t(1, 2, 2, 4), t(1, 2, 2, 4)), ValueError,
     r"attention: \(1, 2, 3, 4\), k .*causal=False"),
    *[(lambda mask=mask: attention(*[t(1, 2, 3, 4)] * 3, mask=mask), ValueError,
       r"attention: mask .*\(1, 3\)")
      for mask in ([1, 1, 1], [[1, 1]], [[1, 1, 2]], [[0.5, 1, 1]])],
    *[(lambda first=first: attention(*[t(1, 2, 3, 4)] * 3, first=first), ValueError,
       r"attention: first .*\(1, 3\)")
      for first in ([0, 0, 0], [[0, 0]], [[0, 0, -1]], [[0, 0, 0.5]])],
    (lambda: attention(*[t(2, 2, 3, 4)] * 3, t(2, 3, 3)), ValueError,
     r"attention: bias \(2, 3, 3\).*\(2, 2, 3, 3\)"),
    *[(lambda wrong=wrong: ag.binary_cross_entropy(t(3, 1), wrong), ValueError,
       r"binary_cross_entropy: logits \(3, 1\) .*\[0, 1\]")
      for wrong in (np.ones(3), np.array([[0], [1], [2]]))],
    (lambda: ag.cross_entropy(t(2, 3), targets(0)), ValueError,
     r"cross_entropy: logits \(2, 3\) .*targets \(1,\)"),
    (lambda: ag.linear_cross_entropy(t(2, 3), t(3, 4), targets(0, 0)), ValueError,
     r"linear_cross_entropy: x \(2, 3\) .*table \(3, 4\).*\(in"),
    (lambda: ag.linear_cross_entropy(t(2, 3), t(4, 3), targets(0, 4)), IndexError,
     r"linear_cross_entropy: index 4 .*\(1,\) .*\[0, 4\)"),
    (lambda: ag.cross_entropy(t(), targets()), ValueError, r"cross_entropy: logits \(\)"),
    (lambda: ag.cross_entropy(t(2, 3), targets(0, 3)), IndexError,
     r"cross_entropy: index 3 .*\(1,\) .*\[0, 3\)"),
    (lambda: ag.cross_entropy(t(2, 3), targets(0, -100)), IndexError, "cross_entropy: .*-100"),
    (lambda: ag.cross_entropy(t(2, 3), targets(0, -1), ignore_index=-100), IndexError,
     r"cross_entropy: index -1 .*\(1,\) .*\[0, 3\)"),
    (lambda: ag.cross_entropy(t(2, 3), targets(0.0, 1.0)), TypeError, "cross_entropy: float64"),
    (lambda: ag.cross_entropy(t(2, 3), targets(-1, -1)), ValueError,
     "cross_entropy: all .*ignore_index=-1"),
    # what the engine refuses before an op sees it
    (lambda: t(2) + None, TypeError, "None"),
    *[(call, AttributeError, "None")
      for call in (lambda: ag.linear(t(2, 3), None), lambda: ag.linear(t(2, 3)),
                   lambda: ag.linear(t(2, 3), bias=t(3, 4)))],
    *[(lambda wrong=wrong: ag.concat(*wrong), error, ".")
      for wrong, error in [([], IndexError), ([t(2)], ValueError), ([t(2), t(2)], TypeError),
                           ([[]], IndexError), ([[t(2), None]], ValueError),
                           ([[t(2)], 0, 1], ValueError)]],
    *[(lambda f=f, x=x: f(x, dim=0), TypeError, rf"{f.name}\(\) .*'dim'")
      for f, x in ((ag.sum, t(2)), (ag.softmax, t(2)), (ag.stack, [t(2)]))],
    *[(lambda a=a, b=b: ag.mul(a, b), TypeError, "mul: float32 .*float64")
      for a, b in [(t(2), Tensor(np.ones(2))), (Tensor(np.ones(2)), t(2)),
                   (t(2).data, np.ones(2))]],
    (lambda: ag.exp(np.ones(2, np.float16)), TypeError, "exp: float16 .*float32.*float64"),
    (lambda: ag.exp("1"), TypeError, "exp: <U1 .*float32.*float64"),
    (lambda: ag.exp(np.ma.masked_array([1.0], [True])), TypeError, "exp: mask"),
    (lambda: Tensor([1], requires_grad=True), TypeError, "Tensor: int64"),
    (lambda: Tensor(np.ones(2), requires_grad=True).backward(), RuntimeError, r"backward: \(2,\)"),
    (lambda: Tensor(np.ones(2), requires_grad=True).backward(1.0), ValueError, r"backward: \(2,\)"),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS, ids=[e[2][:40] for e in ERRORS])
def test_the_error_says_what_to_do(call, error, message):
    *name, fact = message.split(": ", 1)
    with pytest.raises(error, match=fact) as caught:
        call()
    if name:  # else it is NumPy's or Python's own error
        assert str(caught.value).startswith(f"{name[0].replace('attention', attention.name)}: ")
        assert ";" in str(caught.value), "what is wrong; what to do instead"


def test_no_error_of_the_ops_is_missing_from_the_table():
    raised = set()
    for call, error, _ in ERRORS:
        with pytest.raises(error) as caught:
            call()
        last = caught.traceback[-1]
        raised.add((Path(last.path).name, last.lineno + 1))
    for path in [*OPS_FOLDER.glob("*.py"), Path(checks.__file__)]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise):
                lines = {(path.name, n) for n in range(node.lineno, node.end_lineno + 1)}
                assert lines & raised, f"{path.name}:{node.lineno}: no line of the table gets here"
