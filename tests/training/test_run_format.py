"""Run folders of every format that there was, and settings files that no run can be made of.

The folders are written here from the text that each format had: what a later program writes may
change, what it reads may not.
"""

import json
from dataclasses import dataclass, fields

import numpy as np
import pytest
from safetensors.numpy import save_file

from npgpt import GPT, AdamW
from npgpt.batches import TextSource
from npgpt.checkpoint import (
    Run,
    RunError,
    create_run,
    load_checkpoint,
    load_run,
    read_run,
)
from npgpt.checkpoint import settings_from_json as from_json
from npgpt.cli.settings import read_settings
from npgpt.config import RUN_FORMAT, GPTConfig, TrainConfig, setting
from npgpt.reward.settings import RewardConfig, checked

CONFIG = """{
  "made_by": "npgpt",%s
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
    "seed": 1
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
ARCH, PRECISION = '\n    "arch": "gpt"', '\n    "matmul_precision": "float32"'
KEEP, TALKS = '\n    "keep": 0', '\n    "conversations": []'
HOLD = '\n    "hold": 0.0'
REWARD = """
    "reward": "%s",
    "reward_loss": "policy",
    "reward_draws": "policy",
    "reward_credit": "story",
    "reward_advantage": "mean",
    "reward_length": "sum",
    "reward_kl": 0.0,
    "reward_kl_estimator": "full",
    "reward_entropy": 0.0,
    "reward_updates": 1,
    "reward_clip": 0.2"""
FORMATS = {
    1: CONFIG % "",
    2: CONFIG % '\n  "format": 2,',
    3: CONFIG.replace('"seed": 1', f'"seed": 1,{ARCH}') % '\n  "format": 3,',
    4: CONFIG.replace('"seed": 1', f'"seed": 1,{ARCH},{PRECISION}') % '\n  "format": 4,',
    5: CONFIG.replace('"seed": 1', f'"seed": 1,{ARCH},{PRECISION},{KEEP},{REWARD % ""}')
    % '\n  "format": 5,',
    6: CONFIG.replace('"seed": 1', f'"seed": 1,{ARCH},{PRECISION},{KEEP}')
    % '\n  "format": 6,',
    7: CONFIG.replace('"seed": 1', f'"seed": 1,{ARCH},{PRECISION},{KEEP}').replace(
        '"tie_weights": true', '"tie_weights": true,\n    "init": "gpt2"'
    ) % '\n  "format": 7,',
    8: CONFIG.replace('"seed": 1', f'"seed": 1,{ARCH},{PRECISION},{KEEP},{TALKS}').replace(
        '"tie_weights": true', '"tie_weights": true,\n    "init": "gpt2"'
    ) % '\n  "format": 8,',
    9: CONFIG.replace('"seed": 1', f'"seed": 1,{ARCH},{PRECISION},{KEEP},{TALKS},{HOLD}').replace(
        '"tie_weights": true', '"tie_weights": true,\n    "init": "gpt2"'
    ) % '\n  "format": 9,',
}
for number in range(10, RUN_FORMAT + 1):  # later ones add the settings since then
    later = json.loads(FORMATS[number - 1]) | {"format": number}
    for part, cls in (("model", GPTConfig), ("training", TrainConfig)):
        later[part] |= {f.name: f.default for f in fields(cls) if f.metadata["since"] == number}
    FORMATS[number] = json.dumps(later)
REWARDED = {
    number: CONFIG.replace('"seed": 1', f'"seed": 1,{ARCH},{PRECISION},{KEEP},{REWARD % "grammar"}')
    % f'\n  "format": {number},' for number in (5, 6)
}
TOKENIZER = '{"type": "char", "version": 1, "characters": "\\nab"}'
SHAPES = {
    "wte.weight": (3, 2), "wpe.weight": (4, 2), "h.0.ln_1.weight": (2,),
    "h.0.attn.c_attn.weight": (2, 6), "h.0.attn.c_proj.weight": (2, 2), "h.0.ln_2.weight": (2,),
    "h.0.mlp.c_fc.weight": (2, 8), "h.0.mlp.c_proj.weight": (8, 2), "ln_f.weight": (2,),
}


def run_folder(folder, config):
    folder.mkdir()
    (folder / "config.json").write_text(config, encoding="utf-8")
    (folder / "tokenizer.json").write_text(TOKENIZER, encoding="utf-8")
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(size=s).astype(np.float32) for name, s in SHAPES.items()}
    save_file(weights, folder / "model.safetensors")
    state = {f"{part}.{n}": w for part in ("weight", "m", "v") for n, w in weights.items()}
    save_file(state | {"step": np.array([7], np.int64)}, folder / "train_state.safetensors")
    return folder, weights


def test_each_setting_has_the_format_that_brought_it():
    here = "tests/training/test_run_format.py"
    for part, cls in (("model", GPTConfig), ("training", RewardConfig)):
        for declared in fields(cls):  # raise RUN_FORMAT of npgpt/config.py with a new one
            brought = [n for n, text in FORMATS.items() if declared.name in json.loads(text)[part]]
            found = brought[0] if brought else f"{RUN_FORMAT + 1}, a new RUN_FORMAT,"
            assert declared.metadata["since"] == found, (
                f"npgpt/config.py: give {declared.name} since={found} and before=its value in "
                f"older runs; the first of FORMATS in {here} that has it is {brought[:1]}"
            )
            if found != 1 and (cls is GPTConfig or hasattr(TrainConfig, declared.name)):
                assert declared.metadata["before"] is not None, (
                    f"give {declared.name} before=its value in runs older than format {found}, "
                    "where its class declares it"
                )


@pytest.mark.parametrize("number", FORMATS)
def test_a_run_of_each_format_is_read(tmp_path, number):
    folder, weights = run_folder(tmp_path / "run", FORMATS[number])
    model, tokenizer, run = load_run(folder)
    was = GPTConfig(3, 4, 1, 1, 2, bias=False, init="gpt2")
    assert run.model == was and run.training == TrainConfig(), (
        "an older run reads with other settings than it had: the default of a new one changes "
        "nothing, and its `before` is the same"
    )
    assert run.text == TextSource("tales", 2_000_000, "00", 0.394)
    assert tokenizer.characters == "\nab"
    assert load_checkpoint(run, model, AdamW(model.parameters())) == 7
    for name, weight in model.parameters().items():
        np.testing.assert_array_equal(weight.data, weights[name])


def test_the_format_that_is_written_is_the_last_and_has_a_folder_here(tmp_path):
    model, tokenizer, run = load_run(run_folder(tmp_path / "old", FORMATS[1])[0])
    new = Run(tmp_path / "new", run.model, run.training, run.text)
    create_run(new, tokenizer, model, AdamW(model.parameters()))
    written, expected = (json.loads(text) for text in (
        (tmp_path / "new/config.json").read_text(encoding="utf-8"), FORMATS[RUN_FORMAT]
    ))
    assert written["format"] == RUN_FORMAT
    for part in ("model", "training", "text"):
        assert written[part] == expected[part]
    assert written.keys() == expected.keys()


@pytest.mark.parametrize("number", REWARDED)
def test_a_run_with_a_setting_that_a_new_run_may_not_have_is_read(tmp_path, number):
    """It was trained before `checked` refused what nothing reads."""
    config = REWARDED[number].replace("_clip\": 0.2", "_clip\": 0.3")
    folder, _ = run_folder(tmp_path / "run", config)
    assert read_run(folder).training == RewardConfig(reward="grammar", reward_clip=0.3)
    with pytest.raises(ValueError, match="reward_clip=0.3 needs reward_updates"):
        checked(read_run(folder).training)


def test_settings_of_a_reward_without_one_are_of_format_5_alone(tmp_path):
    folder, _ = run_folder(tmp_path / "run", FORMATS[5].replace("_clip\": 0.2", "_clip\": 0.3"))
    assert read_run(folder).training == TrainConfig()
    config = FORMATS[5].replace('"format": 5', '"format": 6')
    (folder / "config.json").write_text(config, encoding="utf-8")
    with pytest.raises(RunError, match="reward"):
        read_run(folder)


@pytest.mark.parametrize("number", [0, RUN_FORMAT + 1, -1, "2", None, [], 1.5, True])
def test_a_format_that_is_not_known_is_refused(tmp_path, number):
    config = CONFIG % f'\n"format": {json.dumps(number)},'
    folder, _ = run_folder(tmp_path / "run", config)
    with pytest.raises(RunError, match=f"config.json .*{RUN_FORMAT}"):
        read_run(folder)


def test_a_setting_that_came_later_is_what_was_built_in_before():
    @dataclass
    class Later:
        old: int = setting("from the beginning", default=1)
        new: int = setting("with format 3", since=3, before=16, default=99)

    assert from_json(Later, {"old": 5}, 2) == Later(5, 16)
    assert from_json(Later, {"old": 5, "new": 6}, 3) == Later(5, 6)
    for number, name, other in ((3, "new", "old"), (2, "old", "new")):
        with pytest.raises(ValueError, match=f"{name} is missing"):
            from_json(Later, {other: 5}, number)


WRITTEN = FORMATS | REWARDED  # without a reward nothing reads the settings of one
BAD = ["null", "Infinity", "-Infinity", "NaN", "1e999", "-1", str(2**63), "[]", "[1]",
       "{}", "true", '"1"', "0.5", '["tales", null]', "9" * 5000]
# What of that a setting may be.
FITS = {
    ("text", "characters"): {"null"}, ("text", "entropy_rate"): {"null", "0.5"},
    ("text", "name"): {'"1"'}, ("text", "sha256"): {'"1"'}, ("training", "corpus"): {"[]"},
    ("training", "conversations"): {"[]"},
    **{(part, f.name): {bool: {"true"}, float: {"0.5"}}.get(f.type, set())
       for part, cls in (("model", GPTConfig), ("training", RewardConfig)) for f in fields(cls)
       if f.name not in ("corpus", "conversations")},
}


@pytest.mark.parametrize(("number", "part", "name"), [
    (n, part, name) for n in WRITTEN for part in ("model", "training", "text")
    for name in json.loads(WRITTEN[n])[part]
])
def test_no_setting_is_missing_or_what_it_can_not_be(tmp_path, number, part, name):
    folder, _ = run_folder(tmp_path / "run", WRITTEN[number])
    config = json.loads(WRITTEN[number])
    config[part][name] = "HERE"
    text = json.dumps(config)
    texts = {bad: text.replace('"HERE"', bad) for bad in BAD}
    del config[part][name]
    texts["missing"] = json.dumps(config)
    for bad, changed in texts.items():
        (folder / "config.json").write_text(changed, encoding="utf-8")
        if bad in FITS.get((part, name), ()):
            continue
        with pytest.raises(RunError, match=r"config\.json"):
            read_run(folder)
            pytest.fail(f"{name}={bad} is accepted: check the range of {name} in __post_init__ of "
                        "its class in npgpt/config.py, or if it may be that, say so in FITS here")


@pytest.mark.parametrize("content", [
    "[]", '{"model_type": "gpt2"}', '{"made_by": "npgpt"}', "[" * 100_000, '{"made_by": ["npgpt"]}',
    '{"made_by": "npgpt", "model": {}, "training": 1, "text": null}',
    CONFIG.replace('"seed": 1', '"seed": 1, "n_layer": 1') % "",
])
def test_no_other_object_is_taken_for_settings(tmp_path, content):
    folder, _ = run_folder(tmp_path / "run", content)
    with pytest.raises(RunError, match=r"config\.json"):
        read_run(folder)


@pytest.mark.parametrize(
    "change",
    [{"n_embd": 2**40}, {"block_size": 2**50}, {"n_layer": 2**62}, {"n_embd": 6}],
)
def test_weights_are_compared_with_the_settings_before_a_model_is_made(
    tmp_path, monkeypatch, change
):
    config = json.loads(FORMATS[2])
    config["model"] |= change
    folder, _ = run_folder(tmp_path / "run", json.dumps(config))
    monkeypatch.setattr(GPT, "__init__", None)
    with pytest.raises(RunError, match=r"model.safetensors .*\b68\b"):
        load_run(folder)


@pytest.mark.parametrize("change", [{"tie_weights": False}, {"bias": True}, {"n_layer": 2}])
def test_a_weight_that_a_model_of_about_that_size_lacks_is_named(tmp_path, change):
    config = json.loads(FORMATS[2])
    config["model"] |= change
    folder, _ = run_folder(tmp_path / "run", json.dumps(config))
    with pytest.raises(RunError, match="model.safetensors .*config.json"):
        load_run(folder)


@pytest.mark.parametrize(
    "line", ["lr = inf", "lr = nan", "seed = -0.0", "max_iters = 1e3",
             "seed = 9223372036854775808", "lr = " + "9" * 400, "corpus = [[1]]",
             "corpus = " + "[" * 5000 + "]" * 5000],
)
def test_a_toml_file_is_checked_as_flags_are(tmp_path, line):
    path = tmp_path / "run.toml"
    path.write_text(f"[training]\n{line}\n", encoding="utf-8")
    with pytest.raises(ValueError):
        TrainConfig(**read_settings(path))
