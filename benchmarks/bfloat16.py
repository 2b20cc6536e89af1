"""Products of operands rounded to bfloat16, and whole training steps with them.

`npgpt` stands for our steps and products with `autograd.set_matmul_precision("bfloat16")` in every
table here, and beside it, as one more to compare with, those in float32.
"""

from dataclasses import asdict

from benchmarks.kernels import gemm, summary
from benchmarks.measure import FULL, QUICK, Contest
from benchmarks.report import comparison_table
from benchmarks.runners import BF16, BF16_OPERANDS, BF16_TUNED, OURS_BF16_PRODUCTS
from benchmarks.shapes import models
from benchmarks.train_step import LONG
from npgpt.families.size import flops_per_token

PRODUCTS = (OURS_BF16_PRODUCTS, BF16_TUNED, BF16_OPERANDS)
STEPS = (OURS_BF16_PRODUCTS, BF16_TUNED, BF16)


def tables(threads, quick=False):
    with Contest(threads, PRODUCTS, QUICK if quick else FULL) as contest:
        found = gemm(contest, models(quick), first=OURS_BF16_PRODUCTS)
    yield summary(found)
    yield comparison_table(
        "Matrix products of bfloat16 operands, each", found,
        "Ours take and give float32, and round inside. PyTorch's are cast to bfloat16 and back, or "
        "have been before.",
    )
    found = []
    for name, (batch, config) in models(quick).items():
        flops = 3 * flops_per_token(config) * batch * config.block_size
        effort = QUICK if quick else FULL if name == "cpu" else LONG
        with Contest(threads, STEPS, effort) as contest:
            found += contest.compare(
                f"`{name}`", "training_step", flops=flops, batch=batch, config=asdict(config),
                first=OURS_BF16_PRODUCTS,
            )
    yield comparison_table("Training step with bfloat16 products", found)
