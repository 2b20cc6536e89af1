"""A run folder: all that a training run leaves, and all that continuing it needs.

    config.json                settings with the seed, the text's name and hash, versions, machine;
                               `changes` of settings by --resume: after which step, old and new
    tokenizer.json             text to ids and back
    *.safetensors              weights and the state of training: `npgpt.checkpoint`
    metrics.csv, samples.txt, loss.png, or reward.png of a run with a reward
    result.json                the loss at the end on all of the validation text

The folder appears complete, with a checkpoint of step 0 in it. So a run that is killed at any
moment can be loaded and resumed. Nothing is pickled: loading a stranger's run executes none of
their code, and no link out of the folder is read or written through. While a process trains the
run, the file .lock names it.
"""

import json
import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from autograd import backend
from npgpt.batches import TextSource
from npgpt.checkpoint import BEST_WEIGHTS, KEPT_WEIGHTS, LAST_WEIGHTS, save_checkpoint
from npgpt.config import TrainConfig
from npgpt.loading.pretrained import filled
from npgpt.models import architecture
from npgpt.reward.settings import settings_class
from npgpt.support import files
from npgpt.support.files import RUN_STATE, member
from npgpt.support.folders import check_free, new_folder, working_in
from npgpt.tokenizers import load_tokenizer

MADE_BY = "npgpt"
RUN_FORMAT = 10  # of config.json
RESULT_FILE = "result.json"
RUN_FILES = (
    "config.json", "tokenizer.json", LAST_WEIGHTS, RUN_STATE, "metrics.csv", "samples.txt",
    "loss.png", "reward.png", RESULT_FILE, BEST_WEIGHTS,
)
SHIPPED_RUN = Path(__file__).parents[1] / "shipped" / "tales"  # a trained run that the package has
APPENDED_FILES = "metrics.csv", "samples.txt"  # the others are replaced by renaming
OUT_OPTION = " with --out"


@dataclass(frozen=True)
class Run:
    """The settings of a run, as config.json has them."""

    folder: Path
    model: Any  # the settings of a model of the kind `training.arch`, such as a GPTConfig
    training: TrainConfig
    text: TextSource


def create_run(run, tokenizer, model, optimizer, stack=None, beside=()):
    """Make the folder of a new run, with a checkpoint of the model as it is.

    It appears complete, and is locked then until the `stack`, an ExitStack, ends. Raises ValueError
    if there is anything at its path already, other than an empty folder.

    beside   {name: content} of more files
    """
    check_not_taken(run.folder)
    with new_folder(run.folder, OUT_OPTION) as building:
        tokenizer.save(building / "tokenizer.json")
        for name, content in dict(beside).items():
            files.atomic_write(building / name, content)
        _write_config(building, {
            "made_by": MADE_BY,
            "format": RUN_FORMAT,
            "model": asdict(run.model),
            "training": asdict(run.training),
            "text": asdict(run.text),
            "versions": versions(),
            "machine": {
                "system": platform.platform(),
                "processors": os.cpu_count(),
                "backend": backend.name,
            },
        })
        save_checkpoint(building, model, optimizer)
    if stack is not None:
        _lock(run.folder, stack)


def change_settings(run, step):
    """Write to config.json which settings of training `run` changes after a step, and leave
    everything else there; return {name: [old, new]}.

    Call it before any further step: no checkpoint may be ahead of config.json.
    """
    settings = files.read_json(run.folder / "config.json")
    before, after = asdict(read_run(run.folder).training), asdict(run.training)
    changes = {name: [before[name], after[name]] for name in after if before[name] != after[name]}
    if changes:
        record = {"after_step": step} | changes
        settings["training"] |= {name: after[name] for name in changes}
        _write_config(run.folder, settings | {"changes": [*settings.get("changes", ()), record]})
    return changes


def _write_config(folder, settings):
    text = json.dumps(settings, indent=2, ensure_ascii=False) + "\n"
    # A path that is not UTF-8 has lone surrogates, which JSON has as \udc80.
    files.atomic_write(folder / "config.json", text.encode("utf-8", "backslashreplace"))


def check_not_taken(folder):
    """Raise ValueError unless a run can be created at `folder`."""
    is_run = (folder / RUN_STATE).exists()
    resume = ", or continue the run in it with --resume" if is_run else ""
    check_free(folder, OUT_OPTION + resume)


