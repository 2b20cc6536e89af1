"""The picture that README.md opens with: stories by a run on its way, beside its losses and the
grammar's on the same tokens.

    python -m benchmarks.stories

Words that stand nowhere in the run's text are in another colour, and italic.
"""

import argparse
import re
import textwrap
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from npgpt.data.corpora import load_corpus
from npgpt.loading.runs import SHIPPED_RUN, load_run
from npgpt.look.history import history, open_text
from npgpt.support import plots

PICTURE = Path(__file__).parent / "stories.png"
SHARES = (0, 0.1, 0.3, 0.55, 1)  # of the run, at which a sample is shown
WIDTH, LINES = 76, 3  # characters of a line, lines of a sample
SIZE, LINE, GAP = 8, 11.5, 10  # points: letters, lines, between samples
MONOSPACE = 0.602  # width of a letter, of its size


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", nargs="?", default=SHIPPED_RUN,
                        help="a run folder; default: the trained model of the package")
    parser.add_argument("--out", type=Path, default=PICTURE, metavar="FILE.png",
                        help="default: %(default)s")
    args = parser.parse_args(argv)
    _, tokenizer, run = load_run(args.run)
    with ExitStack() as stack:
        found = history(run, open_text(run, tokenizer, stack))
    if not found or not any(text for _, text in found["samples"]):
        raise SystemExit(f"{args.run} has no samples; train with --sample-tokens 200")
    known = set(words(load_corpus(run.training.corpus).text))
    print(f"picture {draw(args.out, found, known)}")


def words(text):
    return re.findall(r"[A-Za-z]+", text)


def chosen(samples):
    """Return some of the samples: pairs (step, text)."""
    last = len(samples) - 1
    return [samples[i] for i in dict.fromkeys(round(share * last) for share in SHARES)]


def draw(path, found, known):
    """found: a run's `history`; known: the words of its text"""
    drawing, (curve, page) = plots.figure(11, 4.3, 1, 2, width_ratios=(1, 1.15))
    curve.plot(found["step"], plots.smoothed(found["loss"]), color=plots.COLOURS[0], linewidth=1,
               label="training")
    curve.plot(*zip(*found["val"], strict=True), "o", markersize=4, color=plots.COLOURS[1],
               label="validation")
    for name, level in found["levels"]:
        curve.axhline(level, **plots.LANDMARK_STYLE)
        curve.annotate(f"{name} {level:.2f}", (found["step"][-1], level), (0, -3), ha="right",
                       va="top", **plots.NOTE_STYLE)
    curve.set(xlabel="step", ylabel="loss, nats per character", ylim=(0, None))
    between = np.mean(sorted(level for _, level in found["levels"])[-2:])  # the two highest lines
    curve.legend(frameon=False, loc="center", bbox_to_anchor=(0.5, between),
                 bbox_transform=curve.get_yaxis_transform())
    drawing.suptitle("As the loss comes down to the grammar's, letters become words, and words a "
                     "story", fontsize=12)
    page.axis("off")
    y, losses = 0.0, dict(found["val"])
    for step, text in chosen(found["samples"]):
        heading = f"step {step:,}"
        if step in losses:
            heading += f", loss {losses[step]:.2f}"
        y = write(page, [heading], y, set(words(heading)), weight="bold")
        y = write(page, textwrap.wrap(text, WIDTH)[:LINES], y, known) - GAP
    return plots.save(drawing, path)


def write(page, lines, y, known, **font):
    """Write lines from `y` points below the top; return where the next begins."""
    for line in lines:
        for match in re.finditer(r"\S+", line):
            strange = any(word not in known for word in words(match[0]))
            page.annotate(
                match[0], (0, 1), (match.start() * MONOSPACE * SIZE, y), va="top",
                xycoords="axes fraction", textcoords="offset points", family="monospace",
                fontsize=SIZE, color=plots.COLOURS[1] if strange else plots.INK, parse_math=False,
                style="italic" if strange else "normal", **font,
            )
        y -= LINE
    return y


if __name__ == "__main__":
    main()
