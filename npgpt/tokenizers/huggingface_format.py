"""tokenizer.json in the format of Hugging Face's `tokenizers`.

BPETokenizer is saved in it, and `npgpt export` writes tokenizers of characters or words in it.

Tokens are spelled with GPT-2's printable characters for bytes, so that the file is text:

    {"version": "1.0",
     "added_tokens": [{"id": 50256, "content": "<|endoftext|>", "special": true, ...}],
     "normalizer": null,
     "pre_tokenizer": {"type": "ByteLevel", "use_regex": true, ...},
     "model": {"type": "BPE", "vocab": {"!": 0, ..., "Ġt": 256}, "merges": ["Ġ t", ...], ...}, ...}

Files from other programs are read if BPETokenizer can do what they ask for: byte-level BPE with one
of the split patterns, no normaliser, no prefix space. For any other, `Unsupported` is raised, and
`load_tokenizer` has `library_tokenizer` read it. Truncation, padding and a post-processor, which
adds tokens around a text, are left to the caller.
"""

import json
from pathlib import Path

from npgpt.tokenizers.gpt2_files import Unsupported, byte_to_unicode, from_spelled
from npgpt.tokenizers.pretokenize import MAX_LETTERS, PATTERNS

FUSE = {"type": "Fuse"}  # the decoder where tokens are texts, not bytes
DIGITS = {"type": "Digits", "individual_digits": True}
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}


def to_json(merges, merged, ids, special_ids, pattern) -> str:
    """Return the tokenizer.json of byte pairs; the arguments are attributes of BPETokenizer."""
    table = byte_to_unicode()
    spelled = ["".join(map(table.__getitem__, token)) for token in merged]
    vocab = {token: i for token, i in zip(spelled, ids, strict=True) if i is not None}
    merges = [f"{spelled[left]} {spelled[right]}" for left, right in merges]
    return _fields(vocab, merges, special_ids, pre_tokenizer(pattern),
                   BYTE_LEVEL | {"use_regex": True})


def characters_to_json(kind, texts, special_ids) -> str:
    """Return the tokenizer.json of a tokenizer of `kind` "char" or "words" with these tokens.

    Without merges, BPE spells a pre-token by its characters, and ignore_merges makes it look for
    words first. The unknown token is not in the vocabulary: an unknown character is an error.
    """
    # programs disagree on which characters are letters, so the vocabulary's letters are listed
    letters = "".join(c for c in texts if len(c) == 1 and c.isalnum() and not c.isdecimal())
    vocab = {text: i for i, text in reversed(list(enumerate(texts)))}  # of two ids, the first
    split = _split(f" ?[{letters or 'a'}]{{1,{MAX_LETTERS}}}|[\\s\\S]") if kind == "words" else None
    return _fields(vocab, [], special_ids, split, FUSE, unk_token="<unk>", ignore_merges=True)


def _fields(vocab, merges, special_ids, pre_tokenizer, decoder, **changes):
    for token, i in special_ids.items():
        if vocab.setdefault(token, i) != i:  # without an entry `tokenizers` would give a new id
            raise ValueError(
                f"the special token {token!r} is spelled like a token of the vocabulary, whose id, "
                f"{vocab[token]}, other programs would give it; choose a different text, such as "
                f"'<|{token}|>'"
            )
    added = [
        {"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for token, i in special_ids.items()
    ]
    model = {
        "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
        "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
        "ignore_merges": False,
    } | changes
    vocab = dict(sorted(vocab.items(), key=lambda item: item[1]))
    fields = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": None, "pre_tokenizer": pre_tokenizer,
        "post_processor": None, "decoder": decoder,
        "model": model | {"vocab": vocab, "merges": merges},
    }
    return json.dumps(fields, ensure_ascii=False, indent=1) + "\n"


def pre_tokenizer(pattern):
    """Return the object of a split pattern in the file."""
    byte_level = BYTE_LEVEL | {"use_regex": pattern is not None}
    steps = {"type": "Sequence", "pretokenizers": [DIGITS, byte_level]}
    return steps if pattern == "smollm" else byte_level


def _split(regex):
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}


