"""A run folder: all that a training run leaves, and all that continuing it needs.

    config.json                settings with the seed, the text's name and hash, versions, machine;
                               `changes` of settings by --resume: after which step, old and new
    tokenizer.json             text to ids and back
    model.safetensors          the weights, by name; rewritten at every checkpoint
    best.safetensors           the weights at the evaluation with the lowest loss so far
    kept-STEP.safetensors      the weights after that step, if --keep asks for such
    train_state.safetensors    weights, AdamW's moments and the step, to continue from
    metrics.csv, samples.txt, loss.png, or reward.png of a run with a reward
    result.json                the loss at the end on all of the validation text

train_state.safetensors holds the weights a second time: one file is one moment of training, and a
checkpoint counts from the instant that the file is renamed. The folder itself appears complete,
with a checkpoint of step 0 in it. So a run that is killed at any moment can be loaded and resumed.
Nothing is pickled: loading a stranger's run executes none of their code, and no link out of the
folder is read or written through. While a process trains the run, the file .lock names it.
"""

import json
import os
import platform
import re
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from autograd import backend
from autograd.anomaly import described
from autograd.engine import mark_written
from npgpt import files
from npgpt.batches import TextSource
from npgpt.config import RUN_FORMAT, TrainConfig
from npgpt.files import RUN_STATE, member
from npgpt.folders import check_free, new_folder, working_in
from npgpt.names import nearest
from npgpt.tokenizers import load_tokenizer

MADE_BY = "npgpt"
BEST, LAST, RESULT = "best.safetensors", "model.safetensors", "result.json"
FILES = (
    "config.json", "tokenizer.json", LAST, RUN_STATE, "metrics.csv", "samples.txt",
    "loss.png", "reward.png", RESULT, BEST,
)
SHIPPED = Path(__file__).parent / "shipped" / "tales"  # a trained run that the package has
KEPT = re.compile(r"kept-(\d{1,18})\.safetensors")
ADDED_TO = "metrics.csv", "samples.txt"  # the others are written anew, beside, and renamed
OUT = " with --out"


class RunError(ValueError):
    """An unusable run folder; the message says what to do."""


@contextmanager
def refusing():
    """Turn the errors of an unusable file into a RunError, in a block or a decorated function."""
    try:
        yield
    except (FileNotFoundError, ValueError) as error:
        raise RunError(str(error)) from error


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
    from npgpt.families import family

    folder = Path(folder)
    weights = folder.name in (BEST, LAST) or KEPT.fullmatch(folder.name)
    if weights and not folder.is_dir():
        folder = folder.parent
    path = member(folder, "config.json")
    if not path.exists():
        raise RunError(f"{folder} {_no_model(folder)}; {runs_near(folder)}")
    settings = files.read_json(path)
    made_by, run_format = settings.get("made_by"), settings.get("format", 1)
    if made_by != MADE_BY:
        raise RunError(
            f"{path} was not written by npgpt train (its made_by is {made_by!r}); name a run "
            "folder of this program, such as runs/tales (npgpt.load reads other models, too)"
        )
    if type(run_format) is not int or not 1 <= run_format <= RUN_FORMAT:
        raise RunError(
            f"{path} has the format {run_format!r}, and this npgpt reads up to {RUN_FORMAT}; "
            "install the one that wrote it, or a later one"
        )
    try:
        training = _training(settings.get("training"), run_format)
        config = family(training.arch).Config
        model = settings_from_json(config, settings.get("model"), run_format)
        text = settings_from_json(TextSource, settings.get("text"), run_format)
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


def _training(table, run_format):
    """Return the TrainConfig in a table; a RewardConfig if there is a reward."""
    found = table if isinstance(table, dict) else {}
    if found.get("reward", "") != "":
        from npgpt.reward.settings import RewardConfig

        return settings_from_json(RewardConfig, table, run_format)
    if run_format == 5 and "reward" in found:  # every run of that format had them
        table = {name: value for name, value in found.items() if not name.startswith("reward")}
    return settings_from_json(TrainConfig, table, run_format)


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
    from npgpt.families import family, without_initial_weights
    from npgpt.families.size import check_size

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
    _copy_into(arrays_of(model), arrays, path)
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


def weights_not_finite(model):
    """Return the first weight that holds NaN or infinity, described; None if all are finite."""
    for name, weight in model.parameters().items():
        if not np.isfinite(weight.data).all():
            return f"the weight {name} has {described(weight.data)}"
    return None


