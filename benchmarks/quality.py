"""The losses of the presets' models: trains them and writes the results into README.md here.

    python -m benchmarks.quality [--corpus FILE]

Two jobs. `shakespeare-cpu` for the seeds 1, 2 and 3, each evaluated over the whole validation
split in disjoint windows; and `tales`, the default of `npgpt train`, beside the exact loss of the
grammar of its text. The README's results stand between two marks, and are replaced; the picture
goes beside this file. About ten minutes on two cores.
"""

import argparse
import re
import tempfile
from pathlib import Path

from autograd import using_matmul_precision
from benchmarks.machine import described
from npgpt import plots
from npgpt.batches import split_text
from npgpt.cli import main as npgpt
from npgpt.files import read_json
from npgpt.io.corpora import load_corpus
from npgpt.loading.runs import RESULT, load_run
from npgpt.metrics import read_metrics
from npgpt.tales import stories_written
from npgpt.train import evaluate

ROOT = Path(__file__).parents[1]
README = ROOT / "benchmarks" / "README.md"
PICTURE = ROOT / "benchmarks" / "shakespeare-cpu.png"
SEEDS = (1, 2, 3)
NANOGPT = 1.88  # nats per character, as its README gives it
MARKS = re.compile(r"(<!-- benchmarks\.quality -->\n).*?(<!-- end -->)", re.S)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--corpus", default="shakespeare", metavar="FILE",
        help="a file with Shakespeare's text, where it cannot be fetched",
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = "\n".join([
            f"Measured by `python -m benchmarks.quality` on {described()}.", "",
            *shakespeare(Path(folder), args.corpus), *tales(Path(folder)), "",
        ])
    document = README.read_text(encoding="utf-8")
    document, found = MARKS.subn(lambda marks: marks[1] + text + marks[2], document)
    if found != 1:
        raise SystemExit("README.md has lost a mark: <!-- benchmarks.quality --> or <!-- end -->")
    README.write_text(document, encoding="utf-8")
    print(f"\nwritten to {README.name}:\n\n{text}")


def shakespeare(folder, corpus):
    """Return the table of the three seeds, as Markdown lines; draws the curves."""
    lines = [
        "| `npgpt train --preset shakespeare-cpu` | validation loss, nats per character | "
        "training |",
        "| --- | --- | --- |",
    ]
    curves = {}
    for seed in SEEDS:
        out = folder / f"shakespeare-{seed}"
        train(["--preset", "shakespeare-cpu", "--corpus", corpus, "--seed", seed, "--out", out])
        loss, tokens = validation_loss(out)
        rows = [row for row in read_metrics(out / "metrics.csv") if row["val_loss"] is not None]
        curves[seed] = loss, [row["step"] for row in rows], [row["val_loss"] for row in rows]
        lines.append(f"| `--seed {seed}` | {loss:.4f} over {tokens:,} tokens | "
                     f"{rows[-1]['seconds']:.0f} s |")
    draw_shakespeare(PICTURE, curves)
    return [*lines, "", f"![validation loss by step]({PICTURE.name})", ""]


def draw_shakespeare(path, curves):
    """Draw the validation losses beside nanoGPT's.    curves: seed -> (loss, steps, losses)"""
    drawing, axes = plots.figure(7.0, 3.6)
    looks = zip(plots.COLOURS, plots.LINES, strict=False)
    for (seed, (loss, *curve)), (colour, line) in zip(curves.items(), looks, strict=False):
        axes.plot(*curve, line, color=colour, markersize=4, label=f"seed {seed}: {loss:.3f}")
    axes.axhline(NANOGPT, **plots.LANDMARK)
    axes.annotate(f"nanoGPT's README, {NANOGPT}, of 20 batches", (0.99, NANOGPT), (0, -3),
                  ha="right", va="top", xycoords=("axes fraction", "data"), **plots.NOTE)
    axes.set(xlabel="step", ylabel="validation loss, nats per character")
    axes.set_ylim(bottom=1.8)
    above = max(loss for loss, *_ in curves.values()) - NANOGPT
    axes.set_title(f"nanoGPT's recipe for a CPU ends within {above:.2f} nats of its README's loss",
                   fontsize=11)
    axes.legend(frameon=False, title="on the whole validation text")
    return plots.save(drawing, path)


def tales(folder):
    """Return the default run beside the grammar of its text, as Markdown lines."""
    out = folder / "tales"
    train(["--out", out])
    model, tokenizer, _ = load_run(out)
    result = read_json(out / RESULT)
    loss, grammar = result["loss"], result["grammar_loss"]
    count, right = stories_written(model, tokenizer)
    seconds = read_metrics(out / "metrics.csv")[-1]["seconds"]
    return [
        "| `npgpt train` | |",
        "| --- | --- |",
        f"| validation loss, nats per character | {loss:.4f} over {result['tokens']:,} tokens |",
        f"| the grammar's loss on the same tokens | {grammar:.4f} |",
        f"| the loss is above it by | {loss / grammar - 1:.1%} |",
        f"| of {count} stories that the model told, the grammar derives | {right / count:.1%} |",
        f"| training | {seconds:.0f} s |",
    ]


def train(arguments):
    if npgpt(["train", "--sample-tokens", "0", *map(str, arguments)]):
        raise SystemExit("a training run failed; see above")


def validation_loss(folder):
    """Return (loss, tokens) over the whole validation split, as the end of the run evaluated it."""
    model, tokenizer, run = load_run(folder)
    text = split_text(load_corpus(run.training.corpus).text, run.training.train_fraction)[1]
    with using_matmul_precision(run.training.matmul_precision):
        return evaluate(model, tokenizer.encode(text), stride=run.training.eval_stride or None)


if __name__ == "__main__":
    main()
