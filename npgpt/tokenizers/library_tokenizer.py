"""What the library `tokenizers` computes: other tokenizers from its files, and byte pairs sooner.

BERT's WordPiece, T5's Unigram model, the byte pairs with `byte_fallback` of SentencePiece's Llamas,
GPT-4's split: whatever a tokenizer.json of that library asks for and `BPETokenizer` does not do.
"""

import functools
import json
import re
import threading
from collections.abc import Callable, Sequence
from contextlib import contextmanager

import numpy as np

from npgpt.support.files import atomic_write
from npgpt.tokenizers.characters import check_ids, check_text
from npgpt.tokenizers.gpt2_files import byte_to_unicode
from npgpt.tokenizers.pretokenize import recognised

ENCODING = threading.Lock()  # whether special tokens are text is a switch of the library's object
OUR_NAMES = {"<mask>": "[MASK]", "<pad>": "[PAD]"}  # of special tokens: BERT's


def installed() -> str | None:
    """Return the version of the library; None if it is not installed."""
    try:
        import tokenizers
    except ImportError:
        return None
    return tokenizers.__version__


def word_encoder(
    merges: Sequence[tuple[int, int]], merged: Sequence[bytes]
) -> Callable[[bytes], list[int]] | None:
    """Return the library's `byte_pair_encoding.encode_word` under the merges of a BPETokenizer.

    merged: the bytes of all tokens. A byte is the character with its number there. Returns None
    without the library.
    """
    if not installed():
        return None
    from tokenizers.models import BPE

    texts = [token.decode("latin-1") for token in merged]
    pairs = [(texts[left], texts[right]) for left, right in merges]
    model = BPE({text: index for index, text in enumerate(texts)}, pairs, cache_capacity=0)
    return lambda word: [token.id for token in model.tokenize(word.decode("latin-1"))]


@contextmanager
def panics_refused(what):
    """Raise ValueError where the library panics, which raises no Exception."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise ValueError(f"the library tokenizers {what} ({error})") from error


class LibraryTokenizer:
    """A tokenizer.json of the library `tokenizers`; its methods are as a BPETokenizer's.

    fields        the object in the file; its truncation, padding and dropout are not applied
    reason        the `Unsupported` that names the file, and why no BPETokenizer reads it
    special_ids   a dict from special token to id; BERT's are also there by our names
    our_names     a dict from these to BERT's
    tokens        a list of the bytes that every token adds to a text, by id
    templated     `encode`, with the tokens that the model's template puts around a prompt

    A text may change: BERT's vocabularies know small letters and one space. Raises ImportError
    without the library, ValueError for fields that it refuses.
    """

    kind = "library"

    def __init__(self, fields, reason):
        if not installed():
            raise ImportError(
                f"{reason}; the library tokenizers computes it: pip install -e '.[hub]'"
            )
        from tokenizers import Tokenizer

        model = {name: value for name, value in fields["model"].items() if name != "dropout"}
        fields |= {"truncation": None, "padding": None, "model": model}
        with panics_refused("refuses it"):
            self._library = Tokenizer.from_str(json.dumps(fields))
        vocab, added = self._library.get_vocab(), self._library.get_added_tokens_decoder()
        self.vocab_size = 1 + max(vocab.values(), default=-1)
        if not 0 < self.vocab_size <= 2 * len(vocab):
            raise ValueError(f"id {self.vocab_size - 1} of {len(vocab)} tokens; leave no wide gaps")
        self.special_ids = {token.content: i for i, token in added.items() if token.special}
        self.our_names = {ours: theirs for ours, theirs in OUR_NAMES.items()
                          if theirs in self.special_ids and ours not in self.special_ids}
        self.special_ids |= {o: self.special_ids[t] for o, t in self.our_names.items()}
        self.templated = functools.partial(self.encode, template=True)
        in_bytes = '"ByteLevel"' in json.dumps(fields.get("decoder"))
        self.tokens = self._bytes_by_id(vocab, model.get("byte_fallback"), in_bytes)

    def _bytes_by_id(self, vocab, byte_fallback, in_bytes):
        """Return the bytes of all tokens: what each adds to the text of one before it."""
        byte_of = {character: byte for byte, character in byte_to_unicode().items()}
        first = self._library.encode("a", add_special_tokens=False).ids[-1:]
        pairs = [[*first, i] for i in range(self.vocab_size)]
        texts = self._library.decode_batch(pairs, skip_special_tokens=False)
        start = len(self._library.decode(first, skip_special_tokens=False))
        tokens = [text[start:].encode("utf-8") for text in texts]
        for piece, i in vocab.items():
            if piece in self.special_ids:
                tokens[i] = piece.encode("utf-8")
            elif byte_fallback and re.fullmatch("<0x[0-9A-F]{2}>", piece):
                tokens[i] = bytes([int(piece[3:5], 16)])
            elif in_bytes and byte_of.keys() >= set(piece):
                tokens[i] = bytes(map(byte_of.get, piece))
        return tokens

    def encode(self, text, *, allowed_special="all", disallowed_special="all", template=False):
        """Return the token ids of `text`; the arguments are as for a BPETokenizer.

        If any special token is allowed, so are all that are not disallowed.
        """
        check_text(text)
        known = recognised(text, self.special_ids, allowed_special, disallowed_special)
        for ours in self.our_names.keys() & known.keys():
            text = text.replace(ours, self.our_names[ours])
        with ENCODING, panics_refused("fails at this text; use another tokenizer.json"):
            self._library.encode_special_tokens = not known  # then they are plain text
            found = self._library.encode(text, add_special_tokens=template)
        return np.array(found.ids, np.int32)

    def chunks(self, blocks):
        """Yield a text, given in blocks, in chunks that end lines, where there are any.

        SentencePiece begins each with a space, as any text.
        """
        rest = ""
        for block in blocks:
            rest += block
            cut = rest.rfind("\n") + 1 or len(rest)
            yield rest[:cut]
            rest = rest[cut:]
        yield rest

    def decode(self, ids):
        """Return the text of a flat sequence of ids. Raises IndexError for an unknown id."""
        ids = check_ids(ids, self.vocab_size)
        return self._library.decode(ids, skip_special_tokens=False)

    def save(self, path):
        """Write the library's tokenizer.json to `path`, replacing a file there in one step."""
        atomic_write(path, self.to_json())

    def to_json(self):
        """Return the text of the file that `save` writes."""
        return self._library.to_str(pretty=True)
