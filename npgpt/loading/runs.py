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
from npgpt import files
from npgpt.batches import TextSource
from npgpt.checkpoint import (
    BEST,
    KEPT,
    LAST,
    RunError,
    arrays_of,
    copy_into,
    refusing,
    save_checkpoint,
    weights_not_finite,
)
from npgpt.config import TrainConfig
from npgpt.families import family, without_initial_weights
from npgpt.families.size import check_size
from npgpt.files import RUN_STATE, member
from npgpt.folders import check_free, new_folder, working_in
from npgpt.reward.settings import RewardConfig
from npgpt.tokenizers import load_tokenizer

MADE_BY = "npgpt"
RUN_FORMAT = 10  # of config.json
RESULT = "result.json"
FILES = (
    "config.json", "tokenizer.json", LAST, RUN_STATE, "metrics.csv", "samples.txt",
    "loss.png", "reward.png", RESULT, BEST,
)
SHIPPED = Path(__file__).parents[1] / "shipped" / "tales"  # a trained run that the package has
ADDED_TO = "metrics.csv", "samples.txt"  # the others are written anew, beside, and renamed
OUT = " with --out"


@dataclass(frozen=True)
class Run:
    """The settings of a run, as config.json has them."""

    folder: Path
    model: Any  # the settings of a model of the kind `training.arch`, such as a GPTConfig
    training: TrainConfig
    text: TextSource


def create_run(run, tokenizer, model, optimizer, stack=None, beside=()):
    """Make the folder of a new run, with a checkpoint of the model as it is.

    It appears complete, and is locked then until the `stack`, an ExitStack, ends. Raises RunError
    if there is anything at its path already, other than an empty folder.

    beside   {name: content} of more files
    """
    refuse_taken(run.folder)
    with new_folder(run.folder, OUT) as building:
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
    settings, before = files.read_json(run.folder / "config.json"), read_run(run.folder).training
    pairs = {name: [getattr(before, name), new] for name, new in asdict(run.training).items()}
    changes = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    if changes:
        settings["training"] |= {name: new for name, (_, new) in changes.items()}
        record = {"after_step": step} | changes
        _write_config(run.folder, settings | {"changes": [*settings.get("changes", ()), record]})
    return changes


def _write_config(folder, settings):
    text = json.dumps(settings, indent=2, ensure_ascii=False) + "\n"
    # A path that is not UTF-8 has lone surrogates, which JSON has as \udc80.
    files.atomic_write(folder / "config.json", text.encode("utf-8", "backslashreplace"))


@refusing()
def refuse_taken(folder):
    """Raise RunError unless a run can be created at `folder`."""
    is_run = (folder / RUN_STATE).exists()
    resume = ", or continue the run in it with --resume" if is_run else ""
    check_free(folder, OUT + resume)


@refusing()
def lock_run(folder, stack):
    """Lock the run in `folder` until the stack ends; remove the unfinished files of a killed one.

    Raises RunError if a process trains it, if it is no run, or if one of its files is a link.
    """
    run = read_run(folder)
    if run.folder != folder:
        raise RunError(f"{folder} is no run: name {run.folder} to go on from its last checkpoint, "
                       "or start a new run from that file with --init-from")
    for name in FILES:
        files.check_own(folder / name, second_name=name not in ADDED_TO)
    _lock(folder, stack)
    for name in FILES:
        for left in files.unfinished(folder / name):
            left.unlink(missing_ok=True)


def _lock(folder, stack):
    if not stack.enter_context(working_in(folder)):
        print(f"note    {folder} cannot be locked: train it in one process at a time")


def versions():
    """Return the versions that a run is computed with: package -> version, Python among them."""
    packages = ("npgpt", "numpy", "numba", "safetensors")
    return {name: version_of(name) for name in packages} | {"python": platform.python_version()}


def version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # as npgpt in a source tree that pip has not installed
        return "not installed"


@refusing()
def read_run(folder):
    """Return the `Run` in `folder`, which may also be one of its files of weights.

    Raises RunError if it is not a complete run of npgpt.
    """
    folder = Path(folder)
    weights = folder.name in (BEST, LAST) or KEPT.fullmatch(folder.name)
    if weights and not folder.is_dir():
        folder = folder.parent
    path = member(folder, "config.json")
    if not path.exists():
        raise RunError(f"{folder} {_no_model(folder)}; {runs_near(folder)}")
    settings = files.read_json(path)
    made_by, run_format = settings.get("made_by"), settings.get("format")
    if made_by != MADE_BY:
        raise RunError(
            f"{path} was not written by npgpt train (its made_by is {made_by!r}); name a run "
            "folder of this program, such as runs/tales (npgpt.load reads other models, too)"
        )
    if run_format != RUN_FORMAT:
        raise RunError(f"{path} has the format {run_format!r}, and this npgpt reads {RUN_FORMAT}; "
                       "install the version that wrote it, or train again")
    try:
        training = settings.get("training")
        rewarded = isinstance(training, dict) and training.get("reward")
        training = settings_from_json(RewardConfig if rewarded else TrainConfig, training)
        model = settings_from_json(family(training.arch).Config, settings.get("model"))
        text = settings_from_json(TextSource, settings.get("text"))
    except ValueError as error:
        raise RunError(
            f"{path} is damaged ({error}); restore it from a copy, or train again"
        ) from error
    return Run(folder, model, training, text)


