"""Whole training steps: forward, backward, clipping by the global norm, AdamW.

All start from the same weights and see the same batch again and again.
"""

from dataclasses import asdict

from benchmarks.measure import FULL, QUICK, Contest, Effort
from benchmarks.report import Table, comparison_table
from benchmarks.runners import (
    BF16,
    BF16_TUNED,
    COMPILED,
    JAX,
    JAX_TUNED,
    OURS,
    TORCH,
    TORCH_TUNED,
)
from benchmarks.shapes import models
from npgpt.families.size import flops_per_token

LONG = Effort(seconds=30.0, least=5, most=15)
ALL = (TORCH_TUNED, JAX_TUNED, BF16_TUNED, TORCH, COMPILED, BF16, JAX)
# Each has some 3 GB of weights, moments and activations at the same time.
BASELINES = {"gpt2": (TORCH_TUNED, JAX_TUNED, BF16_TUNED, TORCH)}


def tables(threads, quick=False):
    found = []
    for name, (batch, config) in models(quick).items():
        what = (f"`{name}`: {config.n_layer} layers, {config.n_embd} wide, "
                f"T={config.block_size}, B={batch}, V={config.vocab_size}")
        flops = 3 * flops_per_token(config) * batch * config.block_size
        effort = QUICK if quick else FULL if name == "cpu" else LONG
        with Contest(threads, BASELINES.get(name, ALL), effort) as contest:
            found += contest.compare(
                what, "training_step", flops=flops, batch=batch, config=asdict(config)
            )
            peak = contest.runners[OURS].call("benchmarks.peak:peak_flops", threads=threads)
    yield comparison_table(
        "Training step", found,
        "float32 everywhere but in the columns that say bf16. Tuned: `benchmarks/tuning.py` says "
        "how; else as installed. GFLOP/s are useful FLOPs: those of the model's matrix products, "
        "and of causal attention counted once.",
    )
    yield utilisation(found, peak)


def utilisation(comparisons, peak):
    """Return a table of our steps' useful FLOPs over the processor's peak."""
    rates = {c.what.split(":")[0]: c.flops / c.ours for c in comparisons}
    cells = [[name, f"{rate / 1e9:.0f}", f"{rate / peak:.0%}"] for name, rate in rates.items()]
    return Table(
        f"Useful FLOPs of our steps over the peak of {peak / 1e9:.0f} GFLOP/s",
        ["model", "GFLOP/s", "of the peak"], cells,
        "The peak is what `benchmarks/peak.py` reaches: a loop of float32 multiply-adds without "
        "memory, best of half a second.",
    )
