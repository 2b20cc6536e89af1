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
BROADCAST = r"shapes \(2, 3\) and \(4,\) do not broadcast; .*x\.reshape\(-1, 1\)"
AXIS = r"axis 2 for shape \(2, 3\); use an int from -2 to 1"
EMPTY = r"nothing to reduce in \(2, 0\) over axes \((0, )?1,?\); test \.size"

ERRORS = [
    # arithmetic
    (lambda: t(2, 3) + t(4), ValueError, f"add: {BROADCAST}"),
    (lambda: t(2, 3) - t(4), ValueError, f"sub: {BROADCAST}"),
    (lambda: t(2, 3) * t(4), ValueError, f"mul: {BROADCAST}"),
    (lambda: t(2, 3) / t(4), ValueError, f"div: {BROADCAST}"),
    (lambda: t(2, 3) ** t(4), ValueError, f"pow: {BROADCAST}"),
    (lambda: ag.maximum(t(2, 3), t(4)), ValueError, f"maximum: {BROADCAST}"),
    (lambda: ag.where(t(2, 3), t(4), t(2, 3)), ValueError,
     r"where: shapes \(2, 3\) and \(4,\) and \(2, 3\) do not broadcast"),
    (lambda: ag.clip(t(2), 3, 1), ValueError, "clip: low=3.0 is above high=1.0; exchange them"),
    (lambda: ag.clip(t(2), np.zeros(2)), ValueError,
     r"clip: a bound of shape \(2,\); use maximum\(x, low\)"),
    # reductions
    *[(lambda f=f: f(t(2, 3), 2), ValueError, f"{f.name}: {AXIS}")
      for f in (ag.sum, ag.mean, ag.max, ag.logsumexp, ag.var)],
    *[(lambda f=f: f(t(2, 0), 1), ValueError, f"{f.name}: {EMPTY}")
      for f in (ag.mean, ag.max, ag.logsumexp, ag.var)],
    (lambda: ag.mean(t(2, 0)), ValueError, f"mean: {EMPTY}"),
    (lambda: ag.sum(t(2, 3), (0, -2)), ValueError,
     r"sum: axis \(0, -2\) for shape \(2, 3\) names an axis twice; name it once"),
    (lambda: ag.sum(t(2, 3), (0, 2)), ValueError, f"sum: {AXIS}"),
    (lambda: ag.sum(t(2, 3), 1.0), ValueError, r"sum: axis 1\.0 for shape \(2, 3\); use an int"),
    (lambda: ag.sum(t(2, 3), "all"), ValueError, r"sum: axis 'all' for shape \(2, 3\); use an int"),
    (lambda: ag.max(t(), 0), ValueError, r"max: axis 0 for shape \(\); a 0-d array has no axis"),
    (lambda: ag.var(t(2, 3), 0, correction=2), ValueError,
     r"var: 2 elements of \(2, 3\) along axes \(0,\) for correction=2; use 0"),
    # shaping
    (lambda: t(2, 3).reshape(4, 2), ValueError,
     r"reshape: .*size 6 into shape \(4, ?2\), for shape \(2, 3\); .* may be -1"),
    (lambda: t(2, 3).reshape(-1, -1), ValueError, r"reshape: can only specify one unknown"),
    (lambda: t(2, 3).reshape(6.0), ValueError, r"reshape: .*float.* for shape \(2, 3\); len"),
    (lambda: t(2, 3).transpose(0, 0), ValueError,
     r"transpose: axes \(0, 0\) for shape \(2, 3\); name each once, or use swapaxes"),
    (lambda: t(2, 3).transpose(0), ValueError, r"transpose: axes \(0,\) for shape \(2, 3\)"),
    (lambda: t(2, 3).transpose(0, 2), ValueError, f"transpose: {AXIS}"),
    (lambda: t(2, 3).swapaxes(0, 2), ValueError, f"swapaxes: {AXIS}"),
    (lambda: t(2, 3).swapaxes(None, 1), ValueError, "swapaxes: axis None for shape"),
    (lambda: ag.broadcast_to(t(2, 3), (4, 3)), ValueError,
     r"broadcast_to: .*\(4, ?3\).*, for shape \(2, 3\); reshape x first"),
    (lambda: ag.broadcast_to(t(), (1.5,)), ValueError, r"broadcast_to: .*float.*; "),
    (lambda: t(2, 3)[5], IndexError,
     r"getitem: index 5 is out of bounds .*, for shape \(2, 3\); use ints inside the axes"),
    (lambda: t(2, 3)[np.array([0, 9])], IndexError, r"getitem: index 9 .* for shape \(2, 3\)"),
    (lambda: t(2, 3)[0, 0, 0], IndexError, r"getitem: too many indices .* for shape \(2, 3\)"),
    (lambda: t(2, 3)[[True]], IndexError, r"getitem: boolean index .* for shape \(2, 3\)"),
    (lambda: t(2, 3)["a"], IndexError, r"getitem: only integers.* for shape \(2, 3\)"),
    *[(lambda index=index: t(2, 3)[index], TypeError,
       r"getitem: a float is not an index; use ints, .* index\.astype\(int\)")
      for index in (1.0, np.float32(1), np.ones(2), [0.5], t(2), (0, 1.0))],
    (lambda: ag.concat([t(2, 3), t(2, 4)]), ValueError,
     r"concat: shapes \(2, 3\) and \(2, 4\) differ outside axis 0; only the joined axis may"),
    (lambda: ag.concat([t(2, 3), t(2)]), ValueError, r"concat: shapes \(2, 3\) and \(2,\) differ"),
    (lambda: ag.concat([t(2, 3)], 2), ValueError, f"concat: {AXIS}"),
    (lambda: ag.concat([t()]), ValueError, r"concat: axis 0 for shape \(\); a 0-d array"),
    (lambda: ag.stack([t(2, 3), t(2)]), ValueError,
     r"stack: shapes \(2, 3\) and \(2,\) differ; concat joins along an existing axis"),
    (lambda: ag.stack([t(2, 3)] * 5, 3), ValueError,
     r"stack: axis 3 for shape \(5, 2, 3\); use an int from -3 to 2"),
    (lambda: ag.split(t(2, 3), 1, 2), ValueError, f"split: {AXIS}"),
    (lambda: ag.split(t(2, 3), 0), ValueError,
     r"split: size 0 for shape \(2, 3\); use a length of 1 or more"),
    *[(lambda size=size: ag.split(t(2, 3), size, 1), ValueError,
       r"split: size .* for shape \(2, 3\); .* list that adds up to 3, the length of axis 1")
      for size in ([1, 1], [4, -1], [], [1.5, 1.5], 1.5, "ab", [[3]])],
    *[(lambda widths=widths: ag.pad(t(2, 3), widths), ValueError,
       r"pad: widths .* for shape \(2, 3\); use \(before, after\) per axis")
      for widths in (1, [(1, 1)], [(1, 1), (1, -1)], [(1, 1), (0.5, 1)], [(1, 1), (1,)])],
    # linalg
    (lambda: t(2, 3) @ t(4, 2), ValueError,
     r"matmul: shapes \(2, 3\) and \(4, 2\); the last axis of .*: swapaxes\(-1, -2\) transposes"),
    (lambda: t(3) @ t(4), ValueError, r"matmul: shapes \(3,\) and \(4,\); the last axis"),
    (lambda: t(2, 3) @ 2.0, ValueError, r"matmul: shapes \(2, 3\) and \(\); .*: use \* instead"),
    (lambda: t(2, 2, 3) @ t(3, 3, 2), ValueError,
     r"matmul: shapes \(2, 2, 3\) and \(3, 3, 2\); make the axes before the last two equal or 1"),
    (lambda: ag.linear(t(2, 3), t(4, 3)), ValueError,
     r"linear: x \(2, 3\) and weight \(4, 3\); .*: transpose one stored as \(out, in"),
    (lambda: ag.linear(t(), t(4, 3)), ValueError, r"linear: x \(\) and weight \(4, 3\)"),
    (lambda: ag.linear(t(2, 3), t(3)), ValueError, r"linear: x \(2, 3\) and weight \(3,\)"),
    (lambda: ag.linear(t(2, 3), t(3, 4), t(3)), ValueError,
     r"linear: bias \(3,\) for weight \(3, 4\); use \(out,\)"),
    # nn
    (lambda: ag.gelu(t(2), approximate="erf"), ValueError,
     "gelu: approximate='erf'; use 'tanh' or 'none'"),
    (lambda: ag.softmax(t(2, 3), 2), ValueError, f"softmax: {AXIS}"),
    (lambda: ag.softmax(t(2, 3), None), ValueError, "softmax: axis None for shape"),
    (lambda: ag.softmax(t(2, 0)), ValueError, f"softmax: {EMPTY}"),
    (lambda: ag.log_softmax(t(2, 3), 2), ValueError, f"log_softmax: {AXIS}"),
    (lambda: ag.log_softmax(t(2, 0)), ValueError, f"log_softmax: {EMPTY}"),
    (lambda: ag.layer_norm(t(2, 3), t(2), t(3)), ValueError,
     r"layer_norm: x \(2, 3\) and weight \(2,\); use x\.shape\[-1:\]"),
    (lambda: ag.layer_norm(t(2, 3), t(3), t()), ValueError,
     r"layer_norm: x \(2, 3\) and bias \(\); use x\.shape\[-1:\]"),
    (lambda: ag.layer_norm(t()), ValueError, r"layer_norm: x \(\) and weight \(\)"),
    (lambda: ag.layer_norm(t(2, 0)), ValueError, f"layer_norm: {EMPTY}"),
    (lambda: ag.rms_norm(t(2, 3), t(2)), ValueError,
     r"rms_norm: x \(2, 3\) and weight \(2,\); use x\.shape\[-1:\]"),
    (lambda: ag.rms_norm(t(), t()), ValueError, r"rms_norm: x \(\) and weight \(\)"),
    (lambda: ag.rms_norm(t(2, 0), t(0)), ValueError, f"rms_norm: {EMPTY}"),
    (lambda: ag.rotary_embedding(t(1, 2, 3, 5), [0, 1, 2]), ValueError,
     r"rotary_embedding: x \(1, 2, 3, 5\); use \(batch, heads, time, head size\), the last even"),
    (lambda: ag.rotary_embedding(t(3, 4), [0, 1, 2]), ValueError, r"rotary_embedding: x \(3, 4\)"),
    *[(lambda positions=positions: ag.rotary_embedding(t(1, 2, 3, 4), positions), ValueError,
       r"rotary_embedding: positions .*; use one integer for each of its 3 times, such as np\.ara")
      for positions in ([0, 1], 0, [0.0, 1.0, 2.0], np.zeros((1, 3), int))],
    (lambda: ag.embedding(t(3), [0]), ValueError,
     r"embedding: weight \(3,\); use a table, \(vocabulary, channels\)"),
    (lambda: ag.embedding(t(3, 2), np.array([[0, 1], [3, -1]])), IndexError,
     r"embedding: index 3 at position \(1, 0\) is outside \[0, 3\); if it is a token, use this"),
    (lambda: ag.embedding(t(3, 2), -1), IndexError, r"embedding: index -1 at position \(\)"),
    *[(lambda ids=ids: ag.embedding(t(3, 2), ids), TypeError,
       r"embedding: indices of dtype .*; use integers \(\.astype\(int\)\)")
      for ids in (1.0, np.zeros(2), [True], t(2))],
    (lambda: ag.dropout(t(2), 1.0, seed=0), ValueError,
     r"dropout: p=1\.0; use the share of dropped elements, in \[0, 1\)"),
    (lambda: ag.dropout(t(2), -0.1, seed=0), ValueError, r"dropout: p=-0\.1; "),
    (lambda: ag.dropout(t(2), np.nan, seed=0), ValueError, "dropout: p=nan; "),
    (lambda: ag.dropout(t(2), 0.5, seed=0.5), TypeError, r"dropout: seed=0\.5; use an int"),
    (lambda: ag.dropout(t(2), 0.5, seed=None), TypeError, "dropout: seed=None; use an int"),
    (lambda: attention(t(2, 3, 4), t(2, 3, 4), t(2, 3, 4)), ValueError,
     r"attention: q \(2, 3, 4\), k .*, v .*; each is \(batch, heads, time, head size\).*: reshape"),
    (lambda: attention(t(1, 2, 3, 4), t(1, 2, 3, 4), t(1, 2, 3, 5)), ValueError,
     r"attention: q .*, v \(1, 2, 3, 5\); .* k and v are alike"),
    (lambda: attention(t(1, 2, 3, 4), t(1, 3, 3, 4), t(1, 3, 3, 4)), ValueError,
     r"attention: q \(1, 2, 3, 4\), k \(1, 3, 3, 4\), .*; .* be a multiple of k's heads"),
    (lambda: attention(t(1, 2, 0, 4), t(1, 2, 0, 4), t(1, 2, 0, 4)), ValueError,
     "attention: q .*, and head size and key time be 1 or more"),
    (lambda: attention(t(1, 2, 3, 4), t(1, 2, 2, 4), t(1, 2, 2, 4)), ValueError,
     "attention: 3 queries but 2 keys; .*: give as many keys as queries, or causal=False"),
    *[(lambda mask=mask: attention(*[t(1, 2, 3, 4)] * 3, mask=mask), ValueError,
       r"attention: mask of shape .* for k \(1, 2, 3, 4\); give a 1 for each key and a 0 for p.*3")
      for mask in ([1, 1, 1], [[1, 1]], [[1, 1, 2]], [[0.5, 1, 1]])],
    (lambda: attention(*[t(2, 2, 3, 4)] * 3, t(2, 3, 3)), ValueError,
     r"attention: bias \(2, 3, 3\) for .*; give a number for each score, \(2, 2, 3, 3\), or "),
    (lambda: ag.cross_entropy(t(2, 3), targets(0)), ValueError,
     r"cross_entropy: logits \(2, 3\) and targets \(1,\); targets have the shape of logits"),
    (lambda: ag.linear_cross_entropy(t(2, 3), t(3, 4), targets(0, 0)), ValueError,
     r"linear_cross_entropy: x \(2, 3\) and table \(3, 4\); .*: transpose one stored as \(in"),
    (lambda: ag.linear_cross_entropy(t(2, 3), t(4, 3), targets(0, 4)), IndexError,
     r"linear_cross_entropy: index 4 at position \(1,\) is outside \[0, 4\)"),
    (lambda: ag.cross_entropy(t(), targets()), ValueError, r"cross_entropy: logits \(\) and targ"),
    (lambda: ag.cross_entropy(t(2, 3), targets(0, 3)), IndexError,
     r"cross_entropy: index 3 at position \(1,\) is outside \[0, 3\)"),
    (lambda: ag.cross_entropy(t(2, 3), targets(0, -1), ignore_index=-100), IndexError,
     r"cross_entropy: index -1 at position \(1,\) is outside \[0, 3\)"),
    (lambda: ag.cross_entropy(t(2, 3), targets(0.0, 1.0)), TypeError,
     r"cross_entropy: indices of dtype float64; use integers"),
    (lambda: ag.cross_entropy(t(2, 3), targets(-1, -1)), ValueError,
     r"cross_entropy: no target is kept, all 2 are ignore_index=-1; give at least one"),
    # what the engine refuses before an op sees it
    (lambda: t(2) + None, TypeError, "add: b is missing or None; give an array or number"),
    *[(call, TypeError, "linear: weight is missing or None; give an array or number")
      for call in (lambda: ag.linear(t(2, 3), None), lambda: ag.linear(t(2, 3)),
                   lambda: ag.linear(t(2, 3), bias=t(3, 4)))],
    *[(lambda wrong=wrong: ag.concat(*wrong), TypeError,
       r"concat: takes one list of tensors; write concat\(\[a, b\]\), with axis")
      for wrong in ([], [t(2)], [t(2), t(2)], [[]], [[t(2), None]], [[t(2)], 0, 1])],
    *[(lambda f=f, x=x: f(x, dim=0), TypeError, f"{f.name}: no argument 'dim'; it has axis")
      for f, x in ((ag.sum, t(2)), (ag.softmax, t(2)), (ag.stack, [t(2)]))],
    *[(lambda a=a, b=b: ag.mul(a, b), TypeError,
       "mul: float32 and float64 in one op; convert one: x")
      for a, b in [(t(2), Tensor(np.ones(2))), (Tensor(np.ones(2)), t(2)),
                   (t(2).data, np.ones(2))]],
    (lambda: ag.exp(np.ones(2, np.float16)), TypeError, "exp: dtype float16 is not supported; use"),
    (lambda: ag.exp("1"), TypeError, "exp: dtype <U1 is not supported; use float32 or float64"),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS, ids=[e[2][:40] for e in ERRORS])
def test_the_error_says_what_to_do(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    name = message.split(":")[0].replace("attention", attention.name)
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


def test_an_error_leaves_nothing_behind():
    x = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError):
        x + np.ones(3)
    assert x.grad is None
    (x + np.ones(2)).sum().backward()
    np.testing.assert_array_equal(x.grad, [1, 1])
