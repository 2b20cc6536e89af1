"""The config.json of a run: what is read, and what no run can be made of."""

import json
from dataclasses import fields, replace

import pytest

from npgpt import GPT, AdamW, CharTokenizer
from npgpt.batches import TextSource
from npgpt.config import GPTConfig, TrainConfig
from npgpt.loading.runs import Run, create_run, load_run, read_run
from npgpt.reward.settings import RewardConfig

CONFIG = """{
  "made_by": "npgpt",
  "format": 10,
  "model": {
    "vocab_size": 3,
    "block_size": 4,
    "n_layer": 1,
    "n_head": 1,
    "n_embd": 2,
    "dropout": 0.0,
    "bias": false,
    "tie_weights": true
  },
  "training": {
    "corpus": [
      "tales"
    ],
    "train_fraction": 0.9,
    "split": "tail",
    "max_iters": 2000,
    "batch_size": 12,
    "gradient_accumulation_steps": 1,
    "lr": 0.001,
    "min_lr": 0.0001,
    "warmup_iters": 100,
    "beta1": 0.9,
    "beta2": 0.99,
    "weight_decay": 0.1,
    "grad_clip": 1.0,
    "eval_interval": 250,
    "eval_stride": 0,
    "eval_tokens": 20000,
    "sample_tokens": 200,
    "seed": 1,
    "arch": "gpt"
  },
  "text": {
    "name": "tales",
    "characters": 2000000,
    "sha256": "00",
    "entropy_rate": 0.394
  },
  "versions": {
    "npgpt": "0.1.0",
    "python": "3.11.7"
  },
  "machine": {
    "system": "Linux",
    "processors": 2,
    "backend": "numba"
  }
}
"""
MODEL = GPTConfig(3, 4, 1, 1, 2, bias=False)
TRAINING = TrainConfig()
TALES = TextSource("tales", 2_000_000, "00", 0.394)


def new_run(folder, settings=MODEL, training=TRAINING):
    """Return a run, as written."""
    model, run = GPT(settings), Run(folder, settings, training, TALES)
    create_run(run, CharTokenizer("\nab"), model, AdamW(model.parameters()))
    return run


def run_folder(folder, config):
    """Return the folder of a new run that has these settings in its file."""
    (new_run(folder).folder / "config.json").write_text(config, encoding="utf-8")
    return folder


def test_a_setting_that_a_run_does_not_name_has_its_default(tmp_path):
    run = read_run(run_folder(tmp_path / "run", CONFIG))
    assert (run.model, run.training, run.text) == (MODEL, TRAINING, TALES)


@pytest.mark.parametrize("training", [
    TrainConfig(hold=0.5, keep=3, conversations=("a.jsonl",), matmul_precision="bfloat16"),
    RewardConfig(reward="grammar", reward_kl=0.1),
])
def test_every_setting_that_is_written_is_read(tmp_path, training):
    run = new_run(tmp_path / "run", replace(MODEL, init="fan_in"), training)
    assert read_run(run.folder) == run


BAD = ["null", "Infinity", "-Infinity", "NaN", "1e999", "-1", str(2**63), "[]", "[1]",
       "{}", "true", '"1"', "0.5", '["tales", null]', "9" * 5000]
# Of what type a setting is that may be such a value.
FITS = {"null": {int | None, float | None}, "0.5": {float, float | None}, "true": {bool},
        '"1"': {str}, "[]": {tuple[str, ...]}}
PARTS = {"model": GPTConfig, "training": RewardConfig, "text": TextSource}


@pytest.mark.parametrize(
    ("part", "field"), [(part, field) for part, cls in PARTS.items() for field in fields(cls)],
    ids=lambda value: getattr(value, "name", value),
)
def test_no_setting_is_what_it_can_not_be(tmp_path, part, field):
    folder = run_folder(tmp_path / "run", CONFIG)
    config = json.loads(CONFIG)
    config["training"]["reward"] = "grammar"
    config[part][field.name] = "HERE"
    text = json.dumps(config)
    for bad in BAD:
        if field.type in FITS.get(bad, ()) and not field.metadata.get("choices"):
            continue
        (folder / "config.json").write_text(text.replace('"HERE"', bad), encoding="utf-8")
        with pytest.raises(ValueError, match=r"config\.json"):
            read_run(folder)
            pytest.fail(f"{field.name}={bad} is accepted: check its range in npgpt/config.py, or "
                        "name its type in FITS here")


@pytest.mark.parametrize("content", [
    "[]", '{"model_type": "gpt2"}', "[" * 100_000,
    '{"made_by": "npgpt", "format": 10, "model": {}, "training": 1, "text": null}',
    CONFIG.replace('"seed": 1', '"seed": 1, "n_layer": 1'),
    *(CONFIG.replace("10,", f"{number},", 1) for number in ("9", "11", '"10"', "null")),
])
def test_no_other_object_is_taken_for_settings(tmp_path, content):
    folder = run_folder(tmp_path / "run", content)
    with pytest.raises(ValueError, match=r"config\.json"):
        read_run(folder)


@pytest.mark.parametrize("change", [{"n_embd": 2**40}, {"n_layer": 2**62}, {"bias": True}])
def test_weights_are_compared_with_the_settings_before_a_model_is_made(tmp_path, change):
    config = json.loads(CONFIG)
    config["model"] |= change
    folder = run_folder(tmp_path / "run", json.dumps(config))
    with pytest.raises(ValueError, match="model.safetensors"):
        load_run(folder)
