"""The arguments that ops refuse. Each function checks one argument; `op` is the name of the op.

Every error has one form: the op, the mistake and the shapes; the code to write instead. A check
returns the argument as the op computes with it, or nothing.
"""

import math
import operator

import numpy as np

INTEGERS = int | np.integer  # made once: making it takes longer than the check itself


# ---- Shapes


def broadcast(op, *shapes):
    """Refuse shapes that do not broadcast."""
    if len(set(shapes)) == 1:
        return
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(f"{op}: shapes {' and '.join(map(str, shapes))} do not broadcast; from "
                         "the right, axes are equal or 1: x.reshape(-1, 1)") from None


def axis(op, axis, shape):
    """Return `axis` as a non-negative int."""
    ndim = len(shape)
    if not isinstance(axis, INTEGERS) or not -ndim <= axis < ndim:
        use = f"use an int from {-ndim} to {ndim - 1}" if ndim else "a 0-d array has no axis"
        raise ValueError(f"{op}: axis {axis!r} for shape {shape}; {use}")
    return int(axis) % ndim


def axes(op, given, shape):
    """Return an axis, a tuple or list of them, or None for all, as sorted non-negative ints.

    >>> axes("sum", (-1, 0), (4, 3))
    (0, 1)
    """
    if given is None:
        return tuple(range(len(shape)))
    several = given if isinstance(given, tuple | list) else (given,)
    found = tuple(sorted(axis(op, a, shape) for a in several))
    if len(set(found)) < len(found):
        raise ValueError(f"{op}: axis {given} for shape {shape} names an axis twice; name it once")
    return found


def not_empty(op, shape, axes):
    """Refuse to reduce over nothing."""
    if 0 in shape and math.prod(shape[i] for i in axes) == 0:
        raise ValueError(f"{op}: nothing to reduce in {shape} over axes {axes}; test .size first")


def count(op, shape, axes, correction=0):
    """Return n - correction for the n elements that are reduced to one; refuse less than 1."""
    not_empty(op, shape, axes)
    n = math.prod(shape[i] for i in axes)
    if n <= correction:
        raise ValueError(f"{op}: {n} elements of {shape} along axes {axes} for correction="
                         f"{correction}; use 0")
    return n - correction


# ---- Moving elements


def permutation(op, axes, shape):
    """Return `axes` as non-negative ints; refuse those that do not name each axis once."""
    axes = tuple(axis(op, a, shape) for a in axes)
    if sorted(axes) != list(range(len(shape))):
        raise ValueError(f"{op}: axes {axes} for shape {shape}; name each once, or use swapaxes")
    return axes


def index(op, part):
    """Refuse a float as an index, or as a part of one."""
    if isinstance(part, float) or getattr(part, "dtype", np.dtype(int)).kind == "f":
        raise TypeError(f"{op}: a float is not an index; use ints, slices, or index.astype(int)")


def advised(op, x, error, advice, kind=ValueError):
    """Return an error with what NumPy says of x, its shape, and advice."""
    return kind(f"{op}: {error}, for shape {x.shape}; {advice}")


def alike(op, arrays, axis=None):
    """Refuse arrays whose shapes differ, be it outside the axis along which they are joined."""
    first, *rest = [a.shape for a in arrays]
    where, use = ("", "concat joins along an existing axis") if axis is None else (
        f" outside axis {axis}", "only the joined axis may")
    for shape in rest:
        joined = axis is not None and len(shape) == len(first)
        if shape != ((*first[:axis], shape[axis], *first[axis + 1 :]) if joined else first):
            raise ValueError(f"{op}: shapes {first} and {shape} differ{where}; {use}")


def sizes(op, size, shape, axis):
    """Return the length of each part of an axis, given the length of all of them, or a list."""
    length = shape[axis]
    if isinstance(size, INTEGERS) and size > 0:
        return [min(size, length - i) for i in range(0, length, size)] or [0]
    sizes = list(size) if np.ndim(size) == 1 else []
    if not (sizes and all(isinstance(n, INTEGERS) and n >= 0 for n in sizes)
            and sum(sizes) == length):
        raise ValueError(f"{op}: size {size!r} for shape {shape}; use a length of 1 or more, or a "
                         f"list that adds up to {length}, the length of axis {axis}")
    return sizes


