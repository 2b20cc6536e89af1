"""Run folders: what was saved comes back to the bit, and a damaged folder is refused."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npgpt import GPT, AdamW, CharTokenizer, GPTConfig
from npgpt.batches import TextSource
from npgpt.checkpoint import load_checkpoint, save_checkpoint
from npgpt.config import TrainConfig
from npgpt.loading.runs import Run, create_run, load_run, read_run
from npgpt.support.metrics import Metrics
from npgpt.train import Step, save

CONFIG = GPTConfig(vocab_size=5, block_size=4, n_layer=1, n_head=1, n_embd=4)
FILES = ("config.json", "tokenizer.json", "model.safetensors", "train_state.safetensors")
TEXT = TextSource("letters", 5, "0" * 64, None)


def after_steps(n, config=CONFIG):
    """Return (model, optimizer) after n steps, in the second of which one weight has no gradient.
    """
    model = GPT(config, seed=1)
    optimizer = AdamW(model.parameters())
    rng = np.random.default_rng(0)
    for step in range(n):
        for weight in model.parameters().values():
            weight.grad = rng.normal(size=weight.shape).astype(weight.dtype)
        if step == 1:
            model.wpe.weight.grad = None
        optimizer.step()
    return model, optimizer


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("runs") / "good", CONFIG, TrainConfig(), TEXT)
    create_run(run, CharTokenizer("abcde"), *after_steps(0))
    save_checkpoint(run.folder, *after_steps(3))
    return run.folder


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of it."""
    return shutil.copytree(saved, tmp_path / "run")


def state(model, optimizer):
    arrays = [weight.data for weight in model.parameters().values()]
    arrays += [*optimizer.m.values(), *optimizer.v.values()]
    return [array.tobytes() for array in arrays], optimizer.steps, optimizer.missed


def load_all(folder):
    model, _, run = load_run(folder)
    optimizer = AdamW(model.parameters())
    load_checkpoint(run, model, optimizer)
    return state(model, optimizer)


@pytest.mark.parametrize("n", [1, 3])
def test_what_was_saved_comes_back_to_the_bit(folder, n):
    save_checkpoint(folder, *after_steps(n))
    assert load_all(folder) == state(*after_steps(n))
    _, tokenizer, run = load_run(folder)
    assert tokenizer.characters == "abcde"
    assert (run.model, run.training, run.text) == (CONFIG, TrainConfig(), TEXT)


def test_a_checkpoint_that_is_loaded_between_a_loss_and_its_backward(saved):
    model, optimizer = after_steps(3)
    loss = model.loss([[0, 0]], [[0, 0]])
    load_checkpoint(read_run(saved), model, optimizer)
    with pytest.raises(RuntimeError, match="in place"):
        loss.backward()


@given(data=st.data())
@settings(max_examples=60)
def test_no_cut_of_a_file_is_taken_for_a_whole_run(saved, tmp_path_factory, data):
    folder = shutil.copytree(saved, tmp_path_factory.mktemp("cut") / "run")
    path = folder / data.draw(st.sampled_from(FILES))
    # config.json and tokenizer.json end in a line end, without which they are still whole
    os.truncate(path, data.draw(st.integers(0, path.stat().st_size - 2)))
    with pytest.raises(ValueError):
        load_all(folder)


def test_the_state_of_another_model_is_refused_before_any_is_copied(folder):
    save_checkpoint(folder, *after_steps(1, replace(CONFIG, n_embd=8)))
    trained = after_steps(2)
    with pytest.raises(ValueError, match="train_state.safetensors"):
        load_checkpoint(read_run(folder), *trained)
    assert state(*trained) == state(*after_steps(2))


def test_a_tokenizer_of_another_size_is_refused(folder):
    CharTokenizer("abc").save(folder / "tokenizer.json")
    with pytest.raises(ValueError, match="3 .* 5"):
        load_run(folder)


def test_all_that_belongs_to_a_checkpoint_is_on_the_disk_before_it(folder, monkeypatch):
    """After a power cut a run has what was synced, and a rename may come before all else."""
    done, rename = [], os.replace
    monkeypatch.setattr("os.fsync", lambda file: done.append(os.fstat(file).st_ino))
    monkeypatch.setattr("os.replace", lambda *paths: (done.append(paths[1].name), rename(*paths)))
    metrics = Metrics(folder / "metrics.csv")
    metrics.add(Step(1, 2.5, 0.001, 0.5), 0.5)
    save(folder, metrics, "a sample", *after_steps(1))
    synced = done[: done.index("train_state.safetensors")]
    for name in ("metrics.csv", "samples.txt", "train_state.safetensors"):
        assert (folder / name).stat().st_ino in synced, name
