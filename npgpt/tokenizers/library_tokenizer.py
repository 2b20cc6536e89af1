"""Tokenizers that are not byte pairs, computed by the library `tokenizers` from its own files.

BERT's WordPiece, T5's Unigram model, the byte pairs with `byte_fallback` of SentencePiece's Llamas:
whatever a tokenizer.json of that library asks for and `BPETokenizer` does not do.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from npgpt.files import atomic_write
from npgpt.tokenizers.characters import check_ids, check_text
from npgpt.tokenizers.gpt2_files import byte_to_unicode
from npgpt.tokenizers.pretokenize import recognised

OUR_NAMES = {"<mask>": "[MASK]", "<pad>": "[PAD]"}  # of special tokens: BERT's


class LibraryTokenizer:
    """A tokenizer.json of the library `tokenizers`; its methods are as a BPETokenizer's.

    Attributes:
        special_ids: a dict from special token to id; BERT's are also there by our names.
        our_names: a dict from these to BERT's.
        tokens: a list of the bytes that every token adds to a text, by id.

    A text may change: BERT's vocabularies know small letters and one space. Raises ImportError
    without the library, ValueError for fields that it refuses.

    fields: the object in the file. Truncation, padding and dropout of merges are not applied.
    """

    kind = "library"

    def __init__(self, fields: dict) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise ImportError(
                "this tokenizer is no byte pair encoding of bytes, which the library tokenizers "
                "computes: pip install -e '.[hub]'"
            ) from error
        model = {name: value for name, value in fields["model"].items() if name != "dropout"}
        fields |= {"truncation": None, "padding": None, "model": model}
        try:
            self._library = Tokenizer.from_str(json.dumps(fields))
        except Exception as error:  # it raises no other class
            raise ValueError(f"the library tokenizers refuses it ({error})") from error
        self.vocab_size = 1 + max(self._library.get_vocab().values(), default=-1)
        if not 0 < self.vocab_size <= 1 << 24:
            raise ValueError(f"its largest id is {self.vocab_size - 1}; use ids below 2**24")
        added = self._library.get_added_tokens_decoder()
        self.special_ids = {token.content: i for i, token in added.items() if token.special}
        self.our_names = {
            ours: theirs for ours, theirs in OUR_NAMES.items()
            if theirs in self.special_ids and ours not in self.special_ids
        }
        self.special_ids |= {o: self.special_ids[t] for o, t in self.our_names.items()}
        self.tokens = self._bytes_by_id(fields)

    def _bytes_by_id(self, fields):
        """Return the bytes of all tokens: what each adds to the text of one before it."""
        spelled = {character: byte for byte, character in byte_to_unicode().items()}
        in_bytes = '"ByteLevel"' in json.dumps(fields.get("decoder"))
        first = self._library.encode("a", add_special_tokens=False).ids[-1:]
        pairs = [[*first, i] for i in range(self.vocab_size)]
        texts = self._library.decode_batch(pairs, skip_special_tokens=False)
        start = len(self._library.decode(first, skip_special_tokens=False))
        tokens = [text[start:].encode("utf-8") for text in texts]
        for piece, i in self._library.get_vocab().items():
            if i in self.special_ids.values():
                tokens[i] = piece.encode("utf-8")
            elif fields["model"].get("byte_fallback") and re.fullmatch("<0x[0-9A-F]{2}>", piece):
                tokens[i] = bytes([int(piece[3:5], 16)])
            elif in_bytes and spelled.keys() >= set(piece):
                tokens[i] = bytes(map(spelled.get, piece))
        return tokens

    def __repr__(self) -> str:
        return f"LibraryTokenizer(vocab_size={self.vocab_size})"

    def encode(
        self,
        text: str,
        *,
        allowed_special: str | Collection[str] = "all",
        disallowed_special: str | Collection[str] = "all",
    ) -> np.ndarray:
        """Return the token ids of `text`, without tokens that a model's template puts around it.

        allowed_special, disallowed_special: as for a BPETokenizer; if any is allowed, so are all
        that are not disallowed. Raises ValueError for a lone surrogate and a disallowed token.
        """
        return self._encode(text, False, allowed_special, disallowed_special)

    def templated(
        self,
        text: str,
        *,
        allowed_special: str | Collection[str] = "all",
        disallowed_special: str | Collection[str] = "all",
    ) -> np.ndarray:
        """Return the ids of a prompt, with the tokens that the model's template puts around it."""
        return self._encode(text, True, allowed_special, disallowed_special)

    def _encode(self, text, template, allowed_special, disallowed_special):
        check_text(text)
        known = recognised(text, self.special_ids, allowed_special, disallowed_special)
        self._library.encode_special_tokens = not known  # then they are plain text
        for ours in self.our_names.keys() & known.keys():
            text = text.replace(ours, self.our_names[ours])
        return np.array(self._library.encode(text, add_special_tokens=template).ids, np.int32)

    def chunks(self, blocks: Iterable[str]) -> Iterator[str]:
        """Yield a text, given in blocks, in chunks that end lines, where there are any.

        SentencePiece begins a chunk with a space, as any text.
        """
        rest = ""
        for block in blocks:
            cut = (rest + block).rfind("\n") + 1 or len(rest + block)
            whole, rest = (rest + block)[:cut], (rest + block)[cut:]
            yield whole
        yield rest

    def decode(self, ids: ArrayLike) -> str:
        """Return the text of a flat sequence of ids. Raises IndexError for an unknown id."""
        ids = check_ids(ids, self.vocab_size).tolist()
        return self._library.decode(ids, skip_special_tokens=False)

    def save(self, path: str | Path) -> None:
        """Write the library's tokenizer.json to `path`, replacing a file there in one step."""
        atomic_write(path, self.to_json())

    def to_json(self) -> str:
        """Return the text of the file that `save` writes."""
        return self._library.to_str(pretty=True)
