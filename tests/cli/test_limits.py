"""One-line refusals of excessive sizes, numbers that are not finite, and control characters."""

import io
import json
import math
import re
import shutil
from contextlib import redirect_stderr, redirect_stdout, suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from tiny_run import TEXT, TINY, files

from npgpt.cli import main, print_json
from npgpt.cli.streams import Stream
from npgpt.text import printable, visible
from npgpt.tokenizers import BPETokenizer, CharTokenizer


def one_line(err):
    """Return whether a refusal is one line of words."""
    return err.startswith("npgpt ") and err.count("\n") == 1 and "Traceback" not in err


# ---- sizes


@pytest.mark.parametrize(
    "flags",
    [["--n-embd", 1_000_000], ["--n-layer", 2**62], ["--gradient-accumulation-steps", 2**62]],
)
def test_more_memory_than_there_is_is_refused_before_anything_is_made(
    cli, here, corpus, monkeypatch, flags
):
    monkeypatch.setattr("npgpt.cli.train.open_dataset", None)
    status, _, err = cli("train", "--corpus", corpus, *TINY, *flags)
    assert status == 1 and one_line(err)
    assert "GB of memory" in err and "but this machine has" in err and "smaller" in err
    assert files(here) == {}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError("Unable to allocate 7 TiB"), "not enough memory (Unable to allocate 7 TiB);"),
        (OverflowError("int too large"), "int too large: a number, a text or a file is not usable"),
        (RecursionError("maximum recursion depth exceeded"), "maximum recursion depth exceeded: "),
        (IndexError("token 70 is out of range"), "token 70 is out of range: a number, a text or"),
    ],
)
def test_what_no_command_foresaw_is_a_line_too(cli, monkeypatch, error, words):
    def run(args):
        raise error

    monkeypatch.setattr("npgpt.cli.info.run", run)
    status, _, err = cli("info", "--preset", "tales")
    assert status == 1 and one_line(err) and words in err
    with pytest.raises(type(error)):
        cli("info", "--preset", "tales", "--traceback")


def test_a_mistake_of_our_own_is_not_hidden(cli, monkeypatch):
    monkeypatch.setattr("npgpt.cli.info.run", lambda args: {}["n"])
    with pytest.raises(KeyError):
        cli("info", "--preset", "tales")


def test_the_tree_of_merges_may_be_deeper_than_python_calls(cli, tmp_path):
    text = "a" + "bcdefgh" * 215
    chain = [97, *range(256, 256 + 1500)]  # a, ab, abc, ...
    merges = list(zip(chain, map(ord, text[1:]), strict=False))
    BPETokenizer(merges, pattern=None).save(tmp_path / "deep.json")
    status, out, err = cli("tokenize", tmp_path / "deep.json", text[:1501], "--tree")
    assert status == 0, err
    lines = out.splitlines()
    tree = lines[-(1 + 2 * 1500) :]
    assert tree[:3] == [
        f"1755 {text[:1501]}", f"├─ 1754 {text[:1500]}", f"│  ├─ 1753 {text[:1499]}"
    ]
    assert tree[-1] == f"└─ {ord(text[1500])} {text[1500]}"


@pytest.mark.parametrize("size", [100, 0, None])
def test_token_files_that_change_while_they_are_trained_on(cli, here, corpus, monkeypatch, size):
    assert cli("prepare", "tokens", "--corpus", corpus)[0] == 0
    path = here / "tokens" / "train.bin"

    def spoil(*_):
        with open(path, "r+b") as file:  # the same file, which is open already
            file.write(b"\x99" * path.stat().st_size)
            file.truncate(size)

    monkeypatch.setattr("npgpt.run.progress.Progress.update", spoil)
    status, _, err = cli("train", "--corpus", "tokens", "--out", "run", *TINY)
    assert status == 1 and one_line(err)


# ---- not a number


