"""All pictures: the loss of a run, attention maps, probabilities, derivatives' errors, graphs.

The only module that imports matplotlib, and only when something is drawn, so that everything else
works without it. Each function draws one picture into a PNG file and returns its path.
"""

import importlib.util
import io
from pathlib import Path

import numpy as np

from npgpt.files import atomic_write

INK, GREY = "#222222", "#999999"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito's
VISIBLE = {" ": "␣", "\n": "⏎", "\t": "⇥"}

WAY_OUT = (
    "pictures need matplotlib; install it with: pip install 'npgpt[plot]' (from a clone: "
    "pip install -e '.[plot]')"
)


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


def save(drawing, path):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = io.BytesIO()
    drawing.savefig(picture, format=path.suffix.removeprefix(".") or "png")
    atomic_write(path, picture.getvalue())
    return path


def visible(token):
    """A token as a label: spaces and line ends made visible."""
    return "".join(VISIBLE.get(character, character) for character in token)


def loss_picture(path, rows, *, title="", levels=(), whole=None):
    """Training and validation loss against the optimizer step; below, gradient norm and updates.

    rows     as `npgpt.training.metrics.read_metrics` gives them
    levels   pairs (name, nats per token) to draw as horizontal lines: what a bigram model reaches,
             the entropy of the text
    whole    the loss at the end on the whole validation text: a dot, where the curve is made of
             losses on a drawn part of it
    """
    drawing, (axes, below) = figure(
        7.0, 5.5, 2, 1, sharex=True, gridspec_kw={"height_ratios": (3, 1)}
    )
    steps, losses = _column(rows, "loss")
    axes.plot(steps, losses, color=COLOURS[0], alpha=0.25, linewidth=0.8)
    if len(losses):
        axes.plot(steps, _smoothed(losses), color=COLOURS[0], label="training")
    steps, losses = _column(rows, "val_loss")
    axes.plot(steps, losses, "o-", markersize=3.5, color=COLOURS[1], label="validation")
    if whole is not None and rows:
        label = "validation, the whole text"
        axes.plot(rows[-1]["step"], whole, "D", markersize=6, color=COLOURS[2], label=label)
    for name, level in levels:
        axes.axhline(level, color=GREY, linewidth=0.9, linestyle="--")
        axes.annotate(
            f"{name} {level:.3f}", (1, level), xycoords=("axes fraction", "data"),
            xytext=(-4, -3), textcoords="offset points", ha="right", va="top", fontsize=8,
            color=INK,
        )  # fmt: skip
    axes.set(ylabel="loss, nats per token", title=title, ylim=(0, None))
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


def curves_picture(path, curves, *, xlabel, ylabel, title="", log="", marks=()):
    """Lines in one picture. curves: name -> (xs, ys); log: "", "x", "y" or "xy".

    marks   pairs (name, x): vertical lines
    """
    drawing, axes = figure()
    for (name, (xs, ys)), colour in zip(curves.items(), COLOURS * 9, strict=False):
        axes.plot(xs, ys, "o-", markersize=3, color=colour, label=name)
    for name, x in marks:
        axes.axvline(x, color=GREY, linewidth=0.9, linestyle="--")
        axes.annotate(
            name, (x, 0), xycoords=("data", "axes fraction"), xytext=(3, 4),
            textcoords="offset points", fontsize=8, color=INK,
        )  # fmt: skip
    if "x" in log:
        axes.set_xscale("log")
    if "y" in log:
        axes.set_yscale("log")
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
    axes.legend(frameon=False)
    return save(drawing, path)


