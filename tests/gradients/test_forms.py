"""An argument in whatever form it may come: its values and gradients, or an error, never less.

The forms of `autograd.gradcheck_forms` are tried on calls that hypothesis draws, and what only the
engine sees: an index nested at will, lists that are read once, dtypes side by side, one Tensor for
two inputs, an array that its owner changes between forward and backward.
"""

import inspect
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_table import call, draw_call

import autograd as ag
from autograd import OPS, Tensor, backend, precision
from autograd.gradcheck import GradcheckError, check_op, random_signed
from autograd.gradcheck_forms import check_forms, results, variants

LISTS = "concat", "stack"  # they take their arrays as one list
close = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-11)


def by_name(name, rest, more):
    """Return (the settings by name, those of a call that only go by position)."""
    kinds = inspect.signature(OPS[name].forward).parameters
    if any(kinds[n].kind is inspect.Parameter.VAR_POSITIONAL for n in OPS[name].setting_names):
        return more, rest
    return dict(zip(OPS[name].setting_names, rest, strict=False)) | more, ()


def function(name, rest, more, flags):
    """Return f(arrays that are there) of a call in which some arrays are None."""

    def f(*given):
        left = iter(given)
        inputs = [next(left) if flag else None for flag in flags]
        if name == "where":  # its condition has no gradient
            inputs[0] = inputs[0].data
        return call(name, inputs, rest, more)

    return f


def checked(name, arrays, rest, more):
    there = [a for a in arrays if a is not None]
    return results(function(name, rest, more, [a is not None for a in arrays]), there)


def lengths_in_other_forms(rest):
    whole = tuple(map(int, rest))
    yield from [(whole,), (list(whole),), tuple(map(np.int64, whole)), tuple(map(np.array, whole))]


@pytest.mark.parametrize("name", sorted({*OPS} - {"getitem"}))  # its index: below
def test_every_parameter_has_forms_which_change_nothing(name):
    """All forms of the settings of all calls drawn; each parameter comes up in one at least."""
    formed = {label.split(":")[0] for label in check_forms(name)}

    @settings(max_examples=5)
    @given(st.data())
    def check(data):
        arrays, rest, more = draw_call(name, data.draw)
        more, rest = by_name(name, rest, more)
        if "seed" in more:
            more["seed"] %= 2**62  # a Python int may be larger than any of NumPy's
        given = [a for a in [*arrays, *more.values()] if isinstance(a, np.ndarray)]
        if not all(a.size for a in given):  # an empty list has lost its shape
            return
        plain = checked(name, arrays, rest, more)
        for label, other, keywords in variants(arrays, more):
            for found, expected in zip(checked(name, other, rest, keywords), plain, strict=True):
                close(found, expected, err_msg=label)
            formed.add(label.split(":")[0])
        for other in lengths_in_other_forms(rest) if rest else ():
            list(map(close, checked(name, arrays, other, more), plain))
            formed.update(OPS[name].setting_names)

    check()
    missing = set(OPS[name].setting_names) - formed
    assert not missing, (f"{name} has no forms of {missing}: draw it in tests/op_table.py, and "
                         "give its type a form in SETTINGS of autograd/gradcheck_forms.py")


def gradients(inputs, name, rest, more, change=()):
    """Return the gradients of the Tensors among the inputs, `change` overwritten after forward."""
    outputs = call(name, inputs, rest, more)
    for array in change:
        array[...] = array == 0
    rng = np.random.default_rng(0)
    loss = sum((random_signed(rng, y.shape).astype(y.dtype) * y).sum() for y in outputs)
    loss.backward()
    return [x.grad for x in inputs if isinstance(x, Tensor)]


def leaf(x):
    return x if x is None else Tensor(x, requires_grad=True)


SEVERAL = sorted(n for n in OPS if len(OPS[n].array_names) > 1 or n in LISTS)


