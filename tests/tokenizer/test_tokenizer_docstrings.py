"""The worked examples in the tokenizer's docstrings are true."""

import doctest

import pytest

from npgpt import tokenizer
from npgpt.tokenizer import bpe, char, checks, files, pretokenize


@pytest.mark.parametrize("module", [bpe, char, files, pretokenize])
def test_examples_in_docstrings(module):
    failed, attempted = doctest.testmod(module)
    assert attempted > 0
    assert failed == 0


@pytest.mark.parametrize("module", [tokenizer, bpe, char, checks, files, pretokenize])
def test_every_module_says_what_it_is(module):
    assert len(module.__doc__) > 80
