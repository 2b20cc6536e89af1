"""The GPT that a page shows, from a run folder or a folder of the transformers library."""

from dataclasses import replace
from pathlib import Path

from npgpt.families import family
from npgpt.families.models import arch_of, load_model
from npgpt.gpt import GPT
from npgpt.io.transformers_folder import local_folder
from npgpt.tokenizers import WordTokenizer


def open_subject(name):
    """Return the `Loaded` GPT in a folder or under a name; ValueError if no page can show it."""
    folder = local_folder(name)
    arch = arch_of(folder)
    if family(arch).Model is not GPT:
        raise ValueError(
            f"{folder} is a {arch}, and the page shows GPTs only: name the run of a gpt, such as "
            "runs/tales"
        )
    loaded = replace(load_model(folder), name=Path(name).resolve().name)
    if isinstance(loaded.tokenizer, WordTokenizer):
        raise ValueError(
            f"{folder} has words as tokens, which the page cannot encode: name the run of a gpt "
            "that has characters or byte pairs, such as runs/tales"
        )
    return loaded
