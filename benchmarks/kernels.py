"""Ops forward and backward, and the optimizer, as a training step calls them; beside our time, how
many times as long others take.

PyTorch's attention is its fused `scaled_dot_product_attention`, its AdamW the fused one, and both
clip by the global norm. NumPy has the three products of a layer.
"""

from dataclasses import asdict

from benchmarks.measure import Contest, beside, in_a_row
from benchmarks.runners import NUMPY, OURS, TORCH
from benchmarks.shapes import MODELS, op_flops, ops

CODE = ("autograd/engine.py", "autograd/ops", "autograd/kernels", "npgpt/optim.py")
PEERS = (TORCH,)


def tables(threads, short):
    with Contest.of((OURS, NUMPY, *PEERS), threads, short) as contest:
        for name in ("tales",) if short else ("tales", "gpt2"):
            batch, config = MODELS[name]
            rows = {}
            for what, (op, sizes) in ops(batch, config).items():
                names = None if op == "linear" else (OURS, TORCH)
                timed = contest.timed("op", names, op=op, sizes=sizes)
                cells = beside(timed, OURS, (NUMPY, TORCH), op_flops(op, sizes))
                rows[f"{what} {sizes}"] = in_a_row(cells)
            timed = contest.timed("adamw", (OURS, TORCH), config=asdict(config))
            rows["AdamW, all weights"] = in_a_row(beside(timed, OURS, PEERS))
            yield f"Ops of `{name}`", rows
