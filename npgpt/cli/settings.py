"""Settings and texts as a user gives them: flags, words, a TOML file of `npgpt train --config`."""

import argparse
import tomllib
from dataclasses import fields
from pathlib import Path

from npgpt.config import type_error
from npgpt.models.presets import model_settings
from npgpt.reward.settings import RewardConfig
from npgpt.support.files import read_given
from npgpt.support.text import nearest, shown

TABLES = ("model", "training")
MAX_FILE_BYTES = 1 << 14  # tomllib takes the square of a key's dots, seconds for more
# What --resume may change.
MAY_CHANGE = ("max_iters", "lr", "min_lr", "keep", "eval_interval", "sample_tokens")
FLAG_OF = {".jsonl": "--conversations", ".toml": "--config"}  # for files that are no texts


def add_texts(add, help):
    """Add the arguments for texts to a command: words, or a flag."""
    add("corpus", nargs="*", action="extend", default=argparse.SUPPRESS, metavar="TEXT",
        help="the same as --corpus TEXT ...")
    add("--corpus", nargs="+", action="extend", metavar="NAME|PATH", help=help)


def check_texts(names):
    """Raise ValueError for a file that is read by a flag of its own, and would pass for a text."""
    for name in names:
        if flag := FLAG_OF.get(Path(name).suffix):
            raise ValueError(f"{shown(name)} is no text; write {flag} before it")


def all_settings():
    """Return {name: field} of all settings of training and of all kinds of models."""
    return {field.name: field for field in fields(RewardConfig)} | model_settings()


def flag_of(name):
    return "--vocab-size" if name == "bpe_size" else f"--{name.replace('_', '-')}"


def given_settings(args):
    """Return the settings of the file and the flags by name, "preset" among them."""
    found = read_settings(args.config) if args.config else {}
    found |= {name: value for name in (*all_settings(), "preset")
              if (value := getattr(args, name)) is not None}
    return {name: tuple(v) if isinstance(v, list) else v for name, v in found.items()}


def read_settings(path):
    """Return the settings in a TOML file as a dict for `from_preset`, with "preset" if it is there.

    `npgpt train --help` shows such a file; its tables are for the reader.

    Raises ValueError, with the path, for what is not TOML, not a setting, or of the wrong type.
    """
    data = read_given(path, MAX_FILE_BYTES)
    try:
        # some editors of Windows begin a file with a byte order mark, which is not TOML
        found = tomllib.loads(data.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not a TOML file: {error}; correct it there") from error
    for table in TABLES:
        inside = found.pop(table, {})
        if not isinstance(inside, dict):
            raise ValueError(f"{path}: {table} is a table; write [{table}] above its settings")
        if twice := found.keys() & inside.keys():
            raise ValueError(f"{path}: {', '.join(twice)} in [{table}] and above it; give it once")
        found |= inside
    types = {name: field.type for name, field in all_settings().items()} | {"preset": str}
    for name, value in found.items():
        if name not in types:
            raise ValueError(
                f"{path}: {name!r} is unknown{nearest(name, [*types, *TABLES])}; npgpt train "
                "--help-all lists the settings (--tokenizer and --vocab-size are flags alone)"
            )
        instead = type_error(value, types[name])
        if instead:
            raise ValueError(f"{path}: {name} = {value!r}; give {instead}")
    return found
