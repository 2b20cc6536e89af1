"""GPT-2 models as the transformers library stores them: config.json and model.safetensors.

The weights have the same names and shapes as here, but for three things. A language model's names
begin with `transformer.`; GPT-2's linear layers and norms always have biases, which are written as
zeros where a model has none; and an output layer of its own is stored as (V, C), here (C, V).
"""

import json
import os
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from npgpt.files import atomic_write, read_arrays, read_json

PREFIX = "transformer."
HEAD = "lm_head.weight"
# A linear layer or a norm: its weight has a bias beside it. The others are embeddings.
WITHOUT_BIAS = ("wte.weight", "wpe.weight", HEAD)
CAUSAL_MASKS = (".attn.bias", ".attn.masked_bias")  # constants that older files hold as weights
# What GPT-2's config.json may change, and the one value for which the model is the one built here.
ONLY = {
    "model_type": "gpt2",
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
}


def save_folder(folder, settings, weights):
    """Write a GPT as config.json and model.safetensors, each whole or not at all.

    folder    made if it does not exist; files of these names are replaced
    settings  the fields of a GPTConfig as a dict
    weights   arrays by GPT-2's names
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = ONLY | {
        "architectures": ["GPT2LMHeadModel"],
        "vocab_size": settings["vocab_size"],
        "n_positions": settings["block_size"],
        "n_embd": settings["n_embd"],
        "n_layer": settings["n_layer"],
        "n_head": settings["n_head"],
        "tie_word_embeddings": settings["tie_weights"],
        **dict.fromkeys(("resid_pdrop", "embd_pdrop"), settings["dropout"]),
        "attn_pdrop": 0.0,
        # GPT-2's own end of text is not in another vocabulary
        "bos_token_id": None,
        "eos_token_id": None,
    }
    arrays = {}
    for name, weight in weights.items():
        if name == HEAD:
            arrays[HEAD] = np.ascontiguousarray(weight.T)
            continue
        arrays[PREFIX + name] = weight
        bias = name.removesuffix("weight") + "bias"
        if name.endswith(".weight") and name not in WITHOUT_BIAS and bias not in weights:
            arrays[PREFIX + bias] = np.zeros(weight.shape[-1], weight.dtype)
    atomic_write(folder / "model.safetensors", save(arrays, metadata={"format": "pt"}))
    atomic_write(folder / "config.json", json.dumps(config, indent=2) + "\n")


def load_folder(folder):
    """(settings, weights) of a GPT-2 model: the fields of a GPTConfig, float32 arrays by name.

    Raises FileNotFoundError for a missing file, ValueError for a model that is not GPT-2's or a
    file that is damaged.
    """
    folder = Path(folder)
    config = _read_config(folder / "config.json")
    arrays = {}
    for path in _weight_files(folder):
        arrays |= read_arrays(path)
    settings = {
        "vocab_size": config["vocab_size"],
        "block_size": config.get("n_positions", 1024),
        "n_layer": config["n_layer"],
        "n_head": config["n_head"],
        "n_embd": config["n_embd"],
        "dropout": config.get("resid_pdrop", 0.1),
        "bias": True,
        "tie_weights": config.get("tie_word_embeddings", True),
    }
    return settings, _our_names(arrays, settings["tie_weights"])


def _read_config(path):
    if not path.is_file():
        raise FileNotFoundError(
            f"{path.parent} has no config.json; name a folder that save_pretrained or "
            "`npgpt export` wrote, or one downloaded whole from a model's page"
        )
    config = read_json(path)
    sizes = ("n_embd", "n_head", "n_layer", "vocab_size")
    missing = [name for name in sizes if type(config.get(name)) is not int]
    if missing:
        raise ValueError(f"{path} does not give {missing} as ints: it is not the config of a GPT-2")
    if config.get("activation_function") == "gelu_pytorch_tanh":  # another name of the same
        config["activation_function"] = ONLY["activation_function"]
    wrong = {name: config[name] for name, value in ONLY.items() if config.get(name, value) != value}
    inner = config.get("n_inner")
    if inner not in (None, 4 * config["n_embd"]):
        wrong["n_inner"] = inner
    if wrong:
        found = ", ".join(f"{name}={value!r}" for name, value in wrong.items())
        raise ValueError(
            f"{path} describes a model with {found}, which this GPT does not have; use a model "
            "of GPT-2's architecture, such as gpt2, gpt2-medium or distilgpt2"
        )
    return config


def _weight_files(folder):
    """The one file of weights, or those that an index lists."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        files = read_json(index).get("weight_map")
        if not isinstance(files, dict) or not all(isinstance(f, str) for f in files.values()):
            raise ValueError(
                f"{index} has no weight_map from the names of weights to names of files; download "
                "it again, whole"
            )
        return [_in_folder(folder, name) for name in sorted(set(files.values()))]
    path = _in_folder(folder, "model.safetensors")
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} has no model.safetensors; pickled weights (pytorch_model.bin) are not read, "
            "since unpickling can run any code: convert them with transformers' save_pretrained"
        )
    return [path]


def _in_folder(folder, name):
    """The path of a file that is in the folder itself, and is no link to one that is elsewhere.

    Only the Hugging Face cache has links: from snapshots/REVISION into blobs beside snapshots.
    """
    home = Path(os.path.realpath(folder))  # not resolve(), which links in a circle make fail
    homes = [home] + [home.parent.parent / "blobs"] * (home.parent.name == "snapshots")
    path = folder / name
    if Path(name).name != name or "\0" in name or Path(os.path.realpath(path)).parent not in homes:
        raise ValueError(
            f"{path} leads out of its folder, and nothing else is read; put a copy of the file "
            "there, and its name into model.safetensors.index.json if that lists it"
        )
    return path


def _our_names(arrays, tied):
    weights = {}
    for name, array in arrays.items():
        name = name.removeprefix(PREFIX)
        if name.endswith(CAUSAL_MASKS) or (name == HEAD and tied):
            continue
        weights[name] = np.asarray(array.T if name == HEAD else array, np.float32, order="C")
    return weights
