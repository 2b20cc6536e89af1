"""Load the model that a command is to use, from a run or from the transformers library's files."""

import warnings
from dataclasses import replace
from typing import NamedTuple

from npgpt.checkpoint import Run, load_run, read_run
from npgpt.config import TrainConfig
from npgpt.families import FAMILIES, family, grown, without_initial_weights
from npgpt.fast.storage import use_storage, usual
from npgpt.files import member, read_json
from npgpt.gpt import Model
from npgpt.io import gguf
from npgpt.io.transformers_folder import TOKENIZER_FILES, local_folder
from npgpt.text import shown
from npgpt.tokenizers import BPETokenizer, Tokenizer, load_tokenizer

PADDING = 0.05  # share of a vocabulary, at most, that models are padded by, to a round number


class Loaded(NamedTuple):
    """A model and its tokenizer.

    training   the settings it was trained with; defaults if run is None
    run        the run that trained it; None if it comes from the transformers library
    """

    model: Model
    tokenizer: Tokenizer
    training: TrainConfig
    run: Run | None


def load_model(name):
    """Return what a folder, or a name on the Hugging Face Hub (`local_folder`), holds.

    Raises RunError or ValueError for a folder of neither kind, for a damaged one, and for a
    tokenizer and a model that do not fit; FileNotFoundError for a missing file.
    """
    folder = local_folder(name)
    if model_type_of(folder) is None:
        model, tokenizer, run = load_run(folder)
        return Loaded(model, tokenizer, run.training, run)
    arch = arch_of(folder)
    model = family(arch).Model.from_pretrained(folder)
    tokenizer = tokenizer_in(folder)
    return Loaded(_fitted(model, tokenizer, folder), tokenizer, TrainConfig(arch=arch), None)


def _fitted(model, tokenizer, folder):
    """Return the model without rows for tokens that have no text, and could be drawn."""
    known, rows = tokenizer.vocab_size, model.config.vocab_size
    if known == rows:
        return model
    if not known < rows <= known * (1 + PADDING):
        raise ValueError(
            f"{folder}: the tokenizer has {known:,} tokens, but the model in config.json {rows:,}, "
            "in wte.weight; use the files of one model"
        )
    warnings.warn(
        f"{rows - known:,} rows that pad the vocabulary of {folder} are left out", stacklevel=3
    )
    with without_initial_weights():
        fitted = grown(model, replace(model.config, vocab_size=known), 0)
    return use_storage(fitted, usual(fitted))


def arch_of(folder):
    """Return the arch of the model in a folder of either kind."""
    model_type = model_type_of(folder)
    if model_type is None:
        return read_run(folder).training.arch
    archs = {f.files.model_type: arch for arch, f in FAMILIES.items()}
    if model_type not in archs:
        raise ValueError(
            f"{folder} describes a model of model_type={shown(model_type)!r}; use one of: "
            f"{', '.join(archs)}"
        )
    return archs[model_type]


def model_type_of(folder):
    """Return the model_type in a config.json of the transformers library; None in any other."""
    if gguf.is_gguf(folder):
        return str(gguf.read_header(folder)[0].get("general.architecture"))
    try:
        config = read_json(member(folder, "config.json"))
    except (FileNotFoundError, ValueError):  # load_run has more to say about it
        return None
    found = config.get("model_type")
    return found if isinstance(found, str) and "made_by" not in config else None


def tokenizer_in(folder):
    """Return a folder's tokenizer. Raises FileNotFoundError for none, ValueError if damaged."""
    if gguf.is_gguf(folder):
        return gguf.tokenizer(folder)
    path, *of_gpt2 = (member(folder, name) for name in TOKENIZER_FILES)
    if path.is_file():
        return load_tokenizer(path)
    if all(file.is_file() for file in of_gpt2):
        return BPETokenizer.from_gpt2(*of_gpt2)
    raise FileNotFoundError(
        f"{folder} has no tokenizer.json, nor vocab.json and merges.txt; download the folder "
        "whole, or put the model's tokenizer there (transformers writes a tokenizer.json of older "
        "files: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER))"
    )
