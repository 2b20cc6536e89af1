"""Architectures, one file each: settings, model, files and size in one record, a `Architecture`.

To add one, write its file and list it in `ARCHITECTURES`. Shared modules: `layers`, `writing`
(generation), `size` (parameters, FLOPs, memory), `presets` (named settings), `file_layout` (names
in files of the transformers library).
"""

import numpy as np

from npgpt.models import bert, gpt_architecture, llama, t5

ARCHITECTURES = {
    module.ARCHITECTURE.arch: module.ARCHITECTURE for module in (gpt_architecture, llama, bert, t5)
}


def architecture(arch):
    """Return the `Architecture` of a name. Raises ValueError for a name that is not known."""
    if arch not in ARCHITECTURES:
        raise ValueError(f"arch={arch!r}; use {' or '.join(ARCHITECTURES)}")
    return ARCHITECTURES[arch]


def architecture_of(config):
    """Return the `Architecture` of a config, or of the nearest class that it is derived from."""
    found = {f.Config: f for f in ARCHITECTURES.values()}
    return next(found[cls] for cls in type(config).__mro__ if cls in found)


def resize_embeddings(model, config, seed):
    """Return a model of this config with the weights of `model`, whose vocabulary may differ, and
    whose window may be longer.

    Tokens and positions that come or go are the last; the rows of new ones are the initial ones of
    this seed.
    """
    other, old = type(model)(config, seed, model.wte.weight.dtype), model.parameters()
    for name, weight in other.parameters().items():
        common = tuple(map(slice, np.minimum(weight.shape, old[name].shape)))
        weight.data[common] = old[name].data[common]
    return other
