"""Limits of the machine: the speed of its memory, the size of a step that fits into it, the steps
that fit into some minutes."""

import os
import time
from copy import deepcopy
from dataclasses import replace

import numpy as np

from autograd import backend
from npgpt.metrics import measured
from npgpt.models.size import step_memory
from npgpt.optim import make_optimizer
from npgpt.train import training_steps

MOST_STEPS = 10**9  # of a run that is given minutes


def read_bandwidth(size, seconds=0.2):
    """Return the bytes/s at which all threads read `size` bytes again and again, at best in this
    time; bytes that fit into a cache are read from there."""
    arrays = [np.ones(max(size // 4, 1), np.float32)]
    backend.sum_of_squares(arrays)  # compiles or loads the kernel, wakes its threads
    best, end = np.inf, time.perf_counter() + seconds
    while best == np.inf or time.perf_counter() < end:
        started = time.perf_counter()
        backend.sum_of_squares(arrays)
        best = min(best, time.perf_counter() - started)
    return arrays[0].nbytes / best


def tokens_per_step(model_config, training):
    windows = training.batch_size * training.gradient_accumulation_steps
    return windows * model_config.block_size


def check_memory(model_config, training, ranks=1):
    """Raise ValueError if a training step, on so many ranks, takes more memory than is there."""
    try:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return
    B, batches = training.batch_size, training.gradient_accumulation_steps
    needed = step_memory(model_config, B // ranks, batches).total
    needed += 8 * B * batches  # where the windows start
    if needed > there:
        raise ValueError(
            f"a step of {B:,} x {model_config.block_size:,} tokens on a model of "
            f"{model_config.n_layer:,} layers and {model_config.n_embd:,} channels takes "
            f"{needed / 1e9:,.1f} GB of memory, but this machine has {there / 1e9:,.1f}; use a "
            "smaller --block-size, --batch-size or --gradient-accumulation-steps, and in a new "
            "model --n-embd or --n-layer"
        )


def steps_within(minutes, dataset, model, training):
    """Return how many steps of training, 1 or more, take so many minutes, by the first few.

    A copy of the model takes these: the run begins as if nothing had been measured.
    """
    copy, seconds = deepcopy(model), []  # of all but the first, which is slower
    optimizer = make_optimizer(copy, training)
    steps = training_steps(
        copy, optimizer, dataset.train_ids,
        replace(training, max_iters=MOST_STEPS), objective=dataset.objective,
    )
    for step, step_seconds, _ in measured(steps, optimizer):
        seconds += [step_seconds] if step.step > 1 else []
        if sum(seconds) > (min(5, 6 * minutes) if len(seconds) > 4 else 30 * minutes):
            break
    return min(MOST_STEPS, max(1, round(60 * minutes / np.median(seconds))))


def clock(seconds):
    """Return a duration as a person reads it.

    >>> [clock(0.4), clock(75), clock(3600 * 30 + 125)]
    ['0:00', '1:15', '30:02:05']
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
