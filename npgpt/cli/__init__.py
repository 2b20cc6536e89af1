"""The program `npgpt`: one file for each command, and here what they share.

    train       a GPT on a text: a run folder with weights, metrics, a loss picture, samples
    prepare     a large text as token files, for train
    generate    text from a run
    tokenize    a text as the tokens of a tokenizer
    eval        the loss of a run on a text
    info        parameters, arithmetic and memory of a run or a preset
    gradcheck   every gradient against finite differences
    export      a run as a folder that the transformers library loads

A command's module has `add_arguments(parser)` and `run(args)`, which may return an exit status.
"""

import argparse
import errno
import importlib
import sys

from npgpt.config import nearest

COMMANDS = {
    "train": "train a GPT on a text; writes a run folder",
    "prepare": "encode a large text into token files to train on",
    "generate": "continue a text with a trained GPT",
    "tokenize": "show a text as tokens, with their ids and how they were merged",
    "eval": "the loss of a run on a text",
    "info": "parameters, arithmetic and memory of a run or a preset",
    "gradcheck": "check every gradient against finite differences",
    "export": "write a run as a GPT-2 model that the transformers library loads",
}
# What a command raises for input it cannot use; the message tells the user what to do.
REFUSALS = (ValueError, OSError, FloatingPointError, ImportError)


def main(argv=None):
    """Run one command; return the exit status: 0, 1 for a refusal (said on stderr), 2 for usage,
    130 if Ctrl-C and 143 if SIGTERM ended it."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a Windows console may otherwise lack a character
            stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        args = _parsed(argv)
    except SystemExit:  # of --help, or of a mistake
        if not _flushed():
            sys.stdout = None
        raise
    try:
        status = importlib.import_module(f"npgpt.cli.{args.command}").run(args) or 0
        print(end="", flush=True)  # here, where a pipe that is closed is no error
        return status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except REFUSALS as error:
        if _reader_left(error):
            sys.stdout = None
            return 0
        if args.traceback:
            raise
        print(f"npgpt {args.command}: {error}", file=sys.stderr)
        return 1


def _reader_left(error):
    """Whether what reads the output, such as `head`, has seen enough and closed the pipe.

    Windows calls that an invalid argument, as it does other things: then what could not be written
    is still waiting to be.
    """
    invalid = isinstance(error, OSError) and error.errno == errno.EINVAL and error.filename is None
    refused = sys.platform == "win32" and invalid and not _flushed()
    return refused or isinstance(error, BrokenPipeError)


def _flushed():
    """Write what waits to be written; return whether there is a reader to take it."""
    try:
        print(end="", flush=True)
    except OSError:
        return False
    return True


def _parsed(argv):
    """The arguments of a command. An unknown flag is an error that names the nearest."""
    argv = sys.argv[1:] if argv is None else argv
    parser, commands = _parser(argv[:1])
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        # Python before 3.13 gives an optional argument up at a flag that comes before it.
        command = commands[args.command]
        args = argparse.Namespace(command=args.command)
        args, unknown = command.parse_known_intermixed_args(argv[1:], args)
    if unknown:
        flags = [flag for action in command._actions for flag in action.option_strings]
        command.error("".join(
            f"unknown argument {word}{nearest(word.split('=')[0], flags)} " for word in unknown
        ) + f"(npgpt {args.command} --help lists them all)")  # fmt: skip
    return args


def _parser(asked):
    """The program's parser, and those of its commands; only the command asked for has its flags,
    since with each come the modules that it needs.    asked: a list of its name, or of none"""
    parser = argparse.ArgumentParser(prog="npgpt", description="A GPT to read, train and talk to.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=purpose)
        command.add_argument(
            "--traceback", action="store_true", help="on an error, show where in the code it arose"
        )
        if name in asked:
            importlib.import_module(f"npgpt.cli.{name}").add_arguments(command)
    return parser, commands.choices
