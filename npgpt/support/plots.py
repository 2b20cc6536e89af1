"""The pictures that the program plots: the loss of a run, and curves.

Only this module imports matplotlib, and only to plot; everything else works without it. A function
named `..._picture` writes a PNG file and returns its path.
"""

import io
import warnings
from pathlib import Path

import numpy as np

from npgpt.support.files import atomic_write

INK, GREY = "#222222", "#999999"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito's
QUERY, KEY, VALUE = COLOURS[:3]  # in every picture; legible on white and on black
COMPARISON_MARK = "npgpt compare"  # the mark of that command's pictures
LINE_STYLES = ("o-", "s--", "^:", "D-.")  # different without colours, too
LANDMARK_STYLE = {"color": GREY, "linewidth": 0.9, "linestyle": "--"}
NOTE_STYLE = {"textcoords": "offset points", "fontsize": 8, "color": INK}


class MatplotlibMissing(ImportError):
    """matplotlib, an optional dependency, is not installed."""


def figure(width=7.0, height=4.0, rows=1, columns=1, **options):
    """Return (figure, axes) of matplotlib, for a file and not a window. Sizes in inches.

    Raises MatplotlibMissing, which says how to install it.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MatplotlibMissing(
            "pictures need matplotlib; install it with: pip install -e '.[plot]'") from error
    drawing = Figure(figsize=(width, height), layout="constrained", dpi=150)
    return drawing, drawing.subplots(rows, columns, **options)


def save(drawing, path, made_by=""):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = io.BytesIO()
    with warnings.catch_warnings():  # a script that the font lacks becomes boxes
        warnings.filterwarnings("ignore", r"Glyph|Matplotlib currently does not support")
        drawing.savefig(picture, format=path.suffix.removeprefix(".") or "png")
    is_png = path.suffix == ".png"
    atomic_write(path, _of_256_colours(picture, made_by) if is_png else picture.getvalue())
    return path


def _of_256_colours(png, made_by):
    """Return a PNG in a third of the bytes; lines, letters and one colour scale need no more."""
    from PIL import Image, PngImagePlugin  # which matplotlib needs

    smaller, about = io.BytesIO(), PngImagePlugin.PngInfo()
    if made_by:
        about.add_text("Software", made_by)
    palette = Image.open(png).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    palette.save(smaller, "png", optimize=True, pnginfo=about)
    return smaller.getvalue()


def loss_picture(path, rows, *, title, levels, whole, least):
    """Plot training and validation loss against the step; below, gradient norm and update ratio.

    levels           pairs (name, nats per token) for horizontal lines: the loss of a bigram model
    whole, least     the final loss on the validation text, and the least that windows allow or
                     None; the curves are of sampled parts
    """
    drawing, (axes, below) = figure(7.0, 5.5, 2, 1, sharex=True, height_ratios=(3, 1))
    _curve(axes, rows, "loss", color=COLOURS[0], alpha=0.25, linewidth=0.8)
    _curve(axes, rows, "loss", smoothed, color=COLOURS[0], label="training")
    label = "on what is taught, at the end"
    if evaluated := [row for row in rows if row["val_loss"] is not None]:
        last = evaluated[-1]
        label = _beside("validation", last["val_loss"], last["grammar_loss"])
        _curve(axes, rows, "val_loss", marker="o", markersize=3.5, color=COLOURS[1], label=label)
        _grammar_line(axes, rows, COLOURS[1])
        label = _beside("validation at the end", whole, least, "the least")
    if rows:
        axes.plot(rows[-1]["step"], whole, "D", markersize=6, color=COLOURS[2], label=label)
    for name, level in levels:
        _landmark(axes, name, level)
    axes.set(ylabel="loss, nats per token", ylim=(0, None))
    axes.set_title(_as_text(title), parse_math=False)  # a $ in a name begins no formula
    axes.legend(loc="upper right", bbox_to_anchor=(1, 0.97), frameon=False)
    _health_panel(below, rows)
    return save(drawing, path)


def _grammar_line(axes, rows, colour):
    """Plot the grammar's loss on the tokens of the evaluations, if it is known."""
    for level in _column(rows, "grammar_loss")[-1:]:
        _landmark(axes, "the grammar", level, color=colour)


def _beside(name, loss, level, whose="the grammar's"):
    """Return words for a legend.    level: the loss of the grammar, None if unknown"""
    return name if level is None else f"{name} {loss:.4f}, {loss - level:+.4f} from {whose}"