def widths(op, widths, shape):
    """Return `widths` as a list of (before, after), one for each axis."""
    try:
        pairs = [(operator.index(before), operator.index(after)) for before, after in widths]
    except (ValueError, TypeError):
        pairs = None
    if pairs is None or len(pairs) != len(shape) or any(min(pair) < 0 for pair in pairs):
        raise ValueError(f"{op}: widths {widths} for shape {shape}; use (before, after) per axis")
    return pairs


# ---- Products and norms


def product(op, a, b):
    """Refuse arrays that have no matrix product."""
    shapes = f"{op}: shapes {a.shape} and {b.shape}"
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError(f"{shapes}; a number has no rows: use * instead")
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ValueError(f"{shapes}; the last axis of the left one must be the second to last of "
                         "the right one: swapaxes(-1, -2) transposes")
    try:
        np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ValueError(f"{shapes}; make the axes before the last two equal or 1") from None


def linear(op, x, weight, bias):
    """Refuse a weight that is not (in, out) for an x that ends in `in`, and a bias not (out,)."""
    if weight.ndim != 2 or x.ndim == 0 or x.shape[-1] != weight.shape[0]:
        raise ValueError(f"{op}: x {x.shape} and weight {weight.shape}; x ends in `in`, weight is "
                         "(in, out): transpose one stored as (out, in)")
    if bias is not None and bias.shape != weight.shape[1:]:
        raise ValueError(f"{op}: bias {bias.shape} for weight {weight.shape}; use (out,)")


def table(op, x, table):
    """Refuse a table that is not (vocabulary, channels) for an x that ends in `channels`."""
    if table.ndim != 2 or x.ndim == 0 or x.shape[-1] != table.shape[1]:
        raise ValueError(f"{op}: x {x.shape} and table {table.shape}; the table is (vocabulary, "
                         "channels): transpose one stored as (in, out)")


def per_channel(op, x, **arrays):
    """Refuse a weight or bias without one number per channel, and an x without any."""
    for name, array in arrays.items():
        if x.ndim == 0 or (array is not None and array.shape != x.shape[-1:]):
            raise ValueError(f"{op}: x {x.shape} and {name} {np.shape(array)}; use x.shape[-1:]")
    not_empty(op, x.shape, (x.ndim - 1,))


def positions(op, x, positions):
    """Return `positions` as an array; refuse an x that is not (B, H, T, D) with an even D."""
    if x.ndim != 4 or x.shape[3] % 2:
        raise ValueError(f"{op}: x {x.shape}; use (batch, heads, time, head size), the last even")
    found, T = np.asarray(positions), x.shape[2]
    if found.shape != (T,) or found.dtype.kind not in "iu":
        raise ValueError(f"{op}: positions {found.shape} of {found.dtype} for x {x.shape}; use one "
                         f"integer for each of its {T} times, such as np.arange({T})")
    return found


# ---- Attention


def attention(op, q, k, v, bias, causal):
    """Refuse queries, keys, values and a bias of scores that do not go together."""
    shapes = f"{op}: q {q.shape}, k {k.shape}, v {v.shape}"
    if not q.ndim == k.ndim == v.ndim == 4 or k.shape != v.shape:
        raise ValueError(f"{shapes}; each is (batch, heads, time, head size), k and v are alike: "
                         "reshape (B, T, C) to (B, T, H, D) and swap axes 1 and 2")
    (B, H, T, D), (_, G, S, _) = q.shape, k.shape
    if (k.shape[0], k.shape[3]) != (B, D) or H % max(G, 1) or 0 in (G, D, S):
        raise ValueError(f"{shapes}; batch and head size must agree, heads of q be a multiple of "
                         "k's heads, and head size and key time be 1 or more")
    if causal and T > S:
        raise ValueError(f"{op}: {T} queries but {S} keys; a causal query needs at least its own "
                         "key: give as many keys as queries, or causal=False")
    if bias is not None and bias.shape not in ((B, H, T, S), (1, H, T, S)):
        raise ValueError(f"{op}: bias {bias.shape} for q {q.shape} and k {k.shape}; give a number "
                         f"for each score, {(B, H, T, S)}, or {(1, H, T, S)} for all "
                         "sequences")


