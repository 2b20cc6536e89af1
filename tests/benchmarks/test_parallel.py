"""The page of arithmetic: the cost of a step on more ranks."""

import pytest

from benchmarks.parallel import MODELS, TOKENS, step_costs
from npgpt.families.size import flops_per_token


def test_arithmetic_is_shared_and_the_all_reduce_is_not():
    config = MODELS["GPT-2 124M"]
    whole, nothing = step_costs(config, 1, 1e11, 1e9)
    assert nothing == 0 and whole == 3 * flops_per_token(config) * TOKENS / 1e11
    for n in (2, 8, 512):
        arithmetic, reduce = step_costs(config, n, 1e11, 1e9)
        assert arithmetic == pytest.approx(whole / n)
        assert reduce == pytest.approx(2 * (n - 1) / n * 4 * 124_439_808 / 1e9)
