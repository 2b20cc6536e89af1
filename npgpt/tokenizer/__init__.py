"""Text to token ids and back.

Read `char` first (one token a character), then `pretokenize` (cutting text into words, by the
`unicode_classes` of its characters) and `bpe` (merging bytes inside those words): that is all there
is to it. `words` is between them: a frequent word is a token. `bpe_tokenizer` makes byte pairs a
class, with `special` tokens; `checks` says what all tokenizers refuse. `formats/` reads and writes
files, Hugging Face's, GPT-2's and tiktoken's too. `compiled/` computes the same as `bpe`, fast, and
cuts texts larger than memory.

All tokenizers encode to a flat int32 array, and decode any flat sequence of integers.
"""

import json
from pathlib import Path

from npgpt.files import atomic_write
from npgpt.tokenizer.bpe_tokenizer import BPETokenizer
from npgpt.tokenizer.char import CharTokenizer
from npgpt.tokenizer.formats import huggingface, tokenizer_json
from npgpt.tokenizer.words import WordTokenizer

__all__ = ["BPETokenizer", "CharTokenizer", "WordTokenizer", "compile_kernels", "load_tokenizer",
           "save_pretrained"]  # fmt: skip


def load_tokenizer(path: str | Path) -> CharTokenizer | BPETokenizer:
    """The tokenizer saved at `path` (a run's tokenizer.json), of whichever kind it is.

    Raises FileNotFoundError without a file, ValueError for one that is not a whole tokenizer.
    """
    classes = {"char": CharTokenizer, "words": WordTokenizer, "bpe": BPETokenizer}
    return tokenizer_json.load(path, classes)


def save_pretrained(tokenizer: CharTokenizer | BPETokenizer, folder: str | Path) -> None:
    """Write tokenizer.json and tokenizer_config.json, which transformers' AutoTokenizer reads."""
    if isinstance(tokenizer, CharTokenizer):
        texts = [token.decode() for token in tokenizer.tokens]
        content = huggingface.characters_to_json(tokenizer.kind, texts, tokenizer.special_ids)
    else:
        content = huggingface.to_json(tokenizer)
    # without the class, the one of the model's published tokenizers would be made
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    roles = {"pad_token": "<pad>", "mask_token": "<mask>"}.items()
    config |= {role: token for role, token in roles if token in tokenizer.special_ids}
    atomic_write(Path(folder) / "tokenizer.json", content)
    atomic_write(Path(folder) / "tokenizer_config.json", json.dumps(config, indent=2) + "\n")


def compile_kernels() -> None:
    """Compile, or load from disk, all that learning, encoding and decoding byte pairs call."""
    tokenizer = BPETokenizer.train("hug hug pug", 258)
    tokenizer.decode(tokenizer.encode("hugs"))
