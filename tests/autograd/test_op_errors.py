"""Every error an op can raise names the op, the shapes it got, and what to write instead.

One table, each line a call and the text that has to be in its error. The last test finds the
`raise` statements in the sources of the ops that no line of the table reaches.
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
BROADCAST = r"\(2, 3\) .*\(4,\).*reshape\(-1, 1\)"
AXIS = r"axis 2 .*\(2, 3\).* -2 to 1"
EMPTY = r"\(2, 0\).*\.size"

ERRORS = [
    # arithmetic
    (lambda: t(2, 3) + t(4), ValueError, f"add: {BROADCAST}"),
    (lambda: t(2, 3) - t(4), ValueError, f"sub: {BROADCAST}"),
    (lambda: t(2, 3) * t(4), ValueError, f"mul: {BROADCAST}"),
    (lambda: t(2, 3) / t(4), ValueError, f"div: {BROADCAST}"),
    (lambda: t(2, 3) ** t(4), ValueError, f"pow: {BROADCAST}"),
    (lambda: ag.maximum(t(2, 3), t(4)), ValueError, f"maximum: {BROADCAST}"),
    (lambda: ag.where(t(2, 3), t(4), t(2, 3)), ValueError, rf"where: {BROADCAST}"),
    (lambda: ag.clip(t(2), 3, 1), ValueError, "clip: low=3.0 .*high=1.0.*exchange"),
    (lambda: ag.clip(t(2), np.zeros(2)), ValueError, r"clip: \(2,\).*maximum\(x, low\)"),
    # reductions
    *[(lambda f=f: f(t(2, 3), 2), ValueError, f"{f.name}: {AXIS}")
      for f in (ag.sum, ag.mean, ag.max, ag.logsumexp, ag.var)],
    *[(lambda f=f: f(t(2, 0), 1), ValueError, f"{f.name}: {EMPTY}")
      for f in (ag.mean, ag.max, ag.logsumexp, ag.var)],
    (lambda: ag.mean(t(2, 0)), ValueError, f"mean: {EMPTY}"),
    (lambda: ag.sum(t(2, 3), (0, -2)), ValueError, r"sum: axis \(0, -2\) .*\(2, 3\).*once"),
    (lambda: ag.sum(t(2, 3), (0, 2)), ValueError, f"sum: {AXIS}"),
    (lambda: ag.sum(t(2, 3), 1.0), ValueError, r"sum: axis 1\.0 .*int"),
    (lambda: ag.sum(t(2, 3), "all"), ValueError, "sum: axis 'all' .*int"),
    (lambda: ag.max(t(), 0), ValueError, r"max: axis 0 .*\(\).*0-d"),
    (lambda: ag.var(t(2, 3), 0, correction=2), ValueError, r"var: \(2, 3\).*correction=2; use 0"),
    # shaping
    (lambda: t(2, 3).reshape(4, 2), ValueError, r"reshape: \(4, ?2\).*\(2, 3\).*-1"),
    (lambda: t(2, 3).reshape(-1, -1), ValueError, r"reshape: one unknown.*\(2, 3\)"),
    (lambda: t(2, 3).reshape(6.0), ValueError, r"reshape: float.*\(2, 3\)"),
    (lambda: t(2, 3).transpose(0, 0), ValueError, r"transpose: \(0, 0\).*\(2, 3\).*swapaxes"),
    (lambda: t(2, 3).transpose(0), ValueError, r"transpose: \(0,\) .*\(2, 3\)"),
    (lambda: t(2, 3).transpose(0, 2), ValueError, f"transpose: {AXIS}"),
    (lambda: t(2, 3).swapaxes(0, 2), ValueError, f"swapaxes: {AXIS}"),
    (lambda: t(2, 3).swapaxes(None, 1), ValueError, "swapaxes: axis None"),
    (lambda: ag.broadcast_to(t(2, 3), (4, 3)), ValueError,
     r"broadcast_to: \(4, ?3\).*\(2, 3\); reshape"),
    (lambda: ag.broadcast_to(t(), (1.5,)), ValueError, "broadcast_to: float"),
    (lambda: t(2, 3)[5], IndexError, r"getitem: index 5 .*\(2, 3\)"),
    (lambda: t(2, 3)[np.array([0, 9])], IndexError, r"getitem: index 9 .*\(2, 3\)"),
    (lambda: t(2, 3)[0, 0, 0], IndexError, r"getitem: too many .*\(2, 3\)"),
    (lambda: t(2, 3)[[True]], IndexError, r"getitem: boolean .*\(2, 3\)"),
    (lambda: t(2, 3)["a"], IndexError, r"getitem: integers.*\(2, 3\)"),
    *[(lambda index=index: t(2, 3)[index], TypeError, r"getitem: float.*astype\(int\)")
      for index in (1.0, np.float32(1), np.ones(2), [0.5], t(2), (0, 1.0))],
    (lambda: ag.concat([t(2, 3), t(2, 4)]), ValueError, r"concat: \(2, 3\) .*\(2, 4\) .*axis 0"),
    (lambda: ag.concat([t(2, 3), t(2)]), ValueError, r"concat: \(2, 3\) .*\(2,\)"),
    (lambda: ag.concat([t(2, 3)], 2), ValueError, f"concat: {AXIS}"),
    (lambda: ag.concat([t()]), ValueError, r"concat: axis 0 .*\(\).*0-d"),
    (lambda: ag.stack([t(2, 3), t(2)]), ValueError, r"stack: \(2, 3\) .*\(2,\) .*concat"),
    (lambda: ag.stack([t(2, 3)] * 5, 3), ValueError, r"stack: axis 3 .*\(5, 2, 3\).* -3 to 2"),
    (lambda: ag.split(t(2, 3), 1, 2), ValueError, f"split: {AXIS}"),
    (lambda: ag.split(t(2, 3), 0), ValueError, r"split: size 0 .*\(2, 3\).*1 or more"),
    *[(lambda size=size: ag.split(t(2, 3), size, 1), ValueError,
       r"split: size .*\(2, 3\).* adds up to 3")
      for size in ([1, 1], [4, -1], [], [1.5, 1.5], 1.5, "ab", [[3]])],
    *[(lambda widths=widths: ag.pad(t(2, 3), widths), ValueError,
       r"pad: widths .*\(2, 3\).*\(before, after\)")
      for widths in (1, [(1, 1)], [(1, 1), (1, -1)], [(1, 1), (0.5, 1)], [(1, 1), (1,)])],
    # linalg
    (lambda: t(2, 3) @ t(4, 2), ValueError, r"matmul: \(2, 3\) .*\(4, 2\).*swapaxes\(-1, -2\)"),
    (lambda: t(3) @ t(4), ValueError, r"matmul: \(3,\) .*\(4,\)"),
    (lambda: t(2, 3) @ 2.0, ValueError, r"matmul: \(2, 3\) .*\(\).* \* "),
    (lambda: t(2, 2, 3) @ t(3, 3, 2), ValueError, r"matmul: \(2, 2, 3\) .*\(3, 3, 2\).* 1"),
    (lambda: ag.linear(t(2, 3), t(4, 3)), ValueError, r"linear: \(2, 3\) .*\(4, 3\).*\(out, in"),
    (lambda: ag.linear(t(), t(4, 3)), ValueError, r"linear: \(\) .*\(4, 3\)"),
    (lambda: ag.linear(t(2, 3), t(3)), ValueError, r"linear: \(2, 3\) .*\(3,\)"),
    (lambda: ag.linear(t(2, 3), t(3, 4), t(3)), ValueError, r"linear: bias \(3,\).*\(out,\)"),
    # nn
    (lambda: ag.gelu(t(2), approximate="erf"), ValueError, "gelu: 'erf'.*'tanh' or 'none'"),
    (lambda: ag.softmax(t(2, 3), 2), ValueError, f"softmax: {AXIS}"),
    (lambda: ag.softmax(t(2, 3), None), ValueError, "softmax: axis None"),
    (lambda: ag.softmax(t(2, 0)), ValueError, f"softmax: {EMPTY}"),
    (lambda: ag.log_softmax(t(2, 3), 2), ValueError, f"log_softmax: {AXIS}"),
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
       "rotary_embedding: positions .* 3 ")
      for positions in ([0, 1], 0, [0.0, 1.0, 2.0], np.zeros((1, 3), int))],
    (lambda: ag.embedding(t(3), [0]), ValueError, r"embedding: \(3,\).*\(vocabulary, channels\)"),
    (lambda: ag.embedding(t(3, 2), np.array([[0, 1], [3, -1]])), IndexError,
     r"embedding: index 3 .*\(1, 0\) .*\[0, 3\)"),
    (lambda: ag.embedding(t(3, 2), -1), IndexError, r"embedding: index -1 .*\(\)"),
    *[(lambda ids=ids: ag.embedding(t(3, 2), ids), TypeError,
       r"embedding: dtype .*astype\(int\)") for ids in (1.0, np.zeros(2), [True], t(2))],
    (lambda: ag.dropout(t(2), 1.0, seed=0), ValueError, r"dropout: p=1\.0.*\[0, 1\)"),
    (lambda: ag.dropout(t(2), -0.1, seed=0), ValueError, r"dropout: p=-0\.1"),
    (lambda: ag.dropout(t(2), np.nan, seed=0), ValueError, "dropout: p=nan"),
    (lambda: ag.dropout(t(2), 0.5, seed=0.5), TypeError, r"dropout: seed=0\.5.*int"),
    (lambda: ag.dropout(t(2), 0.5, seed=None), TypeError, "dropout: seed=None.*int"),
    (lambda: attention(t(2, 3, 4), t(2, 3, 4), t(2, 3, 4)), ValueError,
     r"attention: q \(2, 3, 4\).*reshape"),
    (lambda: attention(t(1, 2, 3, 4), t(1, 2, 3, 4), t(1, 2, 3, 5)), ValueError,
     r"attention: v \(1, 2, 3, 5\)"),
    (lambda: attention(t(1, 2, 3, 4), t(1, 3, 3, 4), t(1, 3, 3, 4)), ValueError,
     r"attention: q \(1, 2, 3, 4\), k \(1, 3, 3, 4\).*multiple"),
    (lambda: attention(t(1, 2, 0, 4), t(1, 2, 0, 4), t(1, 2, 0, 4)), ValueError,
     "attention: 1 or more"),
    (lambda: attention(t(1, 2, 3, 4), t(1, 2, 2, 4), t(1, 2, 2, 4)), ValueError,
     "attention: 3 queries .*2 keys.*causal=False"),
    *[(lambda mask=mask: attention(*[t(1, 2, 3, 4)] * 3, mask=mask), ValueError,
       r"attention: mask .*\(1, 2, 3, 4\).*3")
      for mask in ([1, 1, 1], [[1, 1]], [[1, 1, 2]], [[0.5, 1, 1]])],
    *[(lambda first=first: attention(*[t(1, 2, 3, 4)] * 3, first=first), ValueError,
       r"attention: first .*\(1, 2, 3, 4\).*3")
      for first in ([0, 0, 0], [[0, 0]], [[0, 0, -1]], [[0, 0, 0.5]])],
    (lambda: attention(*[t(2, 2, 3, 4)] * 3, t(2, 3, 3)), ValueError,
     r"attention: bias \(2, 3, 3\) .*\(2, 2, 3, 3\)"),
    (lambda: ag.binary_cross_entropy(t(3, 1), np.ones(3)), ValueError,
     r"binary_cross_entropy: logits \(3, 1\) .*targets \(3,\).*reshape\(\(3, 1\)\)"),
    (lambda: ag.binary_cross_entropy(t(2), np.array([0, 2])), ValueError,
     r"binary_cross_entropy: .*\[0, 1\]"),
    (lambda: ag.cross_entropy(t(2, 3), targets(0)), ValueError,
     r"cross_entropy: logits \(2, 3\) .*targets \(1,\)"),
    (lambda: ag.linear_cross_entropy(t(2, 3), t(3, 4), targets(0, 0)), ValueError,
     r"linear_cross_entropy: x \(2, 3\) .*table \(3, 4\).*\(in"),
    (lambda: ag.linear_cross_entropy(t(2, 3), t(4, 3), targets(0, 4)), IndexError,
     r"linear_cross_entropy: index 4 .*\(1,\) .*\[0, 4\)"),
    (lambda: ag.cross_entropy(t(), targets()), ValueError, r"cross_entropy: logits \(\)"),
    (lambda: ag.cross_entropy(t(2, 3), targets(0, 3)), IndexError,
     r"cross_entropy: index 3 .*\(1,\) .*\[0, 3\)"),
    (lambda: ag.cross_entropy(t(2, 3), targets(0, -100)), ValueError,
     "cross_entropy: .*-100.*ignore_index"),
    (lambda: ag.cross_entropy(t(2, 3), targets(0, -1), ignore_index=-100), IndexError,
     r"cross_entropy: index -1 .*\(1,\) .*\[0, 3\)"),
    (lambda: ag.cross_entropy(t(2, 3), targets(0.0, 1.0)), TypeError, "cross_entropy: float64"),
    (lambda: ag.cross_entropy(t(2, 3), targets(-1, -1)), ValueError,
     "cross_entropy: all 2 .*ignore_index=-1"),
    # what the engine refuses before an op sees it
    (lambda: t(2) + None, TypeError, "add: b .*None"),
    *[(call, TypeError, "linear: weight .*None")
      for call in (lambda: ag.linear(t(2, 3), None), lambda: ag.linear(t(2, 3)),
                   lambda: ag.linear(t(2, 3), bias=t(3, 4)))],
    *[(lambda wrong=wrong: ag.concat(*wrong), TypeError, r"concat: concat\(\[a, b\]\)")
      for wrong in ([], [t(2)], [t(2), t(2)], [[]], [[t(2), None]], [[t(2)], 0, 1])],
    *[(lambda f=f, x=x: f(x, dim=0), TypeError, f"{f.name}: 'dim'.*axis")
      for f, x in ((ag.sum, t(2)), (ag.softmax, t(2)), (ag.stack, [t(2)]))],
    *[(lambda a=a, b=b: ag.mul(a, b), TypeError, "mul: float32 .*float64")
      for a, b in [(t(2), Tensor(np.ones(2))), (Tensor(np.ones(2)), t(2)),
                   (t(2).data, np.ones(2))]],
    (lambda: ag.exp(np.ones(2, np.float16)), TypeError, "exp: float16 .*float32.*float64"),
    (lambda: ag.exp("1"), TypeError, "exp: <U1 .*float32.*float64"),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS, ids=[e[2][:40] for e in ERRORS])
def test_the_error_says_what_to_do(call, error, message):
    name, fact = message.split(": ", 1)
    with pytest.raises(error, match=fact) as caught:
        call()
    name = name.replace("attention", attention.name)
    assert str(caught.value).startswith(f"{name}: ")
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
