"""tokenizer.json, the file of Hugging Face's `tokenizers`: what BPETokenizer is kept in.

Tokens are spelled with GPT-2's stand-ins for bytes, so that the file is text:

    {"version": "1.0",
     "added_tokens": [{"id": 50256, "content": "<|endoftext|>", "special": true, ...}],
     "normalizer": null,
     "pre_tokenizer": {"type": "ByteLevel", "use_regex": true, ...},
     "model": {"type": "BPE", "vocab": {"!": 0, ..., "Ġt": 256}, "merges": ["Ġ t", ...], ...}, ...}

Files of other programs are read if what they ask for is what BPETokenizer does: byte-level BPE with
one of the split patterns, no normaliser, no prefix space. What a post-processor would add around a
text is left to the caller.
"""

import json
from pathlib import Path

from npgpt.tokenizer.formats.files import WAY_OUT
from npgpt.tokenizer.formats.gpt2 import byte_to_unicode, from_spelled
from npgpt.tokenizer.pretokenize import PATTERNS

BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
# The same splits as they are written elsewhere.
SPELLINGS = {
    "gpt2": [r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"],
    "cl100k": [
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ],
}


def to_json(tokenizer) -> str:
    """The content of a tokenizer.json."""
    table = byte_to_unicode()
    numbered = [tokenizer.tokens[i] for i in tokenizer.ids]
    spelled = ["".join(map(table.__getitem__, token)) for token in numbered]
    vocab = dict(zip(spelled, tokenizer.ids, strict=True))
    for token, i in tokenizer.special_ids.items():
        vocab.setdefault(token, i)  # tokenizers numbers added tokens by the vocabulary
    added = [
        {"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for token, i in tokenizer.special_ids.items()
    ]  # fmt: skip
    model = {
        "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
        "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
        "ignore_merges": False,
        "vocab": dict(sorted(vocab.items(), key=lambda item: item[1])),
        "merges": [f"{spelled[left]} {spelled[right]}" for left, right in tokenizer.merges],
    }  # fmt: skip
    fields = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": None, "pre_tokenizer": _pre_tokenizer(tokenizer.pattern),
        "post_processor": None, "decoder": BYTE_LEVEL | {"use_regex": True}, "model": model,
    }  # fmt: skip
    return json.dumps(fields, ensure_ascii=False, indent=1) + "\n"


def _pre_tokenizer(pattern):
    if pattern in ("gpt2", None):
        return BYTE_LEVEL | {"use_regex": pattern == "gpt2"}
    split = {"type": "Split", "pattern": {"Regex": PATTERNS[pattern]}, "behavior": "Isolated",
             "invert": False}  # fmt: skip
    return {"type": "Sequence", "pretokenizers": [split, BYTE_LEVEL | {"use_regex": False}]}


def from_json(fields: dict, path: Path) -> dict:
    """The arguments of BPETokenizer in the content of a tokenizer.json.

    Raises ValueError naming `path` for a damaged file and for what is no byte-level BPE.
    """
    try:
        model = fields["model"]
        if model["type"] != "BPE":
            raise _unlike(path, f"a model of type {model['type']!r}")
        for setting in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
            if model.get(setting):
                raise _unlike(path, f"{setting} {model[setting]!r}")
        if model.get("ignore_merges"):
            raise _unlike(path, "ignore_merges")
        if fields.get("normalizer"):
            raise _unlike(path, "a normalizer")
        pattern = _pattern_of(fields["pre_tokenizer"], path)
        merges = [
            merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]
        ]
        for i, merge in enumerate(merges):
            if len(merge) != 2 or not all(isinstance(part, str) for part in merge):
                raise ValueError(f"merge {i} of {path} must join two tokens, got {merge!r}")
        special = {}
        for token in fields["added_tokens"] or ():
            if token.get("lstrip") or token.get("rstrip") or token.get("single_word"):
                raise _unlike(path, f"an added token that takes spaces, {token['content']!r}")
            special[token["content"]] = token["id"]
        spelled = from_spelled(model["vocab"], merges, path, path)
    except KeyError as missing:
        raise ValueError(f"{path} is damaged: the field {missing} is missing; {WAY_OUT}") from None
    except (TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: {error}; {WAY_OUT}") from error
    known = {*spelled["ids"], *special.values()}
    for token, i in model["vocab"].items():
        if i not in known:
            raise ValueError(
                f"{path}: no merge makes the token {token!r}, and it is no added token; {WAY_OUT}"
            )
    return spelled | {"special_tokens": special, "pattern": pattern}


def _pattern_of(settings, path):
    steps = settings["pretokenizers"] if settings["type"] == "Sequence" else [settings]
    last = steps[-1]
    if last["type"] != "ByteLevel" or len(steps) > 2:
        raise _unlike(path, f"a pre-tokenizer {[step['type'] for step in steps]}")
    if last.get("add_prefix_space", True):
        raise _unlike(path, "add_prefix_space")
    with_regex = last.get("use_regex", True)
    if len(steps) == 1:
        return "gpt2" if with_regex else None
    first = steps[0]
    for pattern, regex in PATTERNS.items():
        if (
            first["type"] == "Split"
            and first["behavior"] == "Isolated"
            and not first.get("invert")
            and not with_regex
            and first["pattern"].get("Regex") in (regex, *SPELLINGS[pattern])
        ):
            return pattern
    raise _unlike(path, f"the split {first.get('pattern')!r}")


def _unlike(path, what):
    return ValueError(
        f"{path} asks for {what}, which BPETokenizer does not do; use the library it was made with"
    )