def with_weights(finished, folder, value):
    shutil.copytree(finished, folder)
    weights = load_file(folder / "model.safetensors")
    weights["wte.weight"][3, 1] = value
    save_file(weights, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_refused_by_all(cli, finished, tmp_path, value):
    folder = with_weights(finished, tmp_path / "run", value)
    for arguments in (["eval", folder], ["eval", folder, "--json"], ["generate", folder],
                      ["export", folder, tmp_path / "out"],
                      ["look", folder, "--out", tmp_path / "out"],
                      ["train", "--resume", "--out", folder]):
        status, out, err = cli(*arguments)
        assert (status, out) == (1, "") and one_line(err)
        assert "model.safetensors: the weight wte.weight has" in err and "restore it" in err
    assert not (tmp_path / "out").exists()


def test_a_loss_that_overflows_is_said_and_the_json_has_null(cli, finished, tmp_path):
    """NumPy has no warning to add."""
    folder = shutil.copytree(finished, tmp_path / "run")
    weights = load_file(folder / "model.safetensors")
    large = {name: weight * np.float32(1e20) for name, weight in weights.items()}
    save_file(large, folder / "model.safetensors")
    status, out, err = cli("eval", folder, "--json")
    result = json.loads(out, parse_constant=pytest.fail)
    assert status == 1 and result["loss"] is None and result["perplexity"] is None
    assert one_line(err) and "the loss is" in err and "too large to compute with" in err


def test_a_perplexity_beyond_range_is_infinite(cli, finished, monkeypatch):
    monkeypatch.setattr("npgpt.run.progress.evaluate", lambda *_, **__: (800.0, 9))
    status, out, _ = cli("eval", finished)
    assert status == 0 and "loss 800.0000" in out and "perplexity inf" in out
    result = json.loads(cli("eval", finished, "--json")[1], parse_constant=pytest.fail)
    assert result["loss"] == 800 and result["perplexity"] is None


def test_json_has_no_nan_however_deep(capsys):
    print_json({"rows": [{"error": math.nan, "x": (math.inf, 1.5)}], "text": "\x9b\u202ea"})
    said = capsys.readouterr().out
    assert json.loads(said, parse_constant=pytest.fail) == {
        "rows": [{"error": None, "x": [None, 1.5]}], "text": "\x9b\u202ea"
    }


# ---- control characters

ACTS = "\x1b\a\r\x7f\x9b\u202e"
CONTROLS = ACTS.replace("\x1b", "\x1b[2J")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def escaping(finished, tmp_path):
    """Return a run most of whose tokens are control characters."""
    folder = shutil.copytree(finished, tmp_path / "run")
    size = CharTokenizer.train(TEXT).vocab_size
    letters = "\n" + CONTROLS + "".join(map(chr, range(0x61, 0x7B)))
    CharTokenizer("".join(sorted(letters[:size]))).save(folder / "tokenizer.json")
    return folder


def on_terminals(*arguments):
    """Return (standard output, standard error) of the program where both are terminals."""
    out, err = Terminal(), Terminal()
    with redirect_stdout(out), redirect_stderr(err), suppress(SystemExit):
        main([str(argument) for argument in arguments])
    return out.getvalue(), err.getvalue()


def test_generate_shows_controls_on_a_terminal_and_hands_them_on_elsewhere(
    cli, escaping
):
    arguments = ["generate", escaping, "--seed", 1, "--max-new-tokens", 60]
    _, raw, _ = cli(*arguments)
    shown, _ = on_terminals(*arguments)
    assert set(ACTS) & set(raw) and not set(ACTS) & set(shown) and shown == printable(raw)


@pytest.mark.parametrize(
    "command", ["train --resume --out RUN", "compare RUN OTHER", "compare RUN OTHER --json",
                "info NOWHERE", "eval RUN --corpus NOWHERE", "NOWHERE", "info --NOWHERE"],
)
def test_nothing_in_a_strangers_run_acts_on_a_terminal(finished, here, command):
    evil = f"evil{CONTROLS}text"
    path = shutil.copytree(finished, here / evil) / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["text"] |= {"name": evil}
    path.write_text(json.dumps(config), encoding="utf-8")
    names = {"RUN": evil, "OTHER": str(finished), "NOWHERE": CONTROLS, "--NOWHERE": "--" + CONTROLS}
    shown = "".join(on_terminals(*(names.get(word, word) for word in command.split())))
    assert re.search(r"\\(u00|x)1b\[2J", shown) and not set(ACTS).difference("\r") & set(shown)
    assert all(line[:1] == "\r" for line in re.findall(r"[^\n]*\r[^\n]*", shown))  # of bars


def test_names_act_on_no_terminal_behind_a_pipe_either(cli, finished, corpus, here):
    (here / "texts").mkdir()
    shutil.copy(corpus, here / "texts" / f"{CONTROLS}\n.txt")
    run = shutil.copytree(finished, here / "evil")
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    config["text"]["name"] = CONTROLS + "\nnote    all is well" + "x" * 10**6
    (run / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for command in (["compare", run, finished], ["train", "--resume", "--out", run],
                    ["train", "--resume", "--out", run, "--corpus", __file__],
                    ["train", "--corpus", "texts", "--out", "o", *TINY]):
        _, out, err = cli(*command)
        assert r"\x1b[2J" in out + err and len(out + err) < 10**4
        assert not set(ACTS) & set(out + err) and "\nnote    all" not in out + err


@given(st.text(st.characters(codec="utf-8") | st.sampled_from(ACTS)), st.booleans())
def test_only_a_terminal_gets_escapes_and_only_a_bar_its_carriage_return(text, bars):
    screen, file = Stream(Terminal(), bars=bars), Stream(io.StringIO())
    screen.write(text)
    file.write(text)
    assert file.stream.getvalue() == text
    bar = bars and text.startswith("\r")
    assert screen.stream.getvalue() == text[:bar] + printable(text[bar:])


def test_tokenize_shows_controls_as_escapes(cli, escaping, tmp_path):
    BPETokenizer([]).save(tmp_path / "bytes.json")
    for tokenizer in (escaping, tmp_path / "bytes.json"):
        status, out, _ = cli("tokenize", tokenizer, "a\x1b\a\r", "--tree")
        assert status == 0 and not {"\x1b", "\a", "\r"} & set(out)
        assert r"a|\x1b|\x07|\r" in out


def test_what_is_read_and_written_by_people_stays_as_it_is():
    text = "tabs\tand\nlines, a\u00a0space, 中文\u3000字, \U0001f469\u200d\U0001f52c"
    assert printable(text) == text
    assert visible(" \n\t") == "␣⏎⇥" and visible("\u00a0\x1b") == r"\xa0\x1b"
