"""`npgpt train`: its flags, and how a run starts or continues. `npgpt.train` is the run."""

import argparse
import glob
import hashlib
import math
import os
import re
import signal
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from tqdm import tqdm

from autograd import backend, compiling, using_matmul_precision
from npgpt import checkpoint, reward
from npgpt.batches import check_length
from npgpt.cli import note
from npgpt.cli.settings import add_texts, all_settings, check_texts, read_settings
from npgpt.config import TrainConfig
from npgpt.data.conversations import (
    FINE_TUNING,
    OwnTemplate,
    as_few_need,
    open_conversations,
)
from npgpt.data.tokens import KINDS, open_dataset, open_run, prepared_paths
from npgpt.files import RUN_STATE, quoted
from npgpt.loading import load_model, model_files, runs, template_of
from npgpt.look.page import shows
from npgpt.models import ARCHITECTURES, architecture, resize_embeddings
from npgpt.models.presets import PRESETS, arch_of_preset, from_preset, model_settings, preset_for
from npgpt.models.writing import continue_text
from npgpt.objectives.reference import held, keep_reference
from npgpt.optim import learning_rate, make_optimizer
from npgpt.reward.settings import DEFAULTS, RewardConfig, checked
from npgpt.run.diagnostics import check_model, divergence_explained
from npgpt.run.estimate import check_memory, steps_within
from npgpt.run.parallel import join_ranks, run_worker
from npgpt.run.profile import TimedAdamW
from npgpt.run.signals import like_ctrl_c
from npgpt.run.summary import draw_loss, print_results, print_summary, reading, write_before
from npgpt.run.watch import Watch
from npgpt.train import train

# What --resume may change, and what only a new run is asked.
MAY_CHANGE = ("max_iters", "lr", "min_lr", "keep", "eval_interval", "sample_tokens")
OF_THE_START = ("preset", "config", "tokenizer", "bpe_size", "init_from", "check")
GROUPS = ("the run", "the text", "the model", "training", "evaluation", "reward")
FILE = """\
a file for --config, with any of these settings:
  preset = "tales"
  [model]
  n_layer = 2
  [training]
  corpus = ["my.txt"]
  lr = 2e-3"""

# The settings that --help shows, besides what is no setting; --help-all has the others, too.
FIRST = {
    "seed", "corpus", "arch", "block_size", "n_layer", "n_head", "n_embd", "dropout", "max_iters",
    "batch_size", "lr", "eval_interval", "sample_tokens", "keep", "split",
}


class HelpAll(argparse.Action):
    """The flag --help-all: --help, with what it hides."""

    def __call__(self, parser, *_):
        for action in parser._actions:
            action.help = getattr(action, "hidden", action.help)
        parser.print_help()
        parser.exit()


