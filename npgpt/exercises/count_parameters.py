"""The number of parameters of a GPT."""

TASK = """
Count the parameters of a GPT-2: a vector of C channels for each of V tokens and each of T
positions; L blocks; a last layer norm. A block has two layer norms (weight and bias), a
projection from C to 3 C for queries, keys and values, one from C to C, and an MLP from C to 4 C
and back. Each projection has a bias. The output layer is the token embedding once more, so it
adds nothing.
"""
RETURNS = "count"
WHERE = "npgpt.models.size.parameters_by_part"
HINTS = """
The matrices of a block: 3 C^2 + C^2 + 4 C^2 + 4 C^2.
The vectors of a block: biases 3 C + C + 4 C + C, and two norms with 2 C each.
V C + T C + L (12 C^2 + 13 C) + 2 C
"""


def count_parameters(V, T, C, L):
    """Return a number.    V tokens, T positions, C channels, L blocks"""
    matrices = 3 * C * C + C * C + 4 * C * C + 4 * C * C
    vectors = 3 * C + C + 4 * C + C + 2 * 2 * C
    return V * C + T * C + L * (matrices + vectors) + 2 * C


def cases(rng):
    yield {"V": 50257, "T": 1024, "C": 768, "L": 12}
    yield {"V": 7, "T": 5, "C": 6, "L": 1}


FAULTS = {
    "the output layer is counted apart from the embedding": {"V * C": "2 * V * C"},
    "the positions are left out": {" + T * C": ""},
    "the biases of the projections are left out": {"3 * C + C + 4 * C + C + ": ""},
    "the layer norms of the blocks are left out": {" + 2 * 2 * C": ""},
    "all biases and norms are left out": {"(matrices + vectors) + 2 * C": "matrices"},
    "the last layer norm is left out": {") + 2 * C": ")"},
}
