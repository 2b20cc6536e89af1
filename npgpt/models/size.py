"""How large a model is: parameters by part, arithmetic per token, memory of a training step."""

from dataclasses import dataclass

from autograd.ops.loss import chunk_rows
from npgpt.config import check_handled
from npgpt.models import family_of


def parameters_by_part(config):
    """Return {part of the model: number of parameters}. A tied head counts once, as embedding.

    Arithmetic on the settings counts them, so that a model of 1.5 billion need not be built.
    """
    counts, *_ = sized(config)
    return {part: count for part, count in counts.items() if count}


def check_size(config, arrays, where):
    """Raise ValueError if a model of this config is more than twice as large as the weights found.

    Such a model is never built. In a smaller one, the loader names the weight that does not fit.
    """
    wanted = sum(parameters_by_part(config).values())
    found = sum(array.size for array in arrays.values())
    if wanted > 2 * found:
        raise ValueError(
            f"{where} has {found:,} weights, but the model in config.json {wanted:,}; use the "
            "files of one model"
        )


def flops_per_token(config):
    """Return the FLOPs of a forward pass per token of a full block.

    Each weight of a matrix product takes one multiplication and one addition. Causal attention
    reads (T + 1) / 2 keys and values on average, bidirectional attention T, and each takes the same
    two FLOPs per channel. Norms, activations, rotary positions and softmax are left out. A training
    step takes three times as many, since backward has two products for each one, a gradient for
    each operand.
    """
    _, weights, keys, _ = sized(config)
    return int(2 * weights + 4 * keys)


def sized(config, tokens=0):
    """Return `Family.size` of a config; ValueError for a setting that it does not know."""
    found = family_of(config)
    where = f"`unfiled` in FAMILY of {found.file}"
    check_handled(config, found.sized, f"the size of a {found.arch}", where)
    return found.size(config, tokens)


@dataclass(frozen=True)
class StepMemory:
    """Bytes of float32 in a training step with the compiled kernels; plain NumPy takes more."""

    weights: int  # the parameters
    moments: int  # AdamW's two moments of each parameter
    gradients: int  # the gradient of each parameter, after backward
    accumulated: int  # the sum of earlier micro-batches' gradients, if a step has several
    activations: int  # the arrays that the forward pass saves for backward
    # the arrays of the output layer and the loss: the gradient of the table, a chunk of logits and
    # its gradient; for an untied head also a copy of the table
    head: int

    @property
    def total(self):
        """The peak. During backward, gradients replace activations."""
        kept = self.weights + self.moments + self.accumulated
        return kept + max(self.gradients, self.activations + self.head)


def step_memory(config, batch_size, batches=1):
    """Return the `StepMemory` of a step of `batches` micro-batches (batch_size, block_size).

    For a T5, source and target have this size each.
    """
    V = config.vocab_size
    tokens = batch_size * config.block_size
    parameters = sum(parameters_by_part(config).values())
    tables = 1 if getattr(config, "tie_weights", False) else 2  # the loss transposes an untied head
    rows = min(tokens, chunk_rows(V))
    return StepMemory(
        weights=4 * parameters,
        moments=4 * 2 * parameters,
        gradients=4 * parameters,
        accumulated=4 * parameters if batches > 1 else 0,
        activations=4 * sized(config, tokens)[-1],
        head=4 * (tables * V * config.n_embd + 2 * rows * V),
    )
