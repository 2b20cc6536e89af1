"""The split patterns, as the package `regex` cuts by them."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt import BPETokenizer
from npgpt.tokenizers import unicode_classes
from npgpt.tokenizers.pretokenize import PATTERNS, split
from npgpt.tokenizers.unicode_classes import LETTERS, NUMBERS, ranges

ALL_CHARACTERS = [chr(point) for point in range(sys.maxunicode + 1)]
# PropList.txt of the Unicode Character Database, property White_Space.
WHITE_SPACE = set(
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)


def members(table):
    return {chr(p) for first, last in ranges(table) for p in range(first, last + 1)}


@pytest.mark.parametrize(
    "pre_tokens",
    [
        ["Hello", " world", "!"],
        ["we", "'ve", " 12", "dogs"],
        ["x", "'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'", "n"],
        ["I", "'", "LL", " go"],  # contractions are lower case only
        ["two", " ", " spaces"],  # the last space goes with the word
        ["tail", "  "],
        ["line", "\n", "\n", "next"],  # a newline is no space: it stays alone
        ["na\u00efve", " \u03a9", " x", "\u00bd\u0663"],  # ½ and ٣ are numbers
        ["a", "\x1c", "b"],  # str.isspace says yes, Unicode White_Space says no
        [" \u4f60\u597d", "\U0001f389\u200d"],
        [],
    ],
)
def test_split_examples(pre_tokens):
    assert split("".join(pre_tokens)) == pre_tokens


ASSIGNED = st.characters(codec="utf-8", exclude_categories=["Cn", "Cs"])


@given(st.text(" 's'treRE'vVmldLDAſé9²٣.\n\r\t\xa0\x1c\u3000東🎉\U00010400") | st.text(ASSIGNED))
@pytest.mark.parametrize("pattern", PATTERNS)
def test_split_and_regex_cut_random_text_alike(pattern, text):
    regex = pytest.importorskip("regex", reason="needs regex, of the extra `peers`")
    assert split(text, pattern) == regex.findall(PATTERNS[pattern], text)


# The tables of Unicode


def test_the_tables_hold_what_this_python_has_assigned():
    here, ours = unicodedata.unidata_version, unicode_classes.VERSION
    newer = int(here.split(".")[0]) > int(ours.split(".")[0])
    for table, category in ((LETTERS, "L"), (NUMBERS, "N")):
        own = members(table)
        known = {c for c in ALL_CHARACTERS if unicodedata.category(c)[0] == category}
        assert newer or known <= own
        assert all(unicodedata.category(c) == "Cn" for c in own - known)
    assert members(unicode_classes.WHITE_SPACE) == WHITE_SPACE
    # of Unicode 16.0, for the code points that an older Python does not know
    assert (len(members(LETTERS)), len(members(NUMBERS))) == (141_028, 1_911)


def test_an_unknown_pattern_is_an_error():
    with pytest.raises(ValueError, match="'cl100k'.*gpt2"):
        BPETokenizer.train("a hen", 260, pattern="cl100k")
