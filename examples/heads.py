"""The purpose of attention heads, found by changing one and measuring the answer.

    removed     the loss of a text when a head says nothing
    induction   how much a head reads what followed the last time, on random tokens said twice
    patched     one position's vector of one layer taken from another sentence: who carries the
                difference to the answer

Sources: Michel et al., Are Sixteen Heads Really Better than One?, 2019; Olsson et al., In-context
Learning and Induction Heads, 2022; Meng et al., Locating and Editing Factual Associations in GPT,
2022.
"""

from contextlib import contextmanager

import numpy as np

from autograd import cross_entropy, no_grad, softmax
from npgpt.activations import activations
from npgpt.train import evaluate


def attention(q, k):
    """The scores q k' / sqrt(D), and their causal softmax.    (..., T, D) each -> (..., T, T)"""
    T, D = q.shape[-2:]
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(D)
    may_read_TT = np.tril(np.ones((T, T), bool))
    return scores, softmax(np.where(may_read_TT, scores, -np.inf)).data


def streams(model, ids_BT, patch=None):
    """Return the input of each block and the output of the last: L + 1 Tensors (B, T, C).

    patch   (layer, position, vector_C): put that vector there
    """
    x_BTC, found = model.wte(ids_BT) + model.wpe(np.arange(ids_BT.shape[1])), []
    for layer in range(len(model.h) + 1):
        if patch and patch[0] == layer:
            x_BTC.data[:, patch[1]] = patch[2]
        found.append(x_BTC)
        if layer < len(model.h):
            x_BTC = model.h[layer](x_BTC, drop=lambda branch: branch)
    return found


@contextmanager
def without_head(model, layer, head):
    """Silence a head inside: its rows of the projection are 0."""
    attn = model.h[layer].attn
    weight_CC = attn.c_proj.weight.data
    D = len(weight_CC) // attn.n_head
    rows, kept = slice(head * D, (head + 1) * D), weight_CC.copy()
    weight_CC[rows] = 0
    try:
        yield
    finally:
        weight_CC[:] = kept


def losses_without_each_head(model, ids_N, max_tokens=8000):
    """Return (the loss on a text, by how much it grows without each head (n_layer, H))"""
    loss, _ = evaluate(model, ids_N, max_tokens=max_tokens)
    grown = np.zeros((len(model.h), model.config.n_head))
    for layer, head in np.ndindex(grown.shape):
        with without_head(model, layer, head):
            grown[layer, head] = evaluate(model, ids_N, max_tokens=max_tokens)[0] - loss
    return loss, grown


def said_twice(vocab_size, lengths, seed):
    """Return random tokens and the same ones again, for one length after another: (N,)."""
    rng = np.random.default_rng(seed)
    return np.concatenate([np.tile(rng.integers(0, vocab_size, n), 2) for n in lengths])


def rows_of_rules(rows, vocab_size=16, length=65, seed=0, chance=0.1):
    """Return rows (rows, length) in which each token has one successor, another one in each row.

    chance   with which a token is drawn at random instead, so that no row goes round in a circle
    """
    rng = np.random.default_rng(seed)
    after = np.argsort(rng.random((rows, vocab_size)), axis=1)
    ids_NT = rng.integers(0, vocab_size, (rows, length))  # what is drawn at random
    follows = rng.random((rows, length)) >= chance
    for t in range(1, length):
        ids_NT[:, t] = np.where(
            follows[:, t], after[np.arange(rows), ids_NT[:, t - 1]], ids_NT[:, t])
    return ids_NT


@no_grad()
def induction(model, length=24, rows=16, seed=0):
    """On random tokens said twice: (scores (n_layer, H), loss the first time, the second time).

    A head's score is the weight that it gives, at a token's second time, to what followed its
    first. Reading all positions alike would give about 1 / (1.5 length).
    """
    ids_BT = said_twice(model.config.vocab_size, [length] * rows, seed).reshape(rows, -1)
    maps = activations(model, ids_BT).weights_LBHTT
    second = np.arange(length, 2 * length - 1)
    scores = maps[..., second, second - length + 1].mean(axis=(1, 3))
    logits_BTV, _ = model(ids_BT[:, :-1])
    losses = [
        cross_entropy(logits_BTV[:, part], ids_BT[:, 1:][:, part]).item()
        for part in (slice(0, length - 1), slice(length, None))
    ]
    return scores, *losses


@no_grad()
def logits_after(model, ids_T, patch=None):
    """Return the logits (V,) of the token that follows."""
    x_BTC = streams(model, ids_T[None], patch)[-1]
    return model.head(model.ln_f(x_BTC)[:, -1]).data[0]


@no_grad()
def patched(model, ids_T, others_T, answer, other_answer):
    """Return the effect of each position's vector, copied from one text into another.

    Of the first text, one position's vector before one block is replaced by that of the second
    text. 0: the answer stays; 1: it is as much the other one as if the whole text had been
    replaced. By the difference of the two answers' logits.    (n_layer + 1, T)
    """
    theirs = streams(model, others_T[None])

    def lean(logits_V):
        return logits_V[other_answer] - logits_V[answer]

    ours, whole = lean(logits_after(model, ids_T)), lean(logits_after(model, others_T))
    moved = np.zeros((len(theirs), len(ids_T)))
    for layer, at in np.ndindex(moved.shape):
        patch = layer, at, theirs[layer].data[0, at]
        moved[layer, at] = (lean(logits_after(model, ids_T, patch)) - ours) / (whole - ours)
    return moved
