"""The settings of a GPT and of training, a dataclass each, and their presets.

Hyper-parameters are named as in nanoGPT. Every field is a flag on the command line, with its
description as the help text: `n_layer` is `--n-layer`. In a TOML file it belongs to the table of
its class, [model] or [training].
"""

import difflib
import math
from dataclasses import dataclass, field, fields

from autograd.precision import PRECISIONS

SPLITS = ("tail", "documents")
# The switches of npgpt.reward: setting -> its values, the default first.
REWARD_SWITCHES = {
    "reward": ("", "grammar"),
    "reward_loss": ("policy", "dpo"),
    "reward_draws": ("policy", "start"),
    "reward_credit": ("story", "token"),
    "reward_advantage": ("mean", "std", "none"),
    "reward_length": ("sum", "mean"),
    "reward_kl_estimator": ("full", "k1", "k2", "k3", "reward"),
}
# What settings of a reward need where they differ from their defaults, a test and words for it.
REWARD_NEEDS = (
    ("kl kl_estimator entropy updates clip credit advantage length draws loss",
     lambda c: c.reward, "reward=grammar"),
    ("kl_estimator entropy updates clip credit advantage length",
     lambda c: c.reward_loss == "policy", "reward_loss=policy"),
    ("kl_estimator loss", lambda c: c.reward_kl, "reward_kl, such as 0.1"),
    ("clip", lambda c: c.reward_updates > 1, "reward_updates=2 or more"),
    ("credit", lambda c: c.reward_advantage != "none", "reward_advantage=mean"),
    ("credit", lambda c: c.reward_kl_estimator != "reward", "reward_kl_estimator=full"),
    ("loss", lambda c: c.gradient_accumulation_steps == 1, "gradient_accumulation_steps=1"),
    ("draws", lambda c: c.reward_loss == "dpo" or c.reward_advantage == "none",
     "reward_advantage=none, rejection sampling"),
    ("draws", lambda c: c.reward_updates == 1, "reward_updates=1"),
)
RUN_FORMAT = 5  # of the config.json in run folders; format 1 has no number


def setting(help, since=1, before=None, group=None, **default):
    """Return a dataclass field with metadata.

    since    the first RUN_FORMAT that has the field
    before   its value in older runs
    group    the heading in `npgpt train --help` from this field on
    """
    metadata = {"help": help, "since": since, "before": before, "group": group}
    return field(metadata=metadata, **default)


@dataclass(frozen=True)
class GPTConfig:
    """The shape of a GPT. Raises ValueError for a shape that cannot be built."""

    vocab_size: int = setting("V, the number of different tokens")
    block_size: int = setting("T, the longest context in tokens", group="the model")
    n_layer: int = setting("number of transformer blocks")
    n_head: int = setting("H, attention heads per block")
    n_embd: int = setting("C, channels of the residual stream; a multiple of n_head")
    dropout: float = setting("share of activations dropped in training, in [0, 1)", default=0.0)
    bias: bool = setting("biases in linear layers and layer norms", default=True)
    tie_weights: bool = setting("the output projection is the token embedding", default=True)

    def __post_init__(self):
        check_sizes(self)
        check_heads(self)


def check_sizes(config, *optional):
    """Raise ValueError for an int below 1, or below 0 if `optional`, a wrong type or dropout."""
    for declared in fields(config):
        value, least = getattr(config, declared.name), 0 if declared.name in optional else 1
        if declared.type is int and (type(value) is not int or value < least):
            raise ValueError(
                f"{type(config).__name__}: {declared.name}={value!r}; use an int of {least} or more"
            )
    check_types(config)
    if not 0 <= config.dropout < 1:
        raise ValueError(
            f"{type(config).__name__}: dropout={config.dropout}; use a share in [0, 1)"
        )


def check_heads(config):
    """Raise ValueError unless n_head divides n_embd."""
    if config.n_embd % config.n_head:
        below = config.n_embd - config.n_embd % config.n_head
        raise ValueError(
            f"{type(config).__name__}: n_embd={config.n_embd} is not divisible by n_head="
            f"{config.n_head}, and each head takes an equal share of the channels; use n_embd="
            f"{below + config.n_head}" + (f" or {below}" if below else "")
        )


def _switch(name, help, group=None):
    values = REWARD_SWITCHES[name]
    return setting(help, since=5, before=values[0], group=group, default=values[0])


