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
from tiny_run import TEXT, TINY

from npgpt.cli import main, print_json
from npgpt.cli.streams import Stream
from npgpt.support.text import printable, visible
from npgpt.tokenizers import CharTokenizer

# ---- sizes


@pytest.mark.parametrize("flag", ["--n-layer", "--gradient-accumulation-steps"])
def test_more_memory_than_there_is_is_refused_before_anything_is_made(
    refuses, corpus, monkeypatch, flag
):
    monkeypatch.setattr("npgpt.run.opening.open_dataset", None)
    refuses("GB --n-embd", "train", corpus, *TINY, flag, 2**62)


@pytest.mark.parametrize("error", [MemoryError("7 TiB"), IndexError("token 70")])
def test_what_no_command_foresaw_is_a_line_too(cli, refused, monkeypatch, error):
    def run(args):
        raise error

    monkeypatch.setattr("npgpt.cli.info.run", run)
    assert str(error) in refused("info", "--preset", "tales")
    with pytest.raises(type(error)):
        cli("info", "--preset", "tales", "--traceback")


# ---- not a number


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_refused_by_all(refuses, done, finished, tmp_path, value):
    run, exported, out = (tmp_path / name for name in ("run", "exported", "out"))
    shutil.copytree(finished, run)
    done("export", run, exported)
    for path in tmp_path.glob("*/*[lt].safetensors"):  # model and best
        weights = load_file(path)
        next(w for name, w in weights.items() if name.endswith("wte.weight"))[3, 1] = value
        save_file(weights, path)
    for words in (["eval", run], ["generate", exported], ["export", run, out],
                  ["train", "--resume", run]):
        refuses("wte.weight", *words)


def test_a_loss_that_overflows_is_said_and_the_json_has_null(cli, finished, tmp_path):
    """NumPy has no warning to add."""
    path = shutil.copytree(finished, tmp_path / "run") / "model.safetensors"
    weights = load_file(path)
    weights["ln_f.weight"] *= np.float32(1e38)
    save_file(weights, path)
    status, out, err = cli("eval", path.parent, "--json")
    result = json.loads(out, parse_constant=pytest.fail)
    assert status == 1 and result["loss"] is None and result["perplexity"] is None
    assert err.count("\n") == 1 and "loss" in err


def test_json_has_no_nan_however_deep(capsys):
    print_json({"rows": [{"x": (math.inf, 1.5, "\x9b")}]})
    said = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert said == {"rows": [{"x": [None, 1.5, "\x9b"]}]}


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


@pytest.mark.parametrize("words", [
    "train --resume {run}", "generate {run}", "compare {run} {other} --json", "info {nowhere}",
    "info --{nowhere}",
])
def test_nothing_in_a_strangers_run_acts_on_a_terminal(finished, here, words):
    evil = f"evil{CONTROLS}text"
    path = shutil.copytree(finished, here / evil) / "config.json"
    config = json.loads(path.read_text())
    config["text"] |= {"name": evil}
    path.write_text(json.dumps(config))
    letters = "\n" + CONTROLS + "abcdefghijklmnopqrstuvwxyz"
    if "generate" in words:
        size = CharTokenizer.train(TEXT).vocab_size
        CharTokenizer("".join(sorted(letters[:size]))).save(path.with_name("tokenizer.json"))
    names = {"run": evil, "other": finished, "nowhere": CONTROLS}
    shown = "".join(on_terminals(*(word.format(**names) for word in words.split())))
    assert re.search(r"\\(u00|x)1b", shown) and not set(ACTS).difference("\r") & set(shown)
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
