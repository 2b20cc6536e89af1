"""Every frequent word, with the space before it, is a token; rare words are spelled.

This is between characters and byte pairs: sequences are short, since a frequent word is one token,
and nothing is merged. A word that is rare in the training text, such as a name, takes one token a
character.
"""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from npgpt.tokenizers.characters import CharTokenizer
from npgpt.tokenizers.pretokenize import MAX_LETTERS

OFTEN = 20  # occurrences that make a word a token
# Letters, with a space before them; or a character.
WORD = re.compile(rf" ?[^\W\d_]{{1,{MAX_LETTERS}}}|.", re.DOTALL)

SPELLED = None  # the pending part that `write` returns inside a word that is spelled


class WordTokenizer(CharTokenizer):
    """One token for each word of the vocabulary, and one a character for everything else.

    Args:
        characters: as for a `CharTokenizer`.
        words: letters, or a space and letters, of two characters or more, at most
            MAX_LETTERS letters. Their ids follow the characters'.
        special_tokens, added: as for a `CharTokenizer`; their ids follow the words'.

    >>> tokenizer = WordTokenizer(" adegot", [" dog"])
    >>> [tokenizer.tokens[i] for i in tokenizer.encode("a dog dogged")][:4]
    [b'a', b' dog', b' ', b'd']
    """

    kind = "words"

    def __init__(
        self, characters: str, words: Sequence[str], special_tokens: Sequence[str] = (),
        added: str = "",
    ) -> None:
        self.words = list(words)
        super().__init__(characters, special_tokens, added)
        wrong = [word for word in self.words if len(word) < 2 or WORD.findall(word) != [word]]
        if wrong or len(set(self.words)) < len(self.words):
            raise ValueError(
                f"the vocabulary has the word {wrong[0][:99]!r}; words are 2 to {MAX_LETTERS} "
                "letters, or a space and letters" if wrong else "the vocabulary has a word twice"
            )
        self._sorted = sorted(self.words)
        self._ids = {t: i for i, t in enumerate(self._texts) if self.special_ids.get(t) != i}

    @classmethod
    def train(
        cls, blocks: Iterable[str], characters: str, special_tokens: Sequence[str] = ()
    ) -> "WordTokenizer":
        """Return the tokenizer of the words that a text, in blocks, has `OFTEN` times or more.

        characters: the characters of its vocabulary, sorted.
        """
        counts = Counter(word for block in _uncut(blocks) for word in WORD.findall(block))
        words = sorted(word for word, n in counts.items() if n >= OFTEN and len(word) > 1)
        return cls(characters, words, special_tokens)

    def _plain(self, text: str, before: int = 0) -> np.ndarray:
        ids = []
        for found in WORD.finditer(text):
            known, at = self._ids.get(found[0]), before + found.start()
            ids += super()._plain(found[0], at).tolist() if known is None else [known]
        return np.array(ids, np.int64)

    def write(self, word: str | None, character: str) -> tuple[tuple[str, ...], str | None]:
        """Add a character as a `CharTokenizer` does; `word` is SPELLED inside a spelled word."""
        if word is SPELLED:
            goes_on = character and WORD.fullmatch("a" + character)
            return ((character,), SPELLED) if goes_on else self.write("", character)
        joined = word + character
        if not character or not WORD.fullmatch(joined):
            done = (word,) if word in self._ids else tuple(word)
            more, word = self.write("", character) if character else ((), "")
            return done + more, word
        first = bisect_left(self._sorted, joined)  # words that begin like this would be from here
        if first < len(self._sorted) and self._sorted[first].startswith(joined):
            return (), joined
        return tuple(joined), SPELLED if WORD.fullmatch(joined + "a") else ""

    def chunks(self, blocks: Iterable[str]) -> Iterator[str]:
        """Yield a text in chunks that cut no word; their ids, joined, are the ids of the text."""
        return _uncut(blocks)


def _uncut(blocks):
    """Yield the same text in blocks that end at the end of a word."""
    rest = ""
    for block in blocks:
        rest += block
        *_, last = WORD.findall(rest, max(0, rest.rfind(" "))) or [""]  # a space begins a word
        end = len(rest) - len(last)
        yield rest[:end]
        rest = rest[end:]
    yield rest
