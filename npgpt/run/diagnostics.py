"""Diagnosis of a step whose loss is not finite, and checks of a model before training."""

import math
import sys
from contextlib import suppress

import numpy as np

from autograd.anomaly import AnomalyError, detect_anomaly
from npgpt.checkpoint import weights_not_finite
from npgpt.optim import AdamW
from npgpt.train import DivergedError, micro_batches


def explained(error, run, dataset, model, optimizer):
    """Return a DivergedError, with the op that made the first number that is not finite.

    Each of several ranks looks at its own rows of the batch.
    """
    what, step = str(error), optimizer.steps
    if not isinstance(error, DivergedError):
        batches = micro_batches(model, dataset.train_ids, run.training, step, dataset.objective)
        what = f"step {step + 1}: {error}\n{diagnosis(model, batches)}"
    return DivergedError(
        f"{what}\nThe last checkpoint in {run.folder} is from before that. The loss has diverged: "
        "train again with a lower learning rate, a longer warm-up or gradient clipping"
    )


def diagnosis(model, batches):
    """Compute a step again, and return in words where its first NaN or infinity arises.

    batches   the `npgpt.train.micro_batches` of the step; the weights are from before it
    """
    if broken := weights_not_finite(model):
        return broken
    _forget_gradients(model)
    with detect_anomaly(module_at_work(model)), np.errstate(all="ignore"):
        try:
            for batch, _ in batches:
                batch.loss(model).backward()
        except AnomalyError as error:
            return str(error)
        finally:
            _forget_gradients(model)
    return "each op gives finite numbers; they overflow where gradients are added or squared"


def module_at_work(model):
    """Return a function that returns the path of the module that calls it, as `h.3.mlp.c_fc`.

    It searches the stack for the innermost call whose `self` is a module of the model.
    """
    paths = {id(module): path for path, module in model.named_modules()}

    def path():
        frame = sys._getframe(1)
        while frame is not None:
            owner = id(frame.f_locals.get("self"))
            if owner in paths:
                return paths[owner]
            frame = frame.f_back
        return ""

    return path


# ---- npgpt train --check


def check_model(model, ids_N, config, objective):
    """Print whether the model starts, masks and learns as it should; raise ValueError if not."""
    batch = objective.sample(ids_N, model.config.block_size, min(4, config.batch_size),
                             seed=config.seed, step=0)
    with model.evaluating():
        loss = batch.loss(model).item()
    # An untrained model guesses uniformly, almost: logits of variance 1 cost half a nat.
    V, more = model.config.vocab_size, 0.5 * (model.config.init == "fan_in")
    expected = math.log(V) + more
    starts = abs(loss - expected) < 0.1 * expected
    print(f"\nloss at the start     {loss:.4f}; ln {V}{' + 1/2' * bool(more)} = {expected:.4f}, a "
          f"uniform guess: {'right' if starts else 'WRONG, it should be within 10%'}")
    ahead = sees_ahead(model, batch) if objective.left_to_right else None
    wrong = f"WRONG, the last token changes the logits at position {ahead}"
    if objective.left_to_right:
        print(f"no look ahead         {'right' if ahead is None else wrong}")
    losses = overfit(model, batch)
    learns = losses[-1] < 0.5 * losses[0]
    print(f"one batch memorised   {losses[0]:.4f} to {losses[-1]:.4f} in {len(losses)} steps: "
          f"{'right' if learns else 'WRONG, it should fall below a half'}")
    if not (starts and learns and ahead is None):
        raise ValueError(
            "the model does not start, mask or learn as it should; look for the reason with npgpt "
            "gradcheck --model, and in the last change"
        )


def sees_ahead(model, batch):
    """Return the first position whose logits change with the last token after it, or None."""
    *given, x_BT = batch.inputs
    changed_BT = x_BT.copy()
    changed_BT[:, -1] = (x_BT[:, -1] + 1) % model.config.vocab_size
    with model.evaluating():
        before, after = (model(*given, idx)[0].data[:, :-1] for idx in (x_BT, changed_BT))
    moved_T = (before != after).any(axis=(0, 2))
    return int(np.argmax(moved_T)) if moved_T.any() else None


def overfit(model, batch):
    """Return the losses of 100 steps on one batch, which any sound model memorises."""
    rate = 3e-3 * max(1, 64 / model.config.n_embd)  # a narrow model needs larger steps
    optimizer = AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    losses = []
    model.eval()  # without dropout, which prevents memorising
    with suppress(FloatingPointError):  # a loss that is not finite is a finding, the last one
        for _ in range(100):
            loss = batch.loss(model)
            losses.append(loss.item())
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    model.train()
    return losses


def _forget_gradients(model):
    for weight in model.parameters().values():
        weight.grad = None
