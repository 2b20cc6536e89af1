"""The documents show what was measured, and say where the code has changed since."""

import pytest

from benchmarks import kernels, report

RECORD = {"part": "kernels", "processor": "A", "machine": "two cores", "date": "2026-01-01",
          "commit": "abc", "code": "000000", "tables": {"Ops": {"GELU": "1 ms"}}}


def test_the_documents_are_those_of_the_results():
    for path, text in report.documents(report.results()).items():
        assert path.read_text(encoding="utf-8") == text, "run: python -m benchmarks.report"
    assert len(report.RESULTS.read_text(encoding="utf-8").splitlines()) <= 250


def test_a_section_has_a_column_a_processor_and_says_whose_code_has_changed():
    other = RECORD | {"processor": "B", "code": report.digest(kernels.CODE),
                      "tables": {"Ops": {"norm": [2, 1.5, 2.5]}}}
    text = report.section("kernels", [RECORD, other])
    assert text.count("older") == text.count("abc, code 000000, older") == 1
    assert "|  | A | B |" in text
    assert text.endswith("| GELU | 1 ms |  |\n| norm |  | 2.00 (1.50 – 2.50) |\n")


@pytest.mark.parametrize(
    ("change", "same"), [("'docs'", True), ("import os", True), ("# x", True), ("y = 1", False)]
)
def test_a_digest_is_of_what_is_computed(change, same):
    before, after = (f"def f(x):\n    {line}\n    return x\n" for line in ("'d'", change))
    assert (report.statements(before) == report.statements(after)) is same


def test_a_processor_s_column_is_replaced_and_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "STORED", tmp_path / "results.jsonl")
    monkeypatch.setattr(report, "write_documents", lambda: None)
    report.STORED.touch()
    other, again = RECORD | {"processor": "B"}, RECORD | {"date": "2026-01-02"}
    for record in (RECORD, other, again):
        report.store(record)
    assert report.results() == [other, again]
