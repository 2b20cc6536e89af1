"""The forms in which an argument of an op may come: none changes a value or a gradient.

The cases of gradcheck vary shapes and numbers; here the same numbers come in another memory layout,
an axis as a NumPy integer, targets as a list. Each is held to the plain form, and that one to the
finite differences.
"""

from functools import partial

import numpy as np

from autograd.engine import Tensor
from autograd.gradcheck import Function, GradcheckError, cases_of

LAYOUTS = {
    "Fortran order": partial(np.array, order="F"),
    "negative strides": lambda x: np.flip(np.flip(x).copy()),
    "every other element": lambda x: np.repeat(x[..., None], 2, -1)[..., 0],
    "read-only": lambda x: np.broadcast_to(x, x.shape),
}
LISTS = {"list": list, "tuple": tuple, "array": np.array}
SETTINGS = {  # by the type of the setting
    bool: {"NumPy bool": np.bool_},
    int: {"NumPy int": np.int64, "0-d array": np.array},
    float: {"NumPy float": np.float64, "0-d array": np.array},
    str: {"NumPy str": np.str_},
    list: LISTS,
    tuple: LISTS,
    np.ndarray: {"list": np.ndarray.tolist, "Tensor": Tensor} | LAYOUTS,
}


def variants(arrays, settings):
    """Yield (label, arrays, settings) of the same call with one argument in another form."""
    for label, form in LAYOUTS.items():
        yield label, [x if x is None else form(x) for x in arrays], settings
    for name, value in settings.items():
        for label, form in SETTINGS[type(value)].items() if _has_forms(value) else ():
            yield f"{name}: {label}", arrays, settings | {name: form(value)}


def _has_forms(value):
    if isinstance(value, list | tuple):  # the parts of an index may be no numbers
        return all(map(_has_forms, value)) and not any(isinstance(v, np.ndarray) for v in value)
    return type(value) in SETTINGS


def check_forms(name, seed=0):
    """Return the labels of the forms that an op's cases were checked in, each once.

    Raises GradcheckError for a form that changes a value or a gradient.
    """
    labels = {}
    for case in cases_of(name):
        arrays, settings = case.inputs(seed), getattr(case.f, "keywords", {})
        expected = results(case.f, arrays)
        for label, formed, keywords in variants(arrays, settings):
            found = results(partial(case.f, **keywords), formed)
            if not all(map(partial(np.allclose, rtol=1e-12, atol=1e-13), found, expected)):
                raise GradcheckError(f"{name} ({case.label}): {label} changes its result")
            labels[label] = True
    return list(labels)


def results(f, arrays):
    """Return the outputs of f and its gradients, for random gradients of the outputs."""
    function = Function(f, arrays)
    cotangents = function.cotangents(np.random.default_rng(0))
    return [y.data for y in function()] + list(function.gradients(cotangents).values())
