"""The learning rate of each step: a linear warm-up, then half a cosine down to the minimum."""

import math


def learning_rate(step, config):
    """The rate of optimizer step `step`, counted from 0.    config: a TrainConfig

    Warm-up keeps early steps small while AdamW's running means still rest on few gradients. The
    cosine spends most steps near the peak, and ends slowly.

    Source: Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017.

    >>> from npgpt.config import TrainConfig
    >>> config = TrainConfig(max_iters=1000, warmup_iters=100, lr=1e-3, min_lr=1e-4)
    >>> [round(learning_rate(step, config), 6) for step in (0, 99, 550, 1000)]
    [1e-05, 0.00099, 0.00055, 0.0001]
    """
    if step < config.warmup_iters:
        return config.lr * (step + 1) / (config.warmup_iters + 1)
    progress = (step - config.warmup_iters) / max(1, config.max_iters - config.warmup_iters)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return config.min_lr + (config.lr - config.min_lr) * cosine
