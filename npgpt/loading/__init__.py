"""Load the model that a command is to use, from a run or from the transformers library's files."""

import json
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from npgpt.checkpoint import BEST_WEIGHTS
from npgpt.config import TrainConfig
from npgpt.data.chat_template import ChatTemplate, eos_token
from npgpt.fast.storage import use_storage
from npgpt.gpt import Model, without_initial_weights
from npgpt.loading.pretrained import reader
from npgpt.loading.runs import Run, check_vocabulary, latest_run, load_run, read_run
from npgpt.loading.transformers_folder import HUB_FILES, TEMPLATE_FILES, local_folder
from npgpt.models import ARCHITECTURES, architecture, resize_embeddings
from npgpt.support.files import RUN_STATE, atomic_write, read_json
from npgpt.support.folders import check_free, new_folder
from npgpt.support.progress import progress
from npgpt.support.text import shown
from npgpt.tokenizers import Tokenizer, save_pretrained

PADDING = 0.05  # share of a vocabulary, at most, that models are padded by, to a round number


@dataclass(frozen=True)
class Loaded:
    """A model and its tokenizer."""

    name: str  # its folder's
    model: Model
    tokenizer: Tokenizer
    run: Run | None  # that trained it; None if it comes from the transformers library
    training: TrainConfig = field(default_factory=TrainConfig)  # the defaults without a run


def load(model: str | Path | None = None) -> tuple[Any, Any, Run | None]:
    """Return (model, tokenizer, the `Run` that trained it or None) of a MODEL of `npgpt generate`.

    The model is in evaluation mode: call `model.train()` before you train it.

    model   default: `latest_run()`, of whatever architecture; of a run the best weights, if they
            are another file's (`best_of`); errors as of `load_model`
    """
    loaded = load_model(best_of(latest_run() if model is None else model))
    return loaded.model, loaded.tokenizer, loaded.run


@progress("writing the model")
def save(
    model: Model, tokenizer: Tokenizer, folder: str | Path, template: ChatTemplate | None = None
) -> None:
    """Write a new folder that `load` and transformers' AutoModel and AutoTokenizer read.

    template   the form of conversations that the model was taught, of `template_of`; default: ours
               if the tokenizer has its tokens

    Raises ValueError if there is anything at its path already, other than an empty folder, and for
    settings that the transformers library does not have.
    """
    from npgpt.data.conversations import template_for  # 11 ms, for export

    check_free(folder)
    template = template_for(tokenizer, template)
    with new_folder(folder) as building:
        model.save_pretrained(building)
        save_pretrained(tokenizer, building)
        if template:
            _save_template(template, tokenizer, building)


def _save_template(template, tokenizer, folder):
    """Write a template beside a tokenizer, and the token that ends an answer into config.json."""
    for name, content in ChatTemplate.files(template).items():
        path = folder / name
        if path.exists():  # the tokenizer's settings
            _add(path, json.loads(content))
        else:
            atomic_write(path, content)
    end = tokenizer.special_ids.get(eos_token(tokenizer, template))
    _add(folder / "config.json", {"eos_token_id": end})


def _add(path, settings):
    atomic_write(path, json.dumps(read_json(path) | settings, indent=2) + "\n")


def best_of(name):
    """Return what to write with by a MODEL: of a run that has them, the weights with the lowest
    validation loss, or with the most answers right where they are rewarded. The last ones count
    where the loss is not what was learned: of rewarded tales, and of answers, of which those for
    validation are not taught."""
    best = Path(name, BEST_WEIGHTS)
    if not (best.exists() and Path(name, RUN_STATE).exists()):
        return name
    training = read_run(name).training
    plain = not (training.reward or training.conversations)
    return best if plain or training.reward == "answers" else name


@progress("reading the model")
def load_model(name, weights=None):
    """Return what a folder, or a name on the Hugging Face Hub (`local_folder`), holds.

    weights   how they are stored for generation, as in `npgpt.gpt.Model.from_pretrained`

    Raises ValueError for a folder of neither kind, for a damaged one, and for a
    tokenizer and a model that do not fit; FileNotFoundError for a missing file.
    """
    folder = local_folder(name)
    if reader(folder).model_type(folder) is None:
        model, tokenizer, run = load_run(folder)
        model = use_storage(model, weights) if weights else model
        return Loaded(folder.name, model, tokenizer, run, run.training)
    arch = arch_of(folder)
    model = architecture(arch).Model.from_pretrained(folder, weights)
    tokenizer = reader(folder).tokenizer(folder)
    model = _fitted(model, tokenizer, folder, weights)
    return Loaded(folder.name, model, tokenizer, None, TrainConfig(arch=arch))


def _fitted(model, tokenizer, folder, weights):
    """Return the model without rows for tokens that have no text, and could be drawn."""
    known, rows = tokenizer.vocab_size, model.config.vocab_size
    if not known < rows <= known * (1 + PADDING):
        check_vocabulary(tokenizer, model.config, folder)
        return model
    warnings.warn(f"{rows - known:,} rows that pad the vocabulary of {folder} are left out",
                  stacklevel=4)
    with without_initial_weights():
        model = resize_embeddings(model, replace(model.config, vocab_size=known), 0)
    return use_storage(model.eval(), weights)


def arch_of(folder):
    """Return the arch of the model in a folder of either kind."""
    model_type = reader(folder).model_type(folder)
    if model_type is None:
        return read_run(folder).training.arch
    archs = {f.files.model_type: arch for arch, f in ARCHITECTURES.items()}
    if model_type not in archs:
        raise ValueError(f"{folder} describes a model of model_type={shown(model_type)!r}; use one "
                         f"of: {', '.join(archs)}")
    return archs[model_type]


def model_files(name):
    """Return the path of a model, as `local_folder`, with the files of its template."""
    return local_folder(name, (*HUB_FILES, *TEMPLATE_FILES))


def template_of(path):
    """Return the `ChatTemplate` of a model's folder or file; None if it has none."""
    path = Path(path)
    path = path.parent if path.suffix == ".safetensors" else path  # of a run
    return reader(path).template(path)
