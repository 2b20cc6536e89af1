"""`npgpt compare RUN RUN ...`: losses in one picture, and the settings that differ."""

import math
import re
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path

import numpy as np

from npgpt.cli import print_json
from npgpt.loading.runs import RESULT_FILE, read_run
from npgpt.models import architecture
from npgpt.models.size import parameters_by_part, tokens_per_step
from npgpt.support import plots
from npgpt.support.files import member, read_text
from npgpt.support.folders import check_free
from npgpt.support.metrics import best_row, read_metrics, read_result
from npgpt.support.text import clock, shown
from npgpt.train import MEAN_LOSS_STEPS


def add_arguments(parser):
    add = parser.add_argument
    add("runs", nargs="+", metavar="MODEL", help="run folders, such as runs/tales")
    add("--out", metavar="FILE.png", help="the picture; default: NAME-NAME.png here, of the runs")
    add("--json", action="store_true", help="one JSON object")


def run(args):
    results = [Result(read_run(path)) for path in args.runs]
    folders = [result.run.folder for result in results]
    names = [folder.resolve().name for folder in folders]
    names = names if len(set(names)) == len(names) else [*map(str, folders)]
    differ = differing([
        {"text": result.run.text.name} | asdict(result.run.model) | asdict(result.run.training)
        for result in results
    ])
    numbers, notes = [result.numbers() for result in results], not_comparable(results)
    if not args.json:  # before the picture, whose path may be refused
        print_table(names, differ or {"no setting differs": []})
        print("\nlosses in nats per target")
        print_table(names, {row: [in_words(row, found[row]) for found in numbers]
                            for row in numbers[0]})
        for note in notes:
            print(f"note    {note}")
    path = Path(args.out or re.sub(r"[/\\]", "-", "-".join(names)) + ".png")
    curves = {name: (result.rows, result.whole.get("loss"))
              for name, result in zip(names, results, strict=True)}
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name a file with --out, such as {path}.png")
    check_free(path, " with --out", b"tEXtSoftware\0" + plots.COMPARISON_MARK.encode())
    try:
        picture = str(path)
        said = f"picture {plots.comparison_picture(path, curves)}"
    except plots.MatplotlibMissing as error:
        picture, said = None, f"no picture: {error}"
        notes.append(said)
    if args.json:
        runs = dict(zip(names, numbers, strict=True))
        print_json({"runs": runs, "settings": differ, "notes": notes, "picture": picture})
    else:
        print(said)


class Result:
    """A run's settings, metrics and losses."""

    def __init__(self, run):
        self.run, folder = run, run.folder
        self.rows = read_metrics(member(folder, "metrics.csv"))
        self.steps = self.rows[-1]["step"] if self.rows else 0
        # on the whole validation text, empty if the run has not ended
        self.whole = read_result(member(folder, RESULT_FILE), self.steps)
        self.tokens = read_text(member(folder, "tokenizer.json"))
        # Did the evaluations before that sample a part of the text?
        self.drawn = 0 < self.run.training.eval_tokens < (self.whole.get("tokens") or math.inf)

    def numbers(self):
        """Return the results by name, None where unknown. Losses in nats per target."""
        run, whole = self.run, self.whole
        validated = [row for row in self.rows if row["val_loss"] is not None]
        last = validated[-1] if validated else {}
        best = best_row(self.rows) or {}
        loss = whole.get("loss") if whole else last.get("val_loss")
        drawn, grammar = self.drawn and not whole, (whole or last).get("grammar_loss")
        recent = min(MEAN_LOSS_STEPS, run.training.eval_interval)  # as evaluations print it
        losses = [row["loss"] for row in self.rows[-recent:]]
        return {
            "parameters": sum(parameters_by_part(run.model).values()),
            "steps": self.steps,
            "tokens read": self.steps * tokens_per_step(run.model, run.training),
            "seconds": self.rows[-1]["seconds"] if self.rows else None,
            "training loss": float(np.mean(losses)) if losses else None,
            "validation loss": loss,
            "validation text": loss and ("drawn part" if drawn else "all" if validated
                                         else "what is taught"),
            "bits per byte": (whole or last).get("bits_per_byte" if whole else "val_bits_per_byte"),
            "grammar's loss": grammar,
            "loss above the grammar's": None if grammar is None else loss - grammar,
            "best evaluation": best.get("val_loss"),
            "grammar's loss there": best.get("grammar_loss"),
            "at step": best.get("step"),
        }


def differing(settings):
    """Return the settings that differ: name -> a value for each run, None where a model lacks it.

    settings   {name of the setting: value} of each run
    """
    names = dict.fromkeys(name for of_run in settings for name in of_run)
    rows = {name: [of_run.get(name) for of_run in settings] for name in names}
    return {name: row for name, row in rows.items() if any(value != row[0] for value in row)}


def not_comparable(results):
    """Return the reasons why losses of these runs mean different things, a line each."""
    found = {
        "texts": {result.run.text.sha256 for result in results},
        "kinds of targets": {architecture(r.run.training.arch).Objective.target for r in results},
        "tokenizers": {result.tokens for result in results},
    }
    notes = [f"the {what} differ, so that these losses do not measure the same"
             for what, values in found.items() if len(values) > 1]
    if any(result.drawn for result in results):
        notes.append("evaluations in training are of a drawn part, which may be easier than the "
                     "whole text")
    return notes


def in_words(name, value):
    """Return a number of a run as it is printed."""
    forms = {"seconds": clock, "validation text": str}
    form = forms.get(name, ("{:,}" if type(value) is int else "{:.4f}").format)
    return "-" if value is None else form(value)


def print_table(columns, rows):
    """Print a table.    columns: names of the runs    rows: name -> a value for each run"""
    table = [[shown(", ".join(cell) if isinstance(cell, tuple) else cell) for cell in row]
             for row in [["", *columns], *([name, *row] for name, row in rows.items())]]
    first, *widths = (max(map(len, column)) for column in zip_longest(*table, fillvalue=""))
    for name, *row in table:
        cells = (f"{cell:>{width}}" for cell, width in zip(row, widths, strict=False))
        print(f"{name:<{first}}  {'  '.join(cells)}".rstrip())
