"""How the program is asked for help and for its version, and what it says of a mistyped command
line: one line, and the help that goes on from there."""

import re
import shlex
import shutil
import subprocess
import sys

import pytest
from tiny_run import ROOT, files

from npgpt import cli as program
from npgpt.cli.settings import read_settings
from npgpt.loading.runs import versions


@pytest.fixture
def asked(cli, capfd):
    """(status, stdout, stderr) of a command line, which may end in argparse."""

    def ask(*arguments):
        try:
            return cli(*arguments)
        except SystemExit as end:
            return end.code, *capfd.readouterr()

    return ask


def parser_of(command):
    (commands,) = (a for a in program.program_parser()._actions if a.dest == "command")
    return commands.choices[command].fill()


def test_it_tells_its_version(asked):
    status, out, err = asked("-V")
    assert (status, err) == (0, "") and out.count("\n") == 1
    assert all(f"{name} {versions()[name]}" in out for name in ("npgpt", "numpy"))


def test_without_a_command_it_prints_its_help_and_nothing_was_done(asked):
    """Status 2, as nothing was asked: a script whose command is empty should not go on."""
    status, out, err = asked()
    assert (status, err) == (2, "")
    assert (0, out, "") == asked("--help") == asked("help")
    assert all(command in out for command in program.COMMANDS)
    assert asked("help", "info") == asked("info", "--help")


@pytest.mark.parametrize(("words", "facts"), [
    ("trian --n-layer 3", "npgpt: trian train?"),
    ("help nonsense", "nonsense"),
    ("--josn info", "npgpt: --josn"),
    ("train --n-layres 3 --zzz=1", "npgpt train: --n-layres --n-layer? --zzz=1"),
    ("train --n-layer x", "npgpt train: --n-layer 'x'"),
    ("info runs/tales runs/flat", "npgpt info: runs/flat"),
    ("tokenize", "npgpt tokenize: MODEL|FILE"),
    ("train --epochs=3", "--epochs=3 --max-iters steps"),
    ("train --learning_rate 1", "--lr?"),
    ("train --steps 3", "--max-iters?"),
    ("train --data my.txt", "--corpus?"),
    ("train --model x", "--init-from?"),
    ("generate --model x", "MODEL?"),
    ("generate --max-tokens 9", "--max-new-tokens?"),
    ("resume", "train --resume"),
    ("exercise softmax", "npgpt exercise: 'softmax'"),
])
def test_a_mistake_in_a_command_line_is_one_line(asked, here, words, facts):
    status, out, err = asked(*words.split())
    assert (status, out) == (2, "") and all(fact in err for fact in facts.split())
    assert err.count("\n") == 1 and "usage:" not in err and " --help " in err
    assert files(here) == {}


TABS = {
    "npgpt tr": "train", "npgpt train my": "my.txt", "npgpt train --eval-to": "--eval-tokens",
    "npgpt generate runs/ta": "runs/tales/", "bin/npgpt gradcheck --arch ll": "llama",
}


def test_a_tab_in_bash_completes_and_starts_no_program(asked, here, monkeypatch):
    pytest.importorskip("shtab")
    bash = shutil.which("bash") or pytest.skip("there is no bash")
    (here / "my.txt").touch()
    (here / "runs" / "tales").mkdir(parents=True)
    typed = asked("--completion", "bash")[1] + "".join(f"\n{line}\t\1echo = \n" for line in TABS)
    said = subprocess.run([bash, "--norc", "--noprofile", "-i"], input=typed, text=True, check=True,
                          capture_output=True, env={"TERM": "dumb", "PATH": "/nowhere"}).stdout
    assert re.findall(r"^= .* (\S+)$", said, re.M) == [*TABS.values()], said
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert "shtab" in asked("--completion", "bash")[2]


# ---- the help of train


def test_the_help_of_train_fits_two_screens_and_names_what_has_the_rest(asked, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    first, whole = (asked("train", flag)[1] for flag in ("--help", "--help-all"))
    assert len(first.splitlines()) <= 2 * 50 < len(whole.splitlines())
    assert first.index("npgpt train my.txt") < first.index("--help-all") < first.index("--corpus")
    flags = {flag for action in parser_of("train")._actions for flag in action.option_strings}
    assert flags <= {*re.findall(r"--?\w[\w-]*", whole)}
    assert "--split" in first and "--weight-decay" not in first


@pytest.mark.parametrize("command", ["help", *program.COMMANDS])
def test_the_examples_of_a_help_are_commands(asked, command):
    out = asked(command, *["--help"] * (command != "help"))[1]
    examples = re.findall(r"^  npgpt (.*?)(?:  .*)?$", out, re.M)
    assert examples and (command == "help" or out.index(examples[0]) < out.index("options:"))
    for example in examples:
        args = program.program_parser().parse_args(shlex.split(example))
        assert args.command == command or command == "help"


def test_the_file_of_settings_in_the_help_can_be_copied(asked, here):
    epilog = asked("train", "--help")[1].partition("a file for --config")[2]
    lines = [line.strip() for line in epilog.splitlines() if line.startswith("  ")]
    (here / "my.toml").write_text("\n".join(lines))
    assert {"preset", "n_layer", "corpus", "lr"} == set(read_settings("my.toml"))


def test_each_command_is_listed_and_each_argument_has_a_help_text():
    files = {path.stem for path in (ROOT / "npgpt" / "cli").glob("[!_]*.py")}
    listed = {name.replace("-", "_") for name in program.COMMANDS}
    files -= {"plan", "settings", "streams"}
    assert files == listed, "npgpt/cli/__init__.py: list it in COMMANDS"
    for command in program.COMMANDS:
        for argument in parser_of(command)._actions:
            text = getattr(argument, "hidden", argument.help)
            lacks = f"npgpt {command}: give {argument.dest} a help text"
            assert text and "SUPPRESS" not in text, lacks
