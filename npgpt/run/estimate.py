"""Limits of the machine: the speed of its memory, the steps that fit into some minutes."""

import time
from copy import deepcopy
from dataclasses import replace

import numpy as np

from autograd import backend
from npgpt.metrics import StepTimer
from npgpt.optim import make_optimizer
from npgpt.train import training_steps


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


def steps_within(minutes, dataset, model, training):
    """Return how many steps of training, 1 or more, take so many minutes, by the first few.

    A copy of the model takes these: the run begins as if nothing had been measured.
    """
    copy, seconds = deepcopy(model), []  # of all but the first, which is slower
    optimizer = make_optimizer(copy, training)
    steps = training_steps(
        copy, optimizer, dataset.train_ids,
        replace(training, max_iters=10**9), objective=dataset.objective,
    )
    timer = StepTimer(optimizer)
    for step in steps:
        seconds += [timer.stop()[0]] if step.step > 1 else []
        if sum(seconds) > (min(5, 6 * minutes) if len(seconds) > 4 else 30 * minutes):
            break
        timer.start()
    return max(1, round(60 * minutes / np.median(seconds)))
