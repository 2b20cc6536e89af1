"""Load the model that a command is to use, from a run or from the transformers library's files."""

import warnings
from dataclasses import dataclass, field, replace

from npgpt.checkpoint import Run, check_vocabulary, load_run, read_run
from npgpt.config import TrainConfig
from npgpt.families import FAMILIES, family, grown, reader, without_initial_weights
from npgpt.fast.storage import use_storage
from npgpt.gpt import Model
from npgpt.io.transformers_folder import HUB_FILES, TEMPLATE_FILES, local_folder
from npgpt.text import shown
from npgpt.tokenizers import Tokenizer

PADDING = 0.05  # share of a vocabulary, at most, that models are padded by, to a round number


@dataclass(frozen=True)
class Loaded:
    """A model and its tokenizer."""

    name: str  # its folder's
    model: Model
    tokenizer: Tokenizer
    run: Run | None  # that trained it; None if it comes from the transformers library
    training: TrainConfig = field(default_factory=TrainConfig)  # the defaults without a run


def load_model(name, weights=None):
    """Return what a folder, or a name on the Hugging Face Hub (`local_folder`), holds.

    weights   how they are stored for generation, as in `npgpt.gpt.Model.from_pretrained`

    Raises RunError or ValueError for a folder of neither kind, for a damaged one, and for a
    tokenizer and a model that do not fit; FileNotFoundError for a missing file.
    """
    folder = local_folder(name)
    if reader(folder).model_type(folder) is None:
        model, tokenizer, run = load_run(folder)
        model = use_storage(model, weights) if weights else model
        return Loaded(folder.name, model, tokenizer, run, run.training)
    arch = arch_of(folder)
    model = family(arch).Model.from_pretrained(folder, weights)
    tokenizer = reader(folder).tokenizer(folder)
    model = _fitted(model, tokenizer, folder, weights)
    return Loaded(folder.name, model, tokenizer, None, TrainConfig(arch=arch))


def _fitted(model, tokenizer, folder, weights):
    """Return the model without rows for tokens that have no text, and could be drawn."""
    known, rows = tokenizer.vocab_size, model.config.vocab_size
    if not known < rows <= known * (1 + PADDING):
        check_vocabulary(tokenizer, model.config, folder)
        return model
    warnings.warn(
        f"{rows - known:,} rows that pad the vocabulary of {folder} are left out", stacklevel=3
    )
    with without_initial_weights():
        return use_storage(grown(model, replace(model.config, vocab_size=known), 0), weights)


def arch_of(folder):
    """Return the arch of the model in a folder of either kind."""
    model_type = reader(folder).model_type(folder)
    if model_type is None:
        return read_run(folder).training.arch
    archs = {f.files.model_type: arch for arch, f in FAMILIES.items()}
    if model_type not in archs:
        raise ValueError(
            f"{folder} describes a model of model_type={shown(model_type)!r}; use one of: "
            f"{', '.join(archs)}"
        )
    return archs[model_type]


def model_files(name):
    """Return the path of a model, as `local_folder`, with the files of its template."""
    return local_folder(name, (*HUB_FILES, *TEMPLATE_FILES))
