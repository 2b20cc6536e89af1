"""The simplest tokenizer: every distinct character of the training text is a token.

The vocabulary is small and nothing needs learning, but sequences are long, one token a character,
and a character the training text lacks cannot be encoded. `bpe` removes both limits.
"""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from npgpt import special
from npgpt.token_checks import check_ids, check_special_tokens, check_text


class CharTokenizer:
    """One token a character; a character's id is its position among the sorted characters.

    Args:
        characters: the vocabulary, each character once, in increasing order of code point.
            `CharTokenizer.train` makes it from a text.
        special_tokens: texts that are one token each, such as "<mask>". Their ids follow those of
            the characters; `special_ids` is a dict from each to its id.
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
        if not characters:
            raise ValueError("a vocabulary needs at least one character, got an empty text")
        if list(characters) != sorted(set(characters)):
            raise ValueError(
                "the characters of a vocabulary must be distinct and sorted by code point; "
                "CharTokenizer.train(text) sorts them"
            )
        if len(set(characters + added)) < len(characters) + len(added):
            raise ValueError("the vocabulary has an added character twice; list each one once")
        self.characters, self.added = characters, added
        first, more = len(characters), [*self.words, *special_tokens]
        self._texts = [*characters, *more, *added]
        self.special_ids = {t: first + len(self.words) + i for i, t in enumerate(special_tokens)}
        points_V = _code_points(characters + added)
        order = np.argsort(points_V)
        self._points_V, self._ids_V = points_V[order], order + len(more) * (order >= first)

    @classmethod
    def train(cls, text: str) -> "CharTokenizer":
        """The tokenizer whose vocabulary is the sorted distinct characters of `text`, no path.

        Raises ValueError for an empty text or a lone surrogate.
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
        """The ids of the characters of `text`: int32 of shape (N,), N = len(text).

        allowed_special: the special tokens that are one token where they occur in `text`, or "all".
        disallowed_special: those that are an error there; the others are characters as any.
        Raises ValueError for the first character that is not in the vocabulary.
        """
        check_text(text)
        chosen = special.allowed(text, self.special_ids, allowed_special, disallowed_special)
        if not chosen:
            return self._plain(text)
        data, parts = text.encode("utf-8"), []
        for begin, stop, token in special.spans(data, chosen).tolist():
            parts.append(self._plain(data[begin:stop].decode("utf-8")))
            parts.append(np.array([token] if token >= 0 else [], np.int32))
        return np.concatenate(parts)

    def _plain(self, text: str) -> np.ndarray:
        points_N = _code_points(text)
        found_N = np.searchsorted(self._points_V, points_N)
        found_N[found_N == len(self._points_V)] = 0  # beyond the last: unknown, caught below
        unknown = np.flatnonzero(self._points_V[found_N] != points_N)
        if unknown.size:
            character = text[unknown[0]]
            raise ValueError(
                f"unknown character {character!r} (U+{ord(character):04X}) at position "
                f"{unknown[0]}: it is not among the {len(self._points_V)} characters this "
                "tokenizer was trained on. Train on text that has it, remove it, or use a "
                "BPETokenizer, which encodes any text"
            )
        return self._ids_V[found_N].astype(np.int32)

    def with_characters(self, characters: str) -> "CharTokenizer":
        """Return a tokenizer that knows these characters too; their ids follow the old ones."""
        new = sorted(set(characters).difference(self.characters + self.added))
        added = "".join([self.added, *new])
        return type(self)(**self.arguments() | {"added": added}) if new else self

    def chunks(self, parts: Iterable[str]) -> Iterable[str]:
        """The parts of a text, whose ids, joined, are those of the whole wherever it was cut."""
        return parts

    def decode(self, ids: ArrayLike) -> str:
        """The text whose tokens have these ids, a flat sequence of integers.

        Raises IndexError for an id outside [0, vocab_size).
        """
        return "".join(self._texts[i] for i in check_ids(ids, self.vocab_size).tolist())

    def pieces(self, ids: ArrayLike) -> list[str]:
        """The text of each token."""
        tokens = self.tokens
        return [tokens[i].decode("utf-8") for i in check_ids(ids, self.vocab_size)]

    @staticmethod
    def write(word: str, character: str) -> tuple[tuple[str, ...], str]:
        """One character of a text: (the tokens that are known now, what may yet become one).

        word: what the call before has returned; at first "". character: "" where the text ends.
        """
        return (character,) * bool(character), ""

    def save(self, path: str | Path) -> None:
        """Write the tokenizer to `path`, replacing a file there in one step."""
        from npgpt.io.tokenizers import tokenizer_json

        tokenizer_json.save_characters(path, self.kind, self.arguments())

    def arguments(self) -> dict:
        """What makes the same tokenizer again, by the names of the arguments of the class."""
        names = ("characters", "added") + ("words",) * (self.kind == "words")
        return {n: getattr(self, n) for n in names} | {"special_tokens": list(self.special_ids)}

    @classmethod
    def load(cls, path: str | Path) -> "CharTokenizer":
        """Read a tokenizer that `save` wrote.

        Raises FileNotFoundError without a file, ValueError if it is damaged or of another kind.
        """
        from npgpt.io.tokenizers import tokenizer_json

        return tokenizer_json.load(path, {cls.kind: cls})


def _code_points(text: str) -> np.ndarray:
    """The code point of each character, without a Python loop: UTF-32 is an array of them.

    >>> _code_points("Aé").tolist()
    [65, 233]
    """
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
