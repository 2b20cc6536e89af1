"""The page of arithmetic: the cost of a step on more ranks."""

import pytest

from benchmarks.parallel import MODELS, TOKENS, page, step_costs
from npgpt.families.size import flops_per_token

MEASURED = {
    "alone": [2.0, 2.2, 2.1], "together": [1.0, 1.1, 1.05], "reduce": {"1": 1e-4, "43": 5e-3},
}


def test_arithmetic_is_shared_and_the_all_reduce_is_not():
    config = MODELS["GPT-2 124M"]
    whole, nothing = step_costs(config, 1, 1e11, 1e9)
    assert nothing == 0 and whole == 3 * flops_per_token(config) * TOKENS / 1e11
    for n in (2, 8, 512):
        arithmetic, reduce = step_costs(config, n, 1e11, 1e9)
        assert arithmetic == pytest.approx(whole / n)
        assert reduce == pytest.approx(2 * (n - 1) / n * 4 * 124_439_808 / 1e9)


def test_the_page_has_what_was_measured_and_both_models():
    text = page(MEASURED, "some machine")
    for fact in ("some machine", "2.00 (2.00 to 2.00)", *MODELS, "| 43 MB | 5.000"):
        assert fact in text.replace("times as fast ", "")
    assert text.count("| 64 |") == 2
