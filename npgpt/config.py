"""The settings of a model and of its training, one dataclass each, and presets of both.

Hyper-parameters have nanoGPT's names. A field's description is also its help text on the command
line, where every field is a flag: `n_layer` is `--n-layer`. In a TOML file it stands in the table
of its class, [model] or [training].
"""

import difflib
import math
import tomllib
from dataclasses import dataclass, field, fields, replace

from autograd.precision import PRECISIONS
from npgpt.files import read_given

SPLITS = ("tail", "documents")


RUN_FORMAT = 4  # of the config.json of run folders; 1, without a number, was the first


def setting(help, since=1, before=None, group=None, **default):
    """A field. since: the first RUN_FORMAT that has it; before: its value in runs before that;
    group: the heading in `npgpt train --help` from this field on."""
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
        _check_sizes(self)
        _check_shares(self)


@dataclass(frozen=True)
class LlamaConfig:
    """The shape of a Llama. Raises ValueError for a shape that cannot be built."""

    vocab_size: int = setting("V, the number of different tokens")
    block_size: int = setting("T, the longest context in tokens")
    n_layer: int = setting("number of transformer blocks")
    n_head: int = setting("H, heads of queries per block")
    n_embd: int = setting("C, channels of the residual stream; an even multiple of n_head")
    n_kv_head: int = setting("heads of keys and values, which divide n_head; 0: n_head", default=0)
    n_inner: int = setting("F, channels inside the MLP; 0: 4 C, llama 8/3 C rounded up", default=0)
    dropout: float = setting("share of activations dropped in training, in [0, 1)", default=0.0)
    tie_weights: bool = setting("the output projection is the token embedding", default=True)
    rope_base: float = setting("base of the wavelengths of rotary positions", default=10000.0)
    norm_eps: float = setting("what RMSNorm adds to the mean square", default=1e-6)

    @property
    def kv_heads(self):
        return self.n_kv_head or self.n_head

    @property
    def inner(self):
        return self.n_inner or (8 * self.n_embd + 23) // 24 * 8

    def __post_init__(self):
        _check_sizes(self, "n_kv_head", "n_inner")
        _check_shares(self)
        if self.n_embd // self.n_head % 2:
            raise ValueError(
                f"LlamaConfig: n_embd={self.n_embd} and n_head={self.n_head} make heads of "
                f"{self.n_embd // self.n_head} channels, which rotary positions turn in pairs; "
                f"use n_embd={self.n_embd + self.n_head}"
            )
        if self.n_head % self.kv_heads:
            raise ValueError(
                f"LlamaConfig: n_kv_head={self.n_kv_head} does not divide n_head={self.n_head}; "
                "use a divisor, each of whose heads serves as many heads of queries"
            )
        for name in ("rope_base", "norm_eps"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"LlamaConfig: {name}={getattr(self, name)}; use more than 0")


@dataclass(frozen=True)
class BertConfig:
    """The shape of a BERT. Raises ValueError for a shape that cannot be built."""

    vocab_size: int = setting("V, the number of different tokens")
    block_size: int = setting("T, the longest text in tokens")
    n_layer: int = setting("number of transformer blocks")
    n_head: int = setting("H, attention heads per block")
    n_embd: int = setting("C, channels of the residual stream; a multiple of n_head")
    n_inner: int = setting("F, channels inside the MLP; 0: 4 C", default=0)
    n_segment: int = setting("kinds of segments, such as first and second text", default=2)
    dropout: float = setting("share of activations dropped in training, in [0, 1)", default=0.0)
    mlm_head: bool = setting("whether it has a head that predicts hidden tokens", default=True)

    @property
    def inner(self):
        return self.n_inner or 4 * self.n_embd

    def __post_init__(self):
        _check_sizes(self, "n_inner")
        _check_shares(self)