def attention_picture(path, weights_HTS, tokens, *, title="", names=None):
    """The attention weights of H heads side by side; row: the position that reads.

    tokens   the T texts, one for each row and column
    names    a title for each head
    """
    H = len(weights_HTS)
    size = max(2.4, 0.17 * len(tokens))
    columns = min(H, 4)
    rows = -(-H // columns)
    drawing, axes = figure(size * columns + 0.5, size * rows + 0.6, rows, columns, squeeze=False)
    labels = [visible(token) for token in tokens]
    for h, panel in enumerate(axes.flat):
        if h >= H:
            panel.axis("off")
            continue
        panel.imshow(weights_HTS[h], cmap="Blues", vmin=0, vmax=float(np.max(weights_HTS[h])))
        panel.set_title(names[h] if names else f"head {h}", fontsize=9)
        panel.set_xticks(range(len(labels)), labels, fontsize=6)
        panel.set_yticks(range(len(labels)), labels, fontsize=6)
        if max(map(len, labels)) > 1:
            panel.tick_params(axis="x", rotation=90)
    drawing.suptitle(title)
    drawing.supxlabel("position read", fontsize=9)
    drawing.supylabel("position reading", fontsize=9)
    return save(drawing, path)


def bars_picture(path, panels, *, title="", xlabel="probability"):
    """Probabilities of tokens as bars, one panel each.    panels: name -> (labels, values)"""
    longest = max(len(labels) for labels, _ in panels.values())
    drawing, axes = figure(
        2.4 * len(panels) + 0.6, 0.22 * longest + 1.2, 1, len(panels), squeeze=False, sharex=True
    )
    for panel, (name, (labels, values)) in zip(axes[0], panels.items(), strict=True):
        panel.barh([visible(label) for label in labels], values, color=COLOURS[0])
        panel.invert_yaxis()
        panel.set_title(name, fontsize=9)
        panel.tick_params(labelsize=8)
        panel.set_xlabel(xlabel, fontsize=8)
    drawing.suptitle(title)
    return save(drawing, path)


def points_picture(path, groups, *, title="", xlabel="", ylabel=""):
    """Labelled points in the plane.    groups: name -> (points (n, 2), labels)

    A label that would cover another is left out.
    """
    drawing, axes = figure(7, 5.5)
    notes = []
    for (name, (points, labels)), colour in zip(groups.items(), COLOURS * 9, strict=False):
        axes.scatter(points[:, 0], points[:, 1], s=14, color=colour, label=name)
        for (x, y), label in zip(points, labels, strict=True):
            notes.append(
                axes.annotate(
                    visible(label), (x, y), xytext=(3, 2), textcoords="offset points", fontsize=8
                )
            )
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    if len(groups) > 1:
        axes.legend(frameon=False, fontsize=8)
    _remove_covering(drawing, notes)
    return save(drawing, path)


def graph_picture(path, boxes, arrows, *, title=""):
    """A computation graph from left to right.

    boxes    name -> (column, row, text)
    arrows   pairs of names (from, to)
    """
    columns = 1 + max(column for column, _, _ in boxes.values())
    rows = 1 + max(row for _, row, _ in boxes.values())
    drawing, axes = figure(1.9 * columns, 1.15 * rows + 0.5)
    for start, end in arrows:
        (x0, y0, _), (x1, y1, _) = boxes[start], boxes[end]
        axes.annotate(
            "", (x1, -y1), (x0, -y0),
            arrowprops={"arrowstyle": "-|>", "color": GREY, "shrinkA": 30, "shrinkB": 34},
        )  # fmt: skip
    for column, row, text in boxes.values():
        axes.text(
            column, -row, text, ha="center", va="center", fontsize=8, color=INK,
            bbox={"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": COLOURS[0]},
        )  # fmt: skip
    axes.set(title=title, xlim=(-0.6, columns - 0.4), ylim=(-rows + 0.4, 0.6))
    axes.axis("off")
    return save(drawing, path)


def _remove_covering(drawing, notes):
    """Of texts that overlap keep the first."""
    drawing.draw_without_rendering()  # only the layout tells how large and where a text is
    kept = []
    for note in notes:
        extent = note.get_window_extent()
        if any(extent.overlaps(other) for other in kept):
            note.remove()
        else:
            kept.append(extent)


def _column(rows, name):
    present = [row for row in rows if row[name] is not None]
    return [row["step"] for row in present], [row[name] for row in present]


def _smoothed(values):
    """A centred running mean over 1/20 of the run, in which the noise of single batches is gone."""
    half = max(1, len(values) // 40)
    padded = np.pad(np.asarray(values, float), half, mode="edge")
    return np.convolve(padded, np.full(2 * half + 1, 1 / (2 * half + 1)), mode="valid")
