"""The pictures that the program draws: the loss of a run, and curves.

The only module of npgpt that imports matplotlib, and only when something is drawn, so that
everything else works without it. A function that ends in `_picture` draws one into a PNG file and
returns its path.
"""

import importlib.util
import io
import warnings
from pathlib import Path

import numpy as np

from npgpt.files import atomic_write

INK, GREY = "#222222", "#999999"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito's
COMPARED = "npgpt compare"  # as it stands in the pictures of that command
LINES = ("o-", "s--", "^:", "D-.")  # that can be told apart without colours, too
LANDMARK = {"color": GREY, "linewidth": 0.9, "linestyle": "--"}
NOTE = {"textcoords": "offset points", "fontsize": 8, "color": INK}

WAY_OUT = "pictures need matplotlib; install it with: pip install -e '.[plot]'"


def installed():
    """Whether pictures can be drawn; without the second that importing matplotlib takes."""
    return importlib.util.find_spec("matplotlib") is not None


class MatplotlibMissing(ImportError):
    """matplotlib, an optional dependency, is not installed."""


def figure(width=7.0, height=4.0, rows=1, columns=1, **options):
    """(figure, axes) of matplotlib, drawn without a window. Sizes in inches.

    Raises MatplotlibMissing, which says how to install it.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MatplotlibMissing(WAY_OUT) from error
    drawing = Figure(figsize=(width, height), layout="constrained", dpi=150)
    FigureCanvasAgg(drawing)
    return drawing, drawing.subplots(rows, columns, **options)


def save(drawing, path, made_by=""):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = io.BytesIO()
    with warnings.catch_warnings():  # of a name in a script that the font lacks it draws boxes
        warnings.filterwarnings("ignore", r"Glyph|Matplotlib currently does not support")
        drawing.savefig(picture, format=path.suffix.removeprefix(".") or "png")
    is_png = path.suffix == ".png"
    atomic_write(path, _of_256_colours(picture, made_by) if is_png else picture.getvalue())
    return path


def _of_256_colours(png, made_by):
    """A PNG in a third of the bytes: lines, letters and one scale of colours need no more."""
    from PIL import Image, PngImagePlugin  # which matplotlib needs

    smaller, about = io.BytesIO(), PngImagePlugin.PngInfo()
    if made_by:
        about.add_text("Software", made_by)
    palette = Image.open(png).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    palette.save(smaller, "png", optimize=True, pnginfo=about)
    return smaller.getvalue()


def loss_picture(path, rows, *, title, levels, whole):
    """Training and validation loss against the optimizer step; below, gradient norm and updates.

    rows     as `npgpt.metrics.read_metrics` gives them
    levels   pairs (name, nats per token) to draw as horizontal lines: what a bigram model reaches,
             the entropy of the text
    whole    the loss at the end on the whole validation text: a dot, where the curve is made of
             losses on a drawn part of it
    """
    drawing, (axes, below) = figure(7.0, 5.5, 2, 1, sharex=True, height_ratios=(3, 1))
    steps, losses = _column(rows, "loss")
    axes.plot(steps, losses, color=COLOURS[0], alpha=0.25, linewidth=0.8)
    if len(losses):
        axes.plot(steps, smoothed(losses), color=COLOURS[0], label="training")
    steps, losses = _column(rows, "val_loss")
    axes.plot(steps, losses, "o-", markersize=3.5, color=COLOURS[1], label="validation")
    if rows:
        label = "validation, the whole text"
        axes.plot(rows[-1]["step"], whole, "D", markersize=6, color=COLOURS[2], label=label)
    for name, level in levels:
        axes.axhline(level, **LANDMARK)
        axes.annotate(
            f"{name} {level:.3f}", (1, level), (-4, -3), xycoords=("axes fraction", "data"),
            ha="right", va="top", **NOTE,
        )  # fmt: skip
    axes.set(ylabel="loss, nats per token", ylim=(0, None))
    axes.set_title(_as_text(title), parse_math=False)  # a $ in a name begins no formula
    axes.legend(loc="upper right", bbox_to_anchor=(1, 0.97), frameon=False)
    _health_panel(below, rows)
    return save(drawing, path)


def _health_panel(axes, rows):
    """Length of the gradient, and of the step over that of the weights: both move smoothly in a
    healthy run, and jump before it diverges."""
    for name, label, colour in (
        ("grad_norm", "gradient norm", COLOURS[2]),
        ("update_ratio", "update : weights", COLOURS[3]),
    ):
        steps, values = _column(rows, name)
        axes.plot(steps, values, color=colour, linewidth=0.9, label=label)
    axes.set(xlabel="step", yscale="log")
    axes.legend(frameon=False, fontsize=8, ncols=2)


def curves_picture(path, curves, *, xlabel, ylabel, title, log="", marks=()):
    """Lines in one picture. curves: name -> (xs, ys); log: "", "x", "y" or "xy".

    marks   pairs (name, x): vertical lines
    """
    drawing, axes = figure()
    looks = zip(COLOURS * 9, LINES * 9, strict=False)
    for (name, (xs, ys)), (colour, line) in zip(curves.items(), looks, strict=False):
        axes.plot(xs, ys, line, markersize=4, color=colour, label=name)
    for name, x in marks:
        axes.axvline(x, **LANDMARK)
        axes.annotate(name, (x, 0), (3, 4), xycoords=("data", "axes fraction"), **NOTE)
    for axis in log:
        axes.set(**{f"{axis}scale": "log"})
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
    axes.legend(frameon=False, handlelength=4)
    return save(drawing, path)


def comparison_picture(path, runs, *, floors, ylabel):
    """The losses of several runs against the step: of validation a line, of training a faint one.

    runs     name -> (rows as `read_metrics` gives them, what the losses are multiplied by, the
             loss on the whole validation text, in nats, or None)
    floors   name of the run -> the least loss that is possible there, in the picture's unit
    """
    drawing, axes = figure(7.0, 4.5)
    for (name, (rows, unit, whole)), colour in zip(runs.items(), COLOURS * 9, strict=False):
        steps, losses = _column(rows, "loss")
        axes.plot(steps, smoothed(np.array(losses) * unit), color=colour, alpha=0.4, linewidth=0.9)
        steps, losses = _column(rows, "val_loss")
        label = _as_text(name)
        if whole:
            label += f" {whole * unit:.3f}"
            axes.plot(rows[-1]["step"], whole * unit, "D", markersize=6, color=colour)
        axes.plot(steps, np.array(losses) * unit, "o-", markersize=3, color=colour, label=label)
    for level in sorted(set(floors.values())):
        axes.axhline(level, **LANDMARK)
        axes.annotate(f"floor {level:.3f}", (1, level), (-4, -3),
                      xycoords=("axes fraction", "data"), ha="right", va="top", **NOTE)  # fmt: skip
    axes.set(xlabel="step", ylabel=ylabel, ylim=(0, None))
    axes.set_title("validation (diamond: the whole text); faint: training", fontsize=10)
    legend = axes.legend(frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return save(drawing, path, COMPARED)


def _as_text(name):
    """A name of a file that is not UTF-8 has lone surrogates, for which there is no glyph; one that
    begins with an underscore is no entry of a legend."""
    name = name.encode(errors="replace").decode()
    return f" {name}" if name.startswith("_") else name


def _column(rows, name):
    present = [row for row in rows if row[name] is not None]
    return [row["step"] for row in present], [row[name] for row in present]


def smoothed(values):
    """A running mean over 1/20 of the run, in which the noise of single batches is gone.

    At the beginning, where a loss falls steeply, the mean is over fewer steps, as many after each
    as there are before it: else the fall would be drawn as a slope that never was.
    """
    total = np.concatenate([[0.0], np.cumsum(values, dtype=float)])
    half, i = max(1, len(values) // 40), np.arange(len(values))
    first, last = np.maximum(i - half, 0), np.minimum(i + np.minimum(half, i), len(values) - 1)
    return (total[last + 1] - total[first]) / (last + 1 - first)
