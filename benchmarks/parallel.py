"""Data-parallel training: two ranks of one thread each share every batch of `baby`, in turn with
one process of one thread. By arithmetic, from the speed of a rank: steps of 524,288 tokens (512
windows of 1,024), and a ring all-reduce of 4 bytes a parameter through links of 10 Gbit/s.

Each rank holds weights, moments, gradients and a flat copy of these, so that more ranks save no
memory. Twice the ranks halve the arithmetic and not the all-reduce; 512 ranks have one window each,
and are the end.
"""

import json
import os
import shutil
import subprocess
import sys
import timeit
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.measure import duration, spread
from benchmarks.runners import ROOT
from benchmarks.shapes import MODELS, tokens
from benchmarks.train_step import CODE as STEP
from npgpt import GPT, AdamW, GPTConfig
from npgpt.config import TrainConfig
from npgpt.models.size import flops_per_token, parameters_by_part
from npgpt.run.parallel import join_ranks
from npgpt.train import CURRENT_RANKS, SINGLE_PROCESS, micro_batches

CODE = (*STEP, "npgpt/run/parallel.py")
PEERS = ()
MEGABYTES = (0.004, 1, 16, 43, 256)
RANKS = (1, 8, 64, 512)
TOKENS, LINK = 2**19, 1.25e9  # of one step; bytes a second, each way, of one rank
GROWN = {
    "GPT-2 124M": GPTConfig(50257, 1024, 12, 12, 768),
    "GPT-2 1.5B": GPTConfig(50257, 1024, 48, 25, 1600),
}


def tables(threads, short):
    mpirun = shutil.which("mpirun", path=Path(sys.executable).parent) or shutil.which("mpirun")
    if mpirun is None:
        raise FileNotFoundError("there is no mpirun; install one with: pip install -e '.[mpi]'")
    each = "from benchmarks.parallel import measure; measure()"
    command = [mpirun, "-n", "2", sys.executable, "-c", each]
    done = subprocess.run(
        command, env=os.environ | {"NUMBA_NUM_THREADS": "1"}, check=True, stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    found = json.loads(done.stdout)
    batch, config = MODELS["baby"]
    alone = median(found["alone"])
    rate = 3 * flops_per_token(config) * batch * config.block_size / alone
    ratios = (a / b for a, b in zip(found["alone"], found["together"], strict=True))
    yield "A step of `baby`", {
        "one process": f"{duration(alone)}, {rate / 1e9:.0f} GFLOP/s",
        "two ranks: times as fast": spread(ratios),
    } | {f"all-reduce of {size} MB": duration(seconds)
         for size, seconds in found["reduce"].items()}
    yield "By arithmetic: a step on more ranks", {
        f"{name}, {n}": cell(*step_costs(config, n, rate, LINK))
        for name, config in GROWN.items() for n in RANKS
    }


def cell(arithmetic, reduce):
    share = arithmetic / (arithmetic + reduce)
    return f"{arithmetic:,.1f} s and {reduce:.2f} s of all-reduce: {share:.0%} efficient"


def measure():
    """Time steps on each of two ranks; rank 0 prints the seconds as JSON."""
    with join_ranks() as ranks:
        batch, config = MODELS["baby"]
        model = GPT(config, seed=0)
        optimizer = AdamW(model.parameters())
        ids, training = tokens(batch * 20, config).ravel(), TrainConfig(batch_size=batch)

        def step(index, shared):
            CURRENT_RANKS.set(shared)
            for batch, _ in micro_batches(model, ids, training, index):
                loss = batch.loss(model)
                loss.backward()
            shared.average(optimizer.parameters, loss.item())
            optimizer.step()
            optimizer.zero_grad()

        alone, together = [], []
        for index in range(6):  # the first compiles
            ranks.comm.barrier()
            if ranks.rank == 0:
                alone.append(timeit.timeit(partial(step, index, SINGLE_PROCESS), number=1))
            ranks.comm.barrier()
            together.append(timeit.timeit(partial(step, index, ranks), number=1))
        found = {"alone": alone[1:], "together": together[1:], "reduce": _reduces(ranks)}
        if ranks.rank == 0:
            print(json.dumps(found))


def _reduces(ranks):
    """Return MB -> seconds of an all-reduce of so many float32."""
    from mpi4py import MPI

    times = {}
    for size in MEGABYTES:
        values = np.zeros(int(size * 1e6) // 4, np.float32)
        add = partial(ranks.comm.Allreduce, MPI.IN_PLACE, values, op=MPI.SUM)
        times[size] = median(timeit.repeat(add, setup=ranks.comm.barrier, number=1, repeat=7))
    return times


def step_costs(config, n_ranks, flops_per_second, bandwidth):
    """Return (seconds of arithmetic, seconds of the all-reduce) of one step on TOKENS tokens.

    A ring all-reduce sends 2 (R - 1) / R times the gradients through each rank's link, whatever
    the number of ranks R: half of it to add up, half to pass the sums on. Its latency, microseconds
    for each of 2 (R - 1) messages, is left out.
    """
    arithmetic = 3 * flops_per_token(config) * TOKENS / n_ranks / flops_per_second
    gradients = 4 * sum(parameters_by_part(config).values())
    return arithmetic, 2 * (n_ranks - 1) / n_ranks * gradients / bandwidth
