"""examples/microscope.html: what the command of npgpt/README.md writes, but for its program."""

import base64
import json
import re
from pathlib import Path

import numpy as np
from look_page import record_in

from npgpt.cli import main

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "examples" / "microscope.html"


def test_the_committed_page_has_the_weights_and_numbers_of_a_new_one(tmp_path, monkeypatch):
    manual = (ROOT / "npgpt" / "README.md").read_text(encoding="utf-8")
    (words,) = re.findall(r"npgpt (look .*) --out examples/microscope\.html", manual)
    monkeypatch.chdir(ROOT)
    assert main([*words.split(), "--out", str(tmp_path / "page.html")]) == 0
    committed, now = record_in(PAGE), record_in(tmp_path / "page.html")
    for record in (committed, now):  # a principal component has no sign, and float32 rounds
        axes = np.frombuffer(base64.b64decode(record["plane"]["axes"]), "<f4")
        record["plane"]["axes"] = np.abs(axes).tolist()
        del record["concepts"]  # paragraphs may change without the page
    (words, numbers), (new_words, new_numbers) = map(parted, (committed, now))
    assert words == new_words
    np.testing.assert_allclose(numbers, new_numbers, rtol=1e-5, atol=1e-5)
    assert PAGE.stat().st_size <= 1.5e6


def parted(record):
    """Return the JSON of a record without its floats, and these."""
    text, a_float = json.dumps(record), r"-?\d+\.\d+(?:e[+-]?\d+)?|-?\d+e-\d+"
    return re.split(a_float, text), np.array(re.findall(a_float, text), float)
