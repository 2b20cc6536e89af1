"""The tokenizer's benchmark runs, and compares equal results."""

import pytest

from benchmarks import tokenizer


@pytest.mark.slow
def test_every_table_of_a_quick_run():
    pytest.importorskip("tiktoken", reason="needs tiktoken, of the extra `peers`")
    pytest.importorskip("tokenizers", reason="needs tokenizers, of the extra `peers`")
    compared, first, worst = tokenizer.tables(threads=1, quick=True)
    assert len(compared.rows) == 6
    assert all(comparison["ratio"] > 0 for comparison in compared.comparisons)
    assert len(first.rows) == 3
    assert worst.rows[0][0] == "prose"
