"""Sampling: temperature."""

import numpy as np

TASK = """
The probabilities of the next token, at a temperature: softmax(logits / temperature). At 1 they
are the model's own, below 1 they favour the likeliest token, above 1 they are flatter. Divided by a
small temperature logits are large, and e^1000 overflows.
"""
RETURNS = "p"
WHERE = "npgpt.sampling.Sampling"
HINTS = """
Divide the logits, not the probabilities.
softmax does not change if a number is subtracted from all logits; subtract the largest.
z = (logits - logits.max()) / temperature; np.exp(z) / np.exp(z).sum()
"""


def temperature(logits_V, temperature):
    """Return probabilities (V,).    logits (V,), temperature above 0"""
    e_V = np.exp((logits_V - logits_V.max()) / temperature)
    return e_V / e_V.sum()


def cases(rng):
    for value in (1.0, 0.5, 2.0):
        yield {"logits_V": 2 * rng.normal(size=5), "temperature": value}
    yield {"logits_V": np.array([10.0, 9.99, 0.0]), "temperature": 0.01}


FAULTS = {
    "the probabilities are divided by the temperature; divide the logits, before the softmax":
        {"/ temperature)": ")", "e_V.sum()": "e_V.sum() / temperature"},
    "a power of the probabilities, which is right, is not divided by its sum":
        {"/ temperature)": ")", "return e_V / e_V.sum()":
         "return (e_V / e_V.sum()) ** (1 / temperature)"},
    "the temperature multiplies: high and low are swapped": {"/ temperature": "* temperature"},
    "the temperature is left out": {" / temperature": ""},
    "the softmax is taken of probabilities, and not of logits":
        {"    e_V = ": "    logits_V = np.exp(logits_V) / np.exp(logits_V).sum()\n    e_V = "},
    "they are not divided by their sum": {" / e_V.sum()": ""},
    "e^z overflows: subtract the largest logit first": {" - logits_V.max()": ""},
}
