"""`npgpt train`: its flags, then a plan, an opening, and the loop, which is `npgpt.train`."""

import argparse
import hashlib
import os
import signal
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial

from autograd import backend, using_matmul_precision
from npgpt.cli import plan
from npgpt.cli.settings import MAY_CHANGE, add_texts, all_settings, flag_of
from npgpt.config import TrainConfig
from npgpt.data.tokens import KINDS
from npgpt.loading import runs
from npgpt.models import ARCHITECTURES
from npgpt.models.presets import PRESETS, model_settings
from npgpt.run import opening
from npgpt.run.diagnostics import check_model, explained
from npgpt.run.parallel import join_ranks, run_worker
from npgpt.run.watch import Watch, like_ctrl_c
from npgpt.support.files import quoted
from npgpt.train import CURRENT_RANKS, SingleProcess, train

# Set by the launchers of Open MPI, MPICH and Slurm in each process.
LAUNCHED = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"}
GROUPS = ("the run", "the text", "the model", "training", "evaluation", "reward")
CONFIG_EXAMPLE = """\
a file for --config, with any of these settings:
  preset = "tales"
  [model]
  n_layer = 2
  [training]
  corpus = ["my.txt"]
  lr = 2e-3"""

# The settings that --help shows, besides what is no setting; --help-all has the others, too.
SETTINGS_IN_HELP = {
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
    parser.usage, parser.epilog = "npgpt train [FLAG ...] [TEXT ...]", CONFIG_EXAMPLE
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
        + ", ".join(map(flag_of, MAY_CHANGE)))
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
        archs = [arch for arch in ARCHITECTURES if field.name in settings_of[arch]]
        of_some = f"{', '.join(archs)}: " if 0 < len(archs) < len(ARCHITECTURES) else ""
        value = presets[archs[0] if archs else TrainConfig.arch].get(field.name, field.default)
        value = " ".join(value) if isinstance(value, tuple) else value
        help, choices = of_some + field.metadata["help"], field.metadata["choices"]
        if field.name == "arch":
            choices = ARCHITECTURES
            help += ": " + "; ".join(f"{name} {kind.does}" for name, kind in choices.items())
        help += f"; default {value}" if value != "" else ""
        if field.name == "corpus":
            add_texts(add, help)
            continue
        if field.type is bool:
            how = {"action": argparse.BooleanOptionalAction}
        elif field.type == tuple[str, ...]:
            how = {"nargs": "+", "action": "extend", "metavar": "FILE"}
        elif choices:
            how = {"choices": choices}
        else:
            how = {"type": field.type, "metavar": "N" if field.type is int else "X"}
        add(flag_of(field.name), help=help, default=None, dest=field.name, **how)
    add = groups["the text"]
    add("--tokenizer", choices=KINDS, default=None,
        help="tokens are characters, words that the text has often, or byte pairs of it; default: "
        "those of the preset, which are words for bert and t5 and characters else")
    add("--vocab-size", type=int, metavar="N", dest="bpe_size",
        help="tokens of --tokenizer bpe, bytes included; default 1024")
    later = all_settings().keys() - SETTINGS_IN_HELP
    for action in parser._actions:
        if action.dest in later:
            action.hidden, action.help = action.help, argparse.SUPPRESS


def run(args):
    """Plan, open and train a run; return the exit status."""
    with ExitStack() as stack:
        ranks = SingleProcess()
        if LAUNCHED & os.environ.keys():
            ranks = stack.enter_context(join_ranks())
        stack.callback(CURRENT_RANKS.reset, CURRENT_RANKS.set(ranks))
        _ = backend.adamw_  # what cannot load refuses now, before a folder is made
        if args.resume:
            run, changes = plan.resumed_run(args)
            texts = args.corpus, args.conversations
            if ranks.is_main:
                runs.lock_run(run.folder, stack)
            run, dataset, model, optimizer = opening.open_resumed(run, changes, texts, stack)
        else:
            new = plan.new_run(args)
            if ranks.is_main and not args.check:
                runs.check_not_taken(new.folder)
            run, dataset, model, optimizer = opening.open_new(new, stack)
            print(f"preset  {new.preset}")
        tokens = hashlib.sha256(repr(dataset.tokenizer.tokens).encode()).hexdigest()
        found = {"text": run.text.sha256, "tokenizer": tokens, "step": optimizer.steps,
                 "backend": backend.name}
        settings = asdict(run.model) | asdict(run.training)
        ranks.check_same(vars(args) | runs.versions() | settings | found)
        stack.enter_context(using_matmul_precision(run.training.matmul_precision))
        opening.print_summary(run, dataset, model, optimizer.steps, trains=not args.check)
        if ranks.size > 1:
            print(f"ranks   {ranks.size}, each computes its share of every batch")
        if args.check:
            return check_model(model, dataset.train_ids, run.training, dataset.objective)
        if ranks.is_main:
            if args.resume:
                changed = runs.change_settings(run, optimizer.steps)
                for name, (old, new) in changed.items():
                    print(f"changed {flag_of(name)} from {old} to {new}")
            else:
                if dataset.objective.columns:
                    dataset.objective.check()
                beside = dataset.template.files() if run.training.conversations else ()
                runs.create_run(run, dataset.tokenizer, model, optimizer, stack, beside)
            watch = Watch(replace(run, model=dataset.shape(run.model)), optimizer,
                          opening.steps_per_epoch(run, dataset), args.profile)
            loop = partial(train, run, dataset, model, optimizer, watch)
        else:
            loop = partial(run_worker, run, dataset, model, optimizer)
        try:
            finished = loop()
        except FloatingPointError as error:
            raise explained(error, run, dataset, model, optimizer) from error
        if not ranks.is_main:
            return 0  # so that mpirun waits until the first rank has saved
        if finished:
            _finish(run, dataset, model, partial(_again, args, dataset.contents))
            return 0
        print(f"stopped after step {optimizer.steps}, which is saved; go on with:\n"
              f"    npgpt train --resume --out {quoted(run.folder)}")
        return 128 + [*ranks.interrupted, signal.SIGTERM][0]  # the latter if another rank has one


def _again(args, files, name, value):
    """Return the command that was typed, for a new run with another value of a setting; None if it
    is not known, or does not take that."""
    if (args.resume or (name == "split" and files[:2] in ("", "1:"))
            or (name == "n_embd" and args.init_from)):
        return None
    words = [*args.typed]
    for flag in ("--out", flag_of(name)):
        words = [word for word in words if not word.startswith(f"{flag}=")]
        if flag in words:
            del words[words.index(flag) : words.index(flag) + 2]
    return f"npgpt train {' '.join(map(quoted, [*words, flag_of(name), str(value)]))}"


def _finish(run, dataset, model, again):
    """Evaluate a finished run, and say what can be done with it."""
    from npgpt.look.page import shows  # here: 40 ms, after the training
    from npgpt.run import summary  # here: the same

    name = quoted(run.folder)
    try:
        with like_ctrl_c():
            results = summary.evaluate_run(run, dataset, model)
            summary.write_results(run, dataset, results)
            summary.print_results(run, dataset, model, results, again)
            summary.draw_results(run, dataset, results)
    except KeyboardInterrupt:
        print(f"\nthe run is saved (npgpt generate {name}), without this evaluation:\n"
              f"    npgpt train --resume --out {name} makes up for it")
        raise
    talks = run.training.conversations
    print(f"{'talk to it: npgpt chat' if talks else 'more text: npgpt generate'} {name}")
    if shows(model, dataset.tokenizer):
        print(f"a page to look inside: npgpt look {name}")
