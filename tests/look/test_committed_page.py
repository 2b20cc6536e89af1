"""examples/microscope.html: what the command of npgpt/README.md writes, but for its program."""

import base64
import re
from pathlib import Path

import numpy as np
import pytest
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
    assert_close(committed, now)
    assert PAGE.stat().st_size <= 1.5e6


def assert_close(a, b, path="record"):
    """Fail unless two JSON objects are equal but for rounding; say where they differ."""
    assert type(a) is type(b), path
    if isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for name in a:
            assert_close(a[name], b[name], f"{path}.{name}")
    elif isinstance(a, list):
        assert len(a) == len(b), path
        for i, pair in enumerate(zip(a, b, strict=True)):
            assert_close(*pair, f"{path}[{i}]")
    else:
        assert a == (pytest.approx(b, rel=1e-5, abs=1e-5) if isinstance(b, float) else b), path
