"""Words that a text has often, each with the space before it, are a token; the rest is spelled.

Between `char` and `bpe`: sequences are short, since words are whole, and nothing is merged. A word
that the training text hardly has, such as a name, is as many tokens as it has characters.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from npgpt.char import CharTokenizer

OFTEN = 20  # times that a text has a word for it to be a token
WORD = re.compile(r" ?[^\W\d_]+|.", re.DOTALL)  # letters, with a space before them; or a character

SPELLED = None  # what `write` has of a word whose characters are tokens


class WordTokenizer(CharTokenizer):
    """One token a word of the vocabulary, and one a character of all else.

    Args:
        characters: as of a `CharTokenizer`.
        words: of two characters or more: letters, or a space and letters. Their ids follow those of
            the characters.
        special_tokens, added: as of a `CharTokenizer`; their ids follow those of the words.

    >>> tokenizer = WordTokenizer(" adegot", [" dog"])
    >>> [tokenizer.tokens[i] for i in tokenizer.encode("a dog dogged")][:4]
    [b'a', b' dog', b' ', b'd']
    """

    kind = "words"

    def __init__(
        self, characters: str, words: Sequence[str], special_tokens: Sequence[str] = (),
        added: str = "",
    ) -> None:  # fmt: skip
        self.words = list(words)
        super().__init__(characters, special_tokens, added)
        wrong = [word for word in self.words if len(word) < 2 or WORD.findall(word) != [word]]
        if wrong or len(set(self.words)) < len(self.words):
            raise ValueError(
                f"the vocabulary has the word {wrong[0]!r}; words are letters, or a space and "
                "letters, two characters or more" if wrong else "the vocabulary has a word twice"
            )
        self._begun = {word[:n] for word in self.words for n in range(1, len(word) + 1)}
        self._ids = {t: i for i, t in enumerate(self._texts) if self.special_ids.get(t) != i}

    @classmethod
    def train(
        cls, parts: Iterable[str], characters: str, special_tokens: Sequence[str] = ()
    ) -> "WordTokenizer":
        """The tokenizer of the words that a text, given in parts, has `OFTEN` or more often.

        characters: those of its vocabulary, sorted.
        """
        counts = Counter(word for part in _uncut(parts) for word in WORD.findall(part))
        words = sorted(word for word, n in counts.items() if n >= OFTEN and len(word) > 1)
        return cls(characters, words, special_tokens)

    def _plain(self, text: str) -> np.ndarray:
        ids = []
        for word in WORD.findall(text):
            known = self._ids.get(word)
            ids += super()._plain(word).tolist() if known is None else [known]
        return np.array(ids, np.int32)

    def write(self, word: str | None, character: str) -> tuple[tuple[str, ...], str | None]:
        """As of a `CharTokenizer`. Of a word that is spelled, what follows is known at once."""
        if word is SPELLED:
            goes_on = character and WORD.fullmatch("a" + character)
            return ((character,), SPELLED) if goes_on else self.write("", character)
        joined = word + character
        if not character or not WORD.fullmatch(joined):
            done = (word,) if word in self._ids else tuple(word)
            more, word = self.write("", character) if character else ((), "")
            return done + more, word
        if joined in self._begun:
            return (), joined
        return tuple(joined), SPELLED if WORD.fullmatch(joined + "a") else ""

    def chunks(self, parts: Iterable[str]) -> Iterator[str]:
        """A text in parts that cut no word, so that their ids, joined, are those of the whole."""
        return _uncut(parts)


def _uncut(parts):
    """The same text in parts that end where a word does."""
    rest = ""
    for part in parts:
        rest += part
        end = len(rest)
        while end and WORD.fullmatch("a" + rest[end - 1]):
            end -= 1
        end -= rest[:end].endswith(" ")
        yield rest[:end]
        rest = rest[end:]
    yield rest
