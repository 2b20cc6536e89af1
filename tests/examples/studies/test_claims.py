"""CLAIMS.md is complete, and quotes the stored numbers."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
TEXT = (EXAMPLES / "CLAIMS.md").read_text(encoding="utf-8")
ROWS = [line.strip("| ").split(" | ") for line in TEXT.splitlines() if line.startswith("| ")
        and not line.startswith(("| claim |", "| ---"))]
GIVEN = {"0.01", "0.8", "0.9", "0.58"}  # settings; the last is of benchmarks/README.md
NUMBER = re.compile(r"(?<![\w.,])-?(\d[\d,]*(?:\.\d+)?(?:e-?\d+)?)( ?%)?")


def script(row):
    return re.match(r"\[`(\w+)`\]", row[1])[1]


def numbers_in(value):
    """Yield the numbers of a tree, and of its texts."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for of in value:
            yield from numbers_in(of)
    elif isinstance(value, str):
        yield from map(float, re.findall(r"\d+(?:\.\d+)?", value))
    elif not isinstance(value, bool) and value is not None:
        yield abs(float(value))


def unknown(text, stored):
    """Return the measured numbers of a text that no stored number rounds to.

    Measured are those with decimals, a percent sign or five digits; small whole numbers may be
    settings.
    """
    found = []
    for digits, percent in NUMBER.findall(text):
        digits = digits.rstrip(",").replace(",", "")
        if digits in GIVEN or not (percent or re.search(r"[.e]", digits) or len(digits) > 4):
            continue
        form = ".0e" if "e" in digits else f".{len(digits.partition('.')[2])}f"
        scale = 100 if percent else 1
        if all(f"{scale * x:{form}}" != f"{float(digits):{form}}" for x in stored):
            found.append(digits)
    return found


@pytest.fixture(scope="module")
def stored():
    numbers = json.loads((EXAMPLES / "claims.json").read_text(encoding="utf-8"))
    return {name: [*numbers_in(of), *numbers_in(numbers["facts"])] for name, of in numbers.items()}


def key(row):
    return "facts" if script(row) == "claims" else script(row)[:2]


def test_every_measured_number_is_a_stored_one(stored):
    rows = [row for row in ROWS if key(row) in stored]
    assert len(rows) >= 50
    for row in rows:
        assert not unknown(row[2], stored[key(row)]), row


def test_the_numbers_of_the_families_stand_in_their_report():
    rows = [row for row in ROWS if script(row) == "10_families"]
    assert len(rows) >= 8
    report = (EXAMPLES / "10_families.md").read_text(encoding="utf-8")
    shown = {digits for digits, _ in NUMBER.findall(report)}
    for row in rows:
        for digits, percent in NUMBER.findall(row[2]):
            assert digits in shown or not (percent or "." in digits), (digits, row)


def test_the_lesson_quotes_what_the_package_loses_without_an_mlp():
    numbers = json.loads((EXAMPLES / "claims.json").read_text(encoding="utf-8"))["facts"]
    whole, *without = numbers["package, then without an MLP"]
    sentence = f"{min(without):.2f} to {max(without):.2f} nats instead of {whole:.2f}"
    assert sentence in " ".join((ROOT / "CONCEPTS.md").read_text(encoding="utf-8").split())


def test_other_numbers_would_be_missed(stored):
    changed = missed = 0
    for row in ROWS:
        for digits, _ in NUMBER.findall(row[2]) if key(row) in stored else ():
            if "." in digits and digits not in GIVEN and "e" not in digits:
                other = digits[:-1] + str((int(digits[-1]) + 3) % 10)
                changed += 1
                missed += bool(unknown(other, stored[key(row)]))
    assert changed > 50 and missed > 0.7 * changed


def test_every_claim_has_a_script_a_number_and_a_verdict():
    assert len({row[0] for row in ROWS}) == len(ROWS)
    definitions = sum(row[3] == "definition" for row in ROWS)
    assert f"{len(ROWS) - definitions} claims; {definitions} definitions" in TEXT
    for row in ROWS:
        assert len(row) == 4 and all(row), row
        assert (EXAMPLES / f"{script(row)}.py").exists(), row
        assert any(character.isdigit() for character in row[2]), row
        for picture in re.findall(r"\((figures/\w+\.png)\)", row[1]):
            assert (EXAMPLES / picture).exists(), row


def test_kept_numbers_are_short_and_exact_to_six_digits(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import claims
    import numpy as np

    long, large = list(range(100)), np.zeros((20, 20))
    kept = claims.plain({"long": long, "large": large, ("a", "b"): np.float64(1 / 3)})
    assert kept == {"long": [0, 99], "a, b": 0.333333}