def add_arguments(parser):
    parser.usage, parser.epilog = "npgpt train [FLAG ...] [TEXT ...]", FILE
    groups = {title: parser.add_argument_group(title).add_argument for title in GROUPS}
    add = groups["the run"]
    parser.add_argument("--help-all", action=HelpAll, nargs=0, default=argparse.SUPPRESS,
                        help="show all: of other models, evaluation, rewards")
    add("--preset", choices=PRESETS,
        help="settings to start from; default: that of the corpus and the --arch. The defaults "
        "below are of a plain npgpt train; npgpt info --preset NAME --json has others")
    add("--config", metavar="FILE.toml", help="settings; they change the preset's")
    add("--init-from", metavar="MODEL",
        help="start from the weights, the shape and the tokenizer of a run, or of a folder or name "
        "as npgpt generate takes it; --block-size may be shorter")
    add("--out", metavar="FOLDER", help="the run folder; default runs/NAME of the corpus")
    add("--resume", nargs="?", const=True, default=False, metavar="RUN",
        help="continue a run, or else the latest in runs/; it may change "
        + ", ".join(map(_flag, MAY_CHANGE)))
    add("--check", action="store_true",
        help="train nothing; is the first loss ln V, does nothing look ahead, is one batch "
        "memorised?")
    add("--profile", type=int, nargs="?", const=20, default=0, metavar="N",
        help="print where the time of N early steps goes, op by op; default 20")
    settings_of = {arch: model_settings(arch) for arch in ARCHITECTURES}
    presets = {arch: next(iter(kind.presets.values())) for arch, kind in ARCHITECTURES.items()}
    group = None
    for field in all_settings().values():
        group = field.metadata["group"] or group
        add = groups[group]
        flag = "--" + field.name.replace("_", "-")
        archs = [arch for arch in ARCHITECTURES if field.name in settings_of[arch]]
        of_some = f"{', '.join(archs)}: " if 0 < len(archs) < len(ARCHITECTURES) else ""
        value = presets[archs[0] if archs else TrainConfig.arch].get(field.name, field.default)
        value = " ".join(value) if isinstance(value, tuple) else value
        help = of_some + field.metadata["help"]
        if field.name == "arch":
            help += ": " + "; ".join(f"{name} {kind.does}" for name, kind in ARCHITECTURES.items())
        if value != "":
            help += f"; default {value}"
        options = {"help": help, "default": None, "dest": field.name}
        if field.type is bool:
            add(flag, action=argparse.BooleanOptionalAction, **options)
        elif field.name == "corpus":
            add_texts(add, help)
        elif field.type == tuple[str, ...]:
            add(flag, nargs="+", action="extend", metavar="FILE", **options)
        elif field.name == "arch":
            add(flag, choices=tuple(ARCHITECTURES), **options)
        elif field.metadata["choices"]:
            add(flag, choices=tuple(filter(None, field.metadata["choices"])), **options)
        else:
            add(flag, type=field.type, metavar="N" if field.type is int else "X", **options)
    groups["training"]("--minutes", type=float, metavar="M",
        help="train for about so long, instead of --max-iters: as many steps as the first few "
        "suggest, without evaluations")
    add = groups["the text"]
    add("--tokenizer", choices=KINDS, default=None,
        help="tokens are characters, words that the text has often, or byte pairs of it; default: "
        "those of the preset, which are words for bert and t5 and characters else")
    add("--vocab-size", type=int, metavar="N", dest="bpe_size",
        help="tokens of --tokenizer bpe, bytes included; default 1024")
    later = all_settings().keys() - FIRST
    for action in parser._actions:
        if action.dest in later:
            action.hidden, action.help = action.help, argparse.SUPPRESS