def lock_run(folder, stack):
    """Lock the run in `folder` until the stack ends; remove the unfinished files of a killed one.

    Raises ValueError if a process trains it, if it is no run, or if one of its files is a link.
    """
    read_run(folder)
    for name in RUN_FILES:
        files.check_own(folder / name, second_name=name not in APPENDED_FILES)
    _lock(folder, stack)
    for name in RUN_FILES:
        for left in files.unfinished(folder / name):
            left.unlink(missing_ok=True)


def _lock(folder, stack):
    if not stack.enter_context(working_in(folder)):
        print(f"note    {folder} cannot be locked: train it in one process at a time")


def versions():
    """Return the versions that a run is computed with: package -> version, Python among them."""
    packages = ("npgpt", "numpy", "numba", "safetensors")
    return {name: version_of(name) for name in packages} | {"python": platform.python_version()}


def version_of(package):
    try:
        return version(package)
    except PackageNotFoundError:  # as npgpt in a source tree that pip has not installed
        return "not installed"


def read_run(folder):
    """Return the `Run` in `folder`, which may also be one of its files of weights.

    Raises ValueError if it is not a complete run of npgpt.
    """
    folder = Path(folder)
    weights = folder.name in (BEST_WEIGHTS, LAST_WEIGHTS) or KEPT_WEIGHTS.fullmatch(folder.name)
    if weights and not folder.is_dir():
        folder = folder.parent
    path = member(folder, "config.json")
    if not path.exists():
        raise ValueError(f"{path} is missing, so this is no run, transformers folder or GGUF file "
                         "(hf:OWNER/NAME is a model on the Hugging Face Hub); "
                         f"{runs_near(folder)}")
    settings = files.read_json(path)
    made_by, run_format = settings.get("made_by"), settings.get("format")
    if (made_by, run_format) != (MADE_BY, RUN_FORMAT):
        raise ValueError(f"{path} is made by {made_by!r} in the format {run_format!r}, and a run "
                         f"here by {MADE_BY!r} in the format {RUN_FORMAT}; install the version "
                         "that wrote it, or train again")
    try:
        training = settings["training"]
        training = _as_settings(settings_class(training), training)
        model = _as_settings(architecture(training.arch).Config, settings["model"])
        text = _as_settings(TextSource, settings["text"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}); restore it, or train again") from error
    return Run(folder, model, training, text)


def runs_near(folder):
    """Return a clause that names the runs in a folder, beside it and in runs/."""
    homes = folder, folder.parent, Path("runs")
    found = sorted({path.parent for home in homes for path in home.glob(f"*/{RUN_STATE}")})
    if not found:
        return "no run is there or in runs/; `npgpt train` makes one"
    return f"runs found ({len(found)}): {', '.join(map(files.quoted, found[:20]))}"


def latest_run():
    """Return the run in runs/ with the latest checkpoint; SHIPPED_RUN if there is none."""
    states = Path("runs").glob(f"*/{RUN_STATE}")
    return max(states, key=os.path.getmtime, default=SHIPPED_RUN / RUN_STATE).parent


def load_run(folder: str | Path | None = None) -> tuple[Any, Any, Run]:
    """Return (model, tokenizer, Run) of RUN or RUN/model.safetensors with its latest weights, or of
    RUN/best.safetensors or RUN/kept-STEP.safetensors with those. The model is in evaluation mode.

    folder   default: `latest_run()`

    Raises ValueError for a folder that is missing, damaged, or not a run of npgpt.
    """
    folder = latest_run() if folder is None else folder
    run = read_run(folder)
    tokenizer = load_tokenizer(member(run.folder, "tokenizer.json"))
    check_vocabulary(tokenizer, run.model, run.folder)
    is_run = run.folder == Path(folder)
    path = member(run.folder, LAST_WEIGHTS if is_run else Path(folder).name)
    cls, arrays = architecture(run.training.arch).Model, files.read_arrays(path)
    return filled(cls, run.model, arrays, path, run.training.seed), tokenizer, run


def check_vocabulary(tokenizer, config, folder):
    """Raise ValueError unless the tokenizer and the model of a folder have the same tokens."""
    if tokenizer.vocab_size != config.vocab_size:
        raise ValueError(f"{folder}: its tokenizer has {tokenizer.vocab_size:,} tokens, but the "
                         f"model in config.json {config.vocab_size:,}; use the files of one model")


def _as_settings(cls, table):
    """Return the settings, a dataclass `cls`, in a table of config.json: a setting that is not
    there has its default."""
    return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in table.items()})
