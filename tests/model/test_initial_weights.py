"""Initial weights: GPT-2's are those that every run had, and `fan_in` goes by the inputs."""

import numpy as np
import pytest

from npgpt.families import FAMILIES

KINDS = pytest.mark.parametrize("arch", FAMILIES)
L, C, F, EMBEDDINGS = 3, 128, 320, 0.35  # blocks, channels, an MLP's, what BERT and a tied T5 have
# A sum over all weights by their order, computed before there was a setting.
AS_BEFORE = {
    "gpt": 12.540561395376423, "llama": -3.4781192763909408, "bert": 7.725250745845221,
    "t5": -42.351938922514854,
}


def new(arch, init, dtype=np.float64, **changes):
    kind = FAMILIES[arch]
    inner = {} if arch == "gpt" else {"n_inner": F}
    return kind.Model(kind.Config(300, 200, L, 4, C, init=init, **inner | changes), 5, dtype)


def spread(arch, name, n_in):
    """Return the deviation of a matrix by `fan_in`, as the documents have it."""
    if name in ("wte.weight", "wpe.weight", "wse.weight"):
        return C**-0.5 if arch in ("gpt", "llama") else EMBEDDINGS
    if "attn_" in name and name[-8] in "qk":  # T5's scores are not divided by sqrt(D)
        return C**-0.5 * 32**-0.25 * (2 if "cross.k" in name else 1)
    ends_a_branch = arch in ("gpt", "llama") and name.endswith(("c_proj.weight", "attn.o.weight"))
    return n_in**-0.5 / ((2 * L) ** 0.5 if ends_a_branch else 1)


@KINDS
def test_gpt2s_are_what_they_were(arch):
    found = sum(w.data.ravel() @ np.cos(np.arange(w.size))
                for w in new(arch, "gpt2").parameters().values())
    assert found == pytest.approx(AS_BEFORE[arch], rel=1e-12)


@KINDS
@pytest.mark.parametrize("tie_weights", [True, False])
def test_fan_in_goes_by_the_inputs_of_each_matrix(arch, tie_weights):
    changes = {} if arch == "bert" else {"tie_weights": tie_weights}
    model, plain = new(arch, "fan_in", **changes), new(arch, "gpt2", **changes).parameters()
    for name, weight in model.parameters().items():
        found, expected = weight.data.std(), spread(arch, name, weight.shape[0])
        if weight.ndim == 1:
            np.testing.assert_array_equal(weight.data, plain[name].data)
        elif arch == "bert" and name.endswith((".q.weight", ".k.weight")):  # beside its waves
            found, expected = (weight.data - plain[name].data).std(), expected - 0.02
        elif "buckets" in name or (arch == "bert" and name == "wpe.weight"):
            found, expected = weight.data.std(), plain[name].data.std()
        elif (arch, name, tie_weights) == ("t5", "wte.weight", False):
            expected = 1.0
        assert weight.ndim == 1 or found == pytest.approx(expected, rel=0.05), name


@KINDS
def test_both_precisions_begin_as_the_same_model(arch):
    single, double = (new(arch, "fan_in", dtype).parameters() for dtype in (np.float32, np.float64))
    for name, weight in single.items():
        np.testing.assert_allclose(weight.data, double[name].data, rtol=1e-6, atol=1e-9)
