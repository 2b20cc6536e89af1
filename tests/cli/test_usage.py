"""How the program is asked for help and for its version, and what it says of a mistyped command
line: one line, and the help that goes on from there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import TEXT, TINY, files

from npgpt import cli as program
from npgpt.checkpoint import read_run, versions
from npgpt.cli.settings import read_settings
from npgpt.families import FAMILIES
from npgpt.families.presets import PRESETS

ROOT = Path(__file__).parents[2]
METAVARS = {"MODEL", "FOLDER", "FILE", "NAME", "PATH", "TEXT", "OP", "N", "X", "V", "S", "T", "P",
            "K", "R", "KIND"}


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
    return program._parser(command)[1][command]


def test_it_tells_its_version(asked):
    for flag in ("--version", "-V"):
        status, out, err = asked(flag)
        assert (status, err) == (0, "") and out.startswith(f"npgpt {versions()['npgpt']}, numpy ")
        assert versions()["numpy"] in out and out.count("\n") == 1


def test_the_package_is_the_program_too():
    told = [
        subprocess.run(
            [sys.executable, "-m", name, "--help"], cwd=ROOT, check=False, capture_output=True
        )
        for name in ("npgpt", "npgpt.cli")
    ]
    assert told[0].returncode == 0 and told[0].stdout == told[1].stdout != b""


def test_without_a_command_it_prints_its_help_and_nothing_was_done(asked):
    """Status 2, as nothing was asked: a script whose command is empty should not go on."""
    status, out, err = asked()
    assert (status, err) == (2, "")
    assert (0, out, "") == asked("--help") == asked("help")
    assert "examples:" in out and all(command in out for command in program.COMMANDS)


def test_help_of_a_command(asked):
    assert asked("help", "info") == asked("info", "--help")
    assert asked("help", "nonsense")[0] == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "npgpt: there is no command trian: did you mean train?"),
        (["trian", "--n-layer", "3"], "npgpt: there is no command trian: did you mean train?"),
        (["nonsense"], "npgpt: there is no command nonsense (npgpt --help"),
        (["--josn"], "npgpt: unknown argument --josn"),
        (["--josn", "info"], "npgpt: unknown argument --josn"),
        (["train", "--n-layres", "3"], "unknown argument --n-layres: did you mean --n-layer? (npg"),
        (["train", "--n-layer", "x"], "npgpt train: argument --n-layer: invalid int value: 'x' (n"),
        (["train", "--preset", "tals"], "argument --preset: invalid choice: 'tals'"),
        (["train", "stray"], "npgpt train: unknown argument stray (npgpt train --help"),
        (["info", "runs/tales", "--josn"], "unknown argument --josn: did you mean --json?"),
        (["info", "runs/tales", "runs/flat"], "npgpt info: unknown argument runs/flat"),
        (["tokenize"], "the following arguments are required: MODEL|FILE (npgpt tokenize --help"),
    ],
)
def test_a_mistake_in_a_command_line_is_one_line(asked, here, words, said):
    status, out, err = asked(*words)
    assert (status, out) == (2, "") and said in err
    assert err.count("\n") == 1 and "usage:" not in err and err.endswith(" --help shows usage)\n")
    assert files(here) == {}


@pytest.mark.parametrize("command", program.COMMANDS)
def test_every_command_names_the_flag_that_it_does_not_know(asked, command):
    needed = ["--corpus", "x"] if command == "prepare" else []
    status, out, err = asked(command, *needed, "--traceback", 1, "--josn", 2, 3, "--zzz=1")
    assert (status, out) == (2, "") and "--josn" in err and "--zzz=1" in err


@given(words=st.lists(st.text(st.characters(codec="utf-8"), max_size=9), min_size=1, max_size=4))
def test_any_words_that_are_no_command_are_a_line_and_status_2(words):
    words[0] = "x" + words[0]
    done = []
    with pytest.raises(SystemExit) as end, pytest.MonkeyPatch.context() as patched:
        patched.setattr(program.Parser, "_print_message", lambda _, text, file: done.append(text))
        program._parsed(words)
    assert end.value.code == 2 and "there is no command x" in done[0]


def test_info_is_of_a_run_or_of_a_preset(asked, finished):
    status, _, err = asked("info", finished, "--preset", "tales")
    assert status == 1 and "name a run folder, or a preset with --preset: one of them" in err


def test_colour_has_both_spellings(asked, finished):
    coloured = asked("tokenize", finished, "the hen", "--colour", "always")
    assert "\x1b" in coloured[1]
    assert asked("tokenize", finished, "the hen", "--color", "always") == coloured


def test_gradcheck_takes_the_name_of_an_op(asked):
    status, out, _ = asked("gradcheck", "tanh")
    assert status == 0 and "1 of 1 right" in out
    status, _, err = asked("gradcheck", "tanh", "--op", "exp")
    assert status == 1 and "tanh is one op already: leave --op, --model and --plot out" in err


def test_gradcheck_says_where_the_worst_entry_is_in_words_of_the_op(asked):
    _, out, _ = asked("gradcheck", "layer_norm")
    assert re.search(r"worst entry \(case\)", out)
    assert re.search(r"  (x|weight|bias)\[\d+(, \d+)*\] \([^)]+\)\n", out), out
    from autograd.gradcheck_cases import CASES

    assert "neither" not in {case.label for cases in CASES.values() for case in cases}


# ---- the help of train


def test_every_flag_of_train_is_in_a_group():
    (_, options, *groups) = parser_of("train")._action_groups
    assert [action.dest for action in options._group_actions] == ["help", "traceback"]
    titles = ["the run", "the text", "the model", "training", "evaluation", "reward"]
    assert [group.title for group in groups] == titles
    for flag, title in (("corpus", 1), ("bpe_size", 1), ("arch", 2), ("n_bucket", 2), ("lr", 3),
                        ("eval_stride", 4), ("seed", 0), ("resume", 0)):
        assert flag in {action.dest for action in groups[title]._group_actions}, flag


def test_a_flag_of_some_kinds_of_model_says_of_which(asked):
    said = " ".join(asked("train", "--help")[1].split())
    for words in ("t5: buckets that", "bert: number of segments", "llama: base of the wavelengths",
                  "llama, bert, t5: F, channels", "gpt: biases in", "N number of transformer"):
        assert words in said


def test_a_default_is_the_one_of_a_plain_run_and_told_once(asked):
    """Of another kind of model, the one of a run with its --arch."""
    out = asked("train", "--help")[1]
    said = " ".join(out.split())
    for words in ("optimizer steps; default 3000", "longest context in tokens; default 256 ",
                  "blocks of the decoder; 0: n_layer; default 3 ", "PATH ...] tales, shakespeare"):
        assert words in said
    assert not any(f" in {preset}" in said for preset in PRESETS)
    assert "npgpt info --preset" in said
    assert len(out.splitlines()) < 155


def test_one_word_for_one_thing():
    for command in program.COMMANDS:
        for action in parser_of(command)._actions:
            if action.nargs != 0 and not action.choices:
                words = re.split(r"\||\.", action.metavar or action.dest)
                words = [word for word in words if word not in ("toml", "png", "html", "py")]
                assert METAVARS.issuperset(words), f"{command}: {action.metavar or action.dest}"


@pytest.mark.parametrize("command", ["", "train", "generate"])
def test_the_examples_of_a_help_are_commands(command):
    parser = parser_of(command) if command else program._parser("")[0]
    examples = re.findall(r"^  npgpt (.*?)(?:  .*)?$", parser.epilog, re.M)
    assert len(examples) >= 3
    for example in examples:
        args = program._parsed(shlex.split(example))
        assert args.command in (command or program.COMMANDS)


def test_the_file_of_settings_in_the_help_can_be_copied(asked, here):
    epilog = asked("train", "--help")[1].partition("a file for --config")[2]
    lines = [line.strip() for line in epilog.splitlines()[1:] if line.startswith("  ")]
    assert 4 <= len(lines) <= 7
    (here / "my.toml").write_text("\n".join(lines), encoding="utf-8")
    (here / "my.txt").write_text(TEXT, encoding="utf-8")
    told = read_settings("my.toml")
    assert {"preset", "n_layer", "corpus", "lr"} <= set(told)
    sizes = TINY[: TINY.index("--n-layer")] + TINY[TINY.index("--n-head") :]
    status, _, err = asked("train", "--config", "my.toml", *sizes, "--eval-stride", 0, "--out", "r")
    assert (status, err) == (0, "")
    run = read_run(here / "r")
    assert run.model.n_layer == told["n_layer"]
    assert (run.training.corpus, run.training.lr) == (told["corpus"], told["lr"])


def test_settings_of_all_kinds_are_flags():
    flags = {action.dest for action in parser_of("train")._actions}
    for config in (family.Config for family in FAMILIES.values()):
        assert set(config.__dataclass_fields__) - {"vocab_size"} <= flags


def test_each_command_is_listed_and_each_argument_has_a_help_text():
    files = {path.stem for path in (ROOT / "npgpt" / "cli").glob("[!_]*.py")}
    listed = {name.replace("-", "_") for name in program.COMMANDS}
    assert files - {"settings", "streams"} == listed, "npgpt/cli/__init__.py: list it in COMMANDS"
    for command in program.COMMANDS:
        for argument in parser_of(command)._actions:
            assert argument.help, f"npgpt {command}: give {argument.dest} a help text"
