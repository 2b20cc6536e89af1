"""The switch between the compiled kernels and their reference implementation."""

import inspect
import runpy

import numpy as np
import pytest
from tiny_run import npgpt

from autograd import backend, kernels, reference, reference_bf16
from autograd.kernels.bf16 import products as bf16

SCRIPT = """
import sys
import numpy as np
import autograd
from autograd import Tensor
x = Tensor(np.linspace(-1, 1, 24).reshape(1, 2, 3, 4), requires_grad=True)
weight = np.cos(np.arange(20.0)).reshape(4, 5)
y = autograd.scaled_dot_product_attention(x, x, x)
y = autograd.dropout(autograd.gelu(autograd.layer_norm(y @ weight)), 0.5, seed=1)
loss = autograd.cross_entropy(y, np.ones((1, 2, 3), int))
loss.backward()
print(loss.item(), np.abs(x.grad).sum(), "numba" in sys.modules, "llvmlite" in sys.modules)
"""


def printed_with(name):
    run = npgpt(code=SCRIPT, env={"AUTOGRAD_BACKEND": name})
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


@pytest.mark.slow
def test_the_numpy_backend_runs_without_numba():
    *of_numpy, numba, llvmlite = printed_with("numpy")
    assert (numba, llvmlite) == ("False", "False")
    *of_numba, numba, _ = printed_with("numba")
    assert numba == "True"
    np.testing.assert_allclose([float(v) for v in of_numpy], [float(v) for v in of_numba])


@pytest.mark.parametrize(("given", "used"), [({}, "5000"), ({"GOMP_SPINCOUNT": "7"}, "7")])
def test_importing_loads_no_compiler_and_changes_no_variable(given, used):
    code = f"""
import os, sys
del os.environ["GOMP_SPINCOUNT"]
os.environ.update({given})
before = dict(os.environ)
import autograd, npgpt
assert os.environ == before, set(os.environ.items()) ^ set(before.items())
assert not {{"numba", "autograd.kernels"}} & set(sys.modules)
autograd.softmax([1.0])
assert os.environ["GOMP_SPINCOUNT"] == {used!r}
"""
    run = npgpt(code=code, env={"AUTOGRAD_BACKEND": "numba", "GOMP_SPINCOUNT": ""})
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("unknown", ["", "torch"])
def test_an_unknown_backend_is_an_error(monkeypatch, unknown):
    monkeypatch.setenv("AUTOGRAD_BACKEND", unknown)
    first_use = runpy.run_path(backend.__file__)["__getattr__"]
    for attribute in ("name", "softmax"):
        with pytest.raises(ValueError, match=f"AUTOGRAD_BACKEND='{unknown}'.*numba"):
            first_use(attribute)


def public_functions(module):
    """Name and signature of what the module offers, compiled or not."""
    return {
        name: list(inspect.signature(getattr(value, "py_func", value)).parameters)
        for name, value in inspect.getmembers(module, callable) if not name.startswith("_")
    }


def test_both_backends_offer_the_same_functions_with_the_same_signatures():
    functions, rounding = public_functions(reference), public_functions(reference_bf16)
    assert public_functions(kernels) == functions
    del rounding["rounded"]
    assert len(rounding) == 8 and rounding.items() <= functions.items()
    assert rounding.items() <= public_functions(bf16).items()


def test_a_name_that_no_backend_has():
    with pytest.raises(AttributeError, match="no_such_kernel"):
        backend.no_such_kernel  # noqa: B018 (looking it up is the test)


@pytest.mark.parametrize(("which", "module"), [("numpy", reference), ("numba", kernels)])
def test_a_block_computes_by_a_backend_and_restores_the_one_before(which, module):
    before = backend.softmax
    with pytest.raises(ZeroDivisionError), backend.using(which):
        assert (backend.softmax, backend.rotary) == (module.softmax, module.rotary)
        raise ZeroDivisionError
    assert backend.softmax is before
    assert backend.rotary.__module__.startswith(before.__module__.split(".softmax")[0])
