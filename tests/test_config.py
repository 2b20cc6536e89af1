"""Settings that cannot work are refused at once, and the message says what to use."""

import math
from dataclasses import fields

import pytest

from npgpt.config import GPTConfig, TrainConfig
from npgpt.models import architecture
from npgpt.models.presets import PRESETS, from_preset, preset_for

GOOD = {"vocab_size": 65, "block_size": 64, "n_layer": 4, "n_head": 4, "n_embd": 128}


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        ({"n_embd": 130}, "n_embd=130.*n_head=4.*multiple"),
        ({"n_layer": 0}, "n_layer=0.* 1"),
        ({"vocab_size": 6.5}, "vocab_size=6.5.* int"),
        ({"n_head": True}, "n_head=True.* int"),
        ({"dropout": 1.0}, r"dropout=1.0.*\[0, 1\)"),
    ],
)
def test_a_model_that_can_not_be_built_is_refused(change, facts):
    with pytest.raises(ValueError, match=facts):
        GPTConfig(**(GOOD | change))


@pytest.mark.parametrize("name", [f.name for f in fields(TrainConfig) if f.type is float])
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_no_training_setting_is_infinite_or_nan(name, value):
    with pytest.raises(ValueError, match=name):
        TrainConfig(**{name: value})


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        ({"max_iters": 0}, "max_iters=0.* 1"),
        ({"warmup_iters": -1}, "warmup_iters=-1.* 0"),
        ({"grad_clip": -1.0}, "grad_clip=-1.0.* 0"),
        ({"lr": 1e-5}, "lr=1e-05, min_lr=0.0001"),
        ({"beta2": 1.0}, r"beta2=1.0.*\[0, 1\)"),
        ({"train_fraction": 1.0}, "train_fraction=1.0"),
    ],
)
def test_training_settings_out_of_range_are_refused(change, facts):
    with pytest.raises(ValueError, match=facts):
        TrainConfig(**change)


def test_presets_give_whole_settings_and_take_changes():
    for name in PRESETS:
        model, training = from_preset(name)
        assert architecture(training.arch).Config(vocab_size=65, **model).n_head == model["n_head"]
        assert training.max_iters == PRESETS[name]["max_iters"]
    model, training = from_preset("shakespeare", n_layer=2, lr=0.5)
    assert (model["n_layer"], training.lr, training.batch_size) == (2, 0.5, 64)
    with pytest.raises(ValueError, match="'tails'.* tales"):
        from_preset("tails")
    with pytest.raises(ValueError, match="'n_segment'.*bert"):
        from_preset("tales", n_segment=3)


def test_shakespeare_cpu_is_nanogpts_recipe():
    model, training = from_preset("shakespeare-cpu")
    assert GPTConfig(65, **model) == GPTConfig(65, 64, 4, 4, 128, dropout=0.0, bias=False)
    assert training == TrainConfig(
        corpus=("shakespeare",), train_fraction=0.9, max_iters=2000, batch_size=12, lr=1e-3,
        min_lr=1e-4, warmup_iters=100, beta1=0.9, beta2=0.99, weight_decay=0.1, grad_clip=1.0,
        eval_stride=0,
    )


def test_a_corpus_has_its_preset():
    assert preset_for(("tales",)) == "tales"
    assert preset_for(("shakespeare",)) == "shakespeare-cpu"
    assert preset_for(("book.txt", "tales")) == preset_for(("book.txt",)) == "text"
    assert preset_for(("book.txt",), "llama") == "tales-llama"
