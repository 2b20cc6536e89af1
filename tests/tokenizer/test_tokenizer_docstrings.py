"""The worked examples in the tokenizer's docstrings are true."""

import doctest

import pytest

from npgpt import tokenizer
from npgpt.tokenizer import (
    automaton,
    bpe,
    bpe_tokenizer,
    char,
    checks,
    fast,
    files,
    formats,
    huggingface,
    pretokenize,
    special,
    streams,
    unicode_classes,
)

WITH_EXAMPLES = [bpe, bpe_tokenizer, char, formats, pretokenize, special, unicode_classes]
MODULES = [tokenizer, automaton, checks, fast, files, huggingface, streams, *WITH_EXAMPLES]


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_in_docstrings(module):
    failed, attempted = doctest.testmod(module)
    assert attempted > 0
    assert failed == 0


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_is(module):
    assert len(module.__doc__) > 80
