"""A GPT small enough to train while you wait, on tales cut into words; several examples use it.

Words, since what it learns in half a minute can then be seen: with characters it would still be
learning to spell. Section 6 writes the training loop out, that is called here in one line.
"""

from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from npgpt import GPT, AdamW, BPETokenizer, GPTConfig, TrainConfig, tales
from npgpt.batches import split_text
from npgpt.train import training_steps


class Trained(NamedTuple):
    """A model, its tokenizer, and the tokens it was trained and not trained on."""

    model: GPT
    tokenizer: BPETokenizer
    train_ids: np.ndarray
    val_ids: np.ndarray


def tokenized_tales(quick=False, vocab_size=1024, n_characters=1_000_000):
    """(tokenizer, training ids, validation ids) of tales; quick: a tenth of it, cut finer."""
    text = tales.generate(100_000 if quick else n_characters, seed=0)
    tokenizer = BPETokenizer.train(text[:300_000], 512 if quick else vocab_size)
    return tokenizer, *(tokenizer.encode(part) for part in split_text(text, 0.9))


def train_small_gpt(quick=False, seed=1, watch=lambda step, model: None, **text):
    """Return a `Trained` GPT of 2 blocks with 4 heads each (quick: 2 heads, 50 steps).

    watch   called before the first step, and after each with how many are done
    """
    tokenizer, train_ids, val_ids = tokenized_tales(quick, **text)
    config = GPTConfig(
        vocab_size=tokenizer.vocab_size, block_size=64, n_layer=2, n_head=2 if quick else 4,
        n_embd=32 if quick else 64, bias=False,
    )
    training = TrainConfig(
        max_iters=50 if quick else 500, batch_size=12, lr=5e-3, min_lr=5e-4, warmup_iters=20,
        seed=seed,
    )
    model = GPT(config, seed=seed)
    print(f"training a GPT with {model.num_parameters():,} parameters on {len(train_ids):,} tokens "
          f"of tales, {training.max_iters} steps")

    def watched(step, model):
        watch(step, model)
        if step % (training.max_iters // 5) == 0:
            with model.evaluating():
                ids_T = model.generate(tokenizer.encode("\n\n"), 20, seed=1)
            tqdm.write(f"after {step:3} steps it writes {tokenizer.decode(ids_T).strip()!r}")

    return Trained(train(model, train_ids, training, watched), tokenizer, train_ids, val_ids)


def train(model, ids_N, training, watch=lambda step, model: None):
    """Return the model, trained as a TrainConfig says, and switched to evaluation."""
    optimizer = AdamW(model.parameters(), lr=training.lr)
    steps = training_steps(model, optimizer, ids_N, training)
    watch(0, model)
    for step in tqdm(steps, total=training.max_iters, leave=False, disable=None):
        watch(step.step, model)
    return model.eval()
