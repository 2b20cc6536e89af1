"""The arguments that ops refuse. Each function checks one argument; `op` is the name of the op.

Every error has one form: the op, the mistake and the shapes; the code to write instead. A check
returns the argument as the op computes with it, or nothing.
"""

import math
import operator
import threading
import warnings
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

INTEGERS = int | np.integer  # made once: making it takes longer than the check itself


# ---- Numbers

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))  # dtypes that have gradients
_floats = ContextVar("floats", default=FLOATS)  # of this thread: complex128, too, in a complex step
_filters = threading.RLock()  # Python's filters of warnings are one list for all threads


@contextmanager
def complex_numbers():
    """Let this thread compute with complex numbers, and refuse to discard an imaginary part."""
    token = _floats.set((*FLOATS, np.dtype(np.complex128)))
    try:
        with _filters, warnings.catch_warnings(
            action="error", category=np.exceptions.ComplexWarning
        ):
            yield
    finally:
        _floats.reset(token)


def array(op, x):
    """Return x as an array; refuse a dtype that no op computes in."""
    if hasattr(x, "filled"):  # np.ma is imported at its first use only
        raise TypeError(f"{op}: a masked array, whose mask would be lost; use its .filled(value)")
    found = np.asarray(x)
    if found.dtype not in _floats.get() and found.dtype.kind not in "iub":
        raise TypeError(f"{op}: dtype {found.dtype} is not supported; use float32 or float64")
    return found


def tensor_data(data, requires_grad):
    """Return the array of a Tensor; Python's floats become float32."""
    if type(data) is np.ndarray and data.dtype in FLOATS:
        return data
    found = array("Tensor", data)
    if requires_grad and found.dtype not in _floats.get():
        raise TypeError(f"Tensor: {found.dtype} values have no gradient; use float data")
    single = found.dtype == np.float64 and not isinstance(data, np.ndarray | np.generic)
    return found.astype(np.float32) if single else found


def cotangent(op, gradient, data):
    """Return the gradient for backward as a new array like `data`; None is 1, for one number."""
    if gradient is None and data.size != 1:
        raise RuntimeError(f"{op}: shape {data.shape} is not a single number; take its sum or mean")
    given = np.ones_like(data) if gradient is None else gradient
    _, found = as_one_dtype(op, [data, given], [data])
    if found.shape != data.shape:
        raise ValueError(f"{op}: gradient {found.shape} for a tensor {data.shape}; use its shape")
    return found.copy()


def of_one_dtype(arrays):
    """Return whether all are arrays of one float dtype; None stands for no array."""
    dtype = arrays[0].dtype if type(arrays[0]) is np.ndarray else None
    for a in arrays:
        if a is not None and (type(a) is not np.ndarray or a.dtype is not dtype):
            return False
    return dtype in FLOATS


def as_one_dtype(op, arrays, of_tensors, keeps_dtype=False):
    """Return arrays, numbers and lists as arrays of one float dtype; None stays None.

    The data of Tensors decide the dtype, else the given arrays, else it is float32. If the op
    `keeps_dtype`, bools stay bools, and integers stay integers unless something else is a float.
    """
    floats, given = _floats.get(), [a for a in arrays if isinstance(a, np.ndarray)]
    arrays = [a if a is None else array(op, a) for a in arrays]
    decisive = [a.dtype for a in of_tensors if a.dtype in floats]
    dtypes = decisive or [a.dtype for a in given if a.dtype in floats]
    if len(set(dtypes)) > 1:
        raise TypeError(f"{op}: float32 and float64 in one op; convert one: "
                        "x.data.astype(numpy.float64)")
    kept = ("b" if dtypes else "iub") if keeps_dtype else ""
    dtype = (dtypes or FLOATS)[0]
    return [a if a is None or a.dtype.kind in kept else a.astype(dtype, copy=False) for a in arrays]


def one_list(op, arguments):
    """Return the arrays of an op that takes a list, read once; refuse them one by one."""
    if not arguments or any(np.ndim(getattr(x, "data", x)) for x in arguments[1:]):
        raise TypeError(f"{op}: arrays come in one list; write {op}([a, b])")
    arrays = tuple(arguments[0])
    if not arrays:
        raise ValueError(f"{op}: an empty list; give one array or more")
    return arrays


# ---- Lengths


def count(op, shape, axes, correction=0):
    """Return n - correction for the n elements that are reduced to one; refuse less than 1."""
    n = math.prod(shape[i] for i in axes)
    if n <= correction:
        raise ValueError(f"{op}: {n} elements along axes {axes} of {shape}; use more than "
                         f"{correction}")
    return n - correction


def sizes(op, size, length):
    """Return the length of each part of an axis, given the length of all of them, or a list."""
    if isinstance(size, INTEGERS) and size > 0:
        return [min(size, length - i) for i in range(0, length, size)] or [0]
    sizes = [operator.index(n) for n in size] if np.ndim(size) == 1 else []
    if sum(sizes) != length or not sizes or min(sizes) < 0:
        raise ValueError(f"{op}: size {size!r}; use a length of 1 or more, or a list that adds up "
                         f"to {length}")
    return sizes


# ---- Products and norms


def product(op, a, b):
    """Raise an error for arrays that have no matrix product."""
    if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ValueError(f"{op}: shapes {a.shape} and {b.shape}; the last axis of the left one "
                         "must be the second to last of the right one: swapaxes transposes")


