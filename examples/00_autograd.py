"""Before the sections: where gradients come from.

A computation is a graph. To learn, we need the derivative of the loss with respect to each value in
it; the chain rule gives them all in one walk from the loss back to the leaves. A finite difference
finds each of them by trial: change one value a little, run everything again, compare the losses.

Try:
- In STEPS, make h `relu` instead of `tanh` and b = -2: s is negative, the derivative of relu
  is 0 there, and x, w, b and v have no influence at all. The unit is dead.
- In `finite_difference`, make the step 1e-1, then 1e-13. The first is wrong since the loss is
  curved, the second since the two losses agree in nearly all of their digits.
- `npgpt look RUN`, view Backward pass: the same check in a browser, for any weight of a model.
"""

import numpy as np
from example import FIGURES, expect, picture, run

from autograd import Tensor, cross_entropy, gradcheck, linear, softmax, tanh
from npgpt.support import plots

# One neuron with a residual connection: h is used twice.
LEAVES = {"x": 0.5, "w": 1.5, "b": -0.25, "v": 0.8, "y": 1.0}
STEPS = {
    "z": lambda t: t["w"] * t["x"],
    "s": lambda t: t["z"] + t["b"],
    "h": lambda t: tanh(t["s"]),
    "m": lambda t: t["v"] * t["h"],
    "out": lambda t: t["m"] + t["h"],
    "e": lambda t: t["out"] - t["y"],
    "loss": lambda t: t["e"] * t["e"],
}
POSITIONS = {  # (column, row) in the picture
    "x": (0, 0), "w": (0, 1), "z": (1, 0), "b": (1, 1), "s": (2, 0), "h": (3, 0), "v": (3, 1),
    "m": (4, 1), "out": (5, 0), "y": (5, 1), "e": (6, 0), "loss": (7, 0),
}


def compute(nudged=None, by=0.0):
    """Return every tensor of the graph by name; `by` is added to the one called `nudged`."""
    tensors = {}
    for name, value in LEAVES.items():
        moved = value + (by if name == nudged else 0)
        tensors[name] = Tensor(np.float64(moved), requires_grad=True)
    for name, step in STEPS.items():
        tensors[name] = step(tensors)
        if name == nudged:
            tensors[name] = tensors[name] + by
    return tensors


def finite_difference(name, step=1e-5):
    """Return (loss with the value a bit larger - loss with it a bit smaller) / the distance."""
    return (compute(name, step)["loss"].item() - compute(name, -step)["loss"].item()) / (2 * step)


def sources(node):
    """Return the inputs of a node: nodes, leaf tensors, None for a constant."""
    return [edge and edge[0] for edge in node.edges]


def in_order(node, seen):
    """Return the nodes of a graph, each after its inputs, as the keys of `seen`."""
    if node not in seen:
        for source in sources(node):
            if source is not None and not isinstance(source, Tensor):
                in_order(source, seen)
        seen[node] = True
    return seen


def walk_back(loss):
    """Return node or leaf -> d(loss)/d(its value), as `backward` does, but free nothing."""
    gradients = {loss.node: np.ones(())}  # d(loss)/d(loss)
    for node in reversed(in_order(loss.node, {})):
        needs = tuple(edge is not None for edge in node.edges)  # a constant has no edge
        d_inputs = node.op.gradients(gradients[node], node.saved, needs)
        for source, d_input in zip(sources(node), d_inputs, strict=True):
            if source is not None:
                # of a value that is used twice the gradients add up
                gradients[source] = gradients.get(source, 0) + d_input
    return gradients


