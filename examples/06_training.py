"""Section 6, training: predict, measure the surprise, follow the gradient down, many times.

First the model memorises one batch, as any sound model and optimizer can. Then the loop of
`npgpt.train` is written out on a text too long to memorise; the loss on new text of the same
kind counts. On average it cannot fall below the loss of the grammar that wrote the text.

Try:
- Leave `optimizer.zero_grad()` out: every step then follows the sum of all gradients so far, and
  the loss hardly falls.
- Train on `train_ids[:2_000]`: the training loss falls below the grammar's, and the validation loss
  rises from one evaluation to the next. That is overfitting.
- Add 0.03 and 3 to RATES: the first is worse than 0.005 but learns. With 3 the loss rises far
  above that of a uniform guess.
- `npgpt look RUN`, view Training: the curves of your own run, and what it wrote on the way.
"""

import math
from dataclasses import replace

import numpy as np
from example import FIGURES, expect, picture, run
from small_model import tokenized_tales
from tqdm import tqdm

from npgpt import GPT, AdamW, GPTConfig, TrainConfig
from npgpt.batches import NextToken, sample_batch
from npgpt.ngram import NgramModel
from npgpt.optim import learning_rate
from npgpt.support import plots
from npgpt.train import evaluate

RATE = 5e-3  # of the training in part 2
RATES = (1e-4, RATE, 0.3)  # to compare in part 3


