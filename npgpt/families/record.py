"""Family: what the program knows of one kind of model, in one record."""

from collections.abc import Callable
from dataclasses import dataclass, field

from npgpt.io.huggingface import Files


@dataclass(frozen=True)
class Family:
    """One kind of model. A file of this package each, listed in `npgpt.families.FAMILIES`.

    arch        its name on the command line
    Config      a dataclass of its settings, as `npgpt.config.GPTConfig`
    Model       a `npgpt.gpt.Model` with `loss(*inputs, targets_BT, **masks)`
    Objective   what it is asked of a text, as `npgpt.batches.NextToken`
    write       how it writes, a function of `npgpt.families.writing`
    files       its files in the transformers library
    sized       the settings that parts, products and saved know; other values are refused
    parts       (config) -> {part of the model: its number of parameters, tied ones once}
    products    (config) -> (weights that a token is multiplied with, channels of keys that it
                reads), in a forward of full blocks, for `npgpt.families.size.flops_per_token`
    saved       (config, tokens) -> floats that a forward saves for backward
    presets     name -> settings that differ from the defaults, as `npgpt.config.PRESETS`
    """

    arch: str
    Config: type
    Model: type
    Objective: type
    write: Callable
    files: Files
    sized: set
    parts: Callable
    products: Callable
    saved: Callable
    presets: dict = field(default_factory=dict)
