r"""Cut text into pre-tokens, the pieces inside which byte pair encoding may merge.

Without this step BPE would learn tokens such as "dog." and "dog," that glue a word to whatever
follows it. GPT-2 (Radford et al. 2019, section 2.2) cuts first, with this regular expression:

    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+

In words: an English contraction; or a run of letters, of digits, or of other symbols, each with at
most one space in front; or white space, leaving its last character to the word that follows.

Python's `re` does not know \p{L} (any letter) and \p{N} (any number), and its \s counts four
control characters, U+001C to U+001F, that Unicode does not call White_Space. So the three classes
are spelled out as ranges of code points from `unicodedata`. The split follows the Unicode version
of the running Python (`unicodedata.unidata_version`): on characters that this version does not know
yet, two versions of Python may differ.
"""

import functools
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator


def split(text: str) -> list[str]:
    """Cut `text` into pre-tokens; joined together they give `text` back, whatever it is.

    >>> split("The cat's 9 lives...  gone!")
    ['The', ' cat', "'s", ' 9', ' lives', '...', ' ', ' gone', '!']
    """
    return _pattern().findall(text)


def split_with_special(text: str, special_tokens: Iterable[str]) -> Iterator[str]:
    """Cut `text` into special tokens, kept whole, and the pre-tokens of the text between them.

    Where two special tokens start at the same place, the longer one is taken.

    >>> list(split_with_special("The end.<|end|>Once", ["<|end|>"]))
    ['The', ' end', '.', '<|end|>', 'Once']
    """
    longest_first = sorted(special_tokens, key=len, reverse=True)
    if not longest_first:
        yield from split(text)
        return
    any_special = "|".join(map(re.escape, longest_first))
    for i, part in enumerate(re.split(f"({any_special})", text)):
        if i % 2 == 1:  # re.split alternates: between, special, between, ...
            yield part
        else:
            yield from split(part)


@functools.cache
def _pattern() -> re.Pattern[str]:
    """GPT-2's pattern with its three character classes written out. Built once, on first use."""
    categories = "".join(unicodedata.category(chr(point))[0] for point in range(sys.maxunicode + 1))
    letter = _ranges("L", categories)
    number = _ranges("N", categories)
    space = _ranges("Z", categories) + r"\t-\r\x85"  # Z* and these controls are White_Space
    return re.compile(
        "'s|'t|'re|'ve|'m|'ll|'d"
        f"| ?[{letter}]+"
        f"| ?[{number}]+"
        f"| ?[^{space}{letter}{number}]+"
        f"|[{space}]+(?![^{space}])"
        f"|[{space}]+"
    )


def _ranges(category: str, categories: str) -> str:
    r"""Where `category` occurs in `categories`, one letter a code point, as ranges for a [...].

    >>> _ranges("L", "ZLLLNL")
    '\\U00000001-\\U00000003\\U00000005-\\U00000005'
    """
    runs = re.finditer(f"{category}+", categories)
    return "".join(f"\\U{run.start():08x}-\\U{run.end() - 1:08x}" for run in runs)