@dataclass(frozen=True)
class T5Config:
    """The shape of a T5. Raises ValueError for a shape that cannot be built."""

    vocab_size: int = setting("V, the number of different tokens")
    block_size: int = setting("longest text to train on; relative positions have no longest")
    n_layer: int = setting("number of blocks of the encoder")
    n_head: int = setting("H, attention heads per block")
    n_embd: int = setting("C, channels of the residual streams; a multiple of n_head")
    n_decoder_layer: int = setting("number of blocks of the decoder; 0: n_layer", default=0)
    n_inner: int = setting("F, channels inside the MLP; 0: 4 C", default=0)
    head_size: int = setting("D, channels of a head; 0: C / H", default=0)
    n_bucket: int = setting("buckets that distances between positions fall into", default=32)
    max_distance: int = setting("distance from which on all are in the last bucket", default=128)
    gated: bool = setting("an MLP gated by GELU, of T5 1.1, not a ReLU", default=False)
    dropout: float = setting("share of activations dropped in training, in [0, 1)", default=0.0)
    tie_weights: bool = setting("the output projection is the token embedding", default=True)

    @property
    def decoder_layers(self):
        return self.n_decoder_layer or self.n_layer

    @property
    def inner(self):
        return self.n_inner or 4 * self.n_embd

    @property
    def head_channels(self):
        return self.head_size or self.n_embd // self.n_head

    def __post_init__(self):
        _check_sizes(self, "n_decoder_layer", "n_inner", "head_size")
        if not self.head_size:
            _check_shares(self)
        if self.n_bucket < 4 or self.max_distance <= self.n_bucket // 2:
            raise ValueError(
                f"T5Config: n_bucket={self.n_bucket}, max_distance={self.max_distance}; half of "
                "the buckets are for one distance each: use 4 buckets or more, and a max_distance "
                "above half of them"
            )


CONFIGS = {"gpt": GPTConfig, "llama": LlamaConfig, "bert": BertConfig, "t5": T5Config}


def _check_sizes(config, *optional):
    """Ints that are 1 or more, or, those that are `optional`, 0; a dropout; the types of all."""
    for known in fields(config):
        value, least = getattr(config, known.name), 0 if known.name in optional else 1
        if known.type is int and (type(value) is not int or value < least):
            raise ValueError(
                f"{type(config).__name__}: {known.name}={value!r}; use an int of {least} or more"
            )
    check_types(config)
    if not 0 <= config.dropout < 1:
        raise ValueError(
            f"{type(config).__name__}: dropout={config.dropout}; use a share in [0, 1)"
        )


def _check_shares(config):
    if config.n_embd % config.n_head:
        below = config.n_embd - config.n_embd % config.n_head
        raise ValueError(
            f"{type(config).__name__}: n_embd={config.n_embd} is not divisible by n_head="
            f"{config.n_head}, and each head takes an equal share of the channels; use n_embd="
            f"{below + config.n_head}" + (f" or {below}" if below else "")
        )


@dataclass(frozen=True)
class TrainConfig:
    """How a model is trained. Raises ValueError for settings that contradict each other."""

    corpus: tuple[str, ...] = setting(
        "tales, shakespeare, files, folders, patterns such as 'books/*.txt', a folder of npgpt "
        "prepare, or - for standard input",
        group="the text", default=("tales",),
    )  # fmt: skip
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
        "the kind of model: gpt and llama continue a text, bert fills in hidden tokens, t5 "
        "rewrites hidden spans",
        since=3, before="gpt", group="the model", default="gpt",
    )  # fmt: skip
    matmul_precision: str = setting(
        "what matrix products multiply: float32, or operands rounded to bfloat16, which is faster "
        "on processors that have instructions for it",
        since=4, before="float32", group="training", default="float32",
    )  # fmt: skip

    def __post_init__(self):
        check_types(self)
        for name in ("max_iters", "batch_size", "gradient_accumulation_steps", "eval_interval"):
            if getattr(self, name) < 1:
                raise ValueError(f"TrainConfig: {name}={getattr(self, name)}; use 1 or more")
        for name in ("warmup_iters", "weight_decay", "grad_clip", "eval_stride", "eval_tokens",
                     "sample_tokens", "min_lr", "seed"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ValueError(f"TrainConfig: {name}={value}; use 0 or more, not inf")
        if not (0 < self.lr < math.inf and self.min_lr <= self.lr):
            raise ValueError(
                f"TrainConfig: lr={self.lr}, min_lr={self.min_lr}; the rate falls from lr to "
                "min_lr, so lr is positive and min_lr at most lr"
            )
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"TrainConfig: {name}={getattr(self, name)}; use [0, 1)")
        for name, known in (
            ("split", SPLITS), ("arch", CONFIGS), ("matmul_precision", PRECISIONS)
        ):  # fmt: skip
            if getattr(self, name) not in known:
                raise ValueError(
                    f"TrainConfig: {name}={getattr(self, name)!r}; use {' or '.join(known)}"
                )
        if not 0 < self.train_fraction < 1:
            raise ValueError(
                f"TrainConfig: train_fraction={self.train_fraction}; the rest is for validation, "
                "so use a fraction between 0 and 1, such as 0.9"
            )


