"""How large a model is: parameters by part, arithmetic per token, memory of a training step."""

from dataclasses import dataclass
from functools import cache

from autograd.ops.loss import chunk_rows
from npgpt.model.gpt import GPT

PARTS = {
    "token embedding": "wte.",
    "position embedding": "wpe.",
    "attention": ".attn.",
    "MLP": ".mlp.",
    "norms": ".ln_",
    "final norm": "ln_f.",
    "output head": "lm_head.",
}


@cache  # a whole model is made to be counted
def parameters_by_part(config):
    """Part of the model -> how many numbers it learns. A tied head counts once, as embedding."""
    counts = dict.fromkeys(PARTS, 0)
    for name, weight in GPT(config).parameters().items():
        part = next(part for part, mark in PARTS.items() if mark in name)
        counts[part] += weight.size
    return {part: count for part, count in counts.items() if count}


def flops_per_token(config):
    """FLOPs of a forward pass, per token of a full block; a training step takes three times that.

    Each weight of a matrix product is one multiplication and one addition; causal attention reads
    (T + 1) / 2 keys and values on average, C multiplications and additions each. Backward does
    each product twice, for the gradients of its two operands. Norms, GELU and softmax are left out.
    """
    C, T = config.n_embd, config.block_size
    matrices = config.n_layer * 12 * C * C + C * config.vocab_size
    attention = config.n_layer * C * (T + 1)
    return 2 * matrices + 2 * attention


@dataclass(frozen=True)
class StepMemory:
    """Bytes of float32 in a training step.

    weights       the parameters
    moments       AdamW's two numbers for each of them
    gradients     one more for each, when backward is done
    activations   what the forward saves for backward, when the loss is computed
    head          what the output layer and the loss hold then: their table's gradient, a chunk of
                  logits and its gradient
    """

    weights: int
    moments: int
    gradients: int
    activations: int
    head: int

    @property
    def total(self):
        """The peak. As backward goes on, gradients come and activations go."""
        return self.weights + self.moments + max(self.gradients, self.activations + self.head)


def step_memory(config, batch_size):
    """The `StepMemory` of one step on (batch_size, block_size) tokens.

    Per token a block saves 16 C numbers: both norms' inputs and outputs (4 C), q, k, v (3 C), the
    attention's result (C), the MLP's hidden layer before and after GELU (8 C). Dropout saves none.
    """
    C, V = config.n_embd, config.vocab_size
    tokens = batch_size * config.block_size
    per_block = 16 * C
    parameters = sum(parameters_by_part(config).values())
    tables = 1 if config.tie_weights else 3  # a head of its own is transposed, and its gradient
    rows = min(tokens, chunk_rows(V))
    return StepMemory(
        weights=4 * parameters,
        moments=4 * 2 * parameters,
        gradients=4 * parameters,
        activations=4 * tokens * (config.n_layer * per_block + 3 * C),
        head=4 * (tables * V * C + 2 * rows * V),
    )
