"""Data-parallel training: two ranks measured, and by arithmetic what 8, 64 and 512 would give.

    python -m benchmarks.parallel

Two ranks of one thread each share every batch of the `baby` model, in turn with one process of one
thread that computes it alone. Beside that all-reduces of several sizes are measured. From these
costs the page benchmarks/PARALLEL.md is written. About half a minute on two cores.
"""

import argparse
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

from benchmarks.machine import described
from benchmarks.shapes import CONFIGURATIONS
from npgpt import GPT, AdamW
from npgpt.config import GPTConfig, TrainConfig
from npgpt.families.size import flops_per_token, parameters_by_part, step_memory
from npgpt.run.parallel import join_ranks
from npgpt.train import ALONE, micro_batches

PAGE = Path(__file__).parent / "PARALLEL.md"
MEGABYTES = (0.004, 1, 16, 43, 256)
RANKS = (1, 8, 64, 512)
TOKENS = 2**19  # of one step: the half million of GPT-3's smallest models, 512 windows of 1024
NETWORKS = {"10 Gbit/s": 1.25e9, "100 Gbit/s": 12.5e9}  # bytes/s, each way, of one rank
MODELS = {
    "GPT-2 124M": GPTConfig(50257, 1024, 12, 12, 768),
    "GPT-2 1.5B": GPTConfig(50257, 1024, 48, 25, 1600),
}


def main():
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()
    mpirun = shutil.which("mpirun", path=Path(sys.executable).parent) or shutil.which("mpirun")
    if mpirun is None:
        raise SystemExit("there is no mpirun; install one with: pip install -e '.[mpi]'")
    each = "from benchmarks.parallel import measure; measure()"
    command = [mpirun, "-n", "2", sys.executable, "-c", each]
    done = subprocess.run(
        command, env=os.environ | {"NUMBA_NUM_THREADS": "1"}, check=True, stdout=subprocess.PIPE
    )
    text = page(json.loads(done.stdout), described())
    PAGE.write_text(text, encoding="utf-8")
    print(f"{text}\nwritten to {PAGE.name}")


# ---- measured


def measure():
    """Time steps on each of two ranks; rank 0 prints the seconds as JSON."""
    with join_ranks() as ranks:
        measure_on(ranks)


def measure_on(ranks):
    batch, config = CONFIGURATIONS["baby"]
    model = GPT(config, seed=0)
    optimizer = AdamW(model.parameters())
    ids = np.random.default_rng(0).integers(0, config.vocab_size, 100_000)
    training = TrainConfig(batch_size=batch)

    def step(index, shared):
        for batch, _ in micro_batches(model, ids, training, index, shared):
            loss = batch.loss(model)
            loss.backward()
        shared.average(optimizer.parameters, loss.item())
        optimizer.step()
        optimizer.zero_grad()

    alone, together = [], []
    for index in range(6):  # the first compiles
        ranks.comm.barrier()
        if ranks.rank == 0:
            alone.append(timeit.timeit(partial(step, index, ALONE), number=1))
        ranks.comm.barrier()
        together.append(timeit.timeit(partial(step, index, ranks), number=1))
    times = {"alone": alone[1:], "together": together[1:], "reduce": _reduces(ranks)}
    if ranks.rank == 0:
        print(json.dumps(times))