def keys(op, mask, k):
    """Return a mask of keys as contiguous bools (B, S); None stays None."""
    if mask is None:
        return None
    mask, (B, _, S, _) = np.asarray(mask), k.shape
    if mask.shape != (B, S) or not ((mask == 0) | (mask == 1)).all():
        raise ValueError(f"{op}: mask of shape {mask.shape} for k {k.shape}; give a 1 for each key "
                         f"and a 0 for padding, {(B, S)}")
    return np.ascontiguousarray(mask, bool)


def first(op, first, q):
    """Return the first keys of queries as contiguous int64 (B, T); None stays None."""
    if first is None:
        return None
    first, (B, _, T, _) = np.asarray(first), q.shape
    if first.shape != (B, T) or first.dtype.kind not in "iu" or (first < 0).any():
        raise ValueError(f"{op}: first of shape {first.shape}, {first.dtype}, for q {q.shape}; "
                         f"give an int of 0 or more for each query, {(B, T)}")
    return np.ascontiguousarray(first, np.int64)


# ---- Numbers and indices


def bounds(op, low, high, dtype):
    """Return two numbers of a dtype, in order; None stays None."""
    for bound in (low, high):
        if np.ndim(bound) > 0:
            raise ValueError(f"{op}: a bound of shape {np.shape(bound)}; use maximum(x, low)")
    low, high = (None if bound is None else dtype.type(bound) for bound in (low, high))
    if low is not None and high is not None and low > high:
        raise ValueError(f"{op}: low={low} is above high={high}; exchange them")
    return low, high


def one_of(op, choices, **setting):
    """Refuse a setting that is none of the choices."""
    ((name, value),) = setting.items()
    if value not in choices:
        raise ValueError(f"{op}: {name}={value!r}; use {' or '.join(map(repr, choices))}")


def dropout(op, p, seed):
    """Refuse a p that is no share below 1, and a seed that is no int."""
    if not isinstance(p, float | int | np.number) or not 0 <= p < 1:
        raise ValueError(f"{op}: p={p!r}; use the share of dropped elements, in [0, 1)")
    if not isinstance(seed, INTEGERS):
        raise TypeError(f"{op}: seed={seed!r}; use an int, a different one for each call and step")


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


def rows_of(op, table, rows):
    """Return `rows` as int64; refuse a table that is no matrix, and rows that it does not have."""
    if table.ndim != 2:
        raise ValueError(f"{op}: weight {table.shape}; use a table, (vocabulary, channels)")
    return indices(op, rows, table.shape[0])


def targets(op, logits_shape, targets, ignore_index):
    """Return (targets_N, count): flat, -1 where there is no loss; how many have one."""
    targets = np.asarray(targets)
    if not logits_shape or targets.shape != logits_shape[:-1]:
        raise ValueError(f"{op}: logits {logits_shape} and targets {targets.shape}; targets have "
                         "the shape of logits without the last axis")
    kept = targets != ignore_index
    count = int(np.count_nonzero(kept))
    if ignore_index == -1 and np.any(targets == -100):
        raise ValueError(f"{op}: a target is -100, which PyTorch ignores; use -1, or ignore_index="
                         "-100")
    some = targets if count == targets.size else np.where(kept, targets, 0)
    targets_N = indices(op, some, logits_shape[-1]).reshape(-1)
    if count == 0:
        raise ValueError(f"{op}: no target is kept, all {targets.size} are ignore_index="
                         f"{ignore_index}; give at least one")
    if some is not targets:
        targets_N[~kept.reshape(-1)] = -1
    return targets_N, count


def shares(op, shape, targets):
    """Return targets as an array of this shape, of numbers in [0, 1]."""
    targets = np.asarray(targets)
    if targets.shape != shape or not targets.size:
        raise ValueError(f"{op}: logits {shape} and targets {targets.shape}; give one target for "
                         f"each logit, at least one: targets.reshape({shape})")
    if not np.all((targets >= 0) & (targets <= 1)):
        raise ValueError(f"{op}: a target is outside [0, 1]; use 0 for no and 1 for yes")
    return targets
