"""The diagrams of CONCEPTS.md, with numbers that are computed here.

    python examples/diagrams.py            all of them, into examples/figures/

A GPT and one of its blocks; how channels are cut into heads; why scores are divided by the root of
D; what layer norm takes out of a gradient; activations and their slopes; the best size of a model
for a budget; the steps from a language model to one that answers.

Try:
- Another `seed` in `heads`: other numbers, and still no row reads from a later one.
- D = 1024 as the last of `sizes` in `scores`: undivided, one weight is nearly 1.
"""

import numpy as np
from example import FIGURES

import autograd
from autograd import Tensor
from npgpt import plots

BLUE, ORANGE, GREEN = plots.COLOURS[:3]
PALE = {BLUE: "#d6e9f5", ORANGE: "#fbe3d0", GREEN: "#d3efe6", plots.GREY: "#f0f0f0"}


def box(axes, x, y, text, colour=plots.GREY, width=2.0, height=0.62, size=9):
    """Draw a box with its middle at (x, y)."""
    axes.text(x, y, text, ha="center", va="center", fontsize=size, color=plots.INK, zorder=3)
    axes.add_patch(_rectangle(x, y, width, height, PALE[colour], colour))


def _rectangle(x, y, width, height, face, edge):
    from matplotlib.patches import FancyBboxPatch

    corner = x - width / 2, y - height / 2
    return FancyBboxPatch(
        corner, width, height, boxstyle="round,pad=0.02,rounding_size=0.08", facecolor=face,
        edgecolor=edge, linewidth=1.2, zorder=2,
    )


def arrow(axes, *points, colour=plots.INK):
    """Draw a line along points, with a head at the last."""
    axes.plot(*zip(*points[:-1], strict=True), color=colour, linewidth=1.2, zorder=1)
    style = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", points[-1], points[-2], arrowprops=style)


def plain(axes, xlim, ylim):
    axes.set(xlim=xlim, ylim=ylim)
    axes.set_aspect("equal")
    axes.axis("off")


def block(path):
    """Return a GPT from token ids to logits, and what one of its blocks does."""
    drawing, (whole, one) = plots.figure(7.4, 4.7, 1, 2)
    plain(whole, (-2.3, 3.3), (-0.5, 7.5))
    whole.set_title("a GPT", fontsize=11)
    rows = (
        ("token ids", "(B, T)", plots.GREY),
        ("token + position\nembedding", "(B, T, C)", GREEN),
        ("block 1", "(B, T, C)", BLUE),
        ("block 2", "(B, T, C)", BLUE),
        ("... block n_layer", "(B, T, C)", BLUE),
        ("final norm", "(B, T, C)", plots.GREY),
        ("times embedding,\ntransposed", "(B, T, V)", GREEN),
    )
    for y, (name, shape, colour) in enumerate(rows):
        box(whole, 0, y, name, colour, width=2.9)
        whole.text(1.65, y + 0.33, shape, fontsize=8, va="center", color=plots.INK)
        arrow(whole, (0, y + 0.33), (0, y + 0.67))
    whole.text(0, 7.0, "logits", ha="center", va="center", fontsize=9, color=plots.INK)

    plain(one, (-1.5, 4.1), (-0.5, 7.5))
    one.set_title("one block", fontsize=11)
    one.text(0, -0.2, "x (B, T, C)", ha="center", va="center", fontsize=9, color=plots.INK)
    arrow(one, (0, 0.1), (0, 2.85))
    arrow(one, (0, 3.15), (0, 6.35))
    arrow(one, (0, 6.65), (0, 7.3))
    branches = ((0.5, "norm", "attention: reads\nother positions"),
                (4.0, "norm", "MLP: each position\nby itself"))
    for y, norm, branch in branches:
        arrow(one, (0, y), (2.3, y), (2.3, y + 0.35))
        box(one, 2.3, y + 0.65, norm, plots.GREY, width=1.5, height=0.55)
        arrow(one, (2.3, y + 0.95), (2.3, y + 1.2))
        box(one, 2.3, y + 1.65, branch, ORANGE, width=2.9, height=0.85, size=8.5)
        arrow(one, (2.3, y + 2.1), (2.3, y + 2.5), (0.17, y + 2.5))
        one.text(0, y + 2.5, "+", ha="center", va="center", fontsize=12, zorder=3,
                 bbox={"boxstyle": "circle,pad=0.12", "facecolor": "white",
                       "edgecolor": plots.INK})
    one.text(-0.35, 5.0, "the residual stream", rotation=90, ha="center", va="center", fontsize=8.5)
    drawing.suptitle("A block only adds to the residual stream", fontsize=12)
    return plots.save(drawing, path)