@pytest.mark.parametrize("name", SEVERAL)
@settings(max_examples=5)
@given(st.data())
def test_dtypes_side_by_side(name, data):
    """A float32 Tensor beside bools, integers, float16: as float32, or an error of the op."""
    arrays, rest, more = draw_call(name, data.draw)
    kind = data.draw(st.sampled_from(["bool", "int8", "uint64", "float16", "float64"]))
    *others, x = [a if a is None else a.astype(np.float32) for a in arrays if a is not None]
    others = [(np.abs(a) + 1).astype(kind) for a in others]
    x = np.abs(x) + 1
    empty = [None] * (len(arrays) - len(others) - 1)
    if name == "linear" and empty:  # x, weight: the last of those that are there has a gradient
        empty = [None]
    single = [a.astype(np.float32) for a in others]
    expected = gradients([*single, leaf(x), *empty], name, rest, more)
    try:
        found = gradients([*others, leaf(x), *empty], name, rest, more)
    except TypeError as error:
        assert others and kind.startswith("float") and str(error).startswith(f"{name}: ")
        return
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", SEVERAL)
@settings(max_examples=5)
@given(st.data())
def test_one_tensor_for_several_inputs(name, data):
    """It gets the sum of the gradients that two Tensors of its numbers get; so does a view."""
    arrays, rest, more = draw_call(name, data.draw)
    condition = [arrays.pop(0)] if name == "where" else []
    first, *others = arrays
    alike = [a is not None and a.shape == first.shape for a in others]
    given = [first if same else a for same, a in zip(alike, others, strict=True)]
    apart = gradients([*condition, leaf(first), *map(leaf, given)], name, rest, more)
    x = leaf(first)
    view = x[...] if data.draw(st.booleans()) else x
    both = [view if same else a for same, a in zip(alike, given, strict=True)]
    gradients([*condition, x, *both], name, rest, more)
    there = [same for same, a in zip(alike, given, strict=True) if a is not None]
    close(x.grad, apart[0] + sum(g for same, g in zip(there, apart[1:], strict=True) if same))


@pytest.mark.parametrize("name", sorted(OPS))
@settings(max_examples=5)
@given(st.data())
def test_arrays_that_their_owner_changes_before_backward(name, data):
    """Nobody can see a write into an array, so an op keeps its own; of a Tensor it is marked."""
    arrays, rest, more = draw_call(name, data.draw)
    wanted = len(arrays) - 1 if arrays[-1] is not None else 0
    inputs = [leaf(a) if i == wanted else a for i, a in enumerate(arrays)]
    [expected] = gradients(inputs, name, rest, more)
    x = inputs[wanted] = leaf(arrays[wanted])
    owned = [a for a in [*inputs, *rest, *more.values()] if isinstance(a, np.ndarray) and a.size]
    [found] = gradients(inputs, name, rest, more, change=[a for a in owned if a.flags.writeable])
    np.testing.assert_array_equal(found, expected)
    outputs = call(name, inputs, rest, more) if not owned else ()
    x.mark_written()
    for y in outputs:
        with pytest.raises(RuntimeError, match="updated in place"):
            y.backward(np.ones(y.shape))


# ---- indices


@st.composite
def an_index(draw, shape):
    """An index for the shape, or one that NumPy refuses: of every kind of part, nested at will."""
    parts = []
    for n in draw(st.permutations(shape))[: draw(st.integers(0, len(shape)))] or [1]:
        ids = st.integers(-n, max(n - 1, 0)) if n else st.just(0)
        flat = st.lists(ids, max_size=3)
        pairs = st.lists(st.tuples(ids, ids), min_size=1, max_size=2)
        one = st.one_of(
            ids, ids.map(np.int8), ids.map(np.array), st.slices(n), st.none(), st.just(...),
            st.booleans(), st.booleans().map(np.bool_), flat, flat.map(tuple),
            flat.map(lambda i: np.array(i, int)), flat.map(lambda i: Tensor(np.array(i, int))),
            pairs, pairs.map(tuple), st.just(range(n)), st.just(range(n)[::-1]),
            st.lists(st.booleans(), min_size=n, max_size=n).map(lambda m: np.array(m, bool)),
            st.lists(st.booleans(), min_size=n, max_size=n), st.just(1.5), st.just("0"),
        )
        parts.append(draw(one))
    whole = st.just(np.resize([True, False, True], shape)) | st.just(np.ones(shape[:1], bool))
    return draw(st.one_of(st.just(tuple(parts)), st.just(parts[0]), st.just(parts), whole))


def for_numpy(index):
    """Return the index with the arrays of its Tensors."""
    if isinstance(index, list | tuple):
        return type(index)(map(for_numpy, index))
    return index.data if isinstance(index, Tensor) else index


