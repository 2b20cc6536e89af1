"""Training. Reading order: schedule, optim, loop, metrics, checkpoint."""

from npgpt.training.optim import AdamW
