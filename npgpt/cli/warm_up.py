"""`npgpt warm-up`: compile all kernels at once, for an image or a classroom."""

import numpy as np

from autograd import Tensor, log_softmax, softmax, using_matmul_precision
from npgpt.fast.storage import formats, use_storage
from npgpt.models import ARCHITECTURES
from npgpt.optim import AdamW
from npgpt.tokenizers import CharTokenizer


def add_arguments(parser):
    pass


def run(args):
    call_all()
    print("all kernels are compiled")


def call_all():
    """Call every kernel, for all types and precisions."""
    for dtype, precision in (
        (np.float32, "float32"), (np.float32, "bfloat16"), (np.float64, "float32")
    ):
        x_NC = Tensor(np.zeros((1, 2), dtype), requires_grad=True)
        (softmax(x_NC) + log_softmax(x_NC)).sum().backward()  # which no model calls
        with using_matmul_precision(precision):
            for kind in ARCHITECTURES.values():
                train_and_write(kind, dtype)


def train_and_write(kind, dtype):
    """Take a training step with a tiny model and write from each storage that it has."""
    tokenizer = CharTokenizer("ab", kind.Objective.special_tokens)
    length = 32
    config = kind.Config(tokenizer.vocab_size, length, n_layer=1, n_head=1, n_embd=4, dropout=0.1)
    model = kind.Model(config, dtype=dtype)
    ids_N = np.zeros(2 * length, np.int64)
    batch = kind.Objective(tokenizer).sample(ids_N, length, 1, seed=0, step=0)
    batch.loss(model).backward()
    AdamW(model.parameters()).step()
    prompt_T = batch.inputs[0][0]
    list(kind.write(model, tokenizer, prompt_T, 1))
    for storage in formats(model) if dtype == np.float32 else ():
        list(kind.write(use_storage(model, storage), tokenizer, prompt_T[:1], 1))