def the_graph(figures):
    expect("""
        1. The graph of one neuron. Expect each gradient to agree with its finite difference to
        about nine digits. h is used twice, by m and by out, and has the sum of both gradients.
        """)
    tensors = compute()
    gradients = walk_back(tensors["loss"])
    boxes, arrows, errors = {}, [], []
    of = {tensor.node or tensor: name for name, tensor in tensors.items()}
    print(f"{'':6}{'made by':9}{'value':>10}{'gradient':>17}{'finite difference':>21}")
    for name, tensor in tensors.items():
        node = tensor.node
        gradient, difference = float(gradients[node or tensor]), finite_difference(name)
        errors.append(abs(gradient - difference))
        made_by = node.op.name if node else "-"
        print(f"{name:6}{made_by:9}{tensor.item():10.4f}{gradient:17.10f}{difference:21.10f}")
        text = (f"{name}   {made_by if node else 'leaf'}\n{tensor.item():.3f}"
                f"\ngradient {gradient:.3f}\nnudged {difference:.3f}")
        boxes[name] = (*POSITIONS[name], text)
        arrows += [(of[source], name) for source in (sources(node) if node else ())]
    tensors["loss"].backward()
    same = all(tensors[name].grad == gradients[tensors[name]] for name in LEAVES)
    print(f"\nlargest difference {max(errors):.1e}; loss.backward() left the same values "
          f"in the .grad of the leaves: {same}")
    title = "The gradient of each box agrees with its finite difference; h is used twice"
    picture(draw_graph, figures / "00_autograd.png", boxes, arrows, title)
    return {"graph_error": max(errors), "backward_agrees": same}


def draw_graph(path, boxes, arrows, title):
    """Return a computation graph from left to right.

    boxes    name -> (column, row, text)
    arrows   pairs of names (from, to)
    """
    columns = 1 + max(column for column, _, _ in boxes.values())
    rows = 1 + max(row for _, row, _ in boxes.values())
    drawing, axes = plots.figure(1.2 * columns, 1.0 * rows + 0.4)
    starts = [start for start, _ in set(arrows)]
    for start, end in arrows:
        (x0, y0, _), (x1, y1, _) = boxes[start], boxes[end]
        colour = plots.COLOURS[1] if starts.count(start) > 1 else plots.GREY
        axes.annotate(
            "", (x1, -y1), (x0, -y0),
            arrowprops={"arrowstyle": "-|>", "color": colour, "shrinkA": 30, "shrinkB": 37},
        )
    for column, row, text in boxes.values():
        axes.text(
            column, -row, text, ha="center", va="center", fontsize=8, color=plots.INK,
            bbox={"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": plots.COLOURS[0]},
        )
    axes.set(title=title, xlim=(-0.6, columns - 0.4), ylim=(-rows + 0.4, 0.6))
    axes.axis("off")
    return plots.save(drawing, path)


def a_softmax_loss():
    expect("""
        2. Arrays: 4 examples, 3 classes, loss = cross_entropy(x W + b). Expect its gradient with
        respect to the logits to be (softmax - one-hot) / 4, and every entry of every gradient to
        pass `gradcheck`, which tries them all.
        """)
    rng = np.random.default_rng(0)
    x_NI, targets_N = rng.standard_normal((4, 5)), np.array([0, 2, 1, 2])
    weight_IO = Tensor(rng.standard_normal((5, 3)), requires_grad=True)
    bias_O = Tensor(rng.standard_normal(3), requires_grad=True)
    logits_NO = Tensor(linear(x_NI, weight_IO, bias_O).data, requires_grad=True)
    cross_entropy(logits_NO, targets_N).backward()
    by_hand = (softmax(logits_NO.data).data - np.eye(3)[targets_N]) / 4
    print(f"dlogits by backward\n{logits_NO.grad.round(4)}\nby the formula\n{by_hand.round(4)}\n")
    report = gradcheck(
        lambda weight, bias: cross_entropy(linear(x_NI, weight, bias), targets_N),
        {"weight": weight_IO, "bias": bias_O},
    )
    for found in report.inputs:
        print(f"{found.name:7} {found.compared:2} entries tried, worst error {found.error:.1e}")
    return {"formula_gap": np.abs(logits_NO.grad - by_hand).max(), "checked": report.passed}


def main(quick=False, figures=FIGURES):
    return the_graph(figures) | a_softmax_loss()


if __name__ == "__main__":
    run(main)
