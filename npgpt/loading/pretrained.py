"""Models in others' files: folders of the transformers library, and GGUF files."""

from dataclasses import asdict

import numpy as np

from npgpt.checkpoint import arrays_of, weights_not_finite
from npgpt.config import check_handled
from npgpt.fast.storage import StoredWeight, use_storage
from npgpt.gpt import without_initial_weights
from npgpt.loading import gguf, gguf_writer, transformers_folder
from npgpt.loading.transformers_folder import local_folder, save_folder
from npgpt.models import ARCHITECTURES, architecture_of
from npgpt.models.size import check_size
from npgpt.support.files import check_fits
from npgpt.support.progress import progress


def save_pretrained(model, folder):
    """Write a model's config.json and model.safetensors, as the transformers library reads them."""
    save_folder(folder, *_filed(model))


@progress("writing the model")
def save_gguf(model, path, tokenizer=None, template=None, kind="F32"):
    """Write a model as a GGUF file; see `npgpt.loading.gguf_writer.save`."""
    gguf_writer.save(path, *_filed(model, "the GGUF file"), tokenizer, template, kind)


def _filed(model, reader="the transformers library's file"):
    kind = architecture_of(model.config)
    check_handled(model.config, kind.filed, reader, "FILES in npgpt/models")
    return kind.files, asdict(model.config), arrays_of(model)


def reader(path):
    """Return the module whose `model_type`, `load`, `tokenizer` and `template` read a model."""
    return gguf if gguf.is_gguf(path) else transformers_folder


def load_pretrained(cls, folder, weights=None):
    """Return the model of class `cls` in a folder; see `npgpt.gpt.Model.from_pretrained`."""
    folder = local_folder(folder)
    files = next(f.files for f in ARCHITECTURES.values() if f.Config is cls.Config)
    settings, arrays = reader(folder).load(folder, files, exact=weights == "q8")
    try:
        config = cls.Config(**settings)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
    return use_storage(filled(cls, config, arrays, folder), weights)


def filled(cls, config, arrays, path, seed=0):
    """Return a model of class `cls` in evaluation mode with the weights in a file.

    Raises ValueError if they do not fit, or are not finite.
    """
    check_size(config, arrays, path)
    with without_initial_weights():
        model = cls(config, seed)
    check_fits(arrays, arrays_of(model), path)
    modules = dict(model.named_modules())
    for name, weight in model.parameters().items():
        if isinstance(arrays[name], np.ndarray):
            weight.data = arrays[name]
        else:
            part, _, attribute = name.rpartition(".")
            setattr(modules[part], attribute, StoredWeight(arrays[name]))
    if broken := weights_not_finite(model):
        raise ValueError(f"{path}: {broken}; restore it from a copy, or train again with a lower "
                         "--lr")
    return model.eval()