def kind(fields: dict) -> str:
    """Return the kind of the tokenizer in a tokenizer.json: "bpe", "char" or "words"."""
    spelled = "words" if fields.get("pre_tokenizer") else "char"
    return spelled if fields.get("decoder") == FUSE else "bpe"


def characters_from_json(fields: dict, path: Path) -> dict:
    """Return the arguments of the CharTokenizer or WordTokenizer that was written to `path`."""
    special_ids = {token["content"]: token["id"] for token in fields["added_tokens"]}
    vocab = fields["model"]["vocab"]
    texts = [text for text in sorted(vocab, key=vocab.get) if text not in special_ids]
    single = [text for text in texts if len(text) == 1]
    n = 0  # sorted characters come first, added ones after them
    while n < len(single) and vocab[single[n]] == n and (not n or single[n - 1] < single[n]):
        n += 1
    found = {"characters": "".join(single[:n]), "special_tokens": list(special_ids),
             "added": "".join(single[n:])}
    if kind(fields) == "words":
        found["words"] = [text for text in texts if len(text) != 1]
    expected = [*single[:n], *found.get("words", ()), *special_ids, *single[n:]]
    whole = json.loads(characters_to_json(kind(fields), expected, special_ids))
    for part in ("normalizer", "pre_tokenizer", "model"):
        if fields[part] != whole[part]:
            raise _unsupported(path, f"a {part} of its own")
    return found


def from_json(fields: dict, path: Path) -> dict:
    """Return the arguments of the class of this `kind` from a tokenizer.json.

    Raises ValueError for settings that no class supports; KeyError, TypeError or AttributeError if
    a field is missing or of a wrong type.
    """
    if kind(fields) != "bpe":
        return characters_from_json(fields, path)
    model = fields["model"]
    if model["type"] != "BPE":
        raise _unsupported(path, f"a model of type {model['type']!r}")
    for setting in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges"):
        if model.get(setting):
            raise _unsupported(path, f"{setting} {model[setting]!r}")
    if fields.get("normalizer"):
        raise _unsupported(path, "a normalizer")
    pattern = _pattern(fields["pre_tokenizer"], path)
    merges = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
    special_ids, added = {}, fields["added_tokens"] or ()
    for token in added:
        content, i = token["content"], token["id"]
        if token.get("lstrip") or token.get("rstrip") or token.get("single_word"):
            raise _unsupported(path, f"an added token that takes spaces, {content!r}")
        if model["vocab"].get(content, i) != i:
            raise _unsupported(path, f"an added token {content!r} that is spelled like a token")
        special_ids[content] = i
    # `tokenizers` cuts a text at the tokens that are not normalized first, and then at the rest
    if len({bool(token.get("normalized")) for token in added}) > 1:
        raise _unsupported(path, "some added tokens that are normalized, and some that are not")
    arguments = from_spelled(model["vocab"], merges, path, path)
    if lost := set(model["vocab"].values()).difference(arguments["ids"], special_ids.values()):
        raise _unsupported(path, f"a token that no text gets, as no merge makes it: id {min(lost)}")
    return arguments | {"special_tokens": special_ids, "pattern": pattern}


def _pattern(pre_tokenizer, path):
    """Return the name of the split pattern of a pre-tokenizer; None for no split."""
    steps = (
        pre_tokenizer["pretokenizers"] if pre_tokenizer["type"] == "Sequence" else [pre_tokenizer]
    )
    *splits, last = steps
    if last["type"] == "ByteLevel" and not last.get("add_prefix_space", True):
        use_regex = last.get("use_regex", True)
        for pattern, known in (
            (None, ([], False)), ("gpt2", ([], True)), ("smollm", ([DIGITS], True)),
            ("gpt2", ([_split(PATTERNS["gpt2"])], False)),
        ):
            if (splits, use_regex) == known:
                return pattern
    raise _unsupported(path, f"the pre-tokenizer {steps}")


def _unsupported(path, what):
    return Unsupported(
        f"{path} asks for {what}, which no BPETokenizer does; npgpt.load_tokenizer reads it, "
        "by the library tokenizers"
    )
