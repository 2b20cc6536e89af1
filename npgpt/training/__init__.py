"""Training. Reading order: schedule, optim, loop, metrics, checkpoint; then warmup, progress and
guards, profile for where the time goes, and parallel for several processes.
"""

from npgpt.training.optim import AdamW
