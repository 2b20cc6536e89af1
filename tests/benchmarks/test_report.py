"""Tables as Markdown, and the sections of RESULTS.md."""


import pytest

from benchmarks import code
from benchmarks.__main__ import PARTS, RESULTS
from benchmarks.measure import Comparison
from benchmarks.report import (
    SECTION,
    comparison_table,
    not_ahead,
    quantity,
    with_headline,
)
from benchmarks.runners import JAX_TUNED, TORCH_TUNED

AHEAD = Comparison("gelu", "PyTorch", 1e-3, 2e-3, 2.0, 1.9, 2.5)
BEHIND = Comparison("gelu", "NumPy", 1e-3, 5e-4, 0.5, 0.4, 0.6)
ABSENT = Comparison("gelu", "JAX jit", 1e-3, note="not measured: pip install jax")


def test_a_row_has_the_baselines_side_by_side_and_says_where_we_are_behind():
    table = comparison_table("Ops", [AHEAD, BEHIND, ABSENT], text="below")
    assert table.rows == [[
        "gelu", "1 ms", "2 ms", "2.00 (1.90 – 2.50)", "500 µs", "0.50 (0.40 – 0.60)",
        "not measured: pip install jax", "", "**behind** NumPy",
    ]]
    assert comparison_table("Ops", [AHEAD]).rows[0][-1] == "ahead"
    assert comparison_table("Ops", [ABSENT]).rows[0][-1] == ""
    even = Comparison("gelu", "NumPy", 1.0, 0.996, 0.996, 0.9, 1.1)
    assert comparison_table("Ops", [even]).rows[0][-1] == "even with NumPy"
    lines = table.markdown().splitlines()
    assert {line.count("|") for line in lines if line.startswith("|")} == {10}
    assert lines[0] == "### Ops"
    assert lines[-1] == "below"


def test_what_is_behind_is_listed_with_its_numbers():
    table = comparison_table("Ops", [AHEAD, BEHIND, ABSENT])
    assert [found["peer"] for found in table.comparisons] == ["PyTorch", "NumPy", "JAX jit"]
    assert "1 of 2" in not_ahead([table])
    assert "NumPy: 0.50 (0.40 – 0.60)" in not_ahead([table])
    assert "0.50" not in not_ahead([comparison_table("Ops", [AHEAD])])
    assert not_ahead([comparison_table("Ops", [ABSENT])]) == ""


def test_a_readme_has_the_ratios_of_each_tuned_peer_by_model_between_its_marks():
    rows = [
        Comparison("`cpu`: 4 layers", "PyTorch", 1e-3, 4e-3, 4.0, 3.9, 4.5),
        Comparison("`cpu`: 4 layers", TORCH_TUNED, 1e-3, 2e-3, 2.0, 1.9, 2.5),
        Comparison("`baby`: 6 layers", TORCH_TUNED, 1e-3, 1e-3, 1.0, 0.9, 1.1),
        Comparison("`baby`: 6 layers", JAX_TUNED, 1e-3, note="not measured: pip install jax"),
    ]
    other = comparison_table("Useful FLOPs", [AHEAD])
    readme = "a\n<!-- benchmarks train_step -->\nold\n<!-- end -->\nb <!-- end -->\n"
    found = with_headline(readme, "A processor", [comparison_table("Training step", rows), other])
    assert found.splitlines() == [
        "a", "<!-- benchmarks train_step -->", "A processor:", "",
        "| A training step in float32: times as long as ours | `cpu` | `baby` |",
        "| --- | --- | --- |",
        "| PyTorch, tuned | 2.00 (1.90 – 2.50) | 1.00 (0.90 – 1.10) |",
        "| JAX jit, tuned |  |  |",
        "<!-- end -->", "b <!-- end -->",
    ]


@pytest.mark.parametrize(
    ("value", "unit", "flops", "text"),
    [
        (2.5, "s", None, "2.5 s"),
        (0.0123, "s", None, "12.3 ms"),
        (4.56e-6, "s", None, "4.56 µs"),
        (0.5, "s", 1e11, "500 ms, 200 GFLOP/s"),
        (2.3e9, "B", None, "2,300 MB"),
    ],
)
def test_quantities_have_units(value, unit, flops, text):
    assert quantity(value, unit, flops) == text


def test_no_section_is_older_than_the_code_that_it_measured():
    sections = dict(SECTION.findall(RESULTS.read_text(encoding="utf-8")))
    measured = [part for part in PARTS if part in sections]
    assert len(measured) == len(PARTS)
    stale = [part for part in measured if f", code {code.digest(part)}\n" not in sections[part]]
    assert not stale, f"measure again: python -m benchmarks {' '.join(stale)}"
