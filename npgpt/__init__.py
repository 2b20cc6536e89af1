"""A GPT to read: tokenizers, data, the model, its training and generation.

Reading order, one package for each section of CONCEPTS.md:

    config.py      the settings of a model and of its training
    tokenizer/     text to token ids and back
    data/          where text comes from, and batches of it
    model/         embeddings, attention, blocks, the GPT
    training/      optimizer, schedule, loop, checkpoints
    generation/    choosing the next token, again and again
    interop/       models in other programs' files
    plots.py       pictures of all that
    cli/           the program `npgpt`

>>> from npgpt import GPT, GPTConfig
>>> model = GPT(GPTConfig(vocab_size=65, block_size=64, n_layer=2, n_head=2, n_embd=32))
>>> model.num_parameters()
29600
"""

import autograd

if not hasattr(autograd, "OPS"):
    raise ImportError(
        f"{autograd.__file__} is of another package named autograd, and npgpt brings its own: "
        "install npgpt alone into a new virtual environment, as its README does"
    )

from npgpt.config import BertConfig, GPTConfig, LlamaConfig, T5Config, TrainConfig
from npgpt.model import GPT, T5, Bert, Llama
from npgpt.tokenizer import BPETokenizer, CharTokenizer
from npgpt.training import AdamW
from npgpt.training.checkpoint import load_run
from npgpt.training.checkpoint import version_of as _version_of

__version__ = _version_of("npgpt")

__all__ = [
    "BertConfig", "GPTConfig", "LlamaConfig", "T5Config", "TrainConfig", "GPT", "T5", "Bert",
    "Llama", "BPETokenizer", "CharTokenizer", "AdamW", "load_run", "__version__",
]  # fmt: skip
