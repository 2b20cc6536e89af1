"""The kernels against NumPy and PyTorch: products, attention, rows, loss, optimizer."""

import numpy as np

import autograd
from autograd import Tensor, backend
from benchmarks import ladder, peers
from benchmarks.measure import FULL, OURS, QUICK, compare, geometric_mean, interleaved
from benchmarks.process import threads
from benchmarks.report import Table, comparison_table
from benchmarks.shapes import CONFIGURATIONS, TINY, products
from npgpt import GPT, AdamW

NUMPY = "NumPy"
FORMS = {"forward": "matmul", "dx": "matmul_nt", "dW": "matmul_tn"}


def tables(quick=False):
    """Yield the tables of this part."""
    models = TINY if quick else CONFIGURATIONS
    effort = QUICK if quick else FULL
    yield rungs(128 if quick else 768, effort)
    found = gemm(models, effort)
    yield gemm_summary(found)
    yield comparison_table("Matrix products, each", found)
    yield comparison_table("Batched products, as attention has them", batched(models, effort))
    lengths = (16,) if quick else (64, 256, 1024)
    yield comparison_table(
        "Attention, causal, forward and backward", attention(lengths, effort),
        "(B, H, T, 64) with B H = 24, against `scaled_dot_product_attention` of PyTorch.",
    )  # fmt: skip
    yield comparison_table(
        "Rows, forward and backward", rows(8 if quick else 1, effort) + [*adamw(models, effort)]
    )


def rungs(size, effort):
    """GFLOP/s of each rung of the ladder on square matrices, then ours and NumPy's."""
    a, b = _random(size, size), _random(size, size)
    contestants = {f.__name__.replace("_", " "): (lambda f=f: f(a, b)) for f in ladder.RUNGS}
    contestants["tiles and panels: autograd.kernels"] = lambda: backend.matmul(a[None], b[None])
    contestants["NumPy"] = lambda: a @ b
    flops = 2 * size**3
    medians = {name: np.median(times) for name, times in interleaved(contestants, effort).items()}
    cells = [
        [name, f"{flops / seconds / 1e9:.1f}", f"{medians['three loops'] / seconds:.1f}"]
        for name, seconds in medians.items()
    ]
    return Table(
        f"The ladder of the matrix product, ({size}, {size}) x ({size}, {size}), float32",
        ["rung", "GFLOP/s", "times the three loops"], cells,
        "`benchmarks/ladder.py` has the rungs; all but the last three run on one thread.",
    )  # fmt: skip


def gemm(models, effort):
    """Every product of a training step: forward, gradient of the input, gradient of the weight."""
    found = []
    for model, (batch, config) in models.items():
        for layer, (N, I, O) in products(batch, config).items():
            x, w, dy = _random(N, I), _random(I, O), _random(N, O)
            for form, (a, b) in {"forward": (x, w), "dx": (dy, w), "dW": (x, dy)}.items():
                what = f"{model}, {layer} {form} ({N}, {I}, {O})"
                contestants = product_contestants(FORMS[form], a, b, (NUMPY, peers.TORCH))
                missing = [] if peers.TORCH in contestants else peers.present([peers.TORCH])[1]
                found += compare(
                    what, contestants, effort, flops=2 * N * I * O, missing=missing
                )  # fmt: skip
    return found


def product_contestants(name, a, b, opponents):
    """name -> function: one product, or a stack of them, by us and by the opponents.

    The peers get views for the transposed operand, which their BLAS reads as it is.
    """
    kernel = getattr(backend, name)
    stacks = (a, b) if a.ndim == 3 else (a[None], b[None])
    left = a.swapaxes(-1, -2) if name == "matmul_tn" else a
    right = b.swapaxes(-1, -2) if name == "matmul_nt" else b
    contestants = {OURS: lambda: kernel(*stacks)}
    if NUMPY in opponents:
        contestants[NUMPY] = lambda: np.matmul(left, right)
    if peers.TORCH in opponents and not peers.missing(peers.TORCH):
        torch = _torch()
        left_t = torch.from_numpy(a).mT if name == "matmul_tn" else torch.from_numpy(a)
        right_t = torch.from_numpy(b).mT if name == "matmul_nt" else torch.from_numpy(b)
        contestants[peers.TORCH] = lambda: torch.matmul(left_t, right_t)
    return contestants


def gemm_summary(comparisons):
    """Geometric mean and worst of the products, by peer and model."""
    cells = []
    opponents = dict.fromkeys(c.peer for c in comparisons if c.ratio)
    for peer in opponents:
        of_peer = [c for c in comparisons if c.peer == peer and c.ratio]
        groups = {"all": of_peer}
        for c in of_peer:
            groups.setdefault(c.what.split(",")[0], []).append(c)
        for group, members in groups.items():
            worst = min(members, key=lambda c: c.ratio)
            cells.append([
                peer, group, str(len(members)), f"{geometric_mean(c.ratio for c in members):.2f}",
                f"{worst.ratio:.2f}: {worst.what}",
            ])  # fmt: skip
    return Table(
        "Matrix products of a training step, together",
        ["peer", "model", "products", "ratio, geometric mean", "worst"], cells,
    )  # fmt: skip