def table(axes, x, y, values, colours, title, decimals=1):
    """Draw a matrix of numbers, its upper left corner at (x, y).    colours: one a column"""
    for (row, column), value in np.ndenumerate(values):
        colour = colours[column]
        at = x + column + 0.5, y - 0.62 * row - 0.31
        axes.add_patch(_rectangle(*at, 0.9, 0.52, PALE[colour], colour))
        shown = f"{value:.{decimals}f}" if np.isfinite(value) else "–∞"
        axes.text(*at, shown, ha="center", va="center", fontsize=8, color=plots.INK, zorder=3)
    axes.text(x, y + 0.14, title, fontsize=8, va="bottom", color=plots.INK)


def heads(path, seed=5):
    """Return (T, C) cut into H heads of D channels each; each attends by itself; joined again."""
    T, C, H = 3, 4, 2
    D = C // H
    rng = np.random.default_rng(seed)
    q_TC, k_TC, v_TC = (rng.normal(size=(3, T, C)) * 1.6).round(1)
    drawing, axes = plots.figure(7.4, 5.55)
    plain(axes, (-0.3, 18.3), (-10.2, 2.9))
    both = [BLUE] * D + [ORANGE] * D
    for row, (name, x_TC) in enumerate((("q", q_TC), ("k", k_TC), ("v", v_TC))):
        table(axes, 0, 1.6 - 3.4 * row, x_TC, both, f"{name} (T, C) = (3, 4)")
    for head, colour in enumerate((BLUE, ORANGE)):
        axes.text(1 + 2 * head, 2.55, f"head {head}", ha="center", va="center", fontsize=9,
                  color=colour, weight="bold")
    axes.text(2, 2.55, "|", ha="center", va="center", fontsize=9, color=plots.INK)
    axes.plot([4.2, 4.45, 4.45, 4.2], [1.6, 1.6, -7.1, -7.1], color=plots.INK, linewidth=1.2)
    joined = []
    for head, (colour, y) in enumerate(((BLUE, 1.6), (ORANGE, -3.9))):
        q, k, v = (x_TC[:, head * D : (head + 1) * D] for x_TC in (q_TC, k_TC, v_TC))
        score_TT = q @ k.T / np.sqrt(D)
        score_TT[np.triu_indices(T, 1)] = -np.inf
        weight_TT = autograd.softmax(score_TT).data
        joined.append(weight_TT @ v)
        table(axes, 5.4, y, score_TT, [colour] * T, f"head {head}: q kᵀ / √2, masked")
        table(axes, 9.6, y, weight_TT, [colour] * T, "softmax of each row", decimals=2)
        table(axes, 13.8, y, joined[-1], [colour] * D, "weights times v")
        for x in (4.45, 8.5, 12.7):
            arrow(axes, (x, y - 1), (x + 0.85, y - 1))
    y_TC = np.concatenate(joined, axis=1)
    table(axes, 13.8, -7.6, y_TC, both, "both, side by side: y (T, C)")
    axes.plot([16.0, 16.3, 16.3, 16.0], [1.6, 1.6, -5.8, -5.8], color=plots.INK, linewidth=1.2)
    arrow(axes, (16.3, -2.1), (17.3, -2.1), (17.3, -6.8))
    axes.text(15.8, -9.85, "then times W (C, C)", ha="center", va="center", fontsize=8.5,
              color=plots.INK)
    axes.text(5.4, -7.4, "A row is a position: it reads itself\nand what is above it, never below.",
              fontsize=8.5, va="top", color=plots.INK)
    axes.set_title("Each head attends by itself, with its own channels", fontsize=12)
    shapes = (x.reshape(1, T, H, D).swapaxes(1, 2) for x in (q_TC, k_TC, v_TC))
    attended = autograd.scaled_dot_product_attention(*shapes).data[0]
    assert np.allclose(attended.swapaxes(0, 1).reshape(T, C), y_TC)
    return plots.save(drawing, path)