def linear(op, x, weight, bias):
    """Raise an error unless x ends in `in`, weight is (in, out) and bias (out,)."""
    fits = weight.ndim == 2 and x.ndim > 0 and x.shape[-1] == weight.shape[0]
    if not fits or (bias is not None and bias.shape != weight.shape[1:]):
        raise ValueError(f"{op}: x {x.shape}, weight {weight.shape}, bias {np.shape(bias)}; x ends "
                         "in `in`, weight is (in, out), bias (out,): transpose one that is stored "
                         "as (out, in)")


def table(op, x, table):
    """Raise an error unless table is (vocabulary, channels) and x ends in `channels`."""
    if table.ndim != 2 or x.ndim == 0 or x.shape[-1] != table.shape[1]:
        raise ValueError(f"{op}: x {x.shape} and table {table.shape}; the table is (vocabulary, "
                         "channels): transpose one stored as (in, out)")


def per_channel(op, x, **arrays):
    """Raise an error for a weight or bias without one number per channel, and an x without any."""
    for name, array in arrays.items():
        if x.ndim == 0 or (array is not None and array.shape != x.shape[-1:]):
            raise ValueError(f"{op}: x {x.shape} and {name} {np.shape(array)}; use x.shape[-1:]")
    count(op, x.shape, (x.ndim - 1,))


def positions(op, x, positions):
    """Return `positions` as an array; refuse an x that is not (B, H, T, D) with an even D."""
    found = np.asarray(positions)
    if x.ndim != 4 or x.shape[3] % 2 or found.shape != x.shape[2:3] or found.dtype.kind not in "iu":
        raise ValueError(f"{op}: x {x.shape}, positions {found.shape} of {found.dtype}; use (batch,"
                         " heads, time, an even head size), and an integer for each time")
    return found


# ---- Attention


def attention(op, q, k, v, bias, causal):
    """Raise an error for queries, keys, values and a bias of scores that do not go together."""
    shapes = f"{op}: q {q.shape}, k {k.shape}, v {v.shape}"
    if (not q.ndim == k.ndim == 4 or k.shape != v.shape or k.shape[::3] != q.shape[::3]
            or 0 in k.shape[1:] or q.shape[1] % k.shape[1]):
        raise ValueError(f"{shapes}; each is (batch, heads, time, head size): reshape (B, T, C) to "
                         "(B, T, H, D) and swap axes 1 and 2; k and v are alike and not empty, "
                         "heads of q a multiple of theirs")
    (B, H, T, _), S = q.shape, k.shape[2]
    if causal and T > S:
        raise ValueError(f"{shapes}; a causal query needs at least its own key, or causal=False")
    if bias is not None and bias.shape not in ((B, H, T, S), (1, H, T, S)):
        raise ValueError(f"{shapes}, bias {bias.shape}; use {(B, H, T, S)} or {(1, H, T, S)}")


def keys(op, mask, shape):
    """Return a mask of keys as contiguous bools; None stays None."""
    if mask is None:
        return None
    mask = np.asarray(mask)
    if mask.shape != shape or not np.isin(mask, (0, 1)).all():
        raise ValueError(f"{op}: mask {mask.shape}; use 1 for a key and 0 for padding, {shape}")
    return np.ascontiguousarray(mask, bool)


def first(op, first, shape):
    """Return the first keys of queries as contiguous int64; None stays None."""
    if first is None:
        return None
    first = np.asarray(first)
    if first.shape != shape or first.dtype.kind not in "iu" or (first < 0).any():
        raise ValueError(f"{op}: first {first.shape} of {first.dtype}; use ints from 0 on, {shape}")
    return np.ascontiguousarray(first, np.int64)


# ---- Probabilities and indices


def probability(op, p):
    """Raise an error for a p outside of [0, 1)."""
    if not 0 <= p < 1:
        raise ValueError(f"{op}: p={p!r}; use the share of dropped elements, in [0, 1)")


def indices(op, indices, size):
    """Return `indices` as int64; refuse any outside [0, size)."""
    given = np.asarray(indices)
    if given.size and given.dtype.kind not in "iu":  # [] is an array of floats to NumPy
        raise TypeError(f"{op}: indices of dtype {given.dtype}; use integers (.astype(int))")
    found = given.astype(np.int64)
    unsigned = found.view(np.uint64)  # in which negative ones are the largest
    if found.size and unsigned.max() >= size:
        position = tuple(int(i) for i in np.argwhere(unsigned >= size)[0])
        raise IndexError(f"{op}: index {given[position]} at position {position} is outside "
                         f"[0, {size}); if it is a token, use this model's tokenizer")
    return found


def targets(op, logits_shape, targets, ignore_index):
    """Return (targets_N, count): flat, -1 where there is no loss; how many have one."""
    targets = np.asarray(targets)
    if not logits_shape or targets.shape != logits_shape[:-1]:
        raise ValueError(f"{op}: logits {logits_shape} and targets {targets.shape}; targets have "
                         "the shape of logits without the last axis")
    kept = targets != ignore_index
    found = indices(op, np.where(kept, targets, 0), logits_shape[-1])
    if not kept.any():
        raise ValueError(f"{op}: all targets are ignore_index={ignore_index}; give another one")
    return np.where(kept, found, -1).reshape(-1), int(kept.sum())


def probabilities(op, shape, targets):
    """Return targets as an array of this shape, of numbers in [0, 1]."""
    targets = np.asarray(targets)
    if targets.shape != shape or not targets.size or not np.all((targets >= 0) & (targets <= 1)):
        raise ValueError(f"{op}: logits {shape} and targets {targets.shape}; give a target in "
                         "[0, 1] for each logit, at least one")
    return targets