def run(args):
    """Start or continue a run and train; return the exit status."""
    if args.profile < 0 or (args.profile and args.check):
        raise ValueError("--profile: give 1 step or more to measure, and leave --check out")
    with ExitStack() as stack:
        ranks = stack.enter_context(join_ranks())
        if args.minutes is not None and (
            not 0 < args.minutes < math.inf or args.max_iters is not None or ranks.size > 1
        ):
            raise ValueError(f"--minutes {args.minutes}: give more than 0, and leave --max-iters "
                             "out; several processes need --max-iters instead")
        if not ranks.is_main:
            compiling.listener = None  # one of them says what is compiled
        _ = backend.adamw_  # what cannot load refuses now, before a folder is made
        program = {"backend": backend.name, "run format": runs.RUN_FORMAT}
        ranks.check_same(vars(args) | program | runs.versions())
        begin = _continued if args.resume else _started
        run, dataset, model, optimizer = begin(args, ranks, stack)
        dataset = _with_objective(run, dataset, model, optimizer, ranks)
        tokens = hashlib.sha256(repr(dataset.tokenizer.tokens).encode()).hexdigest()
        found = {"text": run.text.sha256, "tokenizer": tokens, "step": optimizer.steps}
        ranks.check_same(asdict(run.model) | asdict(run.training) | found)
        ranks.check_batch(run.training.batch_size)
        stack.enter_context(using_matmul_precision(run.training.matmul_precision))
        if args.minutes is not None and not args.check:
            end = optimizer.steps + steps_within(args.minutes, dataset, model, run.training)
            run = replace(run, training=replace(run.training, max_iters=end))
        if run.training.hold:
            dataset.objective.steps = run.training.max_iters
        if not ranks.is_main:
            with divergence_explained(run, dataset, model, optimizer, ranks):
                run_worker(run, dataset, model, optimizer, ranks)
            return 0  # so that mpirun waits until the first rank has saved
        print_summary(run, dataset, model, ranks=ranks, first_step=optimizer.steps,
                      trains=not args.check)
        if args.check:
            check_model(model, dataset.train_ids, run.training, dataset.objective)
            return 0
        if dataset.objective.columns and not args.resume:
            dataset.objective.check()
        if args.resume:
            _store_changes(run, optimizer)
        else:
            beside = dataset.template.files() if run.training.conversations else ()
            runs.create_run(run, dataset.tokenizer, model, optimizer, stack, beside)
            if args.init_from:
                write_before(run, dataset, model)
        shape = replace(run, model=dataset.shape(run.model))
        watch = Watch(shape, optimizer, ranks, reading(run, dataset), args.profile)
        with divergence_explained(run, dataset, model, optimizer, ranks):
            finished = train(run, dataset, model, optimizer, watch, ranks)
        if finished:
            _print_results(run, dataset, model, partial(_again, args, dataset.contents))
            return 0
        print(f"stopped after step {optimizer.steps}, which is saved; go on with:\n"
              f"    npgpt train --resume --out {quoted(run.folder)}")
        return 128 + [*ranks.interrupted, signal.SIGTERM][0]  # the latter if another rank has one


def _with_objective(run, dataset, model, optimizer, ranks):
    """Return the `Dataset` with the objective that the settings ask for."""
    if isinstance(run.training, RewardConfig):
        return reward.rewarded(dataset, model, optimizer, run.training, ranks)
    if not run.training.hold:
        return dataset
    if ranks.is_main:
        own = isinstance(dataset.template, OwnTemplate)
        what = "texts" if own else "answers to other questions"
        note(f"before training the model writes {what}, and training keeps it close to these; "
             "--hold 0 switches this off")
    return held(dataset, model, optimizer, run.training)


def _store_changes(run, optimizer):
    """Store what a resumed run changes of its settings, and say so."""
    if changed := runs.change_settings(run, optimizer.steps):
        new = ", ".join(f"{_flag(name)} {new}" for name, (_, new) in changed.items())
        rate = learning_rate(optimizer.steps, run.training)
        print(f"note    {new} after step {optimizer.steps:,}, as config.json says;\n"
              f"        the learning rate is {rate:.1e} next")


def _again(args, files, name, value):
    """Return the command that was typed, for a new run with another value of a setting; None if it
    is not known, or does not take that."""
    one = name == "split" and files[:2] in ("", "1:")
    if args.resume or one or (name == "n_embd" and args.init_from):
        return None
    words = [*args.typed]
    for flag in ("--out", _flag(name)):
        words = [word for word in words if not word.startswith(f"{flag}=")]
        if flag in words:
            del words[words.index(flag) : words.index(flag) + 2]
    return f"npgpt train {' '.join(map(quoted, [*words, _flag(name), str(value)]))}"


def _print_results(run, dataset, model, again):
    draw = reward.draw_reward if dataset.objective.columns else draw_loss
    try:
        with like_ctrl_c():
            print_results(run, dataset, model, draw, again)
        if shows(model, dataset.tokenizer):
            print(f"a page to look inside: npgpt look {quoted(run.folder)}")
    except KeyboardInterrupt:
        name = quoted(run.folder)
        print(f"\nthe run is saved (npgpt generate {name}), without this evaluation:\n"
              f"    npgpt train --resume --out {name} makes up for it")
        raise


