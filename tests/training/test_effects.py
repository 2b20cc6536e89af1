"""Every setting of training has an effect: on the steps, or elsewhere, as it says here."""

from dataclasses import fields, replace
from itertools import islice

import numpy as np
import pytest

from npgpt import GPT, GPTConfig
from npgpt.config import TrainConfig
from npgpt.optim import make_optimizer
from npgpt.train import training_steps

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
    "corpus": "the text: tests/data", "train_fraction": "its parts: tests/data/test_tokens.py",
    "split": "its parts: tests/data/test_tokens.py",
    "eval_interval": "evaluations: tests/cli/test_train.py",
    "eval_stride": "evaluations: tests/training/test_loop.py",
    "eval_tokens": "evaluations: tests/training/test_loop.py",
    "sample_tokens": "samples: tests/cli/test_train.py",
    "keep": "files beside the checkpoint: tests/cli/test_keep.py",
    "arch": "another model: tests/cli/test_archs.py",
    "matmul_precision": "products, of the whole process: tests/cli/test_train.py",
    **{f.name: "with a reward: tests/reward/test_learning.py" for f in fields(TrainConfig)
       if f.name.startswith("reward")},
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
    assert not np.array_equal(weights_after_steps(TRAINING), weights_after_steps(changed))
