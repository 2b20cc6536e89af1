"""The embeddings: where a GPT begins."""

import numpy as np

TASK = """
A GPT begins with two tables. Each token looks up its row in one, each position its row in the
other, and the two rows are added: h_bt = tokens[ids_bt] + positions[t]. Positions are counted from
0 in every text of the batch. The table of positions may have more rows than a text has tokens.
"""
RETURNS = "h"
WHERE = "npgpt.gpt.Embedding"
HINTS = """
NumPy looks up many rows at once: tokens[ids] has a row of C numbers for each entry of ids.
A text of T tokens has the positions 0 to T - 1, which are the first T rows of the other table.
tokens_VC[ids_BT] is (B, T, C), positions_SC[:T] is (T, C); NumPy adds the second to every text.
"""


def embed(tokens_VC, positions_SC, ids_BT):
    """Return h (B, T, C).    tokens (V, C), positions (S, C) with S >= T, ids (B, T)"""
    T = ids_BT.shape[1]
    return tokens_VC[ids_BT] + positions_SC[np.arange(T)]


def cases(rng):
    for B, T, S, V, C in ((1, 3, 4, 3, 2), (2, 3, 3, 3, 2), (3, 2, 5, 4, 4)):
        yield {"tokens_VC": rng.normal(size=(V, C)), "positions_SC": rng.normal(size=(S, C)),
               "ids_BT": rng.integers(0, V, (B, T))}


FAULTS = {
    "the positions are left out": {" + positions_SC[np.arange(T)]": ""},
    "the row of the position is chosen by the token, and not by the place in the text":
        {"positions_SC[np.arange(T)]": "positions_SC[ids_BT]"},
    "positions are counted from 1, and not from 0":
        {"np.arange(T)": "np.arange(1, T + 1) % len(positions_SC)"},
    "all rows of the table of positions are added; a text of T tokens has the first T":
        {"[np.arange(T)]": ""},
    "the rows are multiplied; they are added": {"[ids_BT] +": "[ids_BT] *"},
    "the rows are put side by side; they are added":
        {"tokens_VC[ids_BT] + positions_SC[np.arange(T)]":
         "np.concatenate([tokens_VC[ids_BT], np.broadcast_to("
         "positions_SC[:T], (*ids_BT.shape, positions_SC.shape[1]))], axis=2)"},
    "the vectors of a text are added up; each token keeps a vector of its own":
        {"return tokens": "return (tokens", "np.arange(T)]": "np.arange(T)]).sum(axis=1)"},
}