def _started(args, ranks, stack):
    """Return (Run, Dataset, model, optimizer) of a new run."""
    if args.init == "gpt2" and ranks.is_main:
        note("--init gpt2 draws weights as GPT-2 did; --init-from gpt2 starts from its own")
    initial = _initial(args) if args.init_from else None
    preset, settings, training = _settings(args, initial)
    training = checked(training)
    if isinstance(training, RewardConfig) and not initial:
        raise ValueError("--reward: a model that is not trained writes no right story, so nothing "
                         "is rewarded; give --init-from a run of the tales, or of --conversations "
                         "tales")
    talks = training.conversations
    check_texts(training.corpus)
    if talks:
        training = replace(training, corpus=())
    if talks and architecture(training.arch).write is not continue_text:
        raise ValueError("--conversations: only models that continue text learn them; use --arch "
                         "gpt or llama")
    if args.corpus and args.conversations:
        raise ValueError("--corpus and --conversations: a run reads one of them; leave one out")
    template = args.template if initial else None
    if training.hold and (isinstance(training, RewardConfig) or not (talks and initial)):
        raise ValueError("--hold is for --conversations and a model of --init-from, as it writes "
                         "already: leave --hold out")
    kind, bpe_size = _tokens(args, preset, () if talks else training.corpus)
    folder = Path(args.out) if args.out else _default_folder(training)
    if ranks.size > 1 and (args.check or "-" in training.corpus):
        raise ValueError(
            "--check and standard input are for a single process: start it without mpirun, or give "
            "all ranks a file with --corpus"
        )
    if ranks.is_main and not args.check:
        runs.check_not_taken(folder)
    kind_of_model = architecture(training.arch)
    tokenizer = initial.tokenizer if initial else None
    # Settings are refused before the text is read, which can take long and tells the vocabulary.
    vocab_size = tokenizer.vocab_size if tokenizer else bpe_size or 1
    grow, config = initial is not None, kind_of_model.Config(vocab_size=vocab_size, **settings)
    if talks:
        dataset = open_conversations(training, talks, config.block_size, tokenizer, template,
                                     kind=kind, bpe_size=bpe_size, grow=grow)
        training = replace(training, **as_few_need(training, dataset.train_ids, _given(args)))
        check_memory(dataset.shape(config), training, ranks.size)
    else:
        check_memory(config, training, ranks.size)
        dataset = open_dataset(kind_of_model, training, stack, training.corpus, tokenizer,
                               kind=kind, bpe_size=bpe_size, grow=grow)
        texts = (dataset.val_ids, "validation"), (dataset.train_ids, "training")
        for ids_N, name in sorted(texts, key=lambda text: len(text[0])):  # what fits one fits both
            check_length(ids_N, config.block_size, name)
    dataset.objective.check_stride(training.eval_stride or None)
    config = replace(config, vocab_size=dataset.tokenizer.vocab_size)
    new = dataset.tokenizer.tokens[tokenizer.vocab_size :] if tokenizer else ()
    if new or (initial and config.block_size != initial.model.config.block_size):
        model = resize_embeddings(initial.model, config, training.seed)
        if new and ranks.is_main:
            shown = repr(b"".join(new[:40]).decode()) + ("..." if len(new) > 40 else "")
            what = "tokens" if talks else "characters"
            tqdm.write(f"note    {len(new):,} {what} that {args.init_from} does not know are "
                       f"new tokens: {shown}")
    elif initial:
        model = initial.model
        model.config, model.seed = config, training.seed
    else:
        model = kind_of_model.Model(config, seed=training.seed)
    run = runs.Run(folder, config, training, dataset.source)
    return run, dataset, model, _optimizer(model, training)


def _optimizer(model, training):
    optimizer = make_optimizer(model, training, TimedAdamW)
    if training.hold or isinstance(training, RewardConfig):
        keep_reference(model, optimizer)
    return optimizer


def _flag(name):
    return "--vocab-size" if name == "bpe_size" else f"--{name.replace('_', '-')}"


