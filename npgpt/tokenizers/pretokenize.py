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

SmolLM's pattern, "smollm", takes out every digit first, and cuts the text between digits as GPT-2.

Python's `re` does not know \p{L} (any letter) and \p{N} (any number), and its \s counts four
control characters, U+001C to U+001F, that Unicode does not call White_Space. So the three classes
are spelled out as ranges of code points, from `unicode_classes`.
"""

import functools
import re
from collections.abc import Collection, Mapping

from npgpt.tokenizers.unicode_classes import LETTERS, NUMBERS, WHITE_SPACE, ranges

MAX_LETTERS = 1000  # letters of a word of WordTokenizer: a longer run, such as DNA, is cut
ASTRAL = re.compile("[\U00010000-\U0010ffff]")
PATTERNS = {
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
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
    if names == "all":
        return list(special_ids)
    if unknown := [name for name in names if name not in special_ids]:
        raise ValueError(f"{unknown[0]!r} is no special token; it has: {', '.join(special_ids)}")
    return list(names)


def parts(text: str, special_tokens: Collection[str]) -> list[str]:
    """Return the text cut at its special tokens, which are every second part.

    Where two special tokens begin, the longer one counts.

    >>> parts("The end.<|end|>Once", ["<|end|>"])
    ['The end.', '<|end|>', 'Once']
    """
    present = sorted((token for token in special_tokens if token in text), key=len, reverse=True)
    return re.split(f"({'|'.join(map(re.escape, present))})", text) if present else [text]


def split(text: str, pattern: str | None = "gpt2") -> list[str]:
    """Return the pre-tokens of `text`; joined together they give any text back.

    Without a pattern the text is one pre-token.

    >>> split("The cat's 9 lives...  gone!")
    ['The', ' cat', "'s", ' 9', ' lives', '...', ' ', ' gone', '!']
    >>> split("It's 2024", "smollm")
    ['It', "'s", ' ', '2', '0', '2', '4']
    """
    if pattern is None:
        return [text] if text else []
    if pattern not in PATTERNS:
        raise ValueError(f"pattern {pattern!r} is unknown; use None or one of {[*PATTERNS]}")
    return compiled(PATTERNS[pattern], bool(ASTRAL.search(text))).findall(text)


@functools.cache
def compiled(regex: str, astral: bool = True) -> re.Pattern[str]:
    """Compile a pattern with its three character classes written out, once, on first use.

    astral: whether a text has characters beyond U+FFFF. The classes without these are five times as
    fast, since `re` looks the others up one range after another.
    """
    last = 0x10FFFF if astral else 0xFFFF
    tables = {r"\p{L}": LETTERS, r"\p{N}": NUMBERS, r"\s": WHITE_SPACE}
    classes = {  # as they are written between [ and ]
        name: "".join(f"\\U{first:08x}-\\U{min(stop, last):08x}"
                      for first, stop in ranges(table) if first <= last)
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
