"""How the program is asked for help and for its version, and what it says of a mistyped command
line: one line, and the help that goes on from there."""

import re
import shlex
import shutil
import subprocess
import sys

import pytest
from tiny_run import ROOT, TEXT, TINY, files, npgpt

from npgpt import cli as program
from npgpt.cli.settings import read_settings
from npgpt.loading.runs import read_run, versions


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


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_it_tells_its_version(asked, flag):
    status, out, err = asked(flag)
    assert (status, err) == (0, "") and out.startswith(f"npgpt {versions()['npgpt']}, numpy ")
    assert versions()["numpy"] in out and out.count("\n") == 1


def test_the_package_is_the_program_too():
    process = npgpt(code="import runpy; runpy.run_module('npgpt', run_name='__main__')")
    assert process.returncode == 2 and process.stdout == npgpt().stdout != ""


def test_without_a_command_it_prints_its_help_and_nothing_was_done(asked):
    """Status 2, as nothing was asked: a script whose command is empty should not go on."""
    status, out, err = asked()
    assert (status, err) == (2, "")
    assert (0, out, "") == asked("--help") == asked("help")
    assert all(command in out for command in program.COMMANDS)
    assert asked("help", "info") == asked("info", "--help")
    assert asked("help", "nonsense")[0] == 2


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        ("trian", ("npgpt: ", "trian", " train?")),
        ("trian --n-layer 3", ("npgpt: ", "trian", " train?")),
        ("nonsense", ("npgpt: ", "nonsense")),
        ("--josn", ("npgpt: ", "--josn")),
        ("--josn info", ("npgpt: ", "--josn")),
        ("train --n-layres 3", ("npgpt train: ", "--n-layres", " --n-layer?")),
        ("train --n-layer x", ("npgpt train: ", "--n-layer", "'x'")),
        ("train --preset tals", ("--preset", "'tals'")),
        ("info runs/tales --josn", ("--josn", " --json?")),
        ("info runs/tales runs/flat", ("npgpt info: ", "runs/flat")),
        ("tokenize", ("npgpt tokenize: ", "MODEL|FILE")),
        ("train --epochs=3", ("--epochs=3", "--max-iters?")),
        ("train --learning_rate 1", ("--lr?",)),
        ("train --data my.txt", ("--corpus?",)),
        ("train --model x", ("--init-from?",)),
        ("generate --model x", ("MODEL?",)),
        ("generate --max-tokens 9", ("--max-new-tokens?",)),
        ("generate --epochs 9", ("--epochs (",)),
        ("resume", ("train --resume",)),
        ("exercise softmax", ("'softmax'", "npgpt exercise lists")),
    ],
)
def test_a_mistake_in_a_command_line_is_one_line(asked, here, words, facts):
    status, out, err = asked(*words.split())
    assert (status, out) == (2, "") and all(fact in err for fact in facts)
    assert err.count("\n") == 1 and "usage:" not in err and " --help " in err
    assert files(here) == {}


@pytest.mark.parametrize("command", program.COMMANDS)
def test_every_command_names_the_flag_that_it_does_not_know(asked, command):
    status, out, err = asked(command, "--traceback", 1, "--josn", 2, 3, "--zzz=1", "--corpus", 4)
    assert (status, out) == (2, "") and "--josn" in err and "--zzz=1" in err


TABS = {
    "npgpt tr": "train", "npgpt train my": "my.txt", "npgpt train --eval-to": "--eval-tokens",
    "npgpt generate runs/ta": "runs/tales/", "bin/npgpt gradcheck --arch ll": "llama",
}


def test_a_tab_in_bash_completes_and_starts_no_program(asked, here, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "shtab", None)
        assert "[completion]" in asked("--completion", "bash")[2]
    pytest.importorskip("shtab")
    bash = shutil.which("bash") or pytest.skip("there is no bash")
    (here / "my.txt").touch()
    (here / "runs" / "tales").mkdir(parents=True)
    (here / "npgpt.bash").write_text(asked("--completion", "bash")[1], encoding="utf-8")
    typed = "source npgpt.bash\n" + "".join(f"{line}\t\1echo = \n" for line in TABS)
    said = subprocess.run([bash, "--norc", "--noprofile", "-i"], input=typed, text=True, check=True,
                          capture_output=True, env={"TERM": "dumb", "PATH": "/nowhere"}).stdout
    completed = re.findall(r"^= .* (\S+)$", said, re.M)
    assert completed == list(TABS.values()), said


# ---- the help of train


def test_the_help_of_train_fits_two_screens_and_names_what_has_the_rest(asked, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    first, whole = (asked("train", flag)[1] for flag in ("--help", "--help-all"))
    assert len(first.splitlines()) <= 2 * 50 < len(whole.splitlines())
    assert first.index("npgpt train my.txt") < first.index("--help-all") < first.index("--corpus")
    flags = {flag for action in parser_of("train")._actions for flag in action.option_strings}
    assert flags - set(re.findall(r"--?\w[\w-]*", whole)) == set()
    assert "==SUPPRESS==" not in first + whole
    assert "--split" in first and "--weight-decay" not in first


@pytest.mark.parametrize("command", ["", *program.COMMANDS])
def test_the_examples_of_a_help_are_commands(asked, here, command):
    (here / "my.txt").write_text(TEXT, encoding="utf-8")
    out = asked(*[command][: bool(command)], "--help")[1]
    examples = re.findall(r"^  npgpt (.*?)(?:  .*)?$", out, re.M)
    assert examples and (not command or any(e.startswith(command) for e in examples))
    if command:
        assert out.index(examples[0]) < out.index("options:")
    for example in examples:
        args = program.program_parser().parse_args(shlex.split(example))
        assert args.command in program.COMMANDS


def test_the_file_of_settings_in_the_help_can_be_copied(asked, done, here):
    epilog = asked("train", "--help")[1].partition("a file for --config")[2]
    lines = [line.strip() for line in epilog.splitlines()[1:] if line.startswith("  ")]
    assert 4 <= len(lines) <= 7
    (here / "my.toml").write_text("\n".join(lines), encoding="utf-8")
    (here / "my.txt").write_text(TEXT, encoding="utf-8")
    settings = read_settings("my.toml")
    assert {"preset", "n_layer", "corpus", "lr"} <= set(settings)
    sizes = TINY[: TINY.index("--n-layer")] + TINY[TINY.index("--n-head") :]
    done("train", "--config", "my.toml", *sizes, "--eval-stride", 0, "--out", "r")
    run = read_run(here / "r")
    assert run.model.n_layer == settings["n_layer"]
    assert (run.training.corpus, run.training.lr) == (settings["corpus"], settings["lr"])


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
