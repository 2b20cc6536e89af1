"""Settings by the name of a preset, for every architecture."""

from dataclasses import fields

from npgpt.config import TrainConfig
from npgpt.models import ARCHITECTURES, architecture
from npgpt.support.text import nearest

PRESETS = {name: settings for f in ARCHITECTURES.values() for name, settings in f.presets.items()}


def model_settings(*archs):
    """Return {name: field} of the settings that a user gives, of some architectures or of all.

    vocab_size is left out, as the tokenizer determines it. Of several of one name, the first is it.
    """
    found = {}
    for arch in archs or ARCHITECTURES:
        for field in fields(ARCHITECTURES[arch].Config):
            found.setdefault(field.name, field)
    del found["vocab_size"]
    return found


def preset_for(corpus, arch=TrainConfig.arch):
    """Return the name of the preset of a corpus: `text` for a text without a preset of its own.

    Every architecture but a GPT has one preset for all texts.
    """
    if arch != TrainConfig.arch:
        return next(iter(architecture(arch).presets))
    return {("tales",): "tales", ("shakespeare",): "shakespeare-cpu",
            ("conversations of", "tales"): "answers"}.get(tuple(corpus), "text")


def from_preset(name, Training=TrainConfig, **changes):
    """Return (the model's settings without vocab_size as a dict, Training) of a changed preset.

    Raises ValueError for an unknown preset or setting, naming the nearest that exists, and for
    settings that contradict each other.
    """
    if name not in PRESETS:
        raise ValueError(
            f"preset {name!r} is unknown{nearest(name, PRESETS)}; use one of: {', '.join(PRESETS)}"
        )
    chosen, arch = PRESETS[name] | changes, PRESETS[name].get("arch", TrainConfig.arch)
    if chosen.get("arch", arch) != arch:
        raise ValueError(f"preset {name!r} is for arch={arch}: leave it out, or use "
                         f"{preset_for((), chosen['arch'])}")
    of_model, of_training = model_settings(arch).keys(), {f.name for f in fields(Training)}
    for setting in changes.keys() - of_model - of_training:
        archs = [other for other in ARCHITECTURES if setting in model_settings(other)]
        raise ValueError(f"arch={arch} has no setting {setting!r}, but arch={' or '.join(archs)} "
                         "has; leave it out, or use that")
    if "eval_stride" not in changes:  # the preset's may be longer than a smaller window
        chosen["eval_stride"] = min(chosen.get("eval_stride", 0), chosen["block_size"])
    model = {k: v for k, v in chosen.items() if k in of_model}
    return model, Training(**{k: v for k, v in chosen.items() if k in of_training})
