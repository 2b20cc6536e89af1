"""Settings by the name of a preset, for every kind of model."""

from dataclasses import fields

from npgpt.config import TrainConfig
from npgpt.models import FAMILIES, family
from npgpt.text import nearest

PRESETS = {name: settings for f in FAMILIES.values() for name, settings in f.presets.items()}


def model_settings(*archs):
    """Return {name: field} of the settings that a user gives, of some kinds of models or of all.

    vocab_size is left out, as the tokenizer determines it.
    """
    declared = [field for arch in archs or FAMILIES for field in fields(FAMILIES[arch].Config)]
    # in the order of the fields; of several of one name, the first
    found = {f.name: f for f in declared} | {f.name: f for f in reversed(declared)}
    del found["vocab_size"]
    return found


def preset_for(corpus, arch=TrainConfig.arch):
    """Return the name of the preset of a corpus: `text` for a text without a preset of its own.

    Every kind of model but a GPT has one preset for all texts.
    """
    if arch != TrainConfig.arch:
        return next(iter(family(arch).presets))
    return {("tales",): "tales", ("shakespeare",): "shakespeare-cpu",
            ("conversations of", "tales"): "answers"}.get(tuple(corpus), "text")


def arch_of_preset(name):
    return PRESETS[name].get("arch", TrainConfig.arch)


def from_preset(name, Training=TrainConfig, **changes):
    """Return (the model's settings without vocab_size as a dict, Training) of a changed preset.

    Raises ValueError for an unknown preset or setting, naming the nearest that exists, and for
    settings that contradict each other.
    """
    if name not in PRESETS:
        raise ValueError(
            f"preset {name!r} is unknown{nearest(name, PRESETS)}; use one of: {', '.join(PRESETS)}"
        )
    chosen = PRESETS[name] | changes
    arch, training_fields = arch_of_preset(name), {f.name for f in fields(Training)}
    if chosen.get("arch", arch) != arch:
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
            "npgpt train --help-all lists them all"
        )
    if "eval_stride" not in changes:  # the preset's may be longer than a smaller window
        chosen["eval_stride"] = min(chosen.get("eval_stride", 0), chosen["block_size"])
    model = {k: v for k, v in chosen.items() if k in model_fields}
    training = Training(**{k: v for k, v in chosen.items() if k in training_fields})
    if training.eval_stride > model["block_size"]:
        raise ValueError(
            f"eval_stride={training.eval_stride} is larger than a window, block_size="
            f"{model['block_size']}; use eval_stride={model['block_size']} or less, or 0"
        )
    return model, training