def model_settings(*archs):
    """The fields of the models' settings that a user gives, by name: of some kinds, or of all.

    vocab_size is not among them, as it comes from the tokenizer.
    """
    known = [field for arch in archs or CONFIGS for field in fields(CONFIGS[arch])]
    found = {f.name: f for f in known} | {f.name: f for f in reversed(known)}  # the first of a name
    del found["vocab_size"]
    return found


# Fields that differ from the defaults above; vocab_size comes from the tokenizer, which learns
# "char", "words" or "bpe": characters, unless a preset names another.
PRESETS = {
    "tales": {
        "block_size": 256, "n_layer": 4, "n_head": 4, "n_embd": 128, "bias": False,
        "corpus": ("tales",), "max_iters": 3000, "batch_size": 8, "lr": 4e-3, "min_lr": 1e-4,
        "eval_stride": 64,
    },
    "tales-llama": {
        "arch": "llama", "block_size": 256, "n_layer": 4, "n_head": 4, "n_embd": 128,
        "corpus": ("tales",), "max_iters": 3000, "batch_size": 8, "lr": 4e-3, "min_lr": 1e-4,
        "eval_stride": 64,
    },
    # A story has at most 69 tokens where frequent words are tokens. Only what is hidden teaches, a
    # seventh of the text: so these are half as deep, and take many steps.
    "tales-bert": {
        "arch": "bert", "block_size": 96, "n_layer": 2, "n_head": 8, "n_embd": 128, "n_inner": 256,
        "corpus": ("tales",), "tokenizer": "words", "max_iters": 12000, "batch_size": 16,
        "lr": 2e-3, "min_lr": 5e-5, "warmup_iters": 200, "eval_interval": 1000,
    },
    "tales-t5": {
        "arch": "t5", "block_size": 96, "n_layer": 2, "n_decoder_layer": 3, "n_head": 8,
        "n_embd": 128, "n_inner": 256, "tie_weights": False,
        "corpus": ("tales",), "tokenizer": "words", "max_iters": 8500, "batch_size": 16,
        "lr": 1.5e-3, "min_lr": 5e-5, "warmup_iters": 200, "eval_interval": 500,
    },
    # Any other text. At the cost of the next, a longer window and a higher rate: it learns more.
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
}  # fmt: skip


GPT2 = {
    "block_size": 1024, "dropout": 0.1, "corpus": ("shakespeare",), "batch_size": 1,
    "gradient_accumulation_steps": 16, "lr": 6e-4, "min_lr": 6e-5, "warmup_iters": 200,
    "beta2": 0.95, "max_iters": 2000,
}  # fmt: skip
# Vocabularies are for `npgpt info`; in training they are those of the tokenizer.
VOCABULARIES = {"tales-bert": 399, "tales-t5": 430}
# The published sizes.
VOCABULARIES |= dict.fromkeys(("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"), 50257)
PRESETS |= {
    "gpt2": GPT2 | {"n_layer": 12, "n_head": 12, "n_embd": 768},
    "gpt2-medium": GPT2 | {"n_layer": 24, "n_head": 16, "n_embd": 1024},
    "gpt2-large": GPT2 | {"n_layer": 36, "n_head": 20, "n_embd": 1280},
    "gpt2-xl": GPT2 | {"n_layer": 48, "n_head": 25, "n_embd": 1600},
}


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
        owners = [other for other in CONFIGS if setting in model_settings(other)]
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


