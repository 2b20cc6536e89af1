"""Text to token ids and back: the section Tokenization of CONCEPTS.md, in reading order.

    characters          CharTokenizer: a token for each character
    word_level          WordTokenizer: a token for each frequent word, and characters for the rest
    pretokenize         the split of a text into pre-tokens, which merges do not cross
    unicode_classes     the letters, numbers and white space of its patterns
    byte_pair_encoding  the algorithm: learning merges, and replaying them
    bpe_tokenizer       BPETokenizer, on top of it
    chunking            texts larger than memory, cut where no token is, and encoded into files

The files that tokenizers are saved in:

    tokenizer_json      what `save` writes and `load` reads, for every tokenizer
    huggingface_format  tokenizer.json of Hugging Face's `tokenizers`, the format of BPETokenizer
    gpt2_files          GPT-2's encoder.json and vocab.bpe
    library_tokenizer   LibraryTokenizer: all else in that format, computed by `tokenizers`; and the
                        merging of BPETokenizer, sooner

The others know no class of tokenizer: a reader returns the arguments of one as a dict. To add a
format, write such a function, and a classmethod of BPETokenizer that calls it.
"""

import json
from pathlib import Path

from npgpt.support.files import atomic_write
from npgpt.tokenizers import huggingface_format, tokenizer_json
from npgpt.tokenizers.bpe_tokenizer import BPETokenizer
from npgpt.tokenizers.characters import CharTokenizer
from npgpt.tokenizers.library_tokenizer import LibraryTokenizer
from npgpt.tokenizers.word_level import WordTokenizer

Tokenizer = CharTokenizer | BPETokenizer | LibraryTokenizer


def load_tokenizer(path: str | Path) -> Tokenizer:
    """Read the tokenizer at `path`, a tokenizer.json or a folder with one, of any kind.

    Raises FileNotFoundError without a file, ValueError for a file that is not a complete tokenizer,
    ImportError for one that needs the library `tokenizers` where it is not installed.
    """
    classes = {"char": CharTokenizer, "words": WordTokenizer, "bpe": BPETokenizer,
               "library": LibraryTokenizer}
    path = Path(path, "tokenizer.json") if Path(path).is_dir() else path
    return tokenizer_json.load(path, classes)


def save_pretrained(tokenizer: Tokenizer, folder: str | Path) -> None:
    """Write tokenizer.json and tokenizer_config.json, which transformers' AutoTokenizer reads."""
    if isinstance(tokenizer, CharTokenizer):
        texts = [token.decode() for token in tokenizer.tokens]
        special_ids = tokenizer.special_ids
        content = huggingface_format.characters_to_json(tokenizer.kind, texts, special_ids)
    else:
        content = tokenizer.to_json()
    # without a class, AutoTokenizer makes the class of the model's published tokenizers
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    names = getattr(tokenizer, "our_names", {})
    roles = {"pad_token": "<pad>", "mask_token": "<mask>"}.items()
    config |= {role: names.get(t, t) for role, t in roles if t in tokenizer.special_ids}
    atomic_write(Path(folder) / "tokenizer.json", content)
    atomic_write(Path(folder) / "tokenizer_config.json", json.dumps(config, indent=2) + "\n")