def _no_model(path):
    """Return what is at a path without a config.json, and what to do."""
    if path.is_file() and path.suffix in (".pt", ".pth", ".ckpt", ".bin", ".pkl"):
        return ("is pickled, and not read, since unpickling can run any code: save it as a folder "
                "by save_pretrained of transformers, and name that")
    if (path / "adapter_config.json").exists():
        return "is an adapter: merge it (merge_and_unload of peft), save_pretrained, and name that"
    inside = sorted(path.glob("*/config.json"))
    if inside and not (inside[-1].parent / RUN_STATE).exists():
        return f"has no config.json: name a folder in it, such as {inside[-1].parent}"
    why = "has no config.json" if path.exists() else "is not there"
    return (f"{why}: it is no run folder, folder of the transformers library or GGUF file "
            "(hf:OWNER/NAME is a model on the Hugging Face Hub, and a text goes to --prompt or "
            "--prompt-file)")


def runs_near(folder):
    """Return a clause that names the runs in a folder, or beside it if it does not exist."""
    home = folder if folder.is_dir() else folder.parent
    homes = home, home / "runs", Path("runs")
    found = sorted({p.parent for here in homes for p in here.glob(f"*/{RUN_STATE}")})
    if not found:
        return f"there are no runs in {os.path.abspath(home)}; `npgpt train` makes one"
    near = [files.quoted(path) for path in found if path.name == folder.name]
    meant = f"did you mean {' or '.join(near)}? " * bool(near)
    return f"{meant}runs found: " + ", ".join([*map(files.quoted, found[:20]), "..."][: len(found)])


def latest_run():
    """Return the run in runs/ with the latest checkpoint; SHIPPED if there is none."""
    states = Path("runs").glob(f"*/{RUN_STATE}")
    return max(states, key=os.path.getmtime, default=SHIPPED / RUN_STATE).parent


@refusing()
def load_run(folder: str | Path | None = None) -> tuple[Any, Any, Run]:
    """Return (model, tokenizer, Run) of RUN or RUN/model.safetensors with its latest weights, or of
    RUN/best.safetensors or RUN/kept-STEP.safetensors with those. The model is in evaluation mode.

    folder   default: `latest_run()`

    Raises RunError for a folder that is missing, damaged, or not a run of npgpt.
    """
    folder = latest_run() if folder is None else folder
    run = read_run(folder)
    tokenizer = load_tokenizer(member(run.folder, "tokenizer.json"))
    check_vocabulary(tokenizer, run.model, run.folder)
    is_run = run.folder == Path(folder)
    path = member(run.folder, LAST if is_run else Path(folder).name)
    arrays = files.read_arrays(path)
    check_size(run.model, arrays, path)
    with without_initial_weights():
        model = family(run.training.arch).Model(run.model, seed=run.training.seed)
    copy_into(arrays_of(model), arrays, path)
    broken = weights_not_finite(model)
    if broken:
        raise RunError(
            f"{path}: {broken}, so nothing can be computed with it; restore it from a copy, or "
            "train again with a lower learning rate"
        )
    return model.eval(), tokenizer, run


def check_vocabulary(tokenizer, config, folder):
    """Raise ValueError unless the tokenizer and the model of a folder have the same tokens."""
    if tokenizer.vocab_size != config.vocab_size:
        raise ValueError(
            f"{folder}: tokenizer.json or vocab.json has {tokenizer.vocab_size:,} tokens, but the "
            f"model in config.json {config.vocab_size:,}; use the files of one model (if its "
            "vocabulary is padded, cut wte.weight and vocab_size to the tokenizer's)"
        )


def settings_from_json(cls, table):
    """Return the settings, a dataclass `cls`, in a table of the config.json of a run.

    A setting that is not there has its default. Raises ValueError for a field that `cls` does not
    have or has no default for, and for every value that `cls` refuses.
    """
    try:
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in table.items()})
    except (AttributeError, TypeError) as error:
        raise ValueError(f"{cls.__name__}: {error}") from error
