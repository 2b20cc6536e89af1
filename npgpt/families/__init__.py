"""Kinds of models, one file each: settings, model, files and size in one record, a `Family`.

To add a kind, write its file and list it in `FAMILIES`. Shared modules: `layers`,
`objectives` (the training tasks of BERT and T5, with exact lower bounds of their losses in
`floors`), `writing` (generation), `size` (parameters, FLOPs, memory), `presets` (named settings),
`models` (loading a model from any folder).
"""

from contextlib import contextmanager
from dataclasses import asdict

import numpy as np

from npgpt.checkpoint import arrays_of, weights_not_finite
from npgpt.config import check_handled
from npgpt.families import bert, gpt_family, llama, t5
from npgpt.fast.storage import StoredWeight, use_storage
from npgpt.files import check_fits
from npgpt.gpt import RANDOM_INIT
from npgpt.io import gguf, gguf_writer, transformers_folder
from npgpt.io.transformers_folder import local_folder, save_folder

FAMILIES = {module.FAMILY.arch: module.FAMILY for module in (gpt_family, llama, bert, t5)}


def family(arch):
    """Return the `Family` of a name. Raises ValueError for a name that is not known."""
    if arch not in FAMILIES:
        raise ValueError(f"arch={arch!r}; use {' or '.join(FAMILIES)}")
    return FAMILIES[arch]


def family_of(config):
    """Return the `Family` of a config, or of the nearest class that it is derived from."""
    found = {f.Config: f for f in FAMILIES.values()}
    return next(found[cls] for cls in type(config).__mro__ if cls in found)


def save_pretrained(model, folder):
    """Write a model's config.json and model.safetensors, as the transformers library reads them."""
    save_folder(folder, *_filed(model))


def save_gguf(model, path, tokenizer=None, template=None, kind="F32"):
    """Write a model as a GGUF file; see `npgpt.io.gguf_writer.save`."""
    gguf_writer.save(path, *_filed(model), tokenizer, template, kind)


def _filed(model):
    kind = family_of(model.config)
    where = f"FILES of {kind.file}"
    check_handled(model.config, kind.filed, "the transformers library's file", where)
    return kind.files, asdict(model.config), arrays_of(model)


def reader(path):
    """Return the module whose `model_type`, `load`, `tokenizer` and `template` read a model."""
    return gguf if gguf.is_gguf(path) else transformers_folder


def load_pretrained(cls, folder, weights=None):
    """Return the model of class `cls` in a folder; see `npgpt.gpt.Model.from_pretrained`."""
    from npgpt.families.size import check_size

    folder = local_folder(folder)
    files = next(f.files for f in FAMILIES.values() if f.Config is cls.Config)
    classes = {f.files.model_type: f.Model.__name__ for f in FAMILIES.values()}
    settings, arrays = reader(folder).load(folder, files, classes, exact=weights == "q8")
    try:
        config = cls.Config(**settings)
    except ValueError as error:
        raise ValueError(f"{folder}: config.json describes no model; {error}") from error
    check_size(config, arrays, folder)
    with without_initial_weights():
        model = cls(config)
    check_fits(arrays, arrays_of(model), folder)
    modules = dict(model.named_modules())
    for name, weight in model.parameters().items():
        if isinstance(arrays[name], np.ndarray):
            weight.data = arrays[name]
        else:
            path, _, attribute = name.rpartition(".")
            setattr(modules[path], attribute, StoredWeight(arrays[name]))
    broken = weights_not_finite(model)
    if broken:
        raise ValueError(f"{folder}: {broken}; restore its file from a copy, or write it again")
    return use_storage(model.eval(), weights)


@contextmanager
def without_initial_weights():
    """Leave the matrices of new models uninitialised inside a `with` block.

    A loader replaces them, and drawing a hundred million numbers takes seconds.
    """
    before = RANDOM_INIT.set(False)
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        RANDOM_INIT.reset(before)


def grown(model, config, seed):
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
