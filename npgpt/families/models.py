"""Load the model that a command is to use, from a run or from the transformers library's files."""

import warnings
from dataclasses import dataclass, field, replace

from npgpt.checkpoint import Run, check_vocabulary, load_run, read_run
from npgpt.config import TrainConfig
from npgpt.families import FAMILIES, family, grown, without_initial_weights
from npgpt.fast.storage import use_storage
from npgpt.files import member, read_json, read_text
from npgpt.gpt import Model
from npgpt.io import gguf
from npgpt.io.chat_template import ChatTemplate
from npgpt.io.transformers_folder import HUB_FILES, TOKENIZER_FILES, local_folder
from npgpt.text import shown
from npgpt.tokenizers import BPETokenizer, Tokenizer, load_tokenizer

PADDING = 0.05  # share of a vocabulary, at most, that models are padded by, to a round number
TEMPLATE_FILES = ("tokenizer_config.json", "chat_template.jinja")


@dataclass(frozen=True)
class Loaded:
    """A model and its tokenizer."""

    name: str  # its folder's
    model: Model
    tokenizer: Tokenizer
    run: Run | None  # that trained it; None if it comes from the transformers library
    training: TrainConfig = field(default_factory=TrainConfig)  # the defaults without a run


def load_model(name):
    """Return what a folder, or a name on the Hugging Face Hub (`local_folder`), holds.

    Raises RunError or ValueError for a folder of neither kind, for a damaged one, and for a
    tokenizer and a model that do not fit; FileNotFoundError for a missing file.
    """
    folder = local_folder(name)
    if model_type_of(folder) is None:
        model, tokenizer, run = load_run(folder)
        return Loaded(folder.name, model, tokenizer, run, run.training)
    arch = arch_of(folder)
    model = family(arch).Model.from_pretrained(folder)
    tokenizer = tokenizer_in(folder)
    model = _fitted(model, tokenizer, folder)
    return Loaded(folder.name, model, tokenizer, None, TrainConfig(arch=arch))


def _fitted(model, tokenizer, folder):
    """Return the model without rows for tokens that have no text, and could be drawn."""
    known, rows = tokenizer.vocab_size, model.config.vocab_size
    if not known < rows <= known * (1 + PADDING):
        check_vocabulary(tokenizer, model.config, folder)
        return model
    warnings.warn(
        f"{rows - known:,} rows that pad the vocabulary of {folder} are left out", stacklevel=3
    )
    with without_initial_weights():
        return use_storage(grown(model, replace(model.config, vocab_size=known), 0), None)


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


def model_files(name):
    """Return the path of a model, as `local_folder`, with the files of its template."""
    return local_folder(name, (*HUB_FILES, *TEMPLATE_FILES))


def template_of(folder):
    """Return the `ChatTemplate` of a model's folder or file; None if it has none."""
    if gguf.is_gguf(folder):
        return gguf.template(folder)
    settings_file, alone = (member(folder, file) for file in TEMPLATE_FILES)
    settings = read_json(settings_file) if settings_file.is_file() else {}
    template = read_text(alone) if alone.is_file() else settings.get("chat_template")
    if isinstance(template, list):  # several, by name
        named = {t.get("name"): t.get("template") for t in template if isinstance(t, dict)}
        template = named.get("default")
    tokens = {name: settings.get(name) for name in ("bos_token", "eos_token")}
    tokens = {name: t["content"] if isinstance(t, dict) else t for name, t in tokens.items()}
    tokens = {name: text for name, text in tokens.items() if isinstance(text, str)}
    return ChatTemplate(template, tokens, folder) if isinstance(template, str) else None


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
