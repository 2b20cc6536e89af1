"""Training. Reading order: schedule, optim, loop, metrics, checkpoint; then progress and guards,
and parallel for several processes.
"""

from npgpt.training.optim import AdamW