@settings(max_examples=250)
@given(st.data())
def test_every_index_that_numpy_takes(data):
    """The gradient counts how often each element was taken, by an array of positions."""
    shape = data.draw(st.sampled_from([(3,), (2, 3), (2, 2, 3), (1, 3), (0, 2), ()]))
    index = data.draw(an_index(shape))
    positions = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    x = Tensor(np.random.default_rng(0).normal(size=shape), requires_grad=True)
    try:
        taken = positions[for_numpy(index)]
    except (IndexError, TypeError, ValueError) as refused:
        with pytest.raises((IndexError, TypeError, ValueError)):
            x[index]
        assert refused
        return
    try:
        y = x[index]
    except TypeError as error:  # a Tensor inside a list: say what to write
        assert "tensor.data" in str(error)
        return
    c = random_signed(np.random.default_rng(1), y.shape)
    y.backward(c)
    np.testing.assert_array_equal(y.data, x.data.reshape(-1)[taken])
    close(x.grad, np.bincount(np.ravel(taken), np.ravel(c), x.size).reshape(shape))


def test_a_slice_and_a_list_that_change_before_backward():
    x, stop, ids = leaf(np.ones(4)), np.array(2), [np.array([0, 0])]
    y, z = x[:stop], x[(ids,)]
    stop[...], ids[0][...] = 4, 3
    (y.sum() + z.sum()).backward()
    np.testing.assert_array_equal(x.grad, [3, 1, 0, 0])


# ---- lists that are read once


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("once", [
    iter, lambda xs: (x for x in xs), lambda xs: map(ag.neg, map(ag.neg, xs)),
    lambda xs: reversed(xs[::-1]), lambda xs: {i: x for i, x in enumerate(xs)}.values(),
], ids=["iter", "generator", "map", "reversed", "values"])
def test_a_list_that_is_read_once(name, once):
    """Also beside another weight, where a lost gradient would go unseen."""
    a, w = leaf(np.array([1.0, 2.0])), leaf(np.array([3.0, 5.0]))
    joined = OPS[name](once([a * a, w, a]))
    c = random_signed(np.random.default_rng(0), joined.shape)
    (joined * c).sum().backward()
    np.testing.assert_array_equal(joined.data.ravel(), [1, 4, 3, 5, 1, 2])
    of_aa, of_w, of_a = c.reshape(3, 2)
    np.testing.assert_array_equal([a.grad, w.grad], [2 * a.data * of_aa + of_a, of_w])


# ---- backward, and threads


@pytest.mark.parametrize("gradient", [
    [1, 2], (1.0, 2.0), np.array([1, 2]), np.array([1, 2], np.float32), Tensor([1.0, 2.0]),
    np.array([[1], [2]])[:, 0], np.array([2.0, 1.0])[::-1],
], ids=repr)
def test_backward_from_each_form_of_a_gradient(gradient):
    x = leaf(np.array([3, 4], np.float32))
    (x * x).backward(gradient)
    np.testing.assert_array_equal(x.grad, [6, 16])


@pytest.mark.parametrize("gradient", [None, 1.0, [1, 2, 3], [[1, 2]], [True, 1j], "1"])
def test_backward_refuses_what_is_no_gradient_of_this_shape(gradient):
    x = leaf(np.array([3, 4], np.float32))
    with pytest.raises((RuntimeError, TypeError, ValueError), match="backward: "):
        (x * x).backward(gradient)
    assert x.grad is None


@pytest.mark.kernels
def test_eight_threads_compute_the_bits_of_one():
    """Each with graphs, checks, a backend and a precision of its own; none leaves anything."""

    def work(i):
        rng = np.random.default_rng(i // 2)
        which = ("numpy", "numba")[i % 2]
        with backend.using(which), precision.using_matmul_precision(("float32", "bfloat16")[i % 2]):
            report = check_op(("softmax", "gelu", "linear", "layer_norm")[i // 2], seed=i)
            x, w = leaf(rng.normal(size=(8, 16)).astype(np.float32)), leaf(np.eye(16, dtype="f4"))
            ag.gelu(x @ w).sum().backward()
            assert (backend.name, report.passed) == (which, True)
        with ag.no_grad():
            assert not (x * x).requires_grad
        return [report.worst.error, x.grad.tobytes(), w.grad.tobytes(), backend.name]

    alone = list(map(work, range(8)))
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert list(pool.map(work, range(8))) == alone
    assert precision.matmul_precision() == "float32"


def test_a_form_that_changes_a_gradient_is_reported(monkeypatch):
    monkeypatch.setattr(OPS["neg"], "forward", lambda x: (-x, x.strides))
    monkeypatch.setattr(OPS["neg"], "vjp", lambda dz, strides: -dz * (1 + any(
        n < 0 for n in strides)))
    with pytest.raises(GradcheckError, match="neg.*negative strides"):
        check_forms("neg")
