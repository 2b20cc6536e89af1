"""The commands: parts, peers that are absent, texts of others, another checkout."""

import json
import shutil

import numpy as np
import pytest
from tiny_run import ROOT

from benchmarks import __main__ as command
from benchmarks import paired, parallel, real_model, report, runners, shapes
from benchmarks.train_step import FLOAT32
from npgpt import CharTokenizer, GPTConfig, Llama, LlamaConfig
from npgpt.loading import transformers_folder
from npgpt.loading.pretrained import save_gguf

TEXT = "the hen is in the den, and the fox is not. " * 8
TINY = GPTConfig(vocab_size=40, block_size=16, n_layer=1, n_head=2, n_embd=32)


@pytest.fixture
def tiny(monkeypatch):
    """A machine that has nothing but what npgpt needs, and a tiny model to measure."""
    monkeypatch.setattr(runners, "find_spec", lambda name: None)
    monkeypatch.setitem(transformers_folder.PACKAGED, "smollm2", ("absent-package", "x", ""))
    monkeypatch.setitem(shapes.MODELS, "tales", (2, TINY))
    monkeypatch.setattr("benchmarks.train_step.SIZE", 64)
    monkeypatch.setattr("benchmarks.measure.WAKE", 0)


@pytest.mark.kernels
def test_who_is_absent_is_named_in_a_line_and_left_out(tiny, capsys):
    command.main(["--short", "--json", "train_step", "real_model"])
    out, err = capsys.readouterr()
    (found,) = json.loads(out)
    assert list(found["tables"][FLOAT32]) == ["`tales`: npgpt", "NumPy's product of 64"]
    for line in ("PyTorch, tuned; pip install torch", "JAX, tuned; pip install jax",
                 "real_model; smollm2"):
        assert f"not measured: {line}" in err


def test_an_mpirun_that_refuses_to_start_is_a_line(monkeypatch, capsys):
    monkeypatch.setattr(parallel.shutil, "which", lambda *_, **__: "false")
    command.main(["parallel", "--short"])
    assert "not measured: parallel; Command '['false'" in capsys.readouterr().out


def test_the_word_after_real_model_is_a_text_of_which_nothing_is_kept(
    tmp_path, monkeypatch, capsys
):
    text, kept = tmp_path / "my.txt", []
    text.write_text(TEXT)
    monkeypatch.setattr(command, "measured", lambda part, module, args: args.text)
    monkeypatch.setattr(report, "store", kept.append)
    for more in ([str(text)], [], ["--short"]):
        command.main(["real_model", *more])
    assert kept == [None]
    for given in (["real_model", "absent.txt"], ["kernels", "absent"], ["--threads", "0"]):
        with pytest.raises(SystemExit):
            command.main(given)
        assert given[1] in capsys.readouterr().err


@pytest.mark.kernels
@pytest.mark.slow
def test_a_slower_checkout_is_told_from_this_one(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(paired.WORKS, "tiny", ("training_step", {"batch": 2, "config": vars(TINY)}))
    for folder in ("autograd", "npgpt"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    with open(tmp_path / "npgpt" / "optim.py", "a", encoding="utf-8") as file:
        file.write("\nimport time\nstep = AdamW.step\n"
                   "AdamW.step = lambda *a, **k: (time.sleep(0.5), step(*a, **k))\n")
    paired.main([str(tmp_path), "tiny", "--rounds", "6"])
    longer, cpu = (float(words.split()[0]) for words in
                   capsys.readouterr().out.split(": ")[1].split(", "))
    assert longer < 0.5 and 0.3 < cpu < 3


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
    (title, numbers), *speeds = real_model.tables(1, True, text, tmp_path / "m.gguf")
    assert "my.txt" in title
    for cell, most in zip(numbers.values(), (1e-5, 1e-5, 1e-4, 1e-3, 1e-5, 1e-5), strict=True):
        ours, theirs = (float(cell.split(", PyTorch ")[i].split()[0]) for i in (0, 1))
        assert max(ours, theirs) < most if " of " in cell else ours == pytest.approx(theirs, most)
    for _, rows in speeds:
        assert "transformers" in rows["npgpt"] and "npgpt, q8" in rows


def test_arithmetic_is_shared_and_the_all_reduce_is_not():
    config = parallel.GROWN["GPT-2 124M"]
    whole, _ = parallel.step_costs(config, 1, 1e11, 1e9)
    for n in (1, 2, 8, 512):
        arithmetic, reduce = parallel.step_costs(config, n, 1e11, 1e9)
        assert arithmetic == pytest.approx(whole / n)
        assert reduce == pytest.approx(2 * (n - 1) / n * 4 * 124_439_808 / 1e9)