def save_checkpoint(folder, model, optimizer):
    """Write the weights and the training state as they are after `optimizer.steps` steps.

    Raises OSError if the disk is full or the folder cannot be written to; the checkpoint before it
    is intact then.
    """
    save_weights(folder / LAST, model)
    state = _state(model, optimizer) | {"step": np.array([optimizer.steps], np.int64)}
    if any(optimizer.missed.values()):  # absent from most runs, and from those of older versions
        state["missed"] = np.array(list(optimizer.missed.values()), np.int64)
    files.atomic_write(folder / RUN_STATE, save(state))


def save_weights(path, model):
    files.atomic_write(path, save(arrays_of(model), metadata={"format": "pt"}))


def kept(folder):
    """Return {step: path} of the weights that a run has kept, in the order of their steps."""
    found = ((KEPT.fullmatch(path.name), path) for path in folder.glob("kept-*"))
    return dict(sorted((int(match[1]), path) for match, path in found if match and path.is_file()))


def steps_to_keep(config):
    """Return the set of steps after which weights are kept, by a TrainConfig: 0, and then steps
    at equal ratios, from above a hundredth of the run."""
    n, last = config.keep, config.max_iters
    return {round(last * 100 ** (k / n - 1)) if k else 0 for k in range(n)} - {last}


def keep_weights(folder, model, step, count):
    """Write the weights after a step; of more than `count` files delete those nearest to others.

    There are more if a run was made longer: it had kept some for its old end.
    """
    save_weights(folder / f"kept-{step}.safetensors", model)
    found = list(kept(folder).items())
    while len(found) > max(count, 2):
        i = min(range(1, len(found) - 1),
                key=lambda i: (found[i + 1][0] + 1) / (found[i - 1][0] + 1))
        found.pop(i)[1].unlink()


def drop_kept_after(last_step, folder):
    """Delete weights kept after the checkpoint that a run continues from, and unfinished files."""
    late = [path for step, path in kept(folder).items() if step > last_step]
    for path in (*late, *filter(Path.is_file, folder.glob(".kept-*.tmp"))):
        path.unlink()


@refusing()
def load_checkpoint(run, model, optimizer):
    """Set the model and the optimizer to the run's last checkpoint; return the steps it had done.

    Raises RunError, with model and optimizer untouched, if there is no intact checkpoint.
    """
    path = member(run.folder, RUN_STATE)
    arrays = files.read_arrays(path)
    step, none = arrays.pop("step", None), np.zeros(len(optimizer.missed), np.int64)
    missed = arrays.setdefault("missed", none)
    if step is None or step.shape != (1,) or step.dtype != np.int64 or step[0] < 0:
        raise RunError(f"{path} does not say its step; restore it from a copy, or train again")
    if not np.all((missed >= 0) & (missed <= step)):
        raise RunError(f"{path}: more steps are missed than made; restore it from a copy")
    mark_written(model.parameters())
    _copy_into(_state(model, optimizer) | {"missed": none.copy()}, arrays, path)
    optimizer.steps = int(step[0])
    optimizer.missed = dict(zip(optimizer.missed, missed.tolist(), strict=True))
    return optimizer.steps


def arrays_of(model):
    return {name: weight.data for name, weight in model.parameters().items()}


def _state(model, optimizer):
    kinds = {"weight": arrays_of(model)} | optimizer.state()
    return {f"{kind}.{name}": a for kind, arrays in kinds.items() for name, a in arrays.items()}


def _copy_into(targets, arrays, path):
    """Copy each array into the target of its name, after checking that all of them fit."""
    files.check_fits(arrays, targets, path)
    for name, target in targets.items():
        target[...] = arrays[name]


def settings_from_json(cls, table, run_format):
    """Return the settings, a dataclass `cls`, in a table of the config.json of a run.

    Raises ValueError for a missing field that this format had, for a field that no format has, and
    for every value that `cls` refuses.
    """
    declared = {field.name: field for field in fields(cls)}
    if not isinstance(table, dict):
        raise ValueError(f"{cls.__name__} is {table!r}; give an object with its settings")
    for name in table.keys() - declared.keys():
        raise ValueError(f"{cls.__name__}: {name!r} is unknown{nearest(name, declared)}")
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in table.items()}
    for name in declared.keys() - table.keys():
        added = declared[name].metadata
        if added.get("since", 1) <= run_format:
            raise ValueError(f"{cls.__name__}: {name} is missing")
        values[name] = added["before"]
    return cls(**values)