def _continued(args, ranks, stack):
    """Return the same for the run in a folder, as its last checkpoint left it."""
    named = args.out if args.resume is True else args.resume
    if args.out not in (None, named):
        raise ValueError(f"--resume {named} and --out {args.out}: name the run once")
    if named or args.corpus or args.conversations:
        folder = Path(named or _default_folder(_settings(args)[2], resume=True))
    elif (folder := runs.latest_run()) != runs.SHIPPED_RUN:
        if ranks.is_main:
            note(f"no --out is given: this is {quoted(folder)}, the latest run")
    else:
        raise ValueError("there is no run in runs/ to resume; name one with --out")
    run = runs.read_run(folder)
    settings = asdict(run.model) | asdict(run.training)
    given = {n: getattr(args, n) for n in all_settings() if getattr(args, n) is not None}
    fixed = [name for name, value in given.items()
             if name not in (*MAY_CHANGE, "corpus", "conversations")
             and settings.get(name) != value]
    fixed += [name for name in OF_THE_START if getattr(args, name) not in (None, False)]
    if fixed:
        raise ValueError(
            f"--resume: leave out {', '.join(map(_flag, fixed))}, which cannot change midway, or "
            f"start a new run, perhaps from these weights with --init-from {quoted(folder)}"
        )
    if ranks.is_main:
        runs.lock_run(folder, stack)
    model, tokenizer, run = runs.load_run(folder)
    optimizer = _optimizer(model, run.training)
    checkpoint.load_checkpoint(run, model, optimizer)
    if args.max_iters is not None and args.max_iters <= optimizer.steps:
        raise ValueError(f"--max-iters: {optimizer.steps} steps are done; give more than that")
    changes = {name: value for name, value in given.items() if name in MAY_CHANGE}
    run = replace(run, training=replace(run.training, **changes))
    if optimizer.steps >= run.training.max_iters and ranks.is_main and args.minutes is None:
        note(f"its {optimizer.steps:,} steps are done: --max-iters {2 * optimizer.steps} goes on")
    if run.training.conversations:
        dataset = open_conversations(
            run.training, args.conversations or run.training.conversations, run.model.block_size,
            tokenizer, template_of(folder), expected=run.text,
        )
    else:
        dataset = open_run(run, architecture(run.training.arch), stack, tokenizer, args.corpus)
    return run, dataset, model, optimizer


def _tokens(args, preset, corpus):
    """Return (the kind of tokens, one of KINDS; the number of byte pairs or None)."""
    if args.tokenizer not in (None, "char") and prepared_paths(corpus):
        raise ValueError(
            "token files have their tokens already: leave --tokenizer out, or prepare the text "
            "again with npgpt prepare --tokenizer RUN"
        )
    kind = args.tokenizer or PRESETS[preset].get("tokenizer", "char")
    if kind == "bpe":
        return kind, 1024 if args.bpe_size is None else args.bpe_size
    if args.bpe_size is not None:
        raise ValueError(
            "--vocab-size is for --tokenizer bpe; characters and words are as many as there are"
        )
    return kind, None


