"""The curves among the diagrams of CONCEPTS.md, which `diagrams.py` draws.

Why scores are divided by the root of D; blocks with and without residual connections; optimizers
in a valley; what layer norm takes out of a gradient; activations and their slopes; where a GPT-2
has its parameters; the best size of a model for a budget.

Try:
- D = 1024 as the last of `sizes` in `scores`: undivided, one weight is nearly 1.
- n_layer = 48 in `depth`: how much is left of the gradient at the bottom?
"""

import numpy as np

import autograd
from autograd import Tensor
from npgpt import GPT, GPTConfig
from npgpt.models.size import parameters_by_part
from npgpt.support import plots

BLUE, ORANGE, GREEN, _, GOLD, SKY = plots.COLOURS


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
        axes.annotate(name, (sizes[-2], values[-2]), (0, 9), ha="center", **plots.NOTE_STYLE)
    axes.axhline(1 / keys, **plots.LANDMARK_STYLE)
    axes.annotate("equal shares, 1/50", (sizes[0], 1 / keys), (0, 3), **plots.NOTE_STYLE)
    axes.set(xscale="log", xlabel="D, channels of a head", ylim=(0, 1))
    axes.set_ylabel(f"the largest of {keys} weights")
    axes.set_xticks(sizes, map(str, sizes))
    axes.minorticks_off()
    axes.set_title("Undivided, wide heads put nearly all weight on one position", fontsize=11)
    return plots.save(drawing, path)


def depth(path, n_layer=24):
    """Draw the length of a gradient, and how positions differ, by block and wiring."""
    drawing, axes = plots.figure(8.4, 3.2, 1, 2)
    styles = {"pre-norm": "-", "post-norm": "--", "no residuals": ":"}
    for (wiring, style), colour in zip(styles.items(), (BLUE, ORANGE, GREEN), strict=True):
        for panel, values in zip(axes, through_blocks(wiring, n_layer), strict=True):
            panel.plot(range(n_layer), values, style, color=colour, label=wiring, linewidth=2)
    axes[0].set(yscale="log", ylabel="gradient, as a share of the top's")
    axes[0].set_title("Post-norm shrinks what comes down the stream", fontsize=10)
    axes[0].legend(frameon=False)
    axes[1].set(ylim=(0, 1.05), ylabel="spread over positions")
    axes[1].set_title("Without residuals all positions become alike", fontsize=10)
    for panel in axes:
        panel.set_xlabel("block")
    return plots.save(drawing, path)


def through_blocks(wiring, n_layer):
    """Return the gradient's length and the spread over positions, at the input of each block.

    The blocks are the random ones of CONCEPTS.md; where there are residual connections, the
    gradient is what comes straight down the stream.
    """
    rng, size = np.random.default_rng(0), np.linalg.norm
    model = GPT(GPTConfig(50, 16, n_layer, n_head=4, n_embd=48), seed=1)
    for name, weight in model.parameters().items():
        if name.startswith("h.") and weight.ndim == 2:
            weight.data *= 1 / (weight.data.std() * np.sqrt(weight.shape[0]))
    x, inputs, spreads = Tensor(rng.normal(size=(2, 16, 48)).astype(np.float32)), [], []
    for block in model.h:
        spreads.append(size(x.data - x.data.mean(axis=1, keepdims=True)) / size(x.data))
        inputs.append(Tensor(np.zeros_like(x.data), requires_grad=True))  # gets x's gradient
        x = x + inputs[-1]
        for norm, branch in ((block.ln_1, block.attn), (block.ln_2, block.mlp)):
            if wiring == "pre-norm":
                x = x + branch(norm(x)).detach()
            elif wiring == "post-norm":
                x = norm(x + branch(x).detach())
            else:
                x = branch(norm(x))
    d_top = rng.normal(size=x.shape).astype(np.float32)
    x.backward(d_top)
    return [size(dx.grad) / size(d_top) for dx in inputs], spreads


def down_the_valley(steps=60):
    """Return CONCEPTS.md's valley of two weights, and method -> its path down (steps + 1, 2)."""
    curvature, bottom = np.array([1.0, 50.0]), np.array([4.0, 1.0])
    methods = {
        "gradient descent": (0.035, lambda w, g, m, adam: g),
        "momentum": (0.1, lambda w, g, m, adam: m),
        "Adam": (0.2, lambda w, g, m, adam: adam),
        "AdamW": (0.2, lambda w, g, m, adam: adam + 0.1 * w),
    }
    paths = {}
    for name, (rate, direction) in methods.items():
        w, m, v = np.zeros((3, 2))
        paths[name] = [w]
        for t in range(1, steps + 1):
            g = curvature * (w - bottom)
            m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
            adam = m / (1 - 0.9**t) / np.sqrt(v / (1 - 0.99**t))
            w = w - rate * direction(w, g, m, adam)
            paths[name].append(w)
    return curvature, bottom, {name: np.array(path) for name, path in paths.items()}


