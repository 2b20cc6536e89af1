"""Settings from a TOML file, for `npgpt train --config`."""

import difflib
import tomllib
from dataclasses import fields

from npgpt.config import TrainConfig, wanted
from npgpt.families.presets import model_settings
from npgpt.files import read_given


def read_settings(path):
    """Return the settings in a TOML file as a dict for `from_preset`, with "preset" if it is there.

    `npgpt train --help` shows such a file.

    Raises ValueError, with the path, for what is not TOML, not a setting, or of the wrong type.
    """
    data = read_given(path)
    if data.lstrip()[:1] == b"{":
        raise ValueError(
            f"{path} is JSON; npgpt train --help shows a file of settings, in TOML. A run that has "
            "a config.json is continued by --resume --out RUN, and its model by --init-from RUN"
        )
    try:
        # some editors of Windows begin a file with a byte order mark, which is not TOML
        tables = tomllib.loads(data.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not a TOML file: {error}; correct it there") from error
    known = {"preset": str, "model": dict, "training": dict}
    settings = {}
    for name, value in tables.items():
        _check_entry(path, name, value, known)
        if name == "preset":
            settings[name] = value
            continue
        known_there = fields(TrainConfig) if name == "training" else model_settings().values()
        types = {f.name: f.type for f in known_there}
        for entry, inner in value.items():
            _check_entry(path, entry, inner, types, f" in [{name}]")
            settings[entry] = tuple(inner) if entry == "corpus" else inner
    return settings


def _check_entry(path, name, value, types, table=""):
    if name not in types:
        raise ValueError(
            f"{path}: {name!r} is unknown{table}{_elsewhere(name, types)}; what is known "
            f"there: {', '.join(types)}"
        )
    instead = wanted(value, types[name])
    if instead:
        raise ValueError(f"{path}: {name} = {value!r}{table}; give {instead}")


def _elsewhere(name, known):
    """Return advice on a name that no setting has: where it belongs, the nearest one, or ""."""
    if name in ("tokenizer", "vocab_size"):
        return f": give it as the flag --{name.replace('_', '-')}"
    tables = dict.fromkeys(model_settings(), "model")
    tables |= {field.name: "training" for field in fields(TrainConfig)}
    if name in tables:
        return f": it belongs in the table [{tables[name]}]"
    near = difflib.get_close_matches(name, [*known, *tables], n=1)
    where = f", in the table [{tables[near[0]]}]" if near and near[0] not in known else ""
    return f": did you mean {near[0]}{where}?" if near else ""
