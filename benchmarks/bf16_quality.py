"""The cost of bfloat16 products in loss: pairs of runs that differ in nothing else.

    python -m benchmarks.bf16_quality [--recipe NAME] [--seeds N ...] [--corpus FILE] [--runs F]

`shakespeare-cpu` and `tales`, the defaults of `npgpt train`, each once with products of float32 and
once of bfloat16 for every seed, and evaluated over the whole validation split in the precision that
they were trained in. Runs are kept in the folder, so that what was interrupted goes on. The tables
go into RESULTS.md. About a minute a run of the first on two cores, and four of the second.
"""

import argparse
import statistics
from pathlib import Path

from autograd.precision import PRECISIONS
from benchmarks.__main__ import PARTS, RESULTS
from benchmarks.machine import described
from benchmarks.quality import train, validation_loss
from benchmarks.report import Table, section, with_section

SEEDS = {"shakespeare-cpu": (1, 2, 3), "tales": (1, 2, 3, 4, 5)}
# Student's t: 95 % of the means of n normal numbers lie within so many standard errors
STUDENT = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recipe", choices=SEEDS, default=None, help="default both")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="N", help="default those above")
    parser.add_argument(
        "--corpus", default="shakespeare", metavar="FILE",
        help="a file with Shakespeare's text, where it cannot be fetched",
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/bf16"), metavar="FOLDER")
    args = parser.parse_args()
    for recipe in [args.recipe] if args.recipe else SEEDS:
        found = table(recipe, args.seeds or SEEDS[recipe], args.corpus, args.runs)
        part = f"bf16_quality {recipe.replace('-', '_')}"
        document = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
        text = section(part, described(), [found])
        RESULTS.write_text(with_section(document, part, text, PARTS), encoding="utf-8")
        print(found.markdown())


def table(recipe, seeds, corpus, folder):
    """Return a row for each seed, and below it the mean difference with its interval."""
    rows, differences = [], []
    for seed in seeds:
        losses = []
        for precision in PRECISIONS:
            out = folder / f"{recipe}-{seed}-{precision}"
            arguments = ["--preset", recipe, "--matmul-precision", precision, "--seed", seed]
            arguments += ["--corpus", corpus] * (recipe != "tales")
            if not (out / "loss.png").exists():  # written at the end of a run
                train([*arguments, "--out", out])
            losses.append(validation_loss(out)[0])
        differences.append(losses[1] - losses[0])
        rows.append([str(seed), *(f"{loss:.4f}" for loss in losses), f"{differences[-1]:+.4f}"])
    mean = statistics.mean(differences)
    text = f"In the mean {mean:+.4f} nats."
    if len(differences) in STUDENT:
        error = statistics.stdev(differences) / len(differences) ** 0.5
        text = (f"In the mean {mean:+.4f} nats, with a 95 % interval of "
                f"{STUDENT[len(differences)] * error:.4f} to either side.")
    return Table(
        f"`npgpt train --preset {recipe}`: validation loss, nats per character",
        ["seed", *PRECISIONS, "difference"], rows, text,
    )


if __name__ == "__main__":
    main()