def _reduces(ranks):
    """Return MB -> seconds of an all-reduce of so many float32."""
    from mpi4py import MPI

    times = {}
    for size in MEGABYTES:
        values = np.zeros(int(size * 1e6) // 4, np.float32)
        add = partial(ranks.comm.Allreduce, MPI.IN_PLACE, values, op=MPI.SUM)
        seconds = timeit.repeat(add, setup=ranks.comm.barrier, number=1, repeat=7)
        times[size] = median(seconds)
    return times


# ---- by arithmetic


def step_costs(config, n_ranks, flops_per_second, bandwidth):
    """Return (seconds of arithmetic, seconds of the all-reduce) of one step on TOKENS tokens.

    A ring all-reduce sends 2 (R - 1) / R times the gradients through each rank's link, whatever
    the number of ranks R: half of it to add up, half to pass the sums on. Its latency, microseconds
    for each of 2 (R - 1) messages, is left out.
    """
    arithmetic = 3 * flops_per_token(config) * TOKENS / n_ranks / flops_per_second
    gradients = 4 * sum(parameters_by_part(config).values())
    return arithmetic, 2 * (n_ranks - 1) / n_ranks * gradients / bandwidth


def page(measured, machine):
    """Return the Markdown page. measured: as `measure` prints it."""
    batch, baby = CONFIGURATIONS["baby"]
    ratios = sorted(a / b for a, b in zip(measured["alone"], measured["together"], strict=True))
    alone, together = median(measured["alone"]), median(measured["together"])
    rate = 3 * flops_per_token(baby) * batch * baby.block_size / alone
    size, seconds = max((float(size), seconds) for size, seconds in measured["reduce"].items())
    shared = size * 1e6 / seconds
    lines = [
        "# Data-parallel training", "",
        f"Written by `python -m benchmarks.parallel` on {machine}. One thread for each rank.", "",
        f"One step of `baby` on {batch} x {baby.block_size} tokens, median of "
        f"{len(ratios)} rounds in which both ran in turn:", "",
        "| | seconds |", "| --- | --- |",
        f"| one process | {alone:.3f} |", f"| two ranks | {together:.3f} |", "",
        f"Two ranks are {median(ratios):.2f} times as fast ({ratios[0]:.2f} to {ratios[-1]:.2f}). "
        f"One computes {rate / 1e9:.0f} GFLOP/s.", "",
        "| all-reduce between two ranks, through memory | milliseconds |", "| --- | --- |",
        *(f"| {size} MB | {1e3 * seconds:.3f} |" for size, seconds in measured["reduce"].items()),
        "",
        "## Carried to more ranks", "",
        f"What follows is arithmetic: {TOKENS:,} tokens a step as 512 windows of 1,024, "
        f"{rate / 1e9:.0f} GFLOP/s for each rank, and a ring all-reduce of 4 bytes a parameter "
        f"through links of 10 or 100 Gbit/s, or at the {shared / 1e9:.1f} GB/s of the largest "
        "all-reduce above. A rank of 16 such cores has 16 times the rate, and is reached by the "
        "cost of the network with a 16th of the ranks.", "",
    ]
    for name, config in MODELS.items():
        lines += _model_section(name, config, rate, {"memory": shared} | NETWORKS)
    return "\n".join(lines)


def _model_section(name, config, rate, links):
    parameters = sum(parameters_by_part(config).values())
    memory = step_memory(config, 1).total + 4 * parameters  # the flat buffer
    steps = 20 * parameters / TOKENS
    lines = [
        f"### {name}", "",
        f"{parameters:,} parameters: {4 * parameters / 1e9:.2f} GB of gradients to add up at each "
        f"step. A rank needs {memory / 1e9:.1f} GB if it computes one window at a time "
        "(`gradient_accumulation_steps`): weights, moments, gradients and their flat copy are "
        "whole on each, so that more ranks save no memory. 20 tokens for each parameter are "
        f"{steps:,.0f} steps.", "",
        "| ranks | arithmetic | " + " | ".join(f"all-reduce, {link}" for link in links)
        + " | efficiency | GB/s for 90 % | days |",
        "| --- " * (5 + len(links)) + "|",
    ]
    for n in RANKS:
        costs = [step_costs(config, n, rate, bandwidth) for bandwidth in links.values()]
        arithmetic, slowest = costs[0][0], costs[list(links).index("10 Gbit/s")][1]
        needed = costs[0][1] * next(iter(links.values())) / (arithmetic / 9)
        lines.append(
            f"| {n} | {arithmetic:,.1f} s | " + " | ".join(f"{c:.2f} s" for _, c in costs)
            + f" | {arithmetic / (arithmetic + slowest):.0%} | {needed / 1e9:.3f} | "
            f"{steps * (arithmetic + slowest) / 86400:,.1f} |"
        )
    whole = step_costs(config, 1, rate, 1.0)[0]
    limits = {link: whole * bandwidth / (8 * parameters) for link, bandwidth in links.items()}
    return [
        *lines, "",
        "Efficiency and days are those at 10 Gbit/s; the next to last column is the bandwidth at "
        "which adding up the gradients takes a tenth of the step. Twice the ranks halve the "
        "arithmetic and not the all-reduce, which takes as long as the arithmetic at "
        + ", ".join(f"{n:,.0f} ranks ({link})" for link, n in limits.items())
        + ". From there on twice the ranks give at most a third more speed, and data parallelism "
        "has stopped paying. 512 ranks are the end in any case: each has one window.", "",
    ]


if __name__ == "__main__":
    main()
