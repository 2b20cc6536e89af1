"""Section 4, attention: each position reads from the positions before it, as much as they fit.

A position asks with its query, is found by its key, and hands over its value. The weights are a
softmax over query-key products, so they are positive and sum to 1. A model has several heads: each
asks its own question. The causal mask hides what comes later.

Try:
- Give the query of "it" the numbers (0, 3): it now asks for a place, and reads the street.
- Drop the `/ np.sqrt(D)` and make D larger, with random numbers: products of long vectors are
  large, the softmax puts all its weight on one position, and its gradient is nearly 0.
- Change seed=1 in small_model.py. Which head does what changes; what is found does not.
"""

import numpy as np
from example import FIGURES, expect, picture, run
from small_model import train_small_gpt

from autograd import no_grad, scaled_dot_product_attention, softmax
from npgpt import plots
from npgpt.data.tales import REFERENT_OF_IT, SENTENCE_WITH_IT
from npgpt.generation import distribution


def attention_weights(q, k):
    """softmax(q k' / sqrt(D)) with a causal mask.    (..., T, D) each -> (..., T, T)"""
    T, D = q.shape[-2:]
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(D)
    return softmax(np.where(np.tril(np.ones((T, T), bool)), scores, -np.inf)).data


def by_hand():
    expect("""
        1. Four tokens, two channels: "animal" and "place". The query of "it" asks for an animal,
        the key of "dog" says that it is one. Expect "it" to read nearly all of its result from
        "dog", and nobody to read from a later token.
        """)
    tokens = ("dog", "street", "tired", "it")
    q_TD = np.array([[0.5, 0.0], [0.0, 0.5], [1.0, 0.0], [3.0, 0.0]])
    k_TD = np.array([[2.0, 0.0], [0.0, 2.0], [0.2, 0.0], [0.0, 0.0]])
    v_TD = np.array([[1.0, 0.0], [0.0, 1.0], [0.3, 0.0], [0.0, 0.0]])
    weights_TT = attention_weights(q_TD, k_TD)
    result_TD = weights_TT @ v_TD
    print(f"query       key         value       {'weight on: ':11}{'  '.join(tokens)}   result")
    for t, token in enumerate(tokens):
        rows = "  ".join(str(part_TD[t]).ljust(10) for part_TD in (q_TD, k_TD, v_TD))
        print(f"{rows}  {token:8}{weights_TT[t].round(2)!s:30}{result_TD[t].round(2)}")
    by_op_TD = scaled_dot_product_attention(*(a[None, None] for a in (q_TD, k_TD, v_TD))).data[0, 0]
    gap = np.abs(by_op_TD - result_TD).max()
    print(f"autograd.scaled_dot_product_attention differs by {gap:.0e}")
    return {"it_to_dog": weights_TT[3, 0], "op_gap": np.abs(by_op_TD - result_TD).max(),
            "row_sums": weights_TT.sum(axis=1), "future": np.triu(weights_TT, 1).max()}  # fmt: skip


@no_grad()
def maps_of_every_head(model, ids_T):
    """The attention weights of a text: (n_layer, H, T, T)."""
    x_BTC = model.wte(ids_T[None]) + model.wpe(np.arange(len(ids_T)))
    maps = []
    for block in model.h:
        q_BHTD, k_BHTD, _ = block.attn.heads(block.ln_1(x_BTC))
        maps.append(attention_weights(q_BHTD.data, k_BHTD.data)[0])
        x_BTC = block(x_BTC, drop=lambda branch: branch)
    return np.stack(maps)


def places_of(word, tokens):
    """For each time a word stands in a text: the indices of its tokens."""
    starts_T = np.cumsum([0] + [len(token) for token in tokens])
    text = "".join(tokens)
    found, at = [], text.find(word)
    while at >= 0:
        alone = not text[at - 1 : at].isalpha() and not text[at + len(word) :][:1].isalpha()
        if alone:
            covered = (starts_T[1:] > at) & (starts_T[:-1] < at + len(word))
            found.append(np.flatnonzero(covered))
        at = text.find(word, at + 1)
    return found


def in_a_model(trained, figures):
    expect(f"""
        2. All heads of a trained model on a sentence. Each "it" is the {REFERENT_OF_IT}: streets do
        not get tired. Training asked for the next token only, not for whom "it" means. Expect a
        few heads to give the {REFERENT_OF_IT} more than an equal share, and the last "it" to give
        most to "tired", which decides what comes next.
        """)
    ids_T = trained.tokenizer.encode("\n\n" + SENTENCE_WITH_IT)
    tokens = [trained.tokenizer.decode([i]) for i in ids_T]
    maps_LHTT = maps_of_every_head(trained.model, ids_T)
    (first_it,), (last_it,) = places_of("it", tokens)
    words = [REFERENT_OF_IT, "street", "tired"]
    share = {}
    for name, it in (("first", first_it), ("last", last_it)):
        print(f'{name} "it": weight on   {"   ".join(f"{word:>6}" for word in words)}   most on')
        there = {word: places_of(word, tokens)[0] for word in words}
        for (layer, head), row_T in np.ndenumerate(np.empty(maps_LHTT.shape[:2])):
            row_T = maps_LHTT[layer, head, it]
            onto = [row_T[there[word]].sum() for word in words]
            print(f"  layer {layer}, head {head}     {'   '.join(f'{w:6.2f}' for w in onto)}   "
                  f"{tokens[row_T.argmax()]!r}")  # fmt: skip
            share[name, layer, head] = onto
        equal = "   ".join(f"{len(there[word]) / (it + 1):6.2f}" for word in words)
        print(f"  an equal share      {equal}\n")
    L, H, T, _ = maps_LHTT.shape
    names = [f"layer {layer}, head {head}" for layer in range(L) for head in range(H)]
    picture(
        plots.attention_picture, figures / "04_attention.png", maps_LHTT.reshape(L * H, T, T),
        tokens, names=names, title="who reads from whom",
    )  # fmt: skip
    return {"maps": maps_LHTT, "share": share}


def what_decides(trained):
    expect("""
        3. The same sentence with another reason. Expect the continuation to follow it: the last
        "it" has read that word.
        """)
    best = {}
    for reason in ("tired", "hungry", "thirsty", "sad"):
        ids_T = trained.tokenizer.encode(SENTENCE_WITH_IT.replace("tired", reason))
        probs_V = distribution(trained.model.next_logits(ids_T[None])[0])
        best[reason] = trained.tokenizer.decode([probs_V.argmax()])
        print(f"... too {reason + ', so it':14} -> {best[reason]!r} {probs_V.max():.2f}")
    return {"continuations": best}


def causality(trained):
    expect("""
        4. Causality: the last token is replaced. Expect the logits of all earlier positions to be
        the same to the last bit, and only those of the last to move.
        """)
    ids_T = trained.tokenizer.encode(SENTENCE_WITH_IT)
    changed_T = np.append(ids_T[:-1], (ids_T[-1] + 1) % trained.tokenizer.vocab_size)
    logits_TV, others_TV = (trained.model(ids[None])[0].data[0] for ids in (ids_T, changed_T))
    moved_T = np.abs(logits_TV - others_TV).max(axis=1)
    print(f"largest change before the last position {moved_T[:-1].max()}, at it {moved_T[-1]:.2f}")
    return {"moved_before": moved_T[:-1].max(), "moved_last": moved_T[-1]}


def main(quick=False, figures=FIGURES):
    numbers = by_hand()
    trained = train_small_gpt(quick)
    return numbers | in_a_model(trained, figures) | what_decides(trained) | causality(trained)


if __name__ == "__main__":
    run(main)