def scores(path, sizes=(1, 4, 16, 64, 256), keys=50, repeats=400):
    """Return the largest of 50 attention weights, with scores divided by the root of D and not."""
    rng = np.random.default_rng(0)
    curves = {"scores as they are": [], "divided by √D": []}
    for D in sizes:
        q, k = rng.normal(size=(2, repeats, keys, D))
        score = (q * k).sum(axis=2)
        for curve, scale in zip(curves.values(), (1, np.sqrt(D)), strict=True):
            curve.append(autograd.softmax(score / scale).data.max(axis=1).mean())
    drawing, axes = plots.figure(6.0, 3.0)
    for (name, values), colour, marker in zip(curves.items(), (ORANGE, BLUE), "so", strict=True):
        axes.plot(sizes, values, marker=marker, color=colour)
        axes.annotate(name, (sizes[-2], values[-2]), (0, 9), ha="center", **plots.NOTE)
    axes.axhline(1 / keys, **plots.LANDMARK)
    axes.annotate("equal shares, 1/50", (sizes[0], 1 / keys), (0, 3), **plots.NOTE)
    axes.set(xscale="log", xlabel="D, channels of a head", ylim=(0, 1))
    axes.set_ylabel(f"the largest of {keys} weights")
    axes.set_xticks(sizes, map(str, sizes))
    axes.minorticks_off()
    axes.set_title("Undivided, wide heads put nearly all weight on one position", fontsize=11)
    return plots.save(drawing, path)


def layer_norm(path):
    """Draw the two parts that the backward rule of layer norm takes out of a gradient."""
    rng = np.random.default_rng(2)
    x_C, g_C = rng.normal(size=(2, 6))
    x = Tensor(x_C[None], requires_grad=True)
    autograd.layer_norm(x, eps=0.0).backward(g_C[None])
    n_C = (x_C - x_C.mean()) / x_C.std()
    shift_C, scale_C = np.full(6, g_C.mean()), n_C * (g_C * n_C).mean()
    left_C = g_C - shift_C - scale_C
    assert np.allclose(left_C / x_C.std(), x.grad[0])
    drawing, axes = plots.figure(7.4, 2.5, 1, 4, sharey=True)
    panels = (
        ("g, the gradient of n", g_C, plots.GREY), ("its mean: a shift", shift_C, ORANGE),
        ("along n: a scale", scale_C, GREEN), ("what is left", left_C, BLUE),
    )
    for panel, (title, values, colour), sign in zip(axes, panels, ("", "–", "–", "="), strict=True):
        panel.bar(range(6), values, color=colour)
        panel.axhline(0, color=plots.INK, linewidth=0.7)
        panel.set_title(f"{sign}  {title}", fontsize=9)
        panel.set_xlabel("channel", fontsize=8)
        panel.set_xticks(range(6))
        panel.tick_params(labelsize=8)
    drawing.suptitle("Backward takes out what layer norm would undo: a shift and a scale",
                     fontsize=11)
    return plots.save(drawing, path)