def reward_picture(path, rows, *, title, entropy):
    """Plot the measurements of a run with a reward, and the loss on the validation text.

    entropy   of the grammar's own stories, in nats per story
    """
    drawing, panels = figure(7.0, 7.0, 4, 1, sharex=True)
    for axes, colour, name, label in zip(
        panels, COLOURS, ("valid", "entropy", "kl", "val_loss"),
        ("share of right stories", "entropy of the right,\nnats per story",
         "KL from the start,\nnats per story", "loss on true text,\nnats per token"), strict=False,
    ):
        _curve(axes, rows, name, color=colour, alpha=0.3 if name != "val_loss" else 1)
        if name != "val_loss":
            _curve(axes, rows, name, smoothed, color=colour)
        axes.set_ylabel(label, fontsize=8)
    panels[0].set_ylim(0, 1)
    _landmark(panels[1], "the grammar's", entropy)
    panels[0].set_title(_as_text(title), parse_math=False)
    panels[-1].set_xlabel("step")
    return save(drawing, path)


def _landmark(axes, name, level, **style):
    axes.axhline(level, **LANDMARK_STYLE | style)
    axes.annotate(f"{name} {level:.3f}", (1, level), (-4, -3), ha="right", va="top",
                  xycoords=("axes fraction", "data"), **NOTE_STYLE)


def _health_panel(axes, rows):
    """Plot the gradient norm and the update ratio (norm of the step over norm of the weights).

    Both move smoothly in a healthy run, and jump before it diverges.
    """
    for name, label, colour in (
        ("grad_norm", "gradient norm", COLOURS[2]),
        ("update_ratio", "update : weights", COLOURS[3]),
    ):
        _curve(axes, rows, name, color=colour, linewidth=0.9, label=label)
    axes.set(xlabel="step", yscale="log")
    axes.legend(frameon=False, fontsize=8, ncols=2)


def curves_picture(path, curves, *, xlabel, ylabel, title, log="", marks=()):
    """Plot several lines.

    curves   name -> (xs, ys)
    log      logarithmic axes: "", "x", "y" or "xy"
    marks    pairs (name, x) for vertical lines
    """
    drawing, axes = figure()
    looks = zip(COLOURS * 9, LINE_STYLES * 9, strict=False)
    for (name, (xs, ys)), (colour, line) in zip(curves.items(), looks, strict=False):
        axes.plot(xs, ys, line, markersize=4, color=colour, label=name)
    for name, x in marks:
        axes.axvline(x, **LANDMARK_STYLE)
        axes.annotate(name, (x, 1), (3, -11), xycoords=("data", "axes fraction"), **NOTE_STYLE)
    for axis in log:
        axes.set(**{f"{axis}scale": "log"})
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
    axes.legend(frameon=False, handlelength=4)
    return save(drawing, path)


def comparison_picture(path, runs):
    """Plot the losses of several runs against the step: validation, the grammar's on the same
    tokens in dashed lines, and training in faint lines.

    runs     name -> (rows from `read_metrics`, final loss on the validation text, or None)
    """
    drawing, axes = figure(7.0, 4.5)
    for (name, (rows, whole)), colour in zip(runs.items(), COLOURS * 9, strict=False):
        _curve(axes, rows, "loss", smoothed, color=colour, alpha=0.4, linewidth=0.9)
        label = _as_text(name)
        if whole:
            label += f" {whole:.3f}"
            axes.plot(rows[-1]["step"], whole, "D", markersize=6, color=colour)
        _curve(axes, rows, "val_loss", marker="o", markersize=3, color=colour, label=label)
        _grammar_line(axes, rows, colour)
    axes.set(xlabel="step", ylabel="loss, nats per target", ylim=(0, None))
    axes.set_title("validation (diamond: at the end); dashed: the grammar; faint: training",
                   fontsize=10)
    legend = axes.legend(frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return save(drawing, path, COMPARISON_MARK)


def _as_text(name):
    """Return a name that can be drawn.

    Lone surrogates, of a file name that is not UTF-8, have no glyph; and matplotlib leaves a label
    that begins with an underscore out of the legend.
    """
    name = name.encode(errors="replace").decode()
    return f" {name}" if name.startswith("_") else name


def _curve(axes, rows, name, of=np.array, **style):
    """Plot a column of metrics.csv against the step.    of: `smoothed`, or its values"""
    steps = [row["step"] for row in rows if row[name] is not None]
    axes.plot(steps, of(_column(rows, name)), **style)


def _column(rows, name):
    return [row[name] for row in rows if row[name] is not None]


def smoothed(values):
    """Return a running mean over 1/20 of the run, without the noise of single batches.

    At the beginning, where a loss falls steeply, each mean takes as many steps after a step as
    there are before it; a wider one would flatten the fall.
    """
    total = np.concatenate([[0.0], np.cumsum(values, dtype=float)])
    half, i = max(1, len(values) // 40), np.arange(len(values))
    first, last = np.maximum(i - half, 0), np.minimum(i + np.minimum(half, i), len(values) - 1)
    return (total[last + 1] - total[first]) / (last + 1 - first)
