"""The training loop."""

TASK = """
The training loop: for each step, take the next batch, compute the loss and its gradient with the
weights as they are now, and update the weights. The three are given as functions:

    batch(step) -> x, y     gradient(w, x, y) -> loss, g     update(w, g, step) -> new w

Steps are counted from 0.
"""
RETURNS = "w losses"
WHERE = "npgpt.train.training_steps"
HINTS = """
for step in range(steps): three lines, and one that stores the loss.
The new w replaces the old: w = update(w, g, step).
Each step has a gradient of its own: nothing of earlier gradients is added to it.
"""


def train(w, steps, batch, gradient, update):
    """Return the weights at the end, and the list of the losses before each update."""
    losses = []
    for step in range(steps):
        x, y = batch(step)
        loss, g = gradient(w, x, y)
        w = update(w, g, step)
        losses.append(loss)
    return w, losses


def cases(rng):
    def batch(step):
        return step + 1.0, 3.0 * step

    def gradient(w, x, y):
        return ((w * x - y) ** 2).sum(), 2 * (w * x - y) * x

    def update(w, g, step):
        return w - 0.1 / (step + 1) * g

    for steps in (1, 2, 4):
        yield {"w": rng.normal(size=2), "steps": steps, "batch": batch, "gradient": gradient,
               "update": update}


FAULTS = {
    "each step reads the same batch": {"batch(step)": "batch(0)"},
    "the weights stay as they were: w = update(...)": {"        w = update(": "        update("},
    "the gradients of all steps add up, as in a loop without zero_grad":
        {"    losses = []": "    losses, total = [], 0",
         "        w = update(w, g, step)":
         "        total = total + g\n        w = update(w, total, step)"},
    "every gradient is taken at the weights of the beginning: give gradient the new w":
        {"    losses = []": "    losses, start = [], w",
         "gradient(w, x, y)": "gradient(start, x, y)"},
    "w - g is the step, and `update` is not used": {"update(w, g, step)": "w - g"},
    "steps are counted from 1, not from 0": {"g, step)": "g, step + 1)"},
    "the loss is measured after the update, with the new weights":
        {"losses.append(loss)": "losses.append(gradient(w, x, y)[0])"},
}
