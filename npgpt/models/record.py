"""Architecture: everything that the program needs to know about one, in one record."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from npgpt.batches import Batch
from npgpt.models.file_layout import Files


@dataclass(frozen=True)
class Architecture:
    """One architecture, in a file of its own that is listed in `npgpt.models.ARCHITECTURES`."""

    arch: str  # the name on the command line
    does: str  # verb and object for help texts, such as "continues a text"
    Config: type  # a dataclass of settings, such as `npgpt.config.GPTConfig`
    Model: type  # a `npgpt.gpt.Model` with `loss(*inputs, targets_BT, **masks)`
    Objective: type  # the training task, such as `npgpt.batches.NextToken`
    write: Callable  # the generation loop, a function of `npgpt.models.writing`
    files: Files  # the layout in the transformers library
    # (config, tokens) -> (channels of keys that a token reads in a forward pass of full blocks,
    # floats that a pass of so many tokens saves for backward), for `npgpt.models.size`
    activations: Callable
    # name -> what differs from the defaults, the kind's own first; vocab_size is for `npgpt info`
    presets: dict
    # settings of a model that finite differences can check in a second, the standard deviation of
    # its weights, and its `npgpt.batches.Batch`
    small: dict = field(default_factory=lambda: {"n_embd": 6})
    small_std: float = 0.7
    batch: Callable = lambda idx_BT, targets_BT, mask_BT: Batch((idx_BT,), targets_BT, {})

    @property
    def filed(self):
        """The settings that a file of the library says; to write another one is refused."""
        return {*self.files.settings, *self.files.derived}

    def small_model(self, seed, **changes):
        """Return (a float64 model, its loss as a function for `autograd.gradcheck`), with dropout.

        changes   settings that differ from the `small` ones

        The weights are of order one, not 0.02: else most gradients are too small to be wrong.
        """
        settings = {"vocab_size": 7, "block_size": 5, "n_layer": 2, "n_head": 2, "dropout": 0.2}
        config = self.Config(**settings | self.small | changes)
        model, rng = self.Model(config, seed=seed, dtype=np.float64), np.random.default_rng(seed)
        for weight in model.parameters().values():
            mean = 1.0 if weight.data.ndim == 1 else 0.0
            weight.data[...] = rng.normal(mean, self.small_std, weight.shape)
        idx_BT, targets_BT = rng.integers(0, 7, (2, 2, 5))
        batch = self.batch(idx_BT, targets_BT, np.array([[1, 1, 1, 1, 0], [0, 1, 1, 1, 1]]))

        def loss(**parameters):
            model.dropout_step = 0  # the same dropout mask each time
            return model(*batch.inputs, batch.targets_BT, **batch.masks)[1]

        return model, loss