@dataclass(frozen=True)
class TrainConfig:
    """The settings of training. Raises ValueError for settings that contradict each other."""

    corpus: tuple[str, ...] = setting(
        "tales, shakespeare, files, folders, patterns such as 'books/*.txt', a folder of npgpt "
        "prepare, or - for standard input",
        group="the text", default=("tales",),
    )
    train_fraction: float = setting("share of the text that is trained on", default=0.9)
    split: str = setting(
        "what is for validation: the tail of the text, or whole documents", default="tail"
    )
    max_iters: int = setting("optimizer steps", group="training", default=2000)
    batch_size: int = setting("B, windows of text in one forward and backward", default=12)
    gradient_accumulation_steps: int = setting(
        "batches whose gradients are added up for one step: less memory than one large batch",
        default=1,
    )
    lr: float = setting("peak learning rate", default=1e-3)
    min_lr: float = setting("learning rate at the end", default=1e-4)
    warmup_iters: int = setting("steps of linear warm-up", default=100)
    beta1: float = setting("AdamW: memory of the mean gradient", default=0.9)
    beta2: float = setting("AdamW: memory of the mean squared gradient", default=0.99)
    weight_decay: float = setting("AdamW: decay of matrices and embeddings", default=0.1)
    grad_clip: float = setting("largest global gradient norm; 0 for no clipping", default=1.0)
    eval_interval: int = setting(
        "steps between evaluations and checkpoints", group="evaluation", default=250
    )
    eval_stride: int = setting(
        "targets counted per validation window; 0 for all, in disjoint windows", default=0
    )
    eval_tokens: int = setting(
        "validation tokens drawn for an evaluation, the same each time; 0 for all, as at the end",
        default=20_000,
    )
    sample_tokens: int = setting("tokens of text printed at an evaluation; 0 for none", default=200)
    seed: int = setting("of weights, batches, dropout and samples", group="the run", default=1)
    arch: str = setting(
        "the kind of model", since=3, before="gpt", group="the model", default="gpt"
    )
    matmul_precision: str = setting(
        "what matrix products multiply: float32, or operands rounded to bfloat16, which is faster "
        "on processors that have instructions for it",
        since=4, before="float32", group="training", default="float32",
    )
    keep: int = setting(
        "checkpoints to leave, most of them early", since=5, before=0, group="evaluation",
        default=0,
    )
    reward: str = _switch(
        "reward", "grammar: of the tales, judges what the model of --init-from writes",
        group="reward",
    )
    reward_loss: str = _switch("reward_loss", "policy; dpo: on pairs of a right and a wrong story")
    reward_draws: str = _switch("reward_draws", "who writes: policy; start, the model before")
    reward_credit: str = _switch(
        "reward_credit", "of a wrong story blame all (story) or up to the first wrong token (token)"
    )
    reward_advantage: str = _switch(
        "reward_advantage", "reward less the batch's mean; std: over its deviation; none: as it is"
    )
    reward_length: str = _switch("reward_length", "a story's tokens add up (sum) or average (mean)")
    reward_kl: float = setting(
        "weight of the KL from the start; DPO's beta", since=5, before=0.0, default=0.0
    )
    reward_kl_estimator: str = _switch(
        "reward_kl_estimator", "full, k1, k2, k3; reward: k1, in the reward"
    )
    reward_entropy: float = setting("weight of an entropy bonus", since=5, before=0.0, default=0.0)
    reward_updates: int = setting("steps that share a draw", since=5, before=1, default=1)
    reward_clip: float = setting(
        "if they do: where a ratio is clipped", since=5, before=0.2, default=0.2
    )

    def __post_init__(self):
        check_types(self)
        for name in ("max_iters", "batch_size", "gradient_accumulation_steps", "eval_interval",
                     "reward_updates"):
            if getattr(self, name) < 1:
                raise ValueError(f"TrainConfig: {name}={getattr(self, name)}; use 1 or more")
        for name in ("warmup_iters", "weight_decay", "grad_clip", "eval_stride", "eval_tokens",
                     "sample_tokens", "min_lr", "seed", "reward_kl", "reward_entropy",
                     "reward_clip"):
            check_range("TrainConfig", **{name: getattr(self, name)})
        if not (0 < self.lr < math.inf and self.min_lr <= self.lr):
            raise ValueError(
                f"TrainConfig: lr={self.lr}, min_lr={self.min_lr}; the rate falls from lr to "
                "min_lr, so lr is positive and min_lr at most lr"
            )
        check_range("TrainConfig", below=1, beta1=self.beta1, beta2=self.beta2)
        choices = {"split": SPLITS, "matmul_precision": PRECISIONS} | REWARD_SWITCHES
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                allowed = " or ".join(value or "nothing" for value in allowed)
                raise ValueError(f"TrainConfig: {name}={getattr(self, name)!r}; use {allowed}")
        if not 0 <= self.keep <= 100:
            raise ValueError(f"TrainConfig: keep={self.keep}; use 0 to 100")
        if not 0 < self.train_fraction < 1:
            raise ValueError(
                f"TrainConfig: train_fraction={self.train_fraction}; the rest is for validation, "
                "so use a fraction between 0 and 1, such as 0.9"
            )


