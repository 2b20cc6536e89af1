"""`npgpt train`: its flags, and how a run starts or continues. `session` is the run itself."""

import argparse
import hashlib
from dataclasses import MISSING, fields
from pathlib import Path

from npgpt.cli.session import Session, finish, introduce, train
from npgpt.config import PRESETS, GPTConfig, TrainConfig, from_preset, preset_for
from npgpt.data.batches import check_length, split_text
from npgpt.data.corpora import load_corpus
from npgpt.model import GPT
from npgpt.tokenizer import CharTokenizer
from npgpt.training import AdamW
from npgpt.training.checkpoint import (
    RunError,
    TextSource,
    create_run,
    load_checkpoint,
    load_run,
)
from npgpt.training.warmup import warm_up


def add_arguments(parser):
    add = parser.add_argument
    add("--preset", choices=PRESETS, help="settings to start from; default: that of the corpus")
    add("--out", metavar="FOLDER", help="the run folder; default runs/NAME of the corpus")
    add("--resume", action="store_true", help="continue the run in --out from its last checkpoint")
    for field in fields(GPTConfig) + fields(TrainConfig):
        if field.name == "vocab_size":  # the tokenizer's
            continue
        flag = "--" + field.name.replace("_", "-")
        default = "" if field.default is MISSING else f"; default {_shown(field.default)}"
        options = {"help": field.metadata["help"] + default, "default": None, "dest": field.name}
        if field.type is bool:
            add(flag, action=argparse.BooleanOptionalAction, **options)
        elif field.name == "corpus":
            add(flag, nargs="+", metavar="NAME|PATH", **options)
        else:
            add(flag, type=field.type, metavar="N" if field.type is int else "X", **options)


def run(args):
    session = _continued(args) if args.resume else _started(args)
    introduce(session)
    warm_up(session.run.model)
    if train(session):
        finish(session)


def _started(args):
    model_settings, training = _settings(args)
    corpus = load_corpus(training.corpus)
    tokenizer = CharTokenizer.train(corpus.text)
    config = GPTConfig(vocab_size=tokenizer.vocab_size, **model_settings)
    train_ids, val_ids = _token_ids(corpus, tokenizer, config, training)
    folder = Path(args.out) if args.out else _new_folder(_run_name(training.corpus))
    run = create_run(folder, config, training, tokenizer, _source(corpus))
    model = GPT(config, seed=training.seed)
    return Session(run, corpus, tokenizer, model, _optimizer(model, training), train_ids, val_ids)


def _continued(args):
    changed = [name for name in _given(args) if name != "corpus"]
    if changed:
        raise ValueError(
            f"--resume takes its settings from the run: leave out {', '.join(changed)}, or start "
            "a new run without --resume"
        )
    model, tokenizer, run = load_run(args.out or _last_folder(args))
    corpus = load_corpus(tuple(args.corpus or run.training.corpus))
    if _source(corpus).sha256 != run.text.sha256:
        raise RunError(
            f"{run.folder} was trained on {run.text.name} with {run.text.characters:,} characters, "
            f"and {corpus.name} with {len(corpus.text):,} is another text: give the same with "
            "--corpus, or start a new run without --resume"
        )
    optimizer = _optimizer(model, run.training)
    first_step = load_checkpoint(run, model, optimizer)
    ids = _token_ids(corpus, tokenizer, run.model, run.training)
    return Session(run, corpus, tokenizer, model, optimizer, *ids, first_step)


def _settings(args):
    """(GPTConfig fields, TrainConfig): the preset's, with the flags that were given."""
    given = _given(args)
    if "corpus" in given:
        given["corpus"] = tuple(given["corpus"])
    preset = args.preset or preset_for(given.get("corpus", ("tales",)))
    return from_preset(preset, **given)


def _given(args):
    names = [field.name for field in fields(GPTConfig) + fields(TrainConfig)]
    values = {name: getattr(args, name, None) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _token_ids(corpus, tokenizer, config, training):
    texts = split_text(corpus.text, training.train_fraction)
    ids = [tokenizer.encode(text) for text in texts]
    for part, name in zip(ids, ("training", "validation"), strict=True):
        check_length(part, config.block_size, name)
    return ids


def _optimizer(model, training):
    return AdamW(
        model.parameters(), lr=training.lr, betas=(training.beta1, training.beta2),
        weight_decay=training.weight_decay, grad_clip=training.grad_clip,
    )  # fmt: skip


def _source(corpus):
    digest = hashlib.sha256(corpus.text.encode("utf-8")).hexdigest()
    return TextSource(corpus.name, len(corpus.text), digest, corpus.entropy_rate)


def _run_name(corpus):
    """A short name of a corpus, for a folder: `tales`, or `plays-poems` of two files."""
    return "-".join("stdin" if spec == "-" else Path(spec).resolve().stem for spec in corpus)


def _new_folder(name):
    """runs/NAME, or the first of runs/NAME-2, runs/NAME-3, ... that does not exist."""
    return next(folder for folder in _folders(name) if not folder.exists())


def _last_folder(args):
    name = _run_name(_settings(args)[1].corpus)
    last = None
    for folder in _folders(name):
        if not folder.exists():
            break
        last = folder
    if last is None:
        raise RunError(f"there is no run {next(_folders(name))} to resume; name one with --out")
    return last


def _folders(name):
    yield Path("runs") / name
    number = 2
    while True:
        yield Path("runs") / f"{name}-{number}"
        number += 1


def _shown(default):
    return " ".join(default) if isinstance(default, tuple) else default
