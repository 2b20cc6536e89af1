r"""Cut text at its special tokens, and what lies between into pre-tokens, such as words.

Special tokens are texts such as "<|endoftext|>" that are one token each and merge with nothing.
Each call decides which of them count in a text, with tiktoken's two arguments. A text that a user
typed should not be able to end the document: with allowed_special=() such a text is refused, and
with disallowed_special=() as well, encoded as plain text.

Byte pair encoding merges inside pre-tokens only. Otherwise it would learn tokens such as "dog." and
"dog," that glue a word to whatever follows it. GPT-2 (Radford et al. 2019, section 2.2) cuts first,
with this regular expression:

    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+

In words: an English contraction; or a run of letters, of digits, or of other symbols, each with at
most one space in front; or white space, leaving its last character to the word that follows.

GPT-4's pattern, "cl100k", takes contractions in either case, any one symbol in front of letters,
digits in threes, and line ends together with the symbols before them. It is given here as tiktoken
0.14 has it: white space at the very end of a text is one pre-token, line ends and all. "llama3" is
the older spelling that Llama 3 and other programs use: it cuts such white space after its last line
end. SmolLM's, "smollm", takes out every digit first, and cuts the text between digits as GPT-2.

Python's `re` does not know \p{L} (any letter) and \p{N} (any number), and its \s counts four
control characters, U+001C to U+001F, that Unicode does not call White_Space. So the three classes
are spelled out as ranges of code points, from `unicode_classes`.

`npgpt.fast.tokenizer.automaton` has the same patterns as a table; this is its reference
implementation.
"""

import functools
import re
from collections.abc import Collection, Iterator, Mapping

import numpy as np

from npgpt.tokenizers.unicode_classes import LETTERS, NUMBERS, WHITE_SPACE, ranges

LONGEST = 1000  # letters of a word of WordTokenizer: a longer run, such as DNA, is cut
PATTERNS = {
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "cl100k": (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
    ),
    "llama3": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
    "smollm": (
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?![^\s\p{N}])|\s+"
    ),
}


def recognised(
    text: str,
    special_ids: Mapping[str, int],
    allowed_special: str | Collection[str],
    disallowed_special: str | Collection[str],
) -> dict[str, int]:
    """Return the special tokens to recognise in `text`, with their ids.

    Raises ValueError if `text` holds a disallowed one, or a name is not a special token.
    """
    allowed = _named(special_ids, allowed_special)
    for token in _named(special_ids, disallowed_special):
        if token not in allowed and token in text:
            raise ValueError(
                f"the text holds the special token {token!r} at position {text.find(token)}, which "
                "is not allowed here; pass allowed_special='all' to encode it as one token, or "
                "disallowed_special=() to encode it as plain text"
            )
    return {token: special_ids[token] for token in allowed}


def _named(special_ids, names):
    if isinstance(names, str):
        if names != "all":
            raise ValueError(f"pass 'all' or a collection of special tokens, not {names!r}")
        return list(special_ids)
    unknown = [name for name in names if name not in special_ids]
    if unknown:
        allowed = ", ".join(map(repr, special_ids)) or "none"
        raise ValueError(
            f"{unknown[0]!r} is not a special token of this tokenizer; it has: {allowed}"
        )
    return list(names)


def spans(data: bytes, special_ids: Mapping[str, int]) -> np.ndarray:
    """Return the spans of UTF-8 text between special tokens: int64 (P, 3), rows (begin, stop, id).

    Each row is the text before a special token, and its id; the last row is the rest, with id -1.
    Where two special tokens begin, the longer one counts.

    >>> spans(b"The end.<|end|>Once", {"<|end|>": 300}).tolist()
    [[0, 8, 300], [15, 19, -1]]
    """
    rows, begin = [], 0
    id_of = {token.encode("utf-8"): token_id for token, token_id in special_ids.items()}
    present = sorted((token for token in id_of if token in data), key=len, reverse=True)
    for match in re.finditer(b"|".join(map(re.escape, present)), data) if present else ():
        rows.append((begin, match.start(), id_of[match.group()]))
        begin = match.end()
    rows.append((begin, len(data), -1))
    return np.array(rows, np.int64)


def check_pattern(pattern: str | None) -> None:
    """Raise ValueError unless this is the name of a split pattern or None."""
    if pattern is not None and pattern not in PATTERNS:
        names = ", ".join(map(repr, PATTERNS))
        raise ValueError(f"there is no split pattern {pattern!r}; choose {names} or None")


def split(text: str, pattern: str | None = "gpt2") -> list[str]:
    """Return the pre-tokens of `text`; joined together they give any text back.

    Without a pattern the text is one pre-token.

    >>> split("The cat's 9 lives...  gone!")
    ['The', ' cat', "'s", ' 9', ' lives', '...', ' ', ' gone', '!']
    >>> split("(It'S 2024)", "cl100k")
    ['(It', "'S", ' ', '202', '4', ')']
    """
    check_pattern(pattern)
    return [match.group() for match in pre_tokens(text, pattern)]


def pre_tokens(text: str, pattern: str | None) -> Iterator[re.Match[str]]:
    """Yield the pre-tokens of `text` as matches of the pattern."""
    return compiled(PATTERNS[pattern] if pattern else r"(?s:.+)").finditer(text)


@functools.cache
def compiled(regex: str) -> re.Pattern[str]:
    """Compile a pattern with its three character classes written out, once, on first use."""
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