def one_batch_memorised(config, train_ids, steps):
    expect(f"""
        1. One batch of 4 windows, {steps} steps. Expect the loss to start at the logarithm of the
        number of tokens, ln {config.vocab_size} = {math.log(config.vocab_size):.2f}, a uniform
        guess, and to fall far below the entropy of the text: memorised, not understood.
        """)
    model = GPT(config, seed=0)
    optimizer = AdamW(model.parameters(), lr=3e-3)
    x_BT, y_BT = sample_batch(train_ids, config.block_size, 4, seed=0, step=0)
    losses = []
    for _ in range(steps):
        _, loss = model(x_BT, y_BT)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    for step in (0, steps // 4, steps // 2, steps - 1):
        print(f"step {step + 1:4}: loss {losses[step]:.3f}")
    return {"memorised": losses}


def train(config, settings, train_ids, val_ids=None):
    """Return the training loop. A dict for each step, which is a row of a run's metrics.csv."""
    model = GPT(config, seed=settings.seed)
    optimizer = AdamW(model.parameters(), weight_decay=settings.weight_decay)
    rows = []
    for step in tqdm(range(settings.max_iters), leave=False, disable=None):
        lr = learning_rate(step, settings)
        x_BT, y_BT = sample_batch(
            train_ids, config.block_size, settings.batch_size, seed=settings.seed, step=step
        )
        _, loss = model(x_BT, y_BT)  # forward: how surprised was the model?
        loss.backward()  # backward: what would each weight have to do about it?
        norm = optimizer.step(lr)  # clip, then a small step down
        optimizer.zero_grad()
        row = {"step": step + 1, "loss": loss.item(), "val_loss": None, "lr": lr, "grad_norm": norm}
        if val_ids is not None and (step + 1) % settings.eval_interval == 0:
            row["val_loss"] = evaluate(model, val_ids, stride=16)[0]
            tqdm.write(f"step {step + 1:4}: loss {row['loss']:.3f}, validation "
                       f"{row['val_loss']:.3f}, lr {lr:.5f}, gradient norm {norm:.2f}")
        rows.append(row)
    return rows


def another_batch_each_step(config, settings, train_ids, val_ids, grammar):
    expect(f"""
        2. Another batch at every step, {settings.max_iters} steps. Expect the losses of training
        and validation to fall together, since the text is too long to be memorised, toward
        the loss of the grammar on the same tokens of validation, {grammar:.3f} nats per token:
        quickly at first, then slowly.
        """)
    rows = train(config, settings, train_ids, val_ids)
    last = [row["val_loss"] for row in rows if row["val_loss"]][-1]
    print(f"\nvalidation loss {last:.3f}, {last / grammar - 1:.0%} above the grammar's")
    return rows


def learning_rates(config, settings, train_ids, unigram):
    expect(f"""
        3. {len(RATES)} learning rates, {settings.max_iters} steps each. Expect low ones to be on a
        good way, only slowly; and high ones to learn little more than which tokens are frequent,
        since each step undoes what the last one did. That alone would be a loss of {unigram:.2f}.
        """)
    curves = {}
    for lr in RATES:
        changed = replace(settings, lr=lr, min_lr=lr)
        losses = np.array([row["loss"] for row in train(config, changed, train_ids)])
        curves[lr] = losses
        print(f"lr {lr:<7g} loss of the last 10 steps {losses[-10:].mean():.3f}, highest "
              f"{losses.max():.2f}")
    best = min(curves, key=lambda lr: curves[lr][-10:].mean())
    print(f"the best of these is {best:g}: lower ones are too slow, higher ones too coarse")
    return curves


def draw(path, rows, curves, grammar, unigram):
    """Draw the loss, gradient and rate of one run on the left, three rates on the right."""
    drawing, axes = plots.figure(10, 5.6, 3, 2, height_ratios=(3, 1.3, 1.3))
    losses, norms, rates = axes[:, 0]
    for panel in axes[:, 1]:
        panel.remove()
    others = drawing.add_subplot(axes[0, 1].get_gridspec()[:, 1])
    steps = [row["step"] for row in rows]
    losses.plot(steps, [row["loss"] for row in rows], color=plots.COLOURS[5], label="training")
    validated = [(row["step"], row["val_loss"]) for row in rows if row["val_loss"]]
    losses.plot(*zip(*validated, strict=True), "o-", color=plots.COLOURS[1], label="validation",
                markersize=4)
    losses.axhline(grammar, **plots.LANDMARK_STYLE, label="the grammar")
    losses.set(title="One run: the loss falls toward the grammar's, fast and then slowly",
               ylabel="nats per token", ylim=(0, None))
    norms.plot(steps, [row["grad_norm"] for row in rows], color=plots.COLOURS[0], linewidth=0.8)
    norms.axhline(1.0, **plots.LANDMARK_STYLE)
    norms.set(title="Gradients longer than 1 (dashed) are clipped", ylim=(0, None))
    rates.plot(steps, [row["lr"] for row in rows], color=plots.COLOURS[0])
    rates.set(title="The learning rate rises in a warm-up, and falls as a cosine", xlabel="step")
    styles = zip(plots.COLOURS * 9, ("--", "-", ":", "-.") * 9, strict=False)
    for (lr, values), (colour, style) in zip(curves.items(), styles, strict=False):
        others.plot(range(1, len(values) + 1), values, style, color=colour, label=f"rate {lr:g}")
    others.set(title="Other rates: too low crawls, too high sticks at the unigram loss",
               xlabel="step", ylim=(0, 8))
    others.axhline(unigram, **plots.LANDMARK_STYLE, label="unigram model")
    for panel in drawing.axes:
        panel.title.set_fontsize(10)
    for panel in (losses, others):
        panel.legend(frameon=False, fontsize=8)
    return plots.save(drawing, path)


def main(quick=False, figures=FIGURES):
    tokenizer, train_ids, val_ids = tokenized_tales(quick)
    val_ids = val_ids[:4_001]
    grammar = NextToken(tokenizer).grammar_loss(val_ids, 64, before=train_ids).nats
    config = GPTConfig(
        tokenizer.vocab_size, block_size=64, n_layer=2, n_head=4, n_embd=32 if quick else 64,
        bias=False,
    )
    settings = TrainConfig(
        max_iters=60 if quick else 500, batch_size=12, lr=RATE, min_lr=RATE / 10, warmup_iters=20,
        eval_interval=20 if quick else 50,
    )
    numbers = one_batch_memorised(config, train_ids, 40 if quick else 150)
    rows = another_batch_each_step(config, settings, train_ids, val_ids, grammar)
    shorter = replace(settings, max_iters=30 if quick else 150)
    unigram = NgramModel(train_ids, config.vocab_size, 1).loss(train_ids)
    curves = learning_rates(config, shorter, train_ids, unigram)
    picture(draw, figures / "06_training.png", rows, curves, grammar, unigram)
    return numbers | {"rows": rows, "rates": curves, "grammar": grammar}


if __name__ == "__main__":
    run(main)
