"""examples/microscope.html: what the command of npgpt/guides/look.md writes."""

import json
import re
from pathlib import Path

import numpy as np
from look_page import record_in

from npgpt.cli import main
from npgpt.look.page import assemble

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "examples" / "microscope.html"


def test_the_committed_page_has_the_weights_and_numbers_of_a_new_one(tmp_path, monkeypatch):
    manual = (ROOT / "npgpt" / "guides" / "look.md").read_text(encoding="utf-8")
    (words,) = re.findall(r"npgpt (look .*) --out examples/microscope\.html", manual)
    monkeypatch.chdir(ROOT)
    assert main([*words.split(), "--out", str(tmp_path / "page.html")]) == 0
    committed, now = record_in(PAGE), record_in(tmp_path / "page.html")
    (words, numbers), (new_words, new_numbers) = map(parted, (committed, now))
    assert words == new_words
    np.testing.assert_allclose(numbers, new_numbers, rtol=1e-5, atol=1e-5)
    assert PAGE.stat().st_size <= 1.5e6


def test_the_program_of_the_committed_page_is_that_of_the_sources():
    """Otherwise make it again by the command in npgpt/guides/look.md."""
    committed = PAGE.read_text(encoding="utf-8")
    assert committed == assemble(record_in(PAGE))


def parted(record):
    """Return the JSON of a record without its floats, and these."""
    text, a_float = json.dumps(record), r"-?\d+\.\d+(?:e[+-]?\d+)?|-?\d+e-\d+"
    return re.split(a_float, text), np.array(re.findall(a_float, text), float)
