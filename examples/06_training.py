"""Section 6, training: predict, measure the surprise, follow the gradient down, many times.

First one batch is learned by heart, which any sound model and optimizer can do. Then the loop of
`npgpt.training.loop` is written out on a text too long to learn by heart, and the loss on other
text of the same kind is what counts. It can not fall below the text's entropy.

Try:
- LR = 0.3: the loss stays high, or the run stops because it is no number any more.
- warmup_iters=0 and LR = 3e-2: the gradient norm leaps in the first steps.
- `optimizer.zero_grad()` left out: every step then follows the sum of all gradients so far.
"""

import math

import numpy as np
from example import FIGURES, expect, picture, run
from tqdm import tqdm

from npgpt import GPT, AdamW, CharTokenizer, GPTConfig, TrainConfig, plots
from npgpt.data import tales
from npgpt.data.batches import sample_batch, split_text
from npgpt.training.loop import evaluate
from npgpt.training.schedule import learning_rate
from npgpt.training.warmup import warm_up

LR = 4e-3


def one_batch_by_heart(config, train_ids, steps):
    expect(f"""
        1. One batch of 4 windows, {steps} steps. Expect the loss to start at the logarithm of the
        number of tokens, ln {config.vocab_size} = {math.log(config.vocab_size):.2f}, a uniform
        guess, and to fall far below the entropy of the text: learned by heart, not understood.
        """)
    model = GPT(config, seed=0)
    optimizer = AdamW(model.parameters(), lr=LR)
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
    return losses


def training(config, settings, train_ids, val_ids):
    expect(f"""
        2. Another batch at every step, {settings.max_iters} steps. Expect the losses of training
        and validation to fall together, since no window comes twice, toward the entropy,
        {tales.entropy_rate():.3f}.
        """)
    model = GPT(config, seed=settings.seed)
    optimizer = AdamW(
        model.parameters(), betas=(settings.beta1, settings.beta2),
        weight_decay=settings.weight_decay, grad_clip=settings.grad_clip,
    )  # fmt: skip
    rows = []
    for step in tqdm(range(settings.max_iters), leave=False, disable=None):
        x_BT, y_BT = sample_batch(
            train_ids, config.block_size, settings.batch_size, seed=settings.seed, step=step
        )
        _, loss = model(x_BT, y_BT)  # forward: how surprised was the model?
        loss.backward()  # backward: what would each weight have to do about it?
        norm = optimizer.step(lr=learning_rate(step, settings))  # a small step down
        optimizer.zero_grad()
        row = {"step": step + 1, "loss": loss.item(), "val_loss": None, "grad_norm": norm}
        if (step + 1) % settings.eval_interval == 0:
            row["val_loss"] = evaluate(model, val_ids)[0]
            tqdm.write(f"step {step + 1:4}: loss {row['loss']:.3f}, "
                       f"validation {row['val_loss']:.3f}, gradient norm {norm:.2f}")  # fmt: skip
        rows.append(row)
    return rows


def main(quick=False, figures=FIGURES):
    text = tales.generate(50_000 if quick else 500_000, seed=0)
    tokenizer = CharTokenizer.train(text)
    train_ids, val_ids = (tokenizer.encode(part) for part in split_text(text, 0.9))
    config = GPTConfig(
        tokenizer.vocab_size, block_size=64, n_layer=2, n_head=4, n_embd=32 if quick else 64,
        bias=False,
    )  # fmt: skip
    settings = TrainConfig(
        max_iters=60 if quick else 600, batch_size=16, lr=LR, min_lr=LR / 10,
        warmup_iters=10 if quick else 50, eval_interval=20 if quick else 100,
    )  # fmt: skip
    warm_up(config)
    by_heart = one_batch_by_heart(config, train_ids, 40 if quick else 300)
    rows = training(config, settings, train_ids, val_ids[:5_001])
    picture(
        plots.loss_picture, figures / "06_training.png", rows,
        title="a small GPT on tales", levels=[("entropy of the text", tales.entropy_rate())],
    )  # fmt: skip
    return {
        "ln_V": math.log(config.vocab_size),
        "by_heart": (by_heart[0], by_heart[-1]),
        "validation": [row["val_loss"] for row in rows if row["val_loss"] is not None],
        "entropy": tales.entropy_rate(),
        "norms_finite": bool(np.isfinite([row["grad_norm"] for row in rows]).all()),
    }


if __name__ == "__main__":
    run(main)
