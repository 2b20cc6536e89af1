"""What is looked at: a GPT with its tokenizer, from a run folder or the transformers library."""

from dataclasses import dataclass
from pathlib import Path

from npgpt.files import member
from npgpt.model import GPT
from npgpt.tokenizer import BPETokenizer, CharTokenizer, load_tokenizer
from npgpt.training.checkpoint import Run, load_run, read_run
from npgpt.training.diagnostics import weights_not_finite
from npgpt.training.models import model_type_of


@dataclass(frozen=True)
class Subject:
    """A GPT, and the run that trained it, None if the folder does not tell."""

    name: str
    model: GPT
    tokenizer: CharTokenizer | BPETokenizer
    run: Run | None


def open_subject(folder):
    """The `Subject` in a folder that `npgpt train` or `npgpt export` wrote, or of a GPT-2.

    Raises ValueError or FileNotFoundError for a model that is no GPT, which it names, for a folder
    that is damaged or nothing of the kind, and for one without a tokenizer that we read.
    """
    folder = Path(folder)
    name = folder.resolve().name
    if model_type_of(folder) is None:
        arch = read_run(folder).training.arch
        if arch != "gpt":
            raise ValueError(
                f"{folder} is a {arch}, and the page shows GPTs only: name the run of a gpt, such "
                "as runs/tales"
            )
        model, tokenizer, run = load_run(folder)
        return Subject(name, model, tokenizer, run)
    model = GPT.from_pretrained(folder)
    broken = weights_not_finite(model)
    if broken:
        raise ValueError(f"{folder}: {broken}, so nothing can be computed with it; restore it")
    tokenizer = load_tokenizer(member(folder, "tokenizer.json"))
    if tokenizer.vocab_size > model.config.vocab_size:
        raise ValueError(
            f"{folder}: tokenizer.json has {tokenizer.vocab_size} tokens, but the model "
            f"{model.config.vocab_size}; use the files of one model"
        )
    return Subject(name, model, tokenizer, None)
