"""Guards: what is wrong with a step whose loss is not finite, and is a model fit to be trained?"""

import math
from contextlib import contextmanager, suppress

import numpy as np

from autograd.anomaly import AnomalyError, described, detect_anomaly
from npgpt.data.batches import sample_batch
from npgpt.training.loop import add_gradients
from npgpt.training.optim import AdamW


def diagnosis(model, ids_N, config, step, ranks=None):
    """Where the first number that is not finite arises in a step, found by computing it again.

    step   counted from 0, and not taken: the weights are those before it
    """
    broken = weights_not_finite(model)
    if broken:
        return broken
    _forget_gradients(model)
    with module_paths(model) as place, detect_anomaly(place), np.errstate(all="ignore"):
        try:
            add_gradients(model, ids_N, config, step, ranks)
        except AnomalyError as error:
            return str(error)
        finally:
            _forget_gradients(model)
    return "each op gives finite numbers; they overflow where gradients are added or squared"


def weights_not_finite(model):
    """The first weight that holds NaN or infinity, described; None if all are finite."""
    for name, weight in model.parameters().items():
        if not np.isfinite(weight.data).all():
            return f"the weight {name} has {described(weight.data)}"
    return None


@contextmanager
def module_paths(model):
    """Inside, the function it gives says which part of the model is at work, as `h.3.mlp.c_fc`.

    Python looks `__call__` up on the class, so it is there that the calls are listened to.
    """
    paths = {id(module): path for path, module in model.named_modules()}
    classes = {type(module) for _, module in model.named_modules()}
    at_work = []

    def listening(forward):
        def call(module, *arguments, **settings):
            at_work.append(paths.get(id(module), type(module).__name__))
            try:
                return forward(module, *arguments, **settings)
            finally:
                at_work.pop()

        return call

    originals = {cls: cls.__call__ for cls in classes}
    for cls, forward in originals.items():
        cls.__call__ = listening(forward)
    try:
        yield lambda: at_work[-1] if at_work else ""
    finally:
        for cls, forward in originals.items():
            cls.__call__ = forward


# ---- npgpt train --check


def loss_at_start(model, ids_N, config):
    """(loss of the first batch, ln V): an untrained model is to guess nearly uniformly."""
    with model.evaluating():
        loss = model.loss(*_first_batch(model, ids_N, config))
    return loss.item(), math.log(model.config.vocab_size)


def overfit(model, ids_N, config, steps=100, lr=3e-3):
    """The losses of `steps` steps on one batch, which any sound model learns by heart."""
    x_BT, y_BT = _first_batch(model, ids_N, config)
    optimizer = AdamW(model.parameters(), lr=lr, weight_decay=0.0)
    losses = []
    model.eval()  # dropout is there to prevent exactly this
    with suppress(FloatingPointError):  # a loss that is not finite is a finding, the last one
        for _ in range(steps):
            loss = model.loss(x_BT, y_BT)
            losses.append(loss.item())
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    model.train()
    return losses


def _first_batch(model, ids_N, config):
    B = min(4, config.batch_size)
    return sample_batch(ids_N, model.config.block_size, B, seed=config.seed, step=0)


def _forget_gradients(model):
    for weight in model.parameters().values():
        weight.grad = None
