"""Every setting of training has an effect: on the steps, or elsewhere, as it says here; and a run
that is resumed with it is the run that never stopped."""

import re
from contextlib import nullcontext
from dataclasses import asdict, fields, replace
from itertools import islice

import numpy as np
import pytest

from npgpt import GPT, CharTokenizer, GPTConfig
from npgpt.batches import Dataset, NextToken, TextSource
from npgpt.checkpoint import load_checkpoint
from npgpt.cli.train import _optimizer as optimizer_of
from npgpt.config import TrainConfig
from npgpt.loading.runs import Run, create_run
from npgpt.metrics import read_metrics
from npgpt.optim import make_optimizer
from npgpt.reward import rewarded
from npgpt.reward.settings import RewardConfig
from npgpt.reward.verify import Verdict
from npgpt.train import SINGLE_PROCESS, SingleProcess, train, training_steps

CONFIG = GPTConfig(vocab_size=5, block_size=8, n_layer=1, n_head=2, n_embd=8)
TRAINING = TrainConfig(max_iters=20, batch_size=4, lr=1e-2, min_lr=1e-3, warmup_iters=2)
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


def weights_after_steps(training):
    model = GPT(CONFIG, seed=1)
    steps = training_steps(model, make_optimizer(model, training), IDS, training)
    assert len(list(islice(steps, 5))) == 5
    return np.concatenate([weight.data.ravel() for weight in model.parameters().values()])


def test_every_setting_is_named():
    missing = {field.name for field in fields(TrainConfig)} - OTHERS.keys() - ELSEWHERE.keys()
    assert not missing, (
        f"tests/training/test_effects.py: for {missing} another value in OTHERS, with which the "
        "weights differ after some steps, or say in ELSEWHERE what it is for"
    )


@pytest.mark.parametrize("name", OTHERS)
def test_a_setting_changes_the_steps(name):
    changed = replace(TRAINING, **{name: OTHERS[name]})
    same = np.array_equal(weights_after_steps(TRAINING), weights_after_steps(changed))
    assert not same, f"no step of npgpt/train.py or npgpt/optim.py reads {name}"


class Until(nullcontext, SingleProcess):
    """A watch, and the ranks that it stops after a step."""

    stopping = False

    def update(self, step, loss, seconds):
        self.stopping = step.step == self.enter_result

    def evaluated(self, text, rows):
        pass


class SecondLetter:
    """A reward for stories that begin with b, and end with a."""

    tokens = (b"\n", b"a", b"b", b"c", b"d")

    def ended(self, written):
        return written.endswith(b"a")

    def __call__(self, ids):
        return Verdict(float(ids[0] == 2), bool(ids[0] == 2))


def trained(folder, config, training, stops):
    """Return (model, optimizer, objective) of a run that stops and is resumed after each step."""
    source, tokenizer = TextSource("letters", 200, "", None), CharTokenizer("\nabcd")
    run = Run(folder, config, training, source)
    for stop in stops:
        model = GPT(config, seed=1)
        optimizer = optimizer_of(model, training)
        dataset = Dataset(source, tokenizer, IDS, IDS, NextToken(tokenizer), None)
        if folder.exists():
            load_checkpoint(run, model, optimizer)
        if isinstance(training, RewardConfig):
            dataset = rewarded(dataset, model, optimizer, training, SINGLE_PROCESS)
            dataset.objective.verify = SecondLetter()
        if not folder.exists():
            create_run(run, tokenizer, model, optimizer)
        until = Until(stop)
        train(run, dataset, model, optimizer, until, until)
    return {"model": model, "optimizer": optimizer, "objective": dataset.objective}


def reachable(value, path="", seen=()):
    """Yield (path, content) of each array and plain value in an object, through its attributes."""
    if isinstance(value, np.ndarray):
        yield path, value.tobytes()
    elif hasattr(value, "__dict__") or isinstance(value, (dict, list, tuple)):
        items = value if isinstance(value, dict) else (
            vars(value) if hasattr(value, "__dict__") else dict(enumerate(value)))
        for name, item in items.items():
            if id(item) not in seen:
                yield from reachable(item, f"{path}.{name}", (*seen, id(value)))
    else:
        yield path, repr(value)


LEARN = {"reward": "grammar", "batch_size": 16}


@pytest.mark.parametrize("changes", [
    *({name: value} for name, value in OTHERS.items()), {"dropout": 0.3}, LEARN,
    LEARN | {"reward_kl": 0.1, "reward_credit": "token"},
], ids=str)
def test_a_resumed_run_is_the_one_that_never_stopped(tmp_path, changes):
    config = replace(CONFIG, dropout=changes.get("dropout", 0.0))
    settings = asdict(TRAINING) | {"eval_interval": 3, "sample_tokens": 0} | changes
    settings.pop("dropout", None)
    training = (RewardConfig if "reward" in changes else TrainConfig)(**settings)
    once, twice = (trained(tmp_path / str(len(stops)), config, training, stops)
                   for stops in ([7], [3, 7]))
    found = dict(reachable(twice))
    lost = [path for path, content in reachable(once)
            if found.get(path) != content and path != ".optimizer.seconds"]  # a clock's
    lost.sort(key=lambda path: re.match(r"\.(model|optimizer)\.\w+\.", path) is not None)
    assert not lost, (
        f"{lost[:3]} outlives a step and is not in the checkpoint, or is replaced and not written "
        "in place: give its arrays to AdamW.add_state, or add it to _state in npgpt/checkpoint.py"
    )
    ours, theirs = ([{**row, "seconds": 0} for row in read_metrics(tmp_path / n / "metrics.csv")]
                    for n in "12")
    assert ours == theirs
    for name in ("train_state.safetensors", "best.safetensors"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes(), name
