"""The cost of bfloat16 products in loss, nats per character: each seed trains once with products of
float32 and once of bfloat16, and is evaluated over the whole validation text in the precision that
it was trained in.
"""

import statistics
import tempfile
from pathlib import Path

from autograd.precision import PRECISIONS
from benchmarks.quality import trained
from benchmarks.train_step import CODE as STEP
from npgpt.data.corpora import load_corpus

CODE, PEERS = STEP, ()
SEEDS = {"shakespeare-cpu": (1, 2, 3), "tales": (1, 2, 3, 4, 5)}
# Student's t: 95 % of the means of n normal numbers lie within so many standard errors
STUDENT = {3: 4.30, 5: 2.78}


def tables(threads, short):
    """Raises FileNotFoundError if Shakespeare's text cannot be fetched."""
    load_corpus(("shakespeare",))
    for preset, seeds in SEEDS.items():
        pairs = {seed: _pair(preset, seed, short) for seed in seeds[: 1 if short else None]}
        yield f"`npgpt train --preset {preset}`", rows(pairs)


def rows(pairs):
    """Return the rows of {seed: [loss with float32, with bfloat16]}, and the mean difference."""
    differences = [theirs - ours for ours, theirs in pairs.values()]
    found = {f"seed {seed}": f"{ours:.4f}, in bfloat16 {theirs:.4f}"
             for seed, (ours, theirs) in pairs.items()}
    n, mean = len(differences), statistics.mean(differences)
    if n in STUDENT:
        half = STUDENT[n] * statistics.stdev(differences) / n**0.5
        found["difference in the mean"] = f"{mean:+.4f}, 95 % interval {half:.4f} to either side"
    return found


def _pair(preset, seed, short):
    few = ["--max-iters", 20] if short else []
    with tempfile.TemporaryDirectory() as folder:
        return [trained(Path(folder, precision), "--preset", preset, "--seed", seed,
                        "--matmul-precision", precision, *few)["loss"] for precision in PRECISIONS]