def downhill(path):
    """Draw the paths of four optimizers down a valley that is 50 times as steep across."""
    curvature, bottom, paths = down_the_valley()
    drawing, axes = plots.figure(8.4, 4.2, 2, 2, sharex=True, sharey=True)
    x, y = np.meshgrid(np.linspace(-0.4, 5.2, 120), np.linspace(-0.1, 2.2, 90))
    height = curvature @ ((np.stack([x, y]) - bottom[:, None, None]) ** 2).reshape(2, -1) / 2
    for panel, (name, way), colour in zip(axes.flat, paths.items(), plots.COLOURS, strict=False):
        panel.contour(x, y, height.reshape(x.shape), (0.1, 1, 4, 10, 20, 40), colors=plots.GREY,
                      linewidths=0.7)
        panel.plot(*way.T, ".-", color=colour, linewidth=1, markersize=4)
        panel.plot(*bottom, "+", color=plots.INK, markersize=11)
        panel.set_title(name, fontsize=10)
    drawing.supxlabel("$w_1$, along the valley", fontsize=9)
    drawing.supylabel("$w_2$, across it", fontsize=9)
    drawing.suptitle("60 steps: gradient descent creeps, AdamW overshoots less, then lags "
                     "(+: the bottom)", fontsize=11)
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


def parameters(path):
    """Draw the parameters of the smallest and the largest GPT-2 as areas."""
    drawing, rows = plots.figure(8.4, 3.4, 2, 1)
    models = {"GPT-2": GPTConfig(50_257, 1024, 12, 12, 768),
              "GPT-2 XL": GPTConfig(50_257, 1024, 48, 25, 1600)}
    for axes, (name, config) in zip(rows, models.items(), strict=True):
        parts = parameters_by_part(config)
        total, table = sum(parts.values()), parts["token embedding"]
        begin, share = table + parts["position embedding"], parts["attention"]
        share /= parts["attention"] + parts["MLP"]
        width = (total - begin) / config.n_layer
        lefts = begin + width * np.arange(config.n_layer)
        for x, height, size, bottom, colour in (
            (lefts, share, width, 0, "#a9d8f5"), (lefts, 1 - share, width, share, "#f3cf85"),
            (0, 1, table, 0, "#8fd3bd"), (table, 1, begin - table, 0, plots.INK),
        ):
            axes.bar(x, height, size, bottom, align="edge", color=colour, edgecolor="white")
        left, middle = max(table / 2, 0.07 * total), (begin + total) / 2  # of the texts
        for x, y, part in ((left, 0.5, "token embedding"), (middle, share / 2, "attention"),
                           (middle, (1 + share) / 2, "MLP")):
            text = f"{part}\n{parts[part] / 1e6:.0f} M, {parts[part] / total:.0%}"
            axes.text(x, y, text, ha="center", va="center", fontsize=8.5, color=plots.INK,
                      bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 2})
        axes.set_title(f"{name}: {total / 1e6:,.0f} million parameters, {config.n_layer} blocks; "
                       f"black: positions, {(begin - table) / total:.1%}", fontsize=10, loc="left")
        axes.set(xlim=(0, total), ylim=(0, 1))
        axes.axis("off")
    title = "A third of the smallest GPT-2 is its table of tokens, of the largest a twentieth"
    drawing.suptitle(title, fontsize=12)
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
    axes.axhline(E, **plots.LANDMARK_STYLE)
    axes.annotate(f"E = {E:.2f}, the irreducible loss", (N[0], E), (0, 3), **plots.NOTE_STYLE)
    axes.set(xscale="log", xlabel="N, parameters", ylabel="loss, nats per token", ylim=(1.7, 3.6))
    axes.set_title("By a published law, the best size grows with the budget", fontsize=11)
    axes.legend(frameon=False, ncols=2, loc="upper left", fontsize=9, handlelength=3)
    return plots.save(drawing, path)


CURVES = scores, depth, downhill, layer_norm, activations, parameters, budgets
