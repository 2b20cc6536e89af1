"""Steps to a new text: from a model of a similar one, and from nothing.

    python -m benchmarks.fine_tuning [RUN]     RUN: a model of the tales; default: trains one

The new text is told by a changed grammar of the tales: moods are where looks were, and the other
way round; things and places too; and each woe has the cure of another. Its entropy is known, so
that a loss is a distance from the best. Every number of steps is a run with a schedule of its own,
that of `npgpt train --preset tales`; fine-tuning with the learning rate that files have by default.
"""

import argparse
import math
import tempfile
from pathlib import Path

from benchmarks.machine import described
from benchmarks.quality import train, validation_loss
from npgpt import tales
from npgpt.config import TrainConfig
from npgpt.tales.grammar import Grammar
from npgpt.tales.words import WOES

SIZE, GOAL = 1_000_000, 1.05  # characters; of the entropy
FRESH, TUNED, RATE = (1500, 2250), (300, 600), TrainConfig.lr


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", nargs="?", help="a run of npgpt train; default: trains one")
    start, grammar = parser.parse_args().run, changed_grammar()
    nats, characters = grammar.expectation()
    floor = nats / characters
    print(f"Measured by `python -m benchmarks.fine_tuning` on {described()}. The entropy is "
          f"{floor:.4f} nats per character.\n\n| | steps | loss | above the entropy |\n"
          "| --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        corpus = folder / "changed.txt"
        corpus.write_text(tales.generate(SIZE, seed=1, grammar=grammar), encoding="utf-8")
        if start is None:
            start = folder / "tales"
            train(["--out", start])

        def losses(name, numbers, *arguments):
            found = []
            for steps in numbers:
                out = folder / f"{name}-{steps}"
                train(["--preset", "tales", "--corpus", corpus, "--max-iters", steps, "--out", out,
                       *arguments])
                found.append(validation_loss(out)[0])
                above = found[-1] / floor - 1
                print(f"| {name} | {steps} | {found[-1]:.4f} | {above:.1%} |", flush=True)
            return steps_to(GOAL * floor, numbers, found, floor)

        fresh = losses("fresh", FRESH)
        tuned = losses("fine-tuned", TUNED, "--init-from", start, "--lr", RATE)
    print(f"\n{GOAL - 1:.0%} above the entropy: a fresh model after {fresh:,.0f} steps, a "
          f"fine-tuned one after {tuned:,.0f}, {tuned / fresh:.2f} of them.")


def changed_grammar():
    words = dict(tales.WORDS)
    for one, other in ("mood", "look"), ("thing", "place"):
        words[one], words[other] = words[other], words[one]
    cures = [cure for _, cure in WOES]
    woes = list(zip([woe for woe, _ in WOES], cures[1:] + cures[:1], strict=True))
    for name, options in tales.WORDS.items():
        if options[: len(WOES)] == WOES:
            words[name] = woes + options[len(WOES) :]
    stories = [story + tales.END for story in tales.STORIES]
    return Grammar(words | tales.PHRASES | {"story": stories})


def steps_to(goal, numbers, losses, floor):
    """Return the steps at which the line through two distances, both logarithmic, is there."""
    (n1, n2), (d1, d2) = numbers, (loss - floor for loss in losses)
    slope = math.log(d2 / d1) / math.log(n2 / n1)
    return n1 * ((goal - floor) / d1) ** (1 / slope)


if __name__ == "__main__":
    main()
