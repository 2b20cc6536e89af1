"""Every setting of training has an effect: on the steps, or elsewhere, as it says here; and a run
that is resumed with it is the run that never stopped."""

import signal
from contextlib import nullcontext
from dataclasses import fields, replace

import numpy as np
import pytest

from npgpt import GPT, CharTokenizer, GPTConfig
from npgpt.batches import Dataset, NextToken, TextSource
from npgpt.checkpoint import load_checkpoint
from npgpt.config import TrainConfig
from npgpt.loading.runs import Run, create_run
from npgpt.optim import make_optimizer
from npgpt.train import CURRENT_RANKS, SingleProcess, train

CONFIG = GPTConfig(vocab_size=5, block_size=8, n_layer=1, n_head=2, n_embd=8)
TRAINING = TrainConfig(max_iters=20, batch_size=4, lr=1e-2, min_lr=1e-3, warmup_iters=2,
                       eval_interval=3, sample_tokens=0)
IDS = np.random.default_rng(0).integers(0, 5, 200)
# For each field of TrainConfig that changes the weights after some steps, another value.
OTHERS = {
    "max_iters": 30, "batch_size": 5, "gradient_accumulation_steps": 2, "lr": 2e-2, "min_lr": 5e-3,
    "warmup_iters": 3, "beta1": 0.5, "beta2": 0.9, "weight_decay": 0.5, "grad_clip": 0.01,
    "seed": 2,
}
# What the others are for, and where that is tested.
ELSEWHERE = {
    "conversations": "what is learned: tests/data/test_conversations.py",
    "hold": "the loss beside conversations: tests/objectives/test_reference.py",
    "corpus": "the text: tests/data", "train_fraction": "its parts: tests/data/test_tokens.py",
    "split": "its parts: tests/data/test_tokens.py",
    "eval_interval": "evaluations: tests/cli/test_train.py",
    "eval_stride": "evaluations: tests/training/test_loop.py",
    "eval_tokens": "evaluations: tests/training/test_loop.py",
    "sample_tokens": "samples: tests/cli/test_train.py",
    "keep": "files beside the checkpoint: tests/cli/test_keep.py",
    "arch": "another model: tests/cli/test_archs.py",
    "matmul_precision": "products, of the whole process: tests/cli/test_train.py",
}


def test_every_setting_is_named():
    missing = {field.name for field in fields(TrainConfig)} - OTHERS.keys() - ELSEWHERE.keys()
    assert not missing, (
        f"tests/training/test_effects.py: for {missing} another value in OTHERS, with which the "
        "weights differ after some steps, or say in ELSEWHERE what it is for"
    )


class Until(nullcontext, SingleProcess):
    """A watch, and the ranks that it stops after a step."""

    stopping = False

    def update(self, step, loss, seconds):
        self.stopping = step.step == self.enter_result

    def evaluated(self, text, rows):
        pass


def trained(folder, stops, dropout=0.0, **changes):
    """Return (model, optimizer) of a run that stops and is resumed after each of some steps."""
    source, tokenizer = TextSource("letters", 200, "", None), CharTokenizer("\nabcd")
    dataset = Dataset(source, tokenizer, IDS, IDS, NextToken(tokenizer), None)
    run = Run(folder, replace(CONFIG, dropout=dropout), replace(TRAINING, **changes), source)
    for stop in stops:
        model = GPT(run.model, seed=1)
        optimizer = make_optimizer(model, run.training)
        if folder.exists():
            load_checkpoint(run, model, optimizer)
        else:
            create_run(run, tokenizer, model, optimizer)
        token = CURRENT_RANKS.set(until := Until(stop))
        train(run, dataset, model, optimizer, until)
        CURRENT_RANKS.reset(token)
    return model, optimizer


def reachable(value, path="", seen=()):
    """Yield (path, content) of each array and plain value in an object, through its attributes."""
    if isinstance(value, np.ndarray):
        yield path, value.tobytes()
    elif hasattr(value, "__dict__") or isinstance(value, (dict, list, tuple)):
        items = getattr(value, "__dict__", value)
        for name, item in items.items() if isinstance(items, dict) else enumerate(items):
            if id(item) not in seen:
                yield from reachable(item, f"{path}.{name}", (*seen, id(value)))
    else:
        yield path, repr(value)


@pytest.mark.parametrize(("name", "value"), [*OTHERS.items(), ("dropout", 0.3)])
def test_a_setting_changes_the_steps_and_a_resumed_run_is_the_one_that_never_stopped(
    tmp_path, name, value
):
    trained(tmp_path / "0", [7])
    once = trained(tmp_path / "1", [7], **{name: value})
    twice = trained(tmp_path / "2", [3, 7], **{name: value})
    before, after = ((tmp_path / n / "model.safetensors").read_bytes() for n in "01")
    assert before != after, (
        f"no step of npgpt/train.py or npgpt/optim.py reads {name}")
    found = dict(reachable(twice))
    lost = [path for path, content in reachable(once)
            if found.get(path) != content and not path.endswith(".seconds")]  # measured, not made
    assert not lost, (
        f"{lost[:3]} outlives a step and is not in the checkpoint, or is replaced and not written "
        "in place: give its arrays to AdamW.add_state, or add it to _state in npgpt/checkpoint.py"
    )
    for file in ("train_state.safetensors", "best.safetensors"):
        assert (tmp_path / "1" / file).read_bytes() == (tmp_path / "2" / file).read_bytes(), file


class Interrupted(Until):
    """A watch that Ctrl-C reaches at a step, as `npgpt.run.watch` notes it."""

    def update(self, step, loss, seconds):
        if step.step == self.enter_result:
            CURRENT_RANKS.get().interrupted.append(signal.SIGINT)


def test_a_ctrl_c_ends_its_training_and_no_later_one_of_the_session(tmp_path):
    source, tokenizer = TextSource("letters", 200, "", None), CharTokenizer("\nabcd")
    dataset = Dataset(source, tokenizer, IDS, IDS, NextToken(tokenizer), None)
    steps = []
    for name, stop in [("first", 2), ("second", None)]:
        run = Run(tmp_path / name, CONFIG, TRAINING, source)
        model = GPT(run.model, seed=1)
        optimizer = make_optimizer(model, run.training)
        create_run(run, tokenizer, model, optimizer)
        train(run, dataset, model, optimizer, Interrupted(stop))
        steps.append(optimizer.steps)
    assert steps == [2, TRAINING.max_iters]
