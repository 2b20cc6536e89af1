"""Whole training steps: forward, backward, clipping by the global norm, AdamW.

All contestants start from the same weights and see the same batch again and again. Each has its
own weights, gradients and moments in memory at the same time.
"""

import numpy as np

from benchmarks import peers
from benchmarks.measure import FULL, OURS, QUICK, Effort, compare
from benchmarks.peak import peak_flops
from benchmarks.process import threads
from benchmarks.report import Table, comparison_table
from benchmarks.shapes import CONFIGURATIONS, TINY
from npgpt import GPT, AdamW
from npgpt.model.size import flops_per_token

LONG = Effort(seconds=30.0, least=4, most=15)
# Two times 2 GB are enough for `gpt2`: the weights of the others would need as much again.
OPPONENTS = {"gpt2": (peers.TORCH, peers.JAX)}
ALL = (peers.TORCH, peers.COMPILED, peers.BF16, peers.JAX)


def tables(quick=False):
    """Yield the tables of this part."""
    found = []
    for name, (batch, config) in (TINY if quick else CONFIGURATIONS).items():
        effort = QUICK if quick else FULL if name == "cpu" else LONG
        found += steps(name, batch, config, OPPONENTS.get(name, ALL), effort)
    yield comparison_table(
        "Training step", found,
        "float32 everywhere but in the column that says bf16. GFLOP/s are useful FLOPs: those of "
        "the model's matrix products and of causal attention counted once.",
    )  # fmt: skip
    yield utilisation(found)


def steps(name, batch, config, opponents, effort):
    """The Comparisons of one model."""
    model = GPT(config)
    rng = np.random.default_rng(0)
    idx_BT, targets_BT = rng.integers(0, config.vocab_size, (2, batch, config.block_size))
    there, missing = peers.present(opponents)
    contestants = {}
    for peer in there:
        contestants[peer] = peer_step(peer, model.parameters(), config, idx_BT, targets_BT)
    contestants = {OURS: our_step(model, idx_BT, targets_BT), **contestants}
    T, what = config.block_size, f"`{name}`: {config.n_layer} layers, {config.n_embd} wide, "
    what += f"T={T}, B={batch}, V={config.vocab_size}"
    flops = 3 * flops_per_token(config) * batch * T
    return compare(what, contestants, effort, flops=flops, missing=missing)


def our_step(model, idx_BT, targets_BT):
    """A function that does one training step and returns the loss."""
    optimizer = AdamW(model.parameters())

    def step():
        _, loss = model(idx_BT, targets_BT)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step


def peer_step(peer, weights, config, idx_BT, targets_BT):
    """The same by a peer, from the same weights; its libraries are imported only here."""
    if peer == peers.JAX:
        from benchmarks import peers_jax

        return peers_jax.training_step(weights, config, idx_BT, targets_BT)
    from benchmarks import peers_torch

    return peers_torch.training_step(
        weights, config, idx_BT, targets_BT,
        compiled=peer == peers.COMPILED, bf16=peer == peers.BF16,
    )  # fmt: skip


def utilisation(comparisons):
    """Useful FLOPs of our steps over what the processor can do."""
    peak = peak_flops(threads())
    rates = {c.what.split(":")[0]: c.flops / c.ours for c in comparisons}
    cells = [[name, f"{rate / 1e9:.0f}", f"{rate / peak:.0%}"] for name, rate in rates.items()]
    return Table(
        f"Useful FLOPs over the peak of {peak / 1e9:.0f} GFLOP/s",
        ["model", "GFLOP/s", "of the peak"], cells,
        "The peak is what `benchmarks/peak.py` reaches: a loop of float32 multiply-adds without "
        "memory, best of half a second.",
    )  # fmt: skip
