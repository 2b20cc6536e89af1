"""The simplest tokenizer: every distinct character of the training text is a token.

The vocabulary is small and nothing needs learning, but sequences are long, one token a character,
and a character the training text lacks cannot be encoded. Byte pairs remove both limits.

The checks at the end are common to all tokenizers, so that they report a mistake in the same words.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from npgpt.tokenizers import tokenizer_json
from npgpt.tokenizers.pretokenize import parts, recognised


class CharTokenizer:
    """One token a character; a character's id is its position among the sorted characters.

    Args:
        characters: the vocabulary, each character once, in increasing order of code point.
            `CharTokenizer.train` makes it from a text.
        special_tokens: texts that are one token each, such as "<mask>". Their ids follow the
            characters'; `special_ids` is a dict from each to its id.
        added: more characters, in any order. Their ids are the last, see `with_characters`.

    >>> tokenizer = CharTokenizer.train("hello")
    >>> tokenizer.characters
    'ehlo'
    >>> tokenizer.encode("hole").tolist()
    [1, 3, 2, 0]
    >>> tokenizer.decode([1, 3, 2, 0])
    'hole'
    """

    kind, words = "char", ()

    def __init__(
        self, characters: str, special_tokens: Sequence[str] = (), added: str = ""
    ) -> None:
        check_text(characters)
        check_text(added)
        check_special_tokens(special_tokens)
        if (not characters or list(characters) != sorted(characters)
                or len(set(characters + added)) < len(characters + added)):
            raise ValueError(
                "the characters of a vocabulary must be at least one, distinct and sorted by code "
                "point, the added ones in any order; CharTokenizer.train(text) sorts them"
            )
        self.characters, self.added = characters, added
        first, more = len(characters), [*self.words, *special_tokens]
        self._texts = [*characters, *more, *added]
        self.special_ids = {t: first + len(self.words) + i for i, t in enumerate(special_tokens)}
        points_V = _code_points(characters + added)
        order = np.argsort(points_V)
        self._points_V, self._ids_V = points_V[order], order + len(more) * (order >= first)

    @classmethod
    def train(cls, text: str) -> "CharTokenizer":
        """Return the tokenizer of the sorted distinct characters of `text`, which is not a path.

        Raises ValueError for an empty text and for a lone surrogate.
        """
        check_text(text)
        return cls("".join(sorted(set(text))))

    @property
    def vocab_size(self) -> int:
        return len(self._texts)

    @property
    def tokens(self) -> list[bytes]:
        """The bytes of every token, by id."""
        return [text.encode("utf-8") for text in self._texts]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(vocab_size={self.vocab_size})"

    def encode(
        self,
        text: str,
        *,
        allowed_special: str | Collection[str] = (),
        disallowed_special: str | Collection[str] = (),
    ) -> np.ndarray:
        """Return the ids of the characters of `text`: int32 of shape (N,), N = len(text).

        allowed_special: the special tokens that are one token where they occur in `text`, or "all".
        disallowed_special: the ones that are an error there; any others are plain characters.
        Raises ValueError for the first character that is not in the vocabulary.
        """
        check_text(text)
        special_ids = recognised(text, self.special_ids, allowed_special, disallowed_special)
        found, before = [], 0
        for i, part in enumerate(parts(text, special_ids)):
            found.append([special_ids[part]] if i % 2 else self._plain(part, before))
            before += len(part)
        return np.concatenate(found).astype(np.int32)

    def _plain(self, text: str, before: int = 0) -> np.ndarray:
        points_N = _code_points(text)
        found_N = np.searchsorted(self._points_V, points_N)
        found_N[found_N == len(self._points_V)] = 0  # beyond the last: unknown, caught below
        unknown = np.flatnonzero(self._points_V[found_N] != points_N)
        if unknown.size:
            character = text[unknown[0]]
            raise ValueError(
                f"unknown character {character!r} (U+{ord(character):04X}) at position "
                f"{before + unknown[0]}: it is not among the {len(self._points_V)} "
                "characters this tokenizer was trained on. Leave it out; a model trained with "
                "--tokenizer bpe reads any text"
            )
        return self._ids_V[found_N]

    def with_characters(self, characters: str) -> "CharTokenizer":
        """Return a tokenizer that knows these characters too; their ids follow the old ones."""
        new = sorted(set(characters).difference(self.characters + self.added))
        added = "".join([self.added, *new])
        return type(self)(**self.arguments() | {"added": added}) if new else self

    def chunks(self, blocks: Iterable[str]) -> Iterable[str]:
        """Return a text, given in blocks, in chunks whose ids, joined, are the ids of the text."""
        return blocks

    def decode(self, ids: ArrayLike) -> str:
        """Return the text of a flat sequence of integer ids.

        Raises IndexError for an id outside [0, vocab_size).
        """
        return "".join(self.token_texts(ids))

    def token_texts(self, ids: ArrayLike) -> list[str]:
        """Return the text of each token of a flat sequence of integer ids."""
        return [self._texts[i] for i in check_ids(ids, self.vocab_size)]

    @staticmethod
    def write(word: str, character: str) -> tuple[tuple[str, ...], str]:
        """Add a character to a text; return (the tokens that are certain now, what is pending).

        word: the pending part that the last call returned; at first "". character: "" at the end of
        the text.
        """
        return ((character,) if character else ()), ""

    def save(self, path: str | Path) -> None:
        """Write the tokenizer to `path`, replacing a file there in one step."""
        tokenizer_json.save_characters(path, self.kind, self.arguments())

    def arguments(self) -> dict:
        """Return the arguments of the class, by name, that make the same tokenizer again."""
        names = ("characters", "added") + ("words",) * (self.kind == "words")
        return {n: getattr(self, n) for n in names} | {"special_tokens": list(self.special_ids)}

    @classmethod
    def load(cls, path: str | Path) -> "CharTokenizer":
        """Read a tokenizer that `save` wrote.

        Raises FileNotFoundError without a file, ValueError if it is damaged or of a different kind.
        """
        return tokenizer_json.load(path, {cls.kind: cls})


def _code_points(text: str) -> np.ndarray:
    """Return the code point of each character, without a Python loop: UTF-32 is an array of them.

    >>> _code_points("Aé").tolist()
    [65, 233]
    """
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


def check_text(text: str) -> None:
    """Raise ValueError if a text holds a lone surrogate.

    Half a surrogate pair (U+D800 to U+DFFF) is not a character and has no UTF-8 form. It gets into
    a str from files read with errors="surrogateescape" and from cut UTF-16.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"lone surrogate U+{ord(text[error.start]):04X} at position {error.start}: it is no "
            "character and cannot be encoded. Read the file with encoding='utf-8', "
            "errors='replace', or remove it from the text"
        ) from None


def check_ids(ids: ArrayLike, vocab_size: int) -> list[int]:
    """Return `ids` as a list. Raises IndexError for one outside [0, vocab_size)."""
    ids = np.asarray(ids)
    if ids.size and not 0 <= ids.min() <= ids.max() < vocab_size:
        raise IndexError(
            f"token ids from {ids.min()} to {ids.max()} are outside the vocabulary of {vocab_size} "
            "tokens; decode with the tokenizer that encoded"
        )
    return ids.tolist()


def check_special_tokens(special_tokens: Sequence[str] | Mapping[str, int]) -> None:
    """Raise TypeError or ValueError unless these are distinct texts of at least one character."""
    if not isinstance(special_tokens, (tuple, list, Mapping)):
        raise TypeError(
            f"special_tokens must be a list or tuple of texts, got {special_tokens!r}; write "
            "['<|endoftext|>'] for a single one"
        )
    seen = set()
    for i, token in enumerate(special_tokens):
        check_text(token)
        if not token or token in seen:
            raise ValueError(f"special token {i}, {token!r}, is empty or twice there; list it once")
        seen.add(token)