def read_settings(path):
    """The settings in a TOML file, as `npgpt train --help` shows one: a dict for `from_preset`,
    "preset" among them if it is given.

    Raises ValueError, with the path, for what is not TOML, not a setting, or of the wrong type.
    """
    data = read_given(path)
    if data.lstrip()[:1] == b"{":
        raise ValueError(
            f"{path} is JSON; npgpt train --help shows a file of settings, in TOML. A run that has "
            "a config.json is continued by --resume --out RUN, and its model by --init-from RUN"
        )
    try:
        # some editors of Windows begin a file with a byte order mark, which is not TOML
        tables = tomllib.loads(data.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not a TOML file: {error}; correct it there") from error
    known = {"preset": str, "model": dict, "training": dict}
    settings = {}
    for name, value in tables.items():
        _check_entry(path, name, value, known)
        if name == "preset":
            settings[name] = value
            continue
        known_there = fields(TrainConfig) if name == "training" else model_settings().values()
        types = {f.name: f.type for f in known_there}
        for entry, inner in value.items():
            _check_entry(path, entry, inner, types, f" in [{name}]")
            settings[entry] = tuple(inner) if entry == "corpus" else inner
    return settings


def _check_entry(path, name, value, types, table=""):
    if name not in types:
        raise ValueError(
            f"{path}: {name!r} is unknown{table}{_elsewhere(name, types)}; what is known "
            f"there: {', '.join(types)}"
        )
    wanted = _wanted(value, types[name])
    if wanted:
        raise ValueError(f"{path}: {name} = {value!r}{table}; give {wanted}")


def settings_from_json(cls, table, run_format):
    """The `cls`, a dataclass of settings, that an object in the config.json of a run describes.

    Raises ValueError for what is missing though runs of this format had it, for what no format has,
    and for all that `cls` itself refuses.
    """
    known = {field.name: field for field in fields(cls)}
    if not isinstance(table, dict):
        raise ValueError(f"{cls.__name__} is {table!r}; an object with its settings is wanted")
    for name in table.keys() - known.keys():
        raise ValueError(f"{cls.__name__}: {name!r} is unknown{nearest(name, known)}")
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in table.items()}
    for name in known.keys() - table.keys():
        added = known[name].metadata
        if added.get("since", 1) <= run_format:
            raise ValueError(f"{cls.__name__}: {name} is missing")
        values[name] = added["before"]
    return cls(**values)


def check_types(settings):
    """Raise ValueError unless each field of a dataclass holds what its type says."""
    for known in fields(settings):
        value = getattr(settings, known.name)
        wanted = _wanted(value, known.type)
        if wanted:
            raise ValueError(f"{type(settings).__name__}: {known.name}={value!r}; use {wanted}")


def _wanted(value, type):
    """What to give instead of a value that is not of a setting's type; None if it is."""
    if type == tuple[str, ...]:
        fits = isinstance(value, (tuple, list)) and all(isinstance(item, str) for item in value)
        return None if fits else 'a list of texts, as ["a.txt"]'
    accepted = (int, float) if type is float else type
    if not isinstance(value, accepted) or (isinstance(value, bool) and type is not bool):
        return f"a {getattr(type, '__name__', type)}"
    if isinstance(value, int) and abs(value) >= 2**63:
        return "a number below 2**63"
    if isinstance(value, float) and value == 0 and math.copysign(1, value) < 0:
        return "0 without a sign"
    return None


def _elsewhere(name, known):
    """Where a name that is not `known` in its table belongs, or the nearest name, or nothing."""
    if name in ("tokenizer", "vocab_size"):
        return f": give it as the flag --{name.replace('_', '-')}"
    tables = dict.fromkeys(model_settings(), "model")
    tables |= {field.name: "training" for field in fields(TrainConfig)}
    if name in tables:
        return f": it belongs in the table [{tables[name]}]"
    near = difflib.get_close_matches(name, [*known, *tables], n=1)
    where = f", in the table [{tables[near[0]]}]" if near and near[0] not in known else ""
    return f": did you mean {near[0]}{where}?" if near else ""


def nearest(name, known):
    """`: did you mean X?` for a name that is not known, or nothing.

    >>> nearest("n_layers", ["n_layer", "n_head"])
    ': did you mean n_layer?'
    """
    near = difflib.get_close_matches(name, known, n=1)
    return f": did you mean {near[0]}?" if near else ""
