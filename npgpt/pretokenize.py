r"""Cut text into pre-tokens, such as words: byte pair encoding merges inside them only.

Without this step BPE would learn tokens such as "dog." and "dog," that glue a word to whatever
follows it. GPT-2 (Radford et al. 2019, section 2.2) cuts first, with this regular expression:

    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+

In words: an English contraction; or a run of letters, of digits, or of other symbols, each with at
most one space in front; or white space, leaving its last character to the word that follows.

GPT-4's pattern, "cl100k", takes contractions in either case, any one symbol in front of letters,
digits in threes, and line ends together with the symbols before them. It is given here as tiktoken
0.14 has it: white space at the very end of a text is one pre-token, line ends and all.

Python's `re` does not know \p{L} (any letter) and \p{N} (any number), and its \s counts four
control characters, U+001C to U+001F, that Unicode does not call White_Space. So the three classes
are spelled out as ranges of code points, from `unicode_classes`.

This is the reference implementation. `compiled.automaton` has the same patterns as a table.
"""

import functools
import re
from collections.abc import Iterator

from npgpt.unicode_classes import LETTERS, NUMBERS, WHITE_SPACE, ranges

PATTERNS = {
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "cl100k": (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
        r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
    ),
}


def check_pattern(pattern: str | None) -> None:
    """Raise ValueError unless this is the name of a split pattern or None."""
    if pattern is not None and pattern not in PATTERNS:
        names = ", ".join(map(repr, PATTERNS))
        raise ValueError(f"there is no split pattern {pattern!r}; choose {names} or None")


def split(text: str, pattern: str | None = "gpt2") -> list[str]:
    """Cut `text` into pre-tokens; joined together they give `text` back, whatever it is.

    Without a pattern the text is one pre-token.

    >>> split("The cat's 9 lives...  gone!")
    ['The', ' cat', "'s", ' 9', ' lives', '...', ' ', ' gone', '!']
    >>> split("(It'S 2024)", "cl100k")
    ['(It', "'S", ' ', '202', '4', ')']
    """
    check_pattern(pattern)
    return [match.group() for match in pre_tokens(text, pattern)]


def pre_tokens(text: str, pattern: str | None) -> Iterator[re.Match[str]]:
    """The pre-tokens of `text`, as matches of the pattern, one after the other."""
    return compiled(PATTERNS[pattern] if pattern else r"(?s:.+)").finditer(text)


@functools.cache
def compiled(regex: str) -> re.Pattern[str]:
    """A pattern with its three character classes written out. Built once, on first use."""
    tables = {r"\p{L}": LETTERS, r"\p{N}": NUMBERS, r"\s": WHITE_SPACE}
    classes = {  # as they are written between [ and ]
        name: "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges(table))
        for name, table in tables.items()
    }

    def written_out(match: re.Match[str]) -> str:
        found = match.group()
        inside = found.startswith("[")
        for name, spelled in classes.items():
            found = found.replace(name, spelled)
        return found if inside else f"[{found}]"

    regex = regex.replace(r"\S", r"[^\s]")
    return re.compile(re.sub(r"\[[^]]*\]|\\p\{.\}|\\s", written_out, regex))
