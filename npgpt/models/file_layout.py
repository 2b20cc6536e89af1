"""The names that an architecture's settings and weights have in the transformers library."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

HEAD = "lm_head.weight"
HEADS = ("lm_head.", "cls.")  # beginnings of names without a prefix
OLD_KINDS = {"gamma": "weight", "beta": "bias"}  # of norms in the oldest files


@dataclass(frozen=True)
class Files:
    """The names of an architecture's settings and weights in the transformers library.

    model_type, class_name   written into config.json
    settings   a field of our config class -> its name in config.json
    defaults   a name there -> its default; others are ints of 1 or more, and must be there
    derived    fields of our config class that `read` and `write` convert
    only       (config) -> {setting in it: the values that we support; the first is written}
    names      our module path -> the library's, with {} for the index of a block
    tables     our module paths of embeddings among them, whose weights are not transposed
    prefix     of the library's names in `class_name`, but for its head
    copies     name of a weight -> name of the weight that it repeats or, if absent, replaces
    unused     a regular expression for names of weights that the library ignores
    read       (config, arrays by the library's names) -> more fields of our config class
    write      (settings, weights) -> more settings of config.json; weights may get more arrays

    Other settings are ignored: the library computes no logits from them.
    """

    model_type: str
    class_name: str
    settings: dict
    defaults: dict
    only: Callable
    names: dict
    prefix: str
    copies: dict
    unused: str
    read: Callable
    write: Callable
    derived: tuple = ()
    tables: tuple = ()


def described(files, settings, weights):
    """Return (config.json as a dict, arrays by the library's names)."""
    # None, or the library would assume the ids of a published vocabulary
    config = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"))
    config |= {"model_type": files.model_type, "architectures": [files.class_name]}
    config |= {theirs: settings[ours] for ours, theirs in files.settings.items()}
    config |= files.write(settings, weights)
    prefix = files.prefix * (config["architectures"] == [files.class_name])
    arrays = {
        name if name.startswith(HEADS) else prefix + name: np.ascontiguousarray(array)
        for name, array in renamed(weights, files.names, files.tables)
    }
    return {name: values[0] for name, values in files.only(config).items()} | config, arrays


def renamed(arrays, names, tables):
    """Yield (name, array), with modules renamed; weights of linear layers are transposed.

    names    old module path -> new one, with {} for the index of a block
    tables   old module paths of embeddings
    """
    for name, array in arrays.items():
        path, _, kind = name.rpartition(".")
        number = None if path in names else re.search(r"\.(\d+)\.", path)
        key = path.replace(number[0], ".{}.", 1) if number else path
        if key not in names:
            yield name, array
            continue
        new = names[key].format(number and number[1])
        yield (
            f"{new}.{OLD_KINDS.get(kind, kind)}",
            array.T if array.ndim == 2 and path not in tables else array,
        )