def check_reward(config):
    """Raise ValueError for a setting of a reward that nothing reads, or that contradicts another.

    For new runs: a stored one with such a setting was trained as if it were the default.
    """
    for names, so, needed in REWARD_NEEDS:
        for name in (f"reward_{name}" for name in names.split()):
            value = getattr(config, name)
            if value != getattr(TrainConfig, name) and not so(config):
                raise ValueError(
                    f"TrainConfig: {name}={value} needs {needed}; give that, or leave {name} out"
                )


# Fields that differ from the defaults above. The tokenizer, "char" unless a preset names "words"
# or "bpe", determines vocab_size in training; a preset's vocab_size is for `npgpt info`.
GPT_PRESETS = {
    "tales": {
        "block_size": 256, "n_layer": 4, "n_head": 4, "n_embd": 128, "bias": False,
        "corpus": ("tales",), "max_iters": 3000, "batch_size": 8, "lr": 4e-3, "min_lr": 1e-4,
        "eval_stride": 64,
    },
    # For any other text. It costs as much as shakespeare-cpu, but has a longer window and a higher
    # learning rate, and reaches a lower loss.
    "text": {
        "block_size": 128, "n_layer": 4, "n_head": 4, "n_embd": 128, "bias": False,
        "max_iters": 2000, "batch_size": 6, "lr": 3e-3,
    },
    # nanoGPT's recipe for a CPU
    "shakespeare-cpu": {
        "block_size": 64, "n_layer": 4, "n_head": 4, "n_embd": 128, "bias": False,
        "corpus": ("shakespeare",), "max_iters": 2000, "batch_size": 12,
    },
    # nanoGPT's recipe for a GPU
    "shakespeare": {
        "block_size": 256, "n_layer": 6, "n_head": 6, "n_embd": 384, "bias": False, "dropout": 0.2,
        "corpus": ("shakespeare",), "max_iters": 5000, "batch_size": 64,
    },
}

GPT2 = {
    "vocab_size": 50257, "block_size": 1024, "dropout": 0.1, "corpus": ("shakespeare",),
    "batch_size": 1, "gradient_accumulation_steps": 16, "lr": 6e-4, "min_lr": 6e-5,
    "warmup_iters": 200, "beta2": 0.95, "max_iters": 2000,
}
# The published sizes.
GPT_PRESETS |= {
    "gpt2": GPT2 | {"n_layer": 12, "n_head": 12, "n_embd": 768},
    "gpt2-medium": GPT2 | {"n_layer": 24, "n_head": 16, "n_embd": 1024},
    "gpt2-large": GPT2 | {"n_layer": 36, "n_head": 20, "n_embd": 1280},
    "gpt2-xl": GPT2 | {"n_layer": 48, "n_head": 25, "n_embd": 1600},
}


def check_types(settings):
    """Raise ValueError unless each field of a dataclass has a value of its type."""
    for declared in fields(settings):
        value = getattr(settings, declared.name)
        instead = wanted(value, declared.type)
        if instead:
            raise ValueError(f"{type(settings).__name__}: {declared.name}={value!r}; use {instead}")


def check_range(owner, below=math.inf, **values):
    """Raise ValueError unless each of the named values is at least 0 and less than `below`."""
    for name, value in values.items():
        if not 0 <= value < below:
            instead = "0 or more, not inf" if below == math.inf else f"[0, {below})"
            raise ValueError(f"{owner}: {name}={value}; use {instead}")


def wanted(value, type):
    """Return what to use instead of a value that does not fit a setting's type, else None."""
    if type == tuple[str, ...]:
        fits = isinstance(value, (tuple, list)) and all(isinstance(item, str) for item in value)
        return None if fits else 'a list of texts, as ["a.txt"]'
    accepted = (int, float) if type is float else type
    if not isinstance(value, accepted) or (isinstance(value, bool) and type is not bool):
        return "an int" if type is int else f"a {getattr(type, '__name__', type)}"
    if isinstance(value, int) and abs(value) >= 2**63:
        return "a number below 2**63"
    return None


def check_handled(config, handled, reader, names):
    """Raise ValueError if a setting that is not in `handled` differs from its default.

    For code that reads settings by hand, `reader`: without this check it would silently compute or
    write something different from the model. `names` is where the code has the list `handled`.
    """
    for unread in fields(config):
        value = getattr(config, unread.name)
        if unread.name not in handled and value != unread.default:
            raise ValueError(
                f"{reader} does not know the setting {unread.name}={value!r} of a "
                f"{type(config).__name__}; use the default, {unread.default!r}, or implement it "
                f"there and name it in {names}"
            )


def nearest(name, names):
    """Return ": did you mean X?" for an unknown name that resembles a known one, else "".

    >>> nearest("n_layers", ["n_layer", "n_head"])
    ': did you mean n_layer?'
    """
    near = difflib.get_close_matches(name, names, n=1)
    return f": did you mean {near[0]}?" if near else ""
