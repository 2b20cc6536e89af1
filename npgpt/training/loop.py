"""The training loop and the evaluation: what GPT training is, without files, bars or pictures."""

from dataclasses import dataclass

from npgpt.data.batches import evaluation_batches, sample_batch
from npgpt.training.schedule import learning_rate


@dataclass(frozen=True)
class Step:
    """What one optimizer step did. step counts from 1; loss in nats per token, before the step."""

    step: int
    loss: float
    lr: float
    grad_norm: float


def training_steps(model, optimizer, ids_N, config, first_step=0):
    """Train, one optimizer step for each item taken: an iterator over `Step`.

    model      a GPT          optimizer   an AdamW of its parameters
    ids_N      the training text as token ids
    config     a TrainConfig  first_step  steps done already

    Batches, dropout masks and rates are functions of (seed, step), so that a run that is continued
    takes the same steps as one that never stopped. The caller decides what happens in between.
    """
    for step in range(first_step, config.max_iters):
        x_BT, y_BT = sample_batch(
            ids_N, model.config.block_size, config.batch_size, seed=config.seed, step=step
        )
        lr = learning_rate(step, config)
        model.dropout_step = step
        loss = model.loss(x_BT, y_BT)
        loss.backward()
        grad_norm = optimizer.step(lr)
        optimizer.zero_grad()
        yield Step(step + 1, loss.item(), lr, grad_norm)


def evaluate(model, ids_N, *, batch_size=16, stride=None, progress=None):
    """(loss, tokens): the mean loss in nats per token over the whole of a text, and their number.

    progress   called with the number of tokens that each batch has counted

    Every token but the first counts once. stride=None reads disjoint windows of block_size, so
    that a token is predicted from 0 to block_size - 1 tokens before it; a smaller stride gives
    each at least block_size - stride, at block_size / stride times the cost.
    """
    total, count = 0.0, 0
    with model.evaluating():
        for x_BT, y_BT in evaluation_batches(ids_N, model.config.block_size, batch_size, stride):
            kept = int((y_BT >= 0).sum())
            loss = model.loss(x_BT, y_BT)
            total += loss.item() * kept
            count += kept
            if progress:
                progress(kept)
    return total / count, count
