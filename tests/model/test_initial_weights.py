"""Initial weights: GPT-2's are those that every run had, and `fan_in` goes by the inputs."""

import numpy as np
import pytest

from npgpt.models import ARCHITECTURES

KINDS = pytest.mark.parametrize("arch", ARCHITECTURES)
L, C, F = 3, 128, 320  # blocks, channels, an MLP's
TABLES = {"gpt": C**-0.5, "llama": C**-0.5, "bert": 0.35, "t5": 1.0}
# A sum over all weights by their order, computed before there was a setting.
AS_BEFORE = {"gpt": 12.5405614, "llama": -3.47811928, "bert": 7.72525075, "t5": -42.3519389}


def new(arch, init, dtype=np.float64, **changes):
    kind = ARCHITECTURES[arch]
    inner = {} if arch == "gpt" else {"n_inner": F}
    config = kind.Config(300, 200, L, 4, C, init=init, **inner, **changes)
    return kind.Model(config, 5, dtype).parameters()


def spread(arch, name, n_in):
    """Return the deviation of a matrix by `fan_in`, as the documents have it."""
    if name in ("wte.weight", "wpe.weight", "wse.weight"):
        return TABLES[arch]
    if "attn_" in name and name[-8] in "qk":  # T5's scores are not divided by sqrt(D)
        return C**-0.5 * 32**-0.25 * (2 if "cross.k" in name else 1)
    ends_a_branch = arch in ("gpt", "llama") and name.endswith(("c_proj.weight", "attn.o.weight"))
    return n_in**-0.5 / ((2 * L) ** 0.5 if ends_a_branch else 1)


@KINDS
def test_gpt2s_are_what_they_were(arch):
    found = [w.data.ravel() @ np.cos(np.arange(w.size)) for w in new(arch, "gpt2").values()]
    assert sum(found) == pytest.approx(AS_BEFORE[arch], rel=1e-8)


@KINDS
def test_fan_in_goes_by_the_inputs_of_each_matrix(arch):
    untied = {} if arch == "bert" else {"tie_weights": False}
    plain = new(arch, "gpt2", **untied)
    for name, weight in new(arch, "fan_in", **untied).items():
        found, expected = weight.data, spread(arch, name, weight.shape[0])
        if arch == "bert" and name.endswith((".q.weight", ".k.weight")):  # beside its waves
            found, expected = weight.data - plain[name].data, expected - 0.02
        if weight.ndim == 1 or "buckets" in name or (arch, name) == ("bert", "wpe.weight"):
            np.testing.assert_array_equal(weight.data, plain[name].data)
        else:
            assert found.std() == pytest.approx(expected, rel=0.05), name


@KINDS
def test_both_precisions_begin_as_the_same_model(arch):
    single, double = (new(arch, "fan_in", dtype) for dtype in (np.float32, np.float64))
    for name, weight in single.items():
        np.testing.assert_allclose(weight.data, double[name].data, rtol=1e-6, atol=1e-9)
