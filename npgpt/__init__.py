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

from npgpt.config import BertConfig, GPTConfig, LlamaConfig, T5Config, TrainConfig
from npgpt.model import GPT, T5, Bert, Llama
from npgpt.tokenizer import BPETokenizer, CharTokenizer
from npgpt.training import AdamW