def activations(path):
    """Draw ReLU and GELU, and their slopes by `autograd`."""
    z = np.linspace(-4, 3, 701)
    drawing, panels = plots.figure(7.4, 2.9, 1, 2)
    for activation, colour, style in ((autograd.relu, ORANGE, "--"), (autograd.gelu, BLUE, "-")):
        x = Tensor(z, requires_grad=True)
        y = activation(x)
        y.sum().backward()
        for panel, values in zip(panels, (y.data, x.grad), strict=True):
            label = {"relu": "ReLU", "gelu": "GELU"}[activation.__name__]
            panel.plot(z, values, style, color=colour, label=label, linewidth=1.8)
    for panel, title in zip(panels, ("output", "slope"), strict=True):
        panel.set(title=title, xlabel="input")
        panel.axhline(0, color=plots.GREY, linewidth=0.7, zorder=0)
        panel.legend(frameon=False)
    drawing.suptitle("ReLU's slope jumps from 0 to 1, GELU's is smooth", fontsize=12)
    return plots.save(drawing, path)


def budgets(path, FLOPs=(1e20, 1e21, 1e22, 1e23)):
    """Draw the loss by size for several budgets, by the law that Besiroglu et al. fitted."""
    E, A, B, alpha, beta = 1.8172, 482.01, 2085.43, 0.3478, 0.3658
    N = np.logspace(8, 11.5, 400)
    drawing, axes = plots.figure(6.4, 3.4)
    best = []
    for C, colour, style in zip(FLOPs, plots.COLOURS, ("-", "--", "-.", ":"), strict=False):
        loss = E + A / N**alpha + B / (C / (6 * N)) ** beta
        axes.plot(N, loss, style, color=colour, label=f"$10^{{{np.log10(C):.0f}}}$ FLOPs")
        best.append((N[loss.argmin()], loss.min()))
    axes.plot(*zip(*best, strict=True), "o", color=plots.INK, label="the best size")
    axes.axhline(E, **plots.LANDMARK)
    axes.annotate(f"E = {E:.2f}, the floor", (N[0], E), (0, 3), **plots.NOTE)
    axes.set(xscale="log", xlabel="N, parameters", ylabel="loss, nats per token", ylim=(1.7, 3.6))
    axes.set_title("The best size grows with the budget", fontsize=11)
    axes.legend(frameon=False, ncols=2, loc="upper left", fontsize=9, handlelength=3)
    return plots.save(drawing, path)


def to_chat(path):
    """Draw the steps from text to a model that answers, and what each of them learns from."""
    drawing, axes = plots.figure(8.6, 2.9)
    plain(axes, (-1.2, 12.0), (-0.3, 4.1))
    axes.set_title("The same next-token model at each step; what changes is what it learns from",
                   fontsize=11)
    steps = (
        ("pre-training", "web pages, books, code:\n$10^{12}$ tokens", "continues\nany text", BLUE),
        ("instruction\ntuning", "written conversations:\n$10^4$ and more", "answers\nin form",
         ORANGE),
        ("reward", "its own answers, judged by\npeople or a verifier", "answers\nas preferred",
         GREEN),
    )
    for i, (name, source, result, colour) in enumerate(steps):
        x = 4 * i
        axes.text(x, 3.3, source, ha="center", va="center", fontsize=8.5, color=plots.INK)
        arrow(axes, (x, 2.9), (x, 2.2))
        box(axes, x, 1.8, name, colour, width=2.2, height=0.8)
        axes.text(x + 2, 2.15, "weights" if i < 2 else "", ha="center", fontsize=8)
        if i < 2:
            arrow(axes, (x + 1.15, 1.8), (x + 2.85, 1.8))
        arrow(axes, (x, 1.4), (x, 0.75))
        axes.text(x, 0.3, result, ha="center", va="center", fontsize=8.5, color=plots.INK)
    arrow(axes, (9.15, 1.8), (10.4, 1.8))
    axes.text(11.2, 1.8, "in use: tools,\na cache, fewer\nbits a weight", ha="center", va="center",
              fontsize=8.5, color=plots.INK)
    return plots.save(drawing, path)


DIAGRAMS = (block, heads, scores, layer_norm, activations, budgets, to_chat)


def main(quick=False, figures=FIGURES):
    return [draw(figures / f"{draw.__name__}.png") for draw in DIAGRAMS]


if __name__ == "__main__":
    for picture in main():
        print(f"picture {picture}")
