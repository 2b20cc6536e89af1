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

# ---- sizes


@pytest.mark.parametrize(
    "flags",
    [["--n-embd", 1_000_000], ["--n-layer", 2**62], ["--gradient-accumulation-steps", 2**62]],
)
def test_more_memory_than_there_is_is_refused_before_anything_is_made(
    refused, here, corpus, monkeypatch, flags
):
    monkeypatch.setattr("npgpt.run.opening.open_dataset", None)
    err = refused("train", "--corpus", corpus, *TINY, *flags)
    assert err.count("\n") == 1 and "GB" in err and "--n-embd" in err
    assert files(here) == {}


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 7 TiB"), OverflowError("int too large"),
        RecursionError("maximum recursion depth exceeded"), IndexError("token 70 is out of range"),
    ],
)
def test_what_no_command_foresaw_is_a_line_too(cli, refused, monkeypatch, error):
    def run(args):
        raise error

    monkeypatch.setattr("npgpt.cli.info.run", run)
    err = refused("info", "--preset", "tales")
    assert err.count("\n") == 1 and str(error) in err
    with pytest.raises(type(error)):
        cli("info", "--preset", "tales", "--traceback")


def test_token_files_that_change_while_they_are_trained_on(
    done, refused, here, corpus, monkeypatch
):
    done("prepare", "tokens", "--corpus", corpus)
    path = here / "tokens" / "train.bin"

    def spoil(*_):
        with open(path, "r+b") as file:  # the same file, which is open already
            file.write(b"\x99" * path.stat().st_size)

    monkeypatch.setattr("npgpt.run.watch.Watch.update", spoil)
    assert refused("train", "--corpus", "tokens", "--out", "run", *TINY).count("\n") == 1


# ---- not a number


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_refused_by_all(refused, done, finished, tmp_path, value):
    run, exported = shutil.copytree(finished, tmp_path / "run"), tmp_path / "exported"
    done("export", run, exported)
    for path in (run / "best.safetensors", *tmp_path.glob("*/model.safetensors")):
        weights = load_file(path)
        next(w for name, w in weights.items() if name.endswith("wte.weight"))[3, 1] = value
        save_file(weights, path)
    out = tmp_path / "out"
    for arguments in (["eval", run], ["eval", run, "--json"], ["generate", run],
                      ["generate", exported], ["export", run, out],
                      ["look", run, "--out", f"{out}.html"], ["train", "--resume", "--out", run]):
        err = refused(*arguments)
        assert "wte.weight" in err and err.count("\n") == 1
    assert not list(tmp_path.glob("out*"))


def test_a_loss_that_overflows_is_said_and_the_json_has_null(cli, finished, tmp_path):
    """NumPy has no warning to add."""
    folder = shutil.copytree(finished, tmp_path / "run")
    weights = load_file(folder / "model.safetensors")
    large = {"ln_f.weight": weights["ln_f.weight"] * np.float32(1e38)}
    save_file(weights | large, folder / "model.safetensors")
    status, out, err = cli("eval", folder, "--json")
    result = json.loads(out, parse_constant=pytest.fail)
    assert status == 1 and result["loss"] is None and result["perplexity"] is None
    assert err.count("\n") == 1 and "loss" in err


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


def on_terminals(*arguments):
    """Return (standard output, standard error) of the program where both are terminals."""
    out, err = Terminal(), Terminal()
    with redirect_stdout(out), redirect_stderr(err), suppress(SystemExit):
        main([str(argument) for argument in arguments])
    return out.getvalue(), err.getvalue()


def test_tokens_that_are_controls_act_on_no_terminal_and_are_handed_on_elsewhere(
    done, finished, tmp_path
):
    folder = shutil.copytree(finished, tmp_path / "run")
    size = CharTokenizer.train(TEXT).vocab_size
    letters = "\n" + CONTROLS + "".join(map(chr, range(0x61, 0x7B)))
    CharTokenizer("".join(sorted(letters[:size]))).save(folder / "tokenizer.json")
    arguments = ["generate", folder, "--seed", 1, "--max-new-tokens", 60]
    raw, (shown, _) = done(*arguments), on_terminals(*arguments)
    assert set(ACTS) & set(raw) and not set(ACTS) & set(shown) and shown == printable(raw)
    BPETokenizer([]).save(tmp_path / "bytes.json")
    for tokenizer in (folder, tmp_path / "bytes.json"):
        out = done("tokenize", tokenizer, "a\x1b\a\r", "--tree")
        assert not set(ACTS) & set(out) and r"a|\x1b|\x07|\r" in out


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


@given(st.text(st.characters(codec="utf-8") | st.sampled_from(ACTS)), st.booleans())
def test_only_a_terminal_gets_escapes_and_only_a_bar_its_carriage_return(text, bars):
    screen, file = Stream(Terminal(), bars=bars), Stream(io.StringIO())
    screen.write(text)
    file.write(text)
    assert file.stream.getvalue() == text
    bar = bars and text.startswith("\r")
    assert screen.stream.getvalue() == text[:bar] + printable(text[bar:])


def test_what_is_read_and_written_by_people_stays_as_it_is():
    text = "tabs\tand\nlines, a\u00a0space, 中文\u3000字, \U0001f469\u200d\U0001f52c"
    assert printable(text) == text
    assert visible(" \n\t") == "␣⏎⇥" and visible("\u00a0\x1b") == r"\xa0\x1b"
