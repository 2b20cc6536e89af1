"""`npgpt compare RUN RUN ...`: losses in one picture, and the settings that differ."""

import math
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np

from npgpt import plots
from npgpt.cli import print_json
from npgpt.files import member, read_text
from npgpt.folders import check_free
from npgpt.loading.runs import RESULT_FILE, read_run
from npgpt.metrics import read_metrics, read_result
from npgpt.models import architecture
from npgpt.models.size import parameters_by_part
from npgpt.run.estimate import clock, tokens_per_step
from npgpt.text import shown
from npgpt.tokenizers import load_tokenizer
from npgpt.train import MEAN_LOSS_STEPS

OUT = " with --out"


def add_arguments(parser):
    add = parser.add_argument
    add("runs", nargs="+", metavar="MODEL", help="two or more run folders, such as runs/tales")
    add("--out", metavar="FILE.png", help="the picture; default: NAME-NAME.png here, of the runs")
    add("--json", action="store_true", help="one JSON object")


def run(args):
    folders = named(args.runs)
    path = Path(args.out or re.sub(r"[/\\]", "-", "-".join(folders)) + ".png")
    results = {name: Result(folder) for name, folder in folders.items()}
    found = {name: result.numbers() for name, result in results.items()}
    differ = differing({name: result.settings() for name, result in results.items()})
    notes = not_comparable(results.values())
    result = {"runs": found, "settings": differ, "notes": notes, "picture": None}
    if not args.json:
        print_table(folders, {name: list(map(in_table, values)) for name, values in differ.items()})
        if not differ:
            print("no setting differs")
        print("\nlosses in nats per target")
        print_table(folders, in_words(list(found.values())))
        for note in notes:
            print(f"note    {note}")
    try:  # after the tables, which need no file
        if path.is_dir():
            raise ValueError(f"{path} is a folder; name a file{OUT}, such as {path}.png")
        check_free(path, OUT, b"tEXtSoftware\0" + plots.COMPARISON_MARK.encode())
        replaces = ", which replaces the one that compare drew before" if path.exists() else ""
        result["picture"] = str(draw(path, results))
        said = f"picture {path}{replaces}"
    except plots.MatplotlibMissing as error:
        said = f"no picture: {error}"
    finally:
        if args.json:
            print_json(result)
    if not args.json:
        print(said)


def in_table(value):
    return shown(", ".join(value) if isinstance(value, tuple) else value)


def named(paths):
    """Return {name of a run, for tables and pictures: its folder}.

    Raises ValueError for fewer than two runs, or one that is named twice.
    """
    try:
        folders = [read_run(path).folder for path in paths]
    except ValueError as error:
        raise ValueError(
            f"{error} (only a run has curves to compare; npgpt eval MODEL FILE measures any model)"
        ) from error
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ValueError("a run is named twice; name each once")
    if len(folders) < 2:
        raise ValueError(
            f"{folders[0]} alone has nothing to be compared with; name two runs or more "
            "(its own picture is its loss.png)"
        )
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = map(str, folders)
    return dict(zip(names, folders, strict=True))


class Result:
    """A run folder's settings, metrics and losses."""

    def __init__(self, folder):
        self.run = read_run(folder)
        self.rows = read_metrics(member(folder, "metrics.csv"))
        self.steps = self.rows[-1]["step"] if self.rows else 0
        # on the whole validation text, empty if the run has not ended
        self.whole = read_result(member(folder, RESULT_FILE), self.steps)
        self.tokens = read_text(member(folder, "tokenizer.json"))
        tokenizer = load_tokenizer(member(folder, "tokenizer.json"))
        self.objective = architecture(self.run.training.arch).Objective(tokenizer)
        self.validated = [row for row in self.rows if row["val_loss"] is not None]
        # Did the evaluations before that sample a part of the text?
        self.drawn = 0 < self.run.training.eval_tokens < (self.whole.get("tokens") or math.inf)

    def settings(self):
        return {"text": self.run.text.name} | asdict(self.run.model) | asdict(self.run.training)

    def numbers(self):
        """Return the results by name, None where unknown. Losses in nats per target."""
        run, whole = self.run, self.whole
        last = self.validated[-1] if self.validated else {}
        best = min(self.validated, key=lambda row: row["val_loss"], default={})
        loss = whole.get("loss") if whole else last.get("val_loss")
        drawn, losses = self.drawn and not whole, [row["loss"] for row in self.rows]
        recent = min(MEAN_LOSS_STEPS, run.training.eval_interval)  # as evaluations print it
        grammar = (whole or last).get("grammar_loss")  # on the same tokens as the loss
        return {
            "parameters": sum(parameters_by_part(run.model).values()),
            "steps": self.steps,
            "tokens read": self.steps * tokens_per_step(run.model, run.training),
            "seconds": self.rows[-1]["seconds"] if self.rows else None,
            "training loss": float(np.mean(losses[-recent:])) if losses else None,
            "validation loss": loss,
            "validation text": loss and ("drawn part" if drawn else "all" if self.validated
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

    settings   name of the run -> {name of the setting: value}
    """
    names = dict.fromkeys(name for of_run in settings.values() for name in of_run)
    rows = {name: [of_run.get(name) for of_run in settings.values()] for name in names}
    return {name: row for name, row in rows.items() if any(value != row[0] for value in row)}


def not_comparable(results):
    """Return the reasons why losses of these runs mean different things, a line each."""
    drawn = "evaluations in training are of a drawn part, which may be easier than the whole text"
    return [
        f"the {what} differ, so that these losses do not measure the same"
        for what, values in (
            ("texts", {result.run.text.sha256 for result in results}),
            ("kinds of targets", {result.objective.target for result in results}),
            ("tokenizers", {result.tokens for result in results}),
        )
        if len(values) > 1
    ] + ([drawn] if any(result.drawn for result in results) else [])


def draw(path, results):
    """Draw all runs in one picture; return its path."""
    factors, unit = units(results)
    curves = {n: (r.rows, factors[n], r.whole.get("loss")) for n, r in results.items()}
    return plots.comparison_picture(path, curves, ylabel=f"loss, {unit}")


def units(results):
    """Return ({name: factor of its losses}, their unit).

    The unit is bits per byte if the runs' tokens differ and all of them know it, else nats per
    target.
    """
    factors = {}
    for name, result in results.items():
        last = result.validated[-1] if result.validated else {}
        if last.get("val_bits_per_byte") and last["val_loss"]:
            factors[name] = last["val_bits_per_byte"] / last["val_loss"]
    if len({result.tokens for result in results.values()}) > 1 and len(factors) == len(results):
        return factors, "bits per byte"
    return dict.fromkeys(results, 1.0), "nats per target"


def in_words(found):
    """Return the numbers of the runs as they are printed: name -> a text for each run."""
    forms = {"seconds": clock, "validation text": str}
    rows = {}
    for name in found[0]:
        form = forms.get(name, lambda value: f"{value:,}" if type(value) is int else f"{value:.4f}")
        rows[name] = ["-" if run[name] is None else form(run[name]) for run in found]
    return rows


def print_table(columns, rows):
    """Print a table.    columns: names of the runs    rows: name -> a text for each run"""
    table = {"": list(map(shown, columns))} | rows if rows else {}
    first = max(map(len, table), default=0)
    widths = [max(map(len, column)) for column in zip(*table.values(), strict=True)]
    for name, row in table.items():
        cells = (f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
        print(f"{name:<{first}}  {'  '.join(cells)}".rstrip())
