"""How large a model is: parameters by part, arithmetic per token, memory of a training step."""

from dataclasses import dataclass

from autograd.ops.loss import chunk_rows
from npgpt.config import BertConfig, GPTConfig, LlamaConfig, T5Config


def parameters_by_part(config):
    """Part of the model -> how many parameters it has. A tied head counts once, as embedding.

    Counted by arithmetic: a model of 1.5 billion parameters need not be made to be counted.
    """
    counts = COUNTS[type(config)](config)
    return {part: count for part, count in counts.items() if count}


def _parts_of_gpt(config):
    C, L, V = config.n_embd, config.n_layer, config.vocab_size
    bias = C if config.bias else 0
    return {
        "token embedding": V * C,
        "position embedding": config.block_size * C,
        "attention": L * (3 * (C * C + bias) + C * C + bias),  # q, k, v; then the projection
        "MLP": L * (C * 4 * C + 4 * bias + 4 * C * C + bias),
        "norms": L * 2 * (C + bias),
        "final norm": C + bias,
        "output head": 0 if config.tie_weights else C * V,
    }


def _parts_of_llama(config):
    C, L, V = config.n_embd, config.n_layer, config.vocab_size
    return {
        "token embedding": V * C,
        "attention": L * (2 * C * C + 2 * C * C // config.n_head * config.kv_heads),
        "MLP": L * 3 * C * config.inner,
        "norms": L * 2 * C,
        "final norm": C,
        "output head": 0 if config.tie_weights else C * V,
    }


def _parts_of_bert(config):
    C, L, F, V = config.n_embd, config.n_layer, config.inner, config.vocab_size
    return {
        "token embedding": V * C,
        "position embedding": config.block_size * C,
        "segment embedding": config.n_segment * C,
        "attention": L * 4 * (C * C + C),
        "MLP": L * (2 * C * F + F + C),
        "norms": (L * 2 + 1) * 2 * C,
        "output head": C * C + C + 2 * C + V if config.mlm_head else 0,
    }


def _parts_of_t5(config):
    C, V, L, M = config.n_embd, config.vocab_size, config.n_layer, config.decoder_layers
    return {
        "token embedding": V * C,
        "position biases": 2 * config.n_bucket * config.n_head,
        "attention": (L + 2 * M) * 4 * C * config.n_head * config.head_channels,
        "MLP": (L + M) * (3 if config.gated else 2) * C * config.inner,
        "norms": (L * 2 + M * 3) * C,
        "final norms": 2 * C,
        "output head": 0 if config.tie_weights else C * V,
    }


COUNTS = {
    GPTConfig: _parts_of_gpt,
    LlamaConfig: _parts_of_llama,
    BertConfig: _parts_of_bert,
    T5Config: _parts_of_t5,
}


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
    """FLOPs of a forward pass, per token of a full block; a training step takes three times that.

    Each weight of a matrix product is one multiplication and one addition; causal attention reads
    (T + 1) / 2 keys and values on average, other attention T, one of each for every channel.
    Backward does each product twice, for the gradients of its two operands. Norms, activations,
    rotary positions and softmax are left out. For a T5, a token is one of the source and one of the
    target, each a full block; for a BERT, the head is counted for each token, with a target or not.
    """
    parts, C, V, T = parameters_by_part(config), config.n_embd, config.vocab_size, config.block_size
    matrices = C * V
    if isinstance(config, GPTConfig):
        matrices += config.n_layer * 12 * C * C
    else:
        matrices += parts["attention"] + parts["MLP"]
    seen, inner = config.n_layer * (T + 1) / 2, C
    if isinstance(config, BertConfig):
        biases = config.n_layer * (5 * C + config.inner)
        matrices, seen = matrices + C * C - biases, config.n_layer * T
    elif isinstance(config, T5Config):
        inner = config.n_head * config.head_channels
        seen = (config.n_layer + config.decoder_layers) * T + config.decoder_layers * (T + 1) / 2
    return int(2 * matrices + 4 * seen * inner)


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

    Per token a block of a GPT saves 16 C floats: both norms' inputs and outputs (4 C), q, k, v
    (3 C), the attention's result (C), the MLP's hidden layer before and after GELU (8 C). Dropout
    saves none. The last norm's input and result, and the gradient of that, are 3 C more.
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
        activations=4 * (tokens * SAVED[type(config)](config) + _shared_biases(config)),
        head=4 * (tables * V * config.n_embd + 2 * rows * V),
    )


def _saved_by_bert(config):
    """In a block: the norms' inputs and outputs, q, k, v, the result, the MLP's hidden layer before
    and after GELU. Around: the norm of the embeddings, the head's two layers and its norm."""
    C, F = config.n_embd, config.inner
    return config.n_layer * (8 * C + 2 * F) + 8 * C


def _saved_by_llama(config):
    """As a GPT's block, with the MLP's gate before and after SiLU, what it is multiplied with, and
    the product; q, k and v take less where heads are shared."""
    C, F = config.n_embd, config.inner
    kv = 2 * C // config.n_head * config.kv_heads
    return config.n_layer * (6 * C + kv + 4 * F) + 3 * C


def _saved_by_t5(config):
    C, E, F = config.n_embd, config.n_head * config.head_channels, config.inner
    L, M = config.n_layer, config.decoder_layers
    mlp = (4 if config.gated else 2) * F
    return L * (4 * C + 4 * E + mlp) + M * (6 * C + 8 * E + mlp) + 5 * C


SAVED = {
    GPTConfig: lambda config: config.n_layer * 16 * config.n_embd + 3 * config.n_embd,
    LlamaConfig: _saved_by_llama,
    BertConfig: _saved_by_bert,
    T5Config: _saved_by_t5,
}


def _shared_biases(config):
    """Those of the scores of a T5: one for each stack, and its gradient."""
    return 3 * config.n_head * config.block_size**2 if isinstance(config, T5Config) else 0
