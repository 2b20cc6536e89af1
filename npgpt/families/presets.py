"""Settings by the name of a preset, of every kind of model."""

from dataclasses import fields, replace

from npgpt.config import TrainConfig, nearest
from npgpt.families import FAMILIES

PRESETS = {name: settings for f in FAMILIES.values() for name, settings in f.presets.items()}
# Vocabularies are for `npgpt info`; in training they are those of the tokenizer.
VOCABULARIES = {"tales-bert": 399, "tales-t5": 430}
VOCABULARIES |= dict.fromkeys(("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"), 50257)


def model_settings(*archs):
    """The fields of the models' settings that a user gives, by name: of some kinds, or of all.

    vocab_size is not among them, as it comes from the tokenizer.
    """
    known = [field for arch in archs or FAMILIES for field in fields(FAMILIES[arch].Config)]
    found = {f.name: f for f in known} | {f.name: f for f in reversed(known)}  # the first of a name
    del found["vocab_size"]
    return found


def preset_for(corpus, arch="gpt"):
    """The preset of a corpus; texts without one of their own have `text`. Of a kind of model that
    is not a GPT, there is one."""
    if arch != "gpt":
        return f"tales-{arch}"
    return {("tales",): "tales", ("shakespeare",): "shakespeare-cpu"}.get(tuple(corpus), "text")


def from_preset(name, **changes):
    """(settings of the model without vocab_size as a dict, TrainConfig) of a preset, with changes.

    Raises ValueError for an unknown preset or setting, naming the nearest that exists, and for
    settings that contradict each other.
    """
    if name not in PRESETS:
        raise ValueError(
            f"preset {name!r} is unknown{nearest(name, PRESETS)}; use one of: {', '.join(PRESETS)}"
        )
    chosen = PRESETS[name] | changes
    arch, training_fields = PRESETS[name].get("arch", "gpt"), {f.name for f in fields(TrainConfig)}
    if chosen.get("arch", "gpt") != arch:
        raise ValueError(
            f"preset {name!r} is for arch={arch}, not {chosen['arch']}; use one of the same arch, "
            f"such as {preset_for((), chosen['arch'])}, or leave it out"
        )
    model_fields = model_settings(arch).keys()
    for setting in changes.keys() - model_fields - training_fields:
        owners = [other for other in FAMILIES if setting in model_settings(other)]
        of_others = f": it is one of arch={' and '.join(owners)}, not of {arch}" if owners else ""
        raise ValueError(
            f"setting {setting!r} is unknown"
            f"{of_others or nearest(setting, model_fields | training_fields)}; "
            "npgpt train --help lists them all"
        )
    model = {k: v for k, v in chosen.items() if k in model_fields}
    training = replace(TrainConfig(), **{k: v for k, v in chosen.items() if k in training_fields})
    if training.eval_stride > model["block_size"]:
        raise ValueError(
            f"eval_stride={training.eval_stride} is larger than a window, block_size="
            f"{model['block_size']}; use eval_stride={model['block_size']} or less, or 0"
        )
    return model, training
