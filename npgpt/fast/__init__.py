"""Faster paths to the same results: compiled generation, quantised weights."""

import numpy as np

from autograd import backend
from npgpt.generate import CachedLogits


def decoder_of(model):
    """Return the function from contexts to next-token logits that generation with a model calls.

    It is the compiled `npgpt.fast.decoder.Decoder` if `npgpt.fast.storage.use_storage` has set the
    model's `storage`, else `CachedLogits`, the plain path. A Decoder copies the weights as they are
    now.
    """
    if model.storage and model.wte.weight.dtype == np.float32 and backend.name == "numba":
        from npgpt.fast.decoder import Decoder  # here: the NumPy backend never loads Numba

        return Decoder(model, model.storage)
    return CachedLogits(model.next_logits, model.config.block_size)
