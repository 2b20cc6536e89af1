"""Learning from a reward: the model writes stories, the grammar says which are right.

    verify.py      the reward of a story, and its first wrong token
    losses.py      one estimator with switches, and DPO, in the notation of their papers
    draws.py       stories drawn in a batch, and the objective that trains on them

`npgpt train --init-from RUN --reward grammar` is the same loop as any training: each batch is drawn
from the model instead of a text.
"""

from npgpt.reward.draws import Rewarded, draw_reward, remember, rewarded

__all__ = ["Rewarded", "draw_reward", "remember", "rewarded"]

# Defaults of `npgpt train --reward` in place of a preset's.
DEFAULTS = {
    "max_iters": 300, "batch_size": 64, "lr": 3e-4, "min_lr": 3e-5, "warmup_iters": 10,
    "weight_decay": 0.0, "eval_interval": 50,
}