def batched(models, effort):
    """Scores q k^T and weighted values a v of all heads at once."""
    found = []
    for model, (batch, config) in models.items():
        Z, T, D = batch * config.n_head, config.block_size, config.n_embd // config.n_head
        q, k, weights = _random(Z, T, D), _random(Z, T, D), _random(Z, T, T)
        for what, name, a, b in (("q k^T", "matmul_nt", q, k), ("a v", "matmul", weights, k)):
            contestants = product_contestants(name, a, b, (NUMPY,))
            found += compare(
                f"{model}, {what} ({Z}, {T}, {D})", contestants, effort, flops=2 * Z * T * T * D
            )
    return found


def attention(lengths, effort):
    """The fused op and its gradient, by us and by PyTorch's fused one."""
    found = []
    for T in lengths:
        arrays = [_random(2, 12, T, 64) for _ in range(4)]
        Z, D = 24, 64
        found += against_torch(
            f"T = {T}",
            lambda q, k, v: autograd.scaled_dot_product_attention(q, k, v, causal=True),
            lambda F, q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
            arrays[:3], arrays[3], effort, flops=14 * Z * T * (T + 1) / 2 * D,
        )  # fmt: skip
    return found


def rows(shrink, effort):
    """What reads and writes whole arrays, and computes little."""
    rng = np.random.default_rng(0)
    N, C, F, V, few = 4096 // shrink, 384, 1536, 50304 // shrink, 512 // shrink
    targets, few_targets = rng.integers(0, 65, N), rng.integers(0, V, few)
    cases = [
        (f"layer_norm ({N}, {C})", autograd.layer_norm,
         lambda f, x, w, b: f.layer_norm(x, (C,), w, b), [(N, C), (C,), (C,)]),
        (f"softmax ({few}, {V})", autograd.softmax, lambda f, x: f.softmax(x, -1), [(few, V)]),
        (f"softmax ({N}, 256)", autograd.softmax, lambda f, x: f.softmax(x, -1), [(N, 256)]),
        (f"gelu, tanh ({N}, {F})", autograd.gelu,
         lambda f, x: f.gelu(x, approximate="tanh"), [(N, F)]),
        (f"cross_entropy ({few}, {V})", lambda x: autograd.cross_entropy(x, few_targets),
         lambda f, x: f.cross_entropy(x, _torch().from_numpy(few_targets)), [(few, V)]),
        (f"cross_entropy ({N}, 65)", lambda x: autograd.cross_entropy(x, targets),
         lambda f, x: f.cross_entropy(x, _torch().from_numpy(targets)), [(N, 65)]),
    ]  # fmt: skip
    found = []
    for what, ours, theirs, shapes in cases:
        gradient = None if what.startswith("cross_entropy") else _random(*shapes[0])
        inputs = [_random(*shape) for shape in shapes]
        found += against_torch(what, ours, theirs, inputs, gradient, effort)
    return found


def against_torch(what, ours, theirs, inputs, gradient, effort, flops=None):
    """Forward and backward through both libraries' graphs, down to the gradients of the inputs."""
    tensors = [Tensor(x, requires_grad=True) for x in inputs]

    def run_ours():
        for tensor in tensors:
            tensor.grad = None
        ours(*tensors).backward(gradient)

    contestants = {OURS: run_ours}
    there, missing = peers.present([peers.TORCH])
    if there:
        torch = _torch()
        leaves = [torch.from_numpy(x).requires_grad_() for x in inputs]
        d_output = None if gradient is None else torch.from_numpy(gradient)

        def run_torch():
            for leaf in leaves:
                leaf.grad = None
            theirs(torch.nn.functional, *leaves).backward(d_output)

        contestants[peers.TORCH] = run_torch
    return compare(what, contestants, effort, flops=flops, missing=missing)


def adamw(models, effort):
    """Clipping by the global norm and the update, on all weights of a model."""
    config = list(models.values())[-2 if len(models) > 1 else 0][1]
    model = GPT(config)
    for p in model.parameters().values():
        p.grad = _random(*p.shape)
    contestants = {OURS: AdamW(model.parameters(), grad_clip=1.0).step}
    there, missing = peers.present([peers.TORCH])
    if there:
        from benchmarks import peers_torch

        weights = [p.data.copy() for p in model.parameters().values()]
        gradients = [p.grad for p in model.parameters().values()]
        contestants[peers.TORCH] = peers_torch.optimizer_step(weights, gradients)
    what = f"AdamW, {model.num_parameters() / 1e6:.1f} M weights, clipped"
    return compare(what, contestants, effort, missing=missing)


def _torch():
    import torch

    torch.set_num_threads(threads())
    return torch


def _random(*shape):
    return np.random.default_rng(shape).standard_normal(shape, np.float32)
