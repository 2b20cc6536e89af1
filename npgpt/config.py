"""The settings of a GPT and of training, a dataclass each.

Hyper-parameters are named as in nanoGPT. Every field is a flag on the command line, with its
description as the help text: `n_layer` is `--n-layer`. In a TOML file it belongs to the table of
its class, [model] or [training].
"""

import math
from dataclasses import dataclass, field, fields

from autograd.precision import PRECISIONS

SPLITS = ("tail", "documents")
NOT_COMPUTED = {"dropout", "init"}  # settings that no logit of a given model depends on


def setting(help, group=None, choices=(), least=None, below=math.inf, **default):
    """Return a dataclass field with metadata, for `check_settings`.

    A setting of a run needs a default that changes nothing: runs of before do not have it.

    group    the heading in `npgpt train --help-all` from this field on
    choices  its values, if it is one of a few
    least    of a number; default 0, but 1 of an int whose default is not 0
    """
    metadata = {"help": help, "group": group, "choices": choices, "least": least, "below": below}
    return field(metadata=metadata, **default)


@dataclass(frozen=True)
class ModelConfig:
    """The settings of every architecture. Raises ValueError for a shape that cannot be built."""

    vocab_size: int = setting("V, the number of different tokens")
    block_size: int = setting("T, the longest context in tokens", group="the model")
    n_layer: int = setting("number of transformer blocks")
    n_head: int = setting("H, attention heads per block")
    n_embd: int = setting("C, channels of the residual stream; a multiple of n_head")
    dropout: float = setting(
        "share of activations dropped in training, in [0, 1)", below=1, default=0.0, kw_only=True
    )
    init: str = setting(  # `npgpt.gpt.init_std` has formulas and sources
        "initial weights: gpt2, of spread 0.02 at any size; fan_in, of 1/sqrt(inputs)",
        choices=("gpt2", "fan_in"), default="gpt2", kw_only=True,
    )

    def __post_init__(self):
        check_settings(self)
        if self.n_embd % self.n_head and not getattr(self, "head_size", 0):
            raise ValueError(
                f"{type(self).__name__}: n_embd={self.n_embd} is not divisible by n_head="
                f"{self.n_head}, and each head takes an equal share of the channels; use a multiple"
            )


@dataclass(frozen=True)
class GPTConfig(ModelConfig):
    """The shape of a GPT."""

    bias: bool = setting("biases in linear layers and norms", default=True)
    tie_weights: bool = setting("the output projection is the token embedding", default=True)


def check_settings(config):
    """Raise ValueError unless each field of a dataclass has a value of its type and range."""
    owner = type(config).__name__
    for known in fields(config):
        value, choices = getattr(config, known.name), known.metadata.get("choices")
        instead = type_error(value, known.type)
        if choices and value not in choices:
            instead = " or ".join(choices)
        if instead:
            raise ValueError(f"{owner}: {known.name}={value!r}; use {instead}")
        if known.type in (int, float):
            least = known.metadata["least"]
            least = int(known.type is int and known.default != 0) if least is None else least
            check_range(owner, known.metadata["below"], least, **{known.name: value})


@dataclass(frozen=True)
class TrainConfig:
    """The settings of training. Raises ValueError for settings that contradict each other."""

    corpus: tuple[str, ...] = setting(
        "tales, shakespeare, files, folders, patterns such as 'books/*.txt', a folder of npgpt "
        "prepare, or - for standard input",
        group="the text", default=("tales",),
    )
    conversations: tuple[str, ...] = setting(
        "learn answers: JSONL files, or tales for questions", default=(),
    )
    hold: float = setting(
        "weight of the KL from the start, on its own answers or texts; with --init-from 2.0",
        default=0.0,
    )
    train_fraction: float = setting(
        "share of the text that is trained on; fewer than 20 conversations are all", default=0.9
    )
    split: str = setting(
        "what is for validation: the tail of the text, or whole documents", choices=SPLITS,
        default="tail",
    )
    max_iters: int = setting("optimizer steps", group="training", default=2000)
    batch_size: int = setting("B, windows of text in one forward and backward", default=12)
    gradient_accumulation_steps: int = setting(
        "batches whose gradients are added up for one step: less memory than one large batch",
        default=1,
    )
    lr: float = setting("peak learning rate", default=1e-3)
    min_lr: float = setting("learning rate at the end", default=1e-4)
    warmup_iters: int = setting("steps of linear warm-up", least=0, default=100)
    beta1: float = setting("AdamW: memory of the mean gradient", below=1, default=0.9)
    beta2: float = setting("AdamW: memory of the squared gradient", below=1, default=0.99)
    weight_decay: float = setting("AdamW: decay of matrices and embeddings", default=0.1)
    grad_clip: float = setting("largest gradient norm; 0 for no clipping", default=1.0)
    eval_interval: int = setting(
        "steps between evaluations and checkpoints", group="evaluation", default=250
    )
    eval_stride: int = setting(
        "targets counted per validation window; 0 for all, in disjoint windows", default=0
    )
    eval_tokens: int = setting(
        "validation tokens drawn for an evaluation, the same each time; 0 for all. The last one "
        "takes all, up to a million",
        least=0, default=20_000,
    )
    sample_tokens: int = setting(
        "tokens of text printed at an evaluation; 0 for none", least=0, default=200
    )
    seed: int = setting(
        "of weights, batches, dropout and samples", group="the run", least=0, default=1
    )
    arch: str = setting("the architecture", group="the model", default="gpt")
    matmul_precision: str = setting(
        "operands of matrix products; bfloat16 rounds them, faster on processors that have it",
        group="training", choices=PRECISIONS, default="float32",
    )
    keep: int = setting(
        "checkpoints to leave, most of them early", group="evaluation", below=101, default=0
    )

    reward = ""  # only a `npgpt.reward.settings.RewardConfig` has one

    @property
    def drawn(self):
        """The part that evaluations on the way take, as arguments of `npgpt.train.evaluate`."""
        return {"stride": self.eval_stride or None, "max_tokens": self.eval_tokens or None,
                "seed": self.seed}

    def __post_init__(self):
        check_settings(self)
        if self.lr == 0 or self.min_lr > self.lr:
            raise ValueError(
                f"TrainConfig: lr={self.lr}, min_lr={self.min_lr}; the rate falls from lr to "
                "min_lr, so lr is positive and min_lr at most lr"
            )
        if not 0 < self.train_fraction < 1:
            raise ValueError(
                f"TrainConfig: train_fraction={self.train_fraction}; the rest is for validation, "
                "so use a fraction between 0 and 1, such as 0.9"
            )


def check_range(owner, below=math.inf, least=0, **values):
    """Raise ValueError unless each of the named values is at least `least`, less than `below`."""
    for name, value in values.items():
        if not least <= value < below:
            instead = f"{least} or more, not inf" if below == math.inf else f"[{least}, {below})"
            raise ValueError(f"{owner}: {name}={value}; use {instead}")


def type_error(value, type):
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
    unread = unhandled(config, handled)
    if unread:
        raise ValueError(
            f"{reader} does not know the setting {unread.name}={getattr(config, unread.name)!r} of "
            f"a {type(config).__name__}; use the default, {unread.default!r}, or implement it "
            f"there and name it in {names}"
        )


def unhandled(config, handled):
    """Return the first field that is not in `handled` and differs from its default, or None."""
    return next((
        field for field in fields(config) if field.name not in {*handled, *NOT_COMPUTED}
        and getattr(config, field.name) != field.default
    ), None)
