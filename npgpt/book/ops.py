"""The table at the end of the book's chapter on backward rules."""

import re

import numpy as np

from autograd import Observer, observing
from npgpt.gpt import GPT, GPTConfig

AFTER = "Backward Rules"
TEXT = """

## The ops of a GPT

Backward visits the ops of a loss from the last to the first. For a GPT of one block (4 tokens, 8
channels, 2 heads) these are the shape of the gradient that arrives at each, and the rule that it
goes through, as the docstrings in `autograd/ops/` have it; of several rules the first. An op
without one moves numbers, and moves their gradients back.

| op | arriving gradient | rule |
| --- | --- | --- |
"""


class Visited(Observer):
    """An observer with a row of the table for each op that backward visits."""

    def __init__(self):
        self.rows = []

    def vjp(self, op, node, d_outputs, gradients, seconds):
        rule = re.search(r"\bd\w+ = .*?(?=,? {2}|:?$)|$", op.__doc__, re.M)[0]
        self.rows.append(f"| {op.name} | {d_outputs[0].shape} | {rule and f'`{rule}`'} |\n")


def ops_of_a_gpt():
    """Return the table, as Markdown."""
    ids_BT = np.array([[1, 2, 3, 4, 5]])
    model = GPT(GPTConfig(27, 8, n_layer=1, n_head=2, n_embd=8, bias=False))
    with observing(Visited()) as visited:
        model.loss(ids_BT[:, :-1], ids_BT[:, 1:]).backward()
    return TEXT + "".join(visited.rows)
