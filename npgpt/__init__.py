"""A GPT to read: tokenizers, data, the model, its training and generation.

The tree in CONTRIBUTING.md has the core in reading order, a file for each section of CONCEPTS.md,
and the packages around it, which import the core.

>>> from npgpt import GPT, GPTConfig
>>> model = GPT(GPTConfig(vocab_size=65, block_size=64, n_layer=2, n_head=2, n_embd=32))
>>> model.num_parameters()
29600
"""

from npgpt.config import GPTConfig, TrainConfig
from npgpt.fast import decoder_of as _decoder_of
from npgpt.gpt import ABOVE as _ABOVE
from npgpt.gpt import GPT
from npgpt.loading import load, save
from npgpt.loading.pretrained import load_pretrained as _load_pretrained
from npgpt.loading.pretrained import save_pretrained as _save_pretrained
from npgpt.loading.runs import load_run
from npgpt.loading.runs import version_of as _version_of
from npgpt.models.bert import Bert, BertConfig
from npgpt.models.llama import Llama, LlamaConfig
from npgpt.models.t5 import T5, T5Config
from npgpt.optim import AdamW
from npgpt.tokenizers import BPETokenizer, CharTokenizer, load_tokenizer

# Methods of a model that the core declares, and packages above it implement.
_ABOVE.update(from_pretrained=_load_pretrained, save_pretrained=_save_pretrained,
              decoder=_decoder_of)
__version__ = _version_of("npgpt")

__all__ = [
    "BertConfig", "GPTConfig", "LlamaConfig", "T5Config", "TrainConfig", "GPT", "T5", "Bert",
    "Llama", "BPETokenizer", "CharTokenizer", "AdamW", "load", "load_run", "load_tokenizer", "save",
    "__version__",
]
