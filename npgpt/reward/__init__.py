"""Learning from a reward: the model writes stories, the grammar says which are right.

    settings.py    its settings, which a run with a reward has beside those of training
    verify.py      the reward of a story, and its first wrong token
    losses.py      the policy gradient with a KL penalty
    draws.py       stories drawn in a batch, and the objective that trains on them

`npgpt train --init-from RUN --reward grammar` is the same loop as any training: each batch is drawn
from the model instead of a text.
"""
