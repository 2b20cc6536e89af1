"""A GPT with its tokenizer, from a run folder or a folder of the transformers library."""

from dataclasses import dataclass
from pathlib import Path

from npgpt.checkpoint import Run
from npgpt.families import family
from npgpt.families.models import arch_of, load_model
from npgpt.gpt import GPT
from npgpt.io.transformers_folder import local_folder
from npgpt.tokenizers import BPETokenizer, CharTokenizer, WordTokenizer


@dataclass(frozen=True)
class Subject:
    """A GPT, and the run that trained it, or None."""

    name: str
    model: GPT
    tokenizer: CharTokenizer | BPETokenizer
    run: Run | None


def open_subject(name):
    """Return the `Subject` in a folder or under a name; raise ValueError if no page can show it."""
    folder = local_folder(name)
    arch = arch_of(folder)
    if family(arch).Model is not GPT:
        raise ValueError(
            f"{folder} is a {arch}, and the page shows GPTs only: name the run of a gpt, such as "
            "runs/tales"
        )
    model, tokenizer, _, run = load_model(folder)
    if isinstance(tokenizer, WordTokenizer):
        raise ValueError(
            f"{folder} has words as tokens, which the page cannot encode: name the run of a gpt "
            "that has characters or byte pairs, such as runs/tales"
        )
    return Subject(Path(name).resolve().name, model, tokenizer, run)
