"""The kernels against NumPy and PyTorch: products, attention, rows, loss, optimizer."""

import statistics
from dataclasses import asdict

from benchmarks import ladder
from benchmarks.measure import FULL, QUICK, Contest
from benchmarks.report import Table, comparison_table
from benchmarks.runners import NUMPY, OURS, TORCH, TORCH_TUNED
from benchmarks.shapes import models, products

PYTORCH = (TORCH_TUNED, TORCH)
# of float32: the gradient for its norm; gradient, weight and both moments, three of them written
OPTIMIZER_BYTES = 4 + 4 * (4 + 3)


def tables(threads, quick=False):
    shrink = 8 if quick else 1
    with Contest(threads, (NUMPY, *PYTORCH), QUICK if quick else FULL) as contest:
        yield rungs(contest, 768 // shrink)
        found = gemm(contest, models(quick))
        yield summary(found)
        yield comparison_table("Matrix products, each", found)
        found = batched(contest, models(quick))
        most = bound(contest, found)
        yield comparison_table("Batched products, as attention has them", found, most)
        yield comparison_table(
            "Attention, causal, forward and backward", attention(contest, shrink),
            "PyTorch's is its fused `scaled_dot_product_attention`.",
        )
        yield comparison_table(
            "Row by row, forward and backward; the optimizer",
            rows(contest, shrink, models(quick)),
            "AdamW with clipping by the global norm; PyTorch's is its fused one. It reads and "
            f"writes {OPTIMIZER_BYTES} bytes for each weight, which is what its time goes to.",
        )


def rungs(contest, size):
    """Return GFLOP/s of each rung of the ladder on square matrices, then ours and NumPy's."""
    seconds = {}
    for function in ladder.RUNGS:
        name = function.__name__
        (found,) = contest.times("rung", baselines=(), name=name, size=size).values()
        seconds[name.replace("_", " ")] = statistics.median(found)
    square = {"form": "nn", "Z": 1, "M": size, "N": size, "K": size}
    for name, found in contest.times("product", baselines=(NUMPY,), **square).items():
        seconds[f"{name}: its matrix product"] = statistics.median(found)
    cells = [
        [name, f"{2 * size**3 / s / 1e9:.1f}", f"{seconds['three loops'] / s:.0f}"]
        for name, s in seconds.items()
    ]
    return Table(
        f"The ladder of the matrix product, ({size}, {size}) x ({size}, {size})",
        ["rung", "GFLOP/s", "times the first"], cells,
        "`benchmarks/ladder.py` has the rungs; the first three run on one thread.",
    )


def gemm(contest, models, **options):
    """Return the products of a training step: forward, and both gradients.

    options   of `Contest.compare`
    """
    found = []
    for model, (batch, config) in models.items():
        for layer, (N, n_in, n_out) in products(batch, config).items():
            forms = {
                "y = x w": ("nn", N, n_out, n_in),
                "dx = dy w^T": ("nt", N, n_in, n_out),
                "dw = x^T dy": ("tn", n_in, n_out, N),
            }
            for equation, (form, *MNK) in forms.items():
                found += contest.compare(
                    f"{model}, {layer}: {equation}", "product", flops=2 * N * n_in * n_out,
                    form=form, Z=1, **dict(zip("MNK", MNK, strict=True)), **options,
                )
    return found


def summary(comparisons):
    """Return geometric mean and worst of the products, by baseline and model."""
    cells = []
    for name in dict.fromkeys(c.baseline for c in comparisons if c.ratio):
        groups = {"all": [c for c in comparisons if c.baseline == name]}
        for c in groups["all"]:
            groups.setdefault(c.what.split(",")[0], []).append(c)
        for group, members in groups.items():
            worst = min(members, key=lambda c: c.ratio)
            cells.append([
                name, group, str(len(members)),
                f"{statistics.geometric_mean(c.ratio for c in members):.2f}",
                f"{worst.ratio:.2f} ({worst.what})",
            ])
    return Table(
        "Matrix products of a training step, together",
        ["peer", "model", "products", "ratio, geometric mean", "worst"], cells,
    )


def batched(contest, models):
    """Return a table of scores q k^T and weighted values a v of all heads at once."""
    found = []
    for model, (batch, config) in models.items():
        Z, T, D = batch * config.n_head, config.block_size, config.n_embd // config.n_head
        for what, sizes in {
            "q k^T": {"form": "nt", "M": T, "N": T, "K": D},
            "a v": {"form": "nn", "M": T, "N": D, "K": T},
        }.items():
            found += contest.compare(
                f"{model}, {what}: {Z} of ({T}, {D})", "product", baselines=(NUMPY,),
                flops=2 * Z * T * T * D, Z=Z, **sizes,
            )
    return found


def bound(contest, comparisons):
    """Return the ratios if ours took only the time of its arithmetic."""
    peak = contest.runners[OURS].call("benchmarks.peak:peak_flops", threads=contest.threads)
    most = [f"{c.theirs / (c.flops / peak):.2f}" for c in comparisons if c.theirs]
    return (
        f"At the processor's peak, {peak / 1e9:.0f} GFLOP/s, the ratios would be {', '.join(most)}."
    )


def attention(contest, shrink):
    """Measure GPT-2's heads over several lengths: 14 T S D FLOPs in all, half if causal."""
    found = []
    for T in (64 // shrink, 256 // shrink, 1024 // shrink):
        found += contest.compare(
            f"T = {T}, 24 heads of 64", "op", baselines=PYTORCH,
            flops=14 * 24 * T * (T + 1) / 2 * 64, name="attention", sizes=(2, 12, T, 64),
        )
    return found


def rows(contest, shrink, models):
    """Measure ops that read and write large arrays and compute little."""
    N, few, V = 4096 // shrink, 512 // shrink, 50304 // shrink
    found = []
    for name, *sizes in (
        ("layer_norm", N, 384), ("softmax", N, 256), ("softmax", few, V), ("gelu", N, 1536),
        ("cross_entropy", N, 65), ("cross_entropy", few, V),
    ):
        what = f"{name} {tuple(sizes)}"
        found += contest.compare(what, "op", baselines=PYTORCH, name=name, sizes=sizes)
    for model, (_, config) in models.items():
        what = f"AdamW, all weights of `{model}`"
        found += contest.compare(what, "adamw", baselines=PYTORCH, config=asdict(config))
    return found
