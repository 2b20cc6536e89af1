"""Every op is exported, has gradcheck cases that use what it documents, and its VJP is right."""

import importlib
import inspect
import pkgutil

import numpy as np
import pytest
from op_table import TABLE

import autograd
import autograd.ops
from autograd import OPS, Tensor
from autograd.gradcheck import Function, check_op
from autograd.gradcheck_cases import CASES

EVERY_CASE = [
    pytest.param(case, id=f"{name}: {case.label}")
    for name, cases in CASES.items()
    for case in cases
]


@pytest.mark.parametrize("name", sorted(OPS))
def test_gradients_agree_with_finite_differences(name, backend):
    report = check_op(name)
    assert report.passed, str(report)
    assert {found.case for found in report.inputs} == {case.label for case in CASES[name]}
    assert 0 <= report.worst.error < 1e-7


def every_op():
    """Also those in a file of autograd/ops that nothing imports yet."""
    for file in pkgutil.iter_modules(autograd.ops.__path__, "autograd.ops."):
        importlib.import_module(file.name)
    return sorted(OPS)


def omissions(name):
    """Yield the missing parts of an op, file by file."""
    module = OPS[name].__module__
    if OPS[name].vjp is None:
        yield f"{module.replace('.', '/')}.py: the VJP of {name}, below it, as @vjp({name})"
    if "=" not in (doc := OPS[name].__doc__ or "") and len(doc) <= 30:
        yield f"{module.replace('.', '/')}.py: the equation of {name}, in its docstring"
    if getattr(autograd, name, None) is not OPS[name]:
        yield f"autograd/__init__.py: {name}, in `from {module} import (...)`"
    if name not in autograd.__all__:
        yield f"autograd/__init__.py: {name!r} in __all__"
    if not CASES.get(name):
        yield f"autograd/gradcheck_cases.py: {name!r} in CASES, calls of other shapes and settings"
    if name not in TABLE:
        yield f"tests/op_table.py: an Entry for {name!r} in TABLE, its definition and calls"
    elif not (TABLE[name].shapes or OPS[name].keeps_dtype or name == "embedding"):
        yield f"tests/op_table.py: `shapes` in the Entry for {name!r}, as it computes numbers"


@pytest.mark.parametrize("name", every_op())
def test_an_op_is_whole(name):
    missing = "\n".join(omissions(name))
    assert not missing, f"to be written:\n{missing}"


@pytest.mark.parametrize("name", sorted(CASES))
def test_cases_vary_every_setting(name, monkeypatch):
    op, forward = OPS[name], OPS[name].forward
    signature = inspect.signature(forward)
    seen = {setting: set() for setting in op.setting_names}

    def recording(*arguments, **settings):
        bound = signature.bind(*arguments, **settings)
        bound.apply_defaults()
        for setting, values in seen.items():
            values.add(repr(bound.arguments[setting]))
        return forward(*arguments, **settings)

    monkeypatch.setattr(op, "forward", recording)
    for case in CASES[name]:
        case.f(*map(Tensor, case.inputs(seed=0)))
    fixed = [setting for setting, values in seen.items() if len(values) < 2]
    assert not fixed, f"autograd/gradcheck_cases.py: cases of {name!r} that vary {fixed}"


@pytest.mark.parametrize("case", EVERY_CASE)
def test_the_gradient_of_one_input_does_not_depend_on_what_else_is_wanted(case):
    arrays = case.inputs(seed=0)
    together = gradients(case.f, arrays, [True] * len(arrays))
    for i, expected in enumerate(together):
        wanted = [j == i for j in range(len(arrays))]
        alone = gradients(case.f, arrays, wanted)
        assert [g is not None for g in alone] == wanted
        assert np.array_equal(alone[i], expected)


@pytest.mark.parametrize("case", EVERY_CASE)
def test_rules_write_into_nothing(case, monkeypatch):
    calls = 0

    def watched(rule):
        def watching(d_output, saved, **needs):
            nonlocal calls
            calls += 1
            given = arrays_in((d_output, saved))
            before = [x.tobytes() for x in given]
            result = rule(d_output, saved, **needs)
            assert [x.tobytes() for x in given] == before
            return result

        return watching

    for watched_op in OPS.values():
        monkeypatch.setattr(watched_op, "vjp", watched(watched_op.vjp))
    gradients(case.f, case.inputs(seed=0), [True] * len(case.makers))
    assert calls


def gradients(f, arrays, wanted):
    """Return the gradients of the wanted inputs, always for the same cotangent."""
    inputs = [Tensor(x, requires_grad=w) for x, w in zip(arrays, wanted, strict=True)]
    function = Function(f, inputs)
    function.gradients(function.cotangents(np.random.default_rng(0)))
    return [x.grad for x in inputs]


def arrays_in(value):
    """The arrays in nested tuples."""
    if isinstance(value, tuple):
        return [array for part in value for array in arrays_in(part)]
    return [value] if isinstance(value, np.ndarray) else []


@pytest.mark.parametrize("name", sorted(CASES))
def test_gradients_in_float32_are_those_in_float64_to_a_few_roundings(name):
    """For the same numbers and the same cotangent."""
    for case in CASES[name]:
        function = Function(case.f, case.inputs(seed=0))
        for x in function.checked.values():
            x.data = x.data.astype(np.float32).astype(np.float64)
        cotangents = function.cotangents(np.random.default_rng(0))
        cotangents = [c.astype(np.float32).astype(np.float64) for c in cotangents]
        double = function.gradients(cotangents)
        for x in function.checked.values():
            x.data = x.data.astype(np.float32, order="K")
        for label, gradient in function.gradients(cotangents).items():
            gap, scale = np.abs(gradient - double[label]).max(), np.abs(double[label]).max()
            assert gradient.dtype == np.float32
            assert gap <= 16 * np.finfo(np.float32).eps * scale, case.label
