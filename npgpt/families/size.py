"""How large a model is: parameters by part, arithmetic per token, memory of a training step."""

from dataclasses import dataclass

from autograd.ops.loss import chunk_rows
from npgpt.config import check_known
from npgpt.families import family_of


def parameters_by_part(config):
    """Part of the model -> how many parameters it has. A tied head counts once, as embedding.

    Counted by arithmetic: a model of 1.5 billion parameters need not be made to be counted.
    """
    counts = sized(config).parts(config)
    return {part: count for part, count in counts.items() if count}


def check_size(config, arrays, where):
    """Raise ValueError if a model of this config is far larger than the weights that it is to get.

    It has not been made then. Of a model up to twice as large, the weight that does not fit can be
    named once it is.
    """
    wanted = sum(parameters_by_part(config).values())
    found = sum(array.size for array in arrays.values())
    if wanted > 2 * found:
        raise ValueError(
            f"{where} has {found:,} weights, but the model in config.json {wanted:,}; use the "
            "files of one model"
        )


def flops_per_token(config):
    """Return the FLOPs of a forward pass, per token of a full block; a training step takes three
    times as many.

    Each weight of a matrix product is one multiplication and one addition; causal attention reads
    (T + 1) / 2 keys and values on average, other attention T, one of each for every channel.
    Backward does each product twice, for the gradients of its two operands. Norms, activations,
    rotary positions and softmax are left out.
    """
    weights, keys = sized(config).products(config)
    return int(2 * weights + 4 * keys)


def sized(config):
    """Return the family of a config, all of whose settings its sizes know."""
    found = family_of(config)
    check_known(config, found.sized, f"the size of a {found.arch}")
    return found


@dataclass(frozen=True)
class StepMemory:
    """Bytes of float32 in a training step with the compiled kernels (in plain NumPy it takes more).

    weights       the parameters
    moments       AdamW's two for each of them
    gradients     one more for each, when backward is done
    accumulated   the same of the batches before, if a step adds up the gradients of several
    activations   what the forward saves for backward, when the loss is computed
    head          what the output layer and the loss hold then: their table's gradient, a chunk of
                  logits and its gradient; of a head of its own also a copy of the table
    """

    weights: int
    moments: int
    gradients: int
    accumulated: int
    activations: int
    head: int

    @property
    def total(self):
        """The peak. As backward goes on, gradients come and activations go."""
        kept = self.weights + self.moments + self.accumulated
        return kept + max(self.gradients, self.activations + self.head)


def step_memory(config, batch_size, batches=1):
    """The `StepMemory` of one step on (batch_size, block_size) tokens, `batches` times; for a T5,
    on as many of the source and of the target.
    """
    V = config.vocab_size
    tokens = batch_size * config.block_size
    parameters = sum(parameters_by_part(config).values())
    tables = 1 if getattr(config, "tie_weights", False) else 2  # one is made anew for the loss
    rows = min(tokens, chunk_rows(V))
    return StepMemory(
        weights=4 * parameters,
        moments=4 * 2 * parameters,
        gradients=4 * parameters,
        accumulated=4 * parameters if batches > 1 else 0,
        activations=4 * sized(config).saved(config, tokens),
        head=4 * (tables * V * config.n_embd + 2 * rows * V),
    )
