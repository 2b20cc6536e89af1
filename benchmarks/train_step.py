"""Whole training steps: forward, backward, clipping by the global norm, AdamW. GFLOP/s are useful
FLOPs: those of the model's matrix products, and of causal attention counted once.

All start from the same weights and see the same batch again and again. NumPy's product of 2,048 is
what the processor reaches without everything else.
"""

from dataclasses import asdict

from benchmarks.measure import Contest, beside
from benchmarks.runners import JAX, NUMPY, OURS, PRODUCTS, TORCH, TORCH_BF16
from benchmarks.shapes import models
from npgpt.models.size import flops_per_token

CODE = ("autograd/engine.py", "autograd/ops", "autograd/kernels", "npgpt/gpt.py", "npgpt/optim.py")
PEERS = (TORCH, TORCH_BF16, JAX)
FLOAT32 = "A step in float32: times as long as ours"
SIZE = 2048


def tables(threads, short):
    float32, bfloat16 = {}, {}
    for name, (batch, config) in models(short).items():
        flops = 3 * flops_per_token(config) * batch * config.block_size
        with Contest.of((OURS, PRODUCTS, *PEERS), threads, short) as contest:
            timed = contest.timed("training_step", batch=batch, config=asdict(config))
        for found, cells in (
            (float32, beside(timed, OURS, PEERS, flops)),
            (bfloat16, beside(timed, PRODUCTS, (OURS, TORCH_BF16), flops)),
        ):
            found |= {f"`{name}`: {runner}": cell for runner, cell in cells.items()}
    with Contest.of((NUMPY,), threads, short) as contest:
        cells = beside(contest.timed("product", size=SIZE), NUMPY, (), 2 * SIZE**3)
    yield FLOAT32, float32 | {f"NumPy's product of {SIZE:,}": cells[NUMPY]}
    yield "A step with bfloat16 products: times as long as ours", bfloat16
