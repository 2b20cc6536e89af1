"""What `npgpt train` is asked for, before a text is read or a folder made: a plan, or a refusal.

The settings are layers: the preset's, those of --config, the flags; a model of --init-from has its
own shape. Each layer changes those before it.
"""

import math
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from npgpt.cli.settings import MAY_CHANGE, check_texts, flag_of, given_settings
from npgpt.config import TrainConfig
from npgpt.loading import Loaded, load_model, model_files, runs, template_of
from npgpt.models import architecture
from npgpt.models.presets import PRESETS, from_preset, preset_for
from npgpt.models.writing import continue_text
from npgpt.reward.settings import DEFAULTS, settings_class
from npgpt.support.files import quoted
from npgpt.support.progress import note

# What only a new run is asked.
NEW_RUN_FLAGS = ("config", "tokenizer", "bpe_size", "init_from", "check")
# Settings of training in place of a preset's, if the model is a published one.
FINE_TUNING = {"batch_size": 32, "max_iters": 25, "lr": 1e-4, "min_lr": 1e-5, "warmup_iters": 3,
               "weight_decay": 0.0, "eval_interval": 10, "sample_tokens": 40, "hold": 4.0}


@dataclass(frozen=True)
class Plan:
    """A new run: all but what the text tells.

    given      the settings that the user gave, by name
    model      the model's settings by name, without vocab_size
    kind       the kind of tokens, one of `npgpt.data.tokens.KINDS`
    start      the model of --init-from, with the template of its conversations
    """

    folder: Path
    preset: str
    given: dict
    model: dict
    training: TrainConfig
    kind: str
    bpe_size: int | None
    start: Loaded | None = None
    template: Any = None


def new_run(args):
    """Return the `Plan` of a new run. Raises ValueError for what cannot be trained so."""
    given = given_settings(args)
    start = template = None
    if args.init_from:
        path = model_files(args.init_from)
        start, template = load_model(path), template_of(path)
        _check_shape(args, given, start)
    preset, model, training = merged(given, start, template)
    talks = training.conversations
    check_texts(training.corpus)
    for wrong, message in (
        (talks and architecture(training.arch).write is not continue_text,
         "--conversations: only models that continue text learn them; use --arch gpt or llama"),
        (args.corpus and args.conversations,
         "--corpus and --conversations: a run reads one of them; leave one out"),
        (training.hold and (training.reward or not (talks and start)),
         "--hold is for --conversations and a model of --init-from, which writes already: leave "
         "--hold out"),
    ):
        if wrong:
            raise ValueError(message)
    training = replace(training, corpus=()) if talks else training
    kind, bpe_size = args.tokenizer or PRESETS[preset].get("tokenizer", "char"), args.bpe_size
    if kind == "bpe":
        bpe_size = 1024 if bpe_size is None else bpe_size
    elif bpe_size is not None:
        raise ValueError("--vocab-size is for --tokenizer bpe; characters and words are as many as "
                         "there are")
    folder = Path(args.out) if args.out else default_folder(training)
    return Plan(folder, preset, given, model, training, kind, bpe_size, start, template)


def resumed_run(args):
    """Return (the `Run` that --resume goes on with, {setting: value} that it changes)."""
    named = args.out if args.resume is True else args.resume
    if args.out not in (None, named):
        raise ValueError(f"--resume {named} and --out {args.out}: name the run once")
    folder = Path(named or runs.latest_run())
    if folder == runs.SHIPPED_RUN:
        raise ValueError("there is no run in runs/ to resume; name one with --out")
    if not named:
        note(f"no --out is given: this is {quoted(folder)}, the latest run")
    run = runs.read_run(folder)
    settings = asdict(run.model) | asdict(run.training)
    given = given_settings(args)
    fixed = [name for name, value in given.items()
             if name not in (*MAY_CHANGE, "corpus", "conversations")
             and settings.get(name) != value]
    fixed += [name for name in NEW_RUN_FLAGS if getattr(args, name)]
    if fixed:
        raise ValueError(
            f"--resume: leave out {', '.join(map(flag_of, fixed))}, which cannot change midway, or "
            f"start a new run, perhaps from these weights with --init-from {quoted(folder)}"
        )
    return replace(run, folder=folder), {name: given[name] for name in MAY_CHANGE if name in given}


def merged(given, start=None, template=None):
    """Return (the preset's name, the model's settings, TrainConfig) of the settings that are given.

    The preset is the one named, or the one that fits the corpus and the kind of model.
    """
    if start:
        given = _shape(start) | given
    if given.get("reward"):
        given = DEFAULTS.get(given["reward"], {}) | given
    talks = given.get("conversations", ())
    like = given.get("corpus", TrainConfig.corpus)
    if talks:
        if start and not given.get("reward"):
            given = (FINE_TUNING if template or not start.run else {"hold": 2.0}) | given
        given, like = {"eval_stride": 0} | given, ("conversations of", *talks)
    if start and like not in (TrainConfig.corpus, ("conversations of", "tales")):
        like = ("shakespeare",)  # at a lower rate
    preset = given.pop("preset", preset_for(like, given.get("arch", TrainConfig.arch)))
    return preset, *from_preset(preset, settings_class(given), **given)


def _shape(start):
    shape = asdict(start.model.config) | {"arch": start.training.arch}
    del shape["vocab_size"]
    return shape


def _check_shape(args, given, start):
    """Raise ValueError for settings that ask for a different model than that of --init-from, and
    if no text is named."""
    is_now, name = _shape(start), quoted(args.init_from)
    wanted = {name for name, value in given.items() if is_now.get(name, value) != value}
    wanted.discard("dropout")  # the one setting that is no shape
    if given.get("block_size", math.inf) < is_now["block_size"]:
        wanted.discard("block_size")  # a shorter window takes the first positions
    wanted |= {name for name in ("tokenizer", "bpe_size", "check") if getattr(args, name)}
    if wanted:
        raise ValueError(f"--init-from takes the architecture, the shape and the tokenizer from "
                         f"{name}: leave out {', '.join(map(flag_of, sorted(wanted)))}")
    if not any(map(given.get, ("corpus", "conversations", "reward"))):
        own = " ".join(map(quoted, start.training.corpus or TrainConfig.corpus))
        goes_on = f"; --resume --out {name} goes on with that run itself" if start.run else ""
        raise ValueError(f"--init-from {name}: name a text, such as --corpus {own}{goes_on}")


def default_folder(training):
    """Return the folder of a run without --out: runs/tales or runs/tales-bert, runs/tales-2, ...

    It is named after the first corpus; a pattern after its folder.
    """
    first = (training.conversations or training.corpus)[0]
    first = "stdin" if first == "-" else re.sub(r"[^/\\]*[*?[].*", "", first)  # no pattern
    name = re.sub(r"[^\w.]+", "-", Path(first).stem).strip("-.") or "corpus"
    name += "-talk" * bool(training.conversations)
    if training.arch != TrainConfig.arch:
        name += f"-{training.arch}"
    folders = [Path("runs", name)]
    while folders[-1].exists():
        folders.append(Path("runs", f"{name}-{len(folders) + 1}"))
    return folders[-1]