def _initial(args):
    """Return the model that --init-from names.

    Raises ValueError for settings that ask for a different model, and if no text is named.
    """
    if args.init_from in ("resume", "scratch"):  # of nanoGPT
        raise ValueError("--init-from takes a model: npgpt train --resume goes on with a run, and "
                         "without --init-from a model starts anew")
    folder = model_files(args.init_from)
    initial, args.template = load_model(folder), template_of(folder)
    is_now = asdict(initial.model.config) | {"arch": initial.training.arch}
    given = _given(args)
    wanted = {name: value for name, value in given.items() if is_now.get(name, value) != value}
    of_others = given.keys() & (model_settings().keys() - is_now.keys())
    wanted |= {name: given[name] for name in of_others}
    wanted.pop("dropout", None)  # the one setting that is no shape
    if given.get("block_size", math.inf) < is_now["block_size"]:
        wanted.pop("block_size")  # a shorter window takes the first positions
    leave_out = [_flag(name) for name in sorted(wanted)]
    leave_out += ["--tokenizer"] if args.tokenizer else []
    leave_out += ["--vocab-size"] if args.bpe_size else []
    leave_out += ["--check"] if args.check else []
    if given.get("preset") in PRESETS and arch_of_preset(given["preset"]) != is_now["arch"]:
        leave_out.append("--preset")
    if leave_out:
        shape = ", ".join(f"{name}={is_now[name]}" for name in sorted(wanted) if name in is_now)
        raise ValueError(
            f"--init-from takes the kind of model, its shape and its tokenizer from "
            f"{args.init_from}{f' ({shape})' if shape else ''}: leave out {', '.join(leave_out)}"
        )
    if not any(map(given.get, ("corpus", "conversations", "reward"))):
        texts, name = initial.training.corpus or TrainConfig.corpus, quoted(args.init_from)
        own = " ".join(map(quoted, texts))
        goes_on = f"; --resume --out {name} goes on with that run itself" if initial.run else ""
        raise ValueError(f"--init-from {name}: name a text, such as --corpus {own}{goes_on}")
    return initial


def _settings(args, initial=None):
    """Return (the preset's name, the model's settings, TrainConfig).

    The preset is the one named, or the one that fits the corpus and the kind of model. The file
    changes it, then the flags do; an `initial` model gives the model's settings.
    """
    given = _given(args)
    if initial:
        shape = asdict(initial.model.config) | {"arch": initial.training.arch}
        del shape["vocab_size"]
        given = shape | given
    if given.get("reward"):
        given = DEFAULTS.get(given["reward"], {}) | given
    talks = tuple(given.get("conversations", ()))
    like = given.get("corpus", TrainConfig.corpus)
    if talks:
        if initial and not given.get("reward"):
            taught = FINE_TUNING if args.template or not initial.run else {"hold": 2.0}
            given = taught | given
        given, like = {"eval_stride": 0} | given, ("conversations of", *talks)
    if initial and like not in (TrainConfig.corpus, ("conversations of", "tales")):
        like = ("shakespeare",)  # at a lower rate
    preset = given.pop("preset", preset_for(like, given.get("arch", TrainConfig.arch)))
    return preset, *from_preset(preset, RewardConfig, **given)


def _given(args):
    """Return the settings of the file and the flags by name, "preset" among them."""
    flags = {name: getattr(args, name) for name in (*all_settings(), "preset")}
    flags = {name: value for name, value in flags.items() if value is not None}
    flags = {name: tuple(v) if isinstance(v, list) else v for name, v in flags.items()}
    return (read_settings(args.config) if args.config else {}) | flags


def _default_folder(training, resume=False):
    """Return the folder of a run without --out: runs/tales or runs/tales-bert, runs/tales-2, ...

    It is named after the first corpus; a pattern after its folder. A new run gets the first name
    that is free, --resume the name before that.
    """
    first = (training.conversations or training.corpus)[0]
    first = "stdin" if first == "-" else first
    plain = [part for part in Path(first).parts if not glob.has_magic(part)]
    name = re.sub(r"[^\w.]+", "-", Path(*plain).stem).strip("-.") or "corpus"
    name += "-talk" * bool(training.conversations)
    if training.arch != TrainConfig.arch:
        name += f"-{training.arch}"
    folders = [Path("runs", name)]
    while os.path.lexists(folders[-1]):
        folders.append(Path("runs", f"{name}-{len(folders) + 1}"))
    if resume and len(folders) == 1:
        raise ValueError(f"there is no run {folders[0]} to resume; name one with --out")
    earlier = folders[-2:][0]
    if not resume and (earlier / RUN_STATE).exists() and not (earlier / runs.RESULT_FILE).exists():
        note(f"{quoted(earlier)} has not ended: --resume --out {quoted(earlier)} goes on with it; "
             f"this is {folders[-1]}, a new one")
    return folders[-2 if resume else -1]
