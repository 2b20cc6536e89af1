"""Section 4, attention: each position reads from the positions before it, as much as they fit.

A position asks with its query, is found by its key, and hands over its value. The weights are a
softmax of query-key products, so they are positive and sum to 1. A model has several heads: each
asks its own question. The causal mask hides what comes later.

Try:
- In `by_hand`, let "it" ask for a place, with the query (0, 3): it reads the street.
- Let it ask with (30, 0): all its weight is on one token. Where a softmax is that sure, its
  gradient is 0, and nothing is learned; the division by sqrt(D) keeps products of long vectors
  from going there.
- Train with another seed, in `main`: the heads share the work in another way.
- `npgpt look RUN`, view Attention: every head of your own model, as you type; click a weight to see
  how it came about.
"""

import numpy as np
from example import FIGURES, expect, picture, run
from small_model import train_small_gpt

from autograd import no_grad, scaled_dot_product_attention, softmax
from npgpt import plots
from npgpt.data.tales import REFERENT_OF_IT, SENTENCE_WITH_IT
from npgpt.generation import Sampling
from npgpt.tokenizer.pretokenize import split

# The beginning of a tale, and the word in it that decides what comes next.
DECIDED = (
    (SENTENCE_WITH_IT, "tired"),
    (SENTENCE_WITH_IT.replace("tired", "hungry"), "hungry"),
    ("One dawn shy King Lisoro of Velaria lost", "King"),
    ("One dawn shy Queen Lisora of Velaria lost", "Queen"),
    ("Long ago there was a shy red fox in Velaria.", "was"),
    ("Long ago there were three shy red foxes in Velaria.", "were"),
)


def attention(q, k):
    """The scores q k' / sqrt(D), and their causal softmax.    (..., T, D) each -> (..., T, T)"""
    T, D = q.shape[-2:]
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(D)
    may_read_TT = np.tril(np.ones((T, T), bool))
    return scores, softmax(np.where(may_read_TT, scores, -np.inf)).data


def by_hand():
    expect("""
        1. Four tokens, two channels: "animal" and "place". The query of "it" asks for an animal,
        the key of "dog" says that it is one. Expect "it" to read nearly all of its result from
        "dog", and nobody to read from a later token.
        """)
    tokens = ("dog", "street", "tired", "it")
    q_TD = np.array([[0.5, 0.0], [0.0, 0.5], [1.0, 0.0], [3.0, 0.0]])
    k_TD = np.array([[2.0, 0.0], [0.0, 2.0], [0.2, 0.0], [0.0, 0.0]])
    v_TD = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.0, 0.0]])
    scores_TT, weights_TT = attention(q_TD, k_TD)
    result_TD = weights_TT @ v_TD
    titles = "Q", "K", "V", "scores by " + " ".join(tokens), "weights on the same", "result"
    print(f"{'':8}" + "".join(title.ljust(width) for title, width in
                             zip(titles, (13, 13, 13, 30, 30, 0), strict=True)))  # fmt: skip
    for t, token in enumerate(tokens):
        rows = (part[t] for part in (q_TD, k_TD, v_TD, scores_TT, weights_TT, result_TD))
        cells = (" ".join(f"{value:5.2f}" for value in row) for row in rows)
        print(f"{token:8}" + "  ".join(cell.ljust(28 if len(cell) > 12 else 11) for cell in cells))
    by_op_TD = scaled_dot_product_attention(*(x[None, None] for x in (q_TD, k_TD, v_TD))).data[0, 0]
    gap = np.abs(by_op_TD - result_TD).max()
    print(f"\nautograd.scaled_dot_product_attention differs by {gap:.0e}")
    return {"hand_weights": weights_TT, "op_gap": gap}


@no_grad()
def maps_of_every_head(model, ids_T):
    """The attention weights inside a model that reads a text: (n_layer, H, T, T)."""
    x_BTC = model.wte(ids_T[None]) + model.wpe(np.arange(len(ids_T)))
    maps = []
    for block in model.h:
        q_BHTD, k_BHTD, _ = block.attn.heads(block.ln_1(x_BTC))
        maps.append(attention(q_BHTD.data, k_BHTD.data)[1][0])
        x_BTC = block(x_BTC, drop=lambda branch: branch)
    return np.stack(maps)


def positions_of(word, text, tokenizer):
    """For each occurrence of a word in a text: the positions of its tokens."""
    positions, start = [], 0
    for pre_token in split(text):
        end = start + len(tokenizer.encode(pre_token))
        if pre_token.strip() == word:
            positions.append(np.arange(start, end))
        start = end
    return positions


def in_a_model(trained, figures):
    expect(f"""
        2. All heads of a trained model on a sentence. Each "it" is the {REFERENT_OF_IT}: streets do
        not get tired. But the model was trained to say what comes next, not whom "it" means, and
        its heads read what helps with that. Expect some heads at the first "it" to read the
        street, since the reasons that may follow depend on what is in the way, and at the last
        "it" to read "tired", since it decides what is done next. A head that does nothing but find
        the {REFERENT_OF_IT} would give it most of its weight at both: count them.
        """)
    ids_T = trained.tokenizer.encode(SENTENCE_WITH_IT)
    tokens = [trained.tokenizer.decode([i]) for i in ids_T]
    maps_LHTT = maps_of_every_head(trained.model, ids_T)
    words = (REFERENT_OF_IT, "street", "tired")
    positions = {
        word: positions_of(word, SENTENCE_WITH_IT, trained.tokenizer)[0] for word in words
    }
    its = [found[-1] for found in positions_of("it", SENTENCE_WITH_IT, trained.tokenizer)]
    for which, it in zip(("first", "last"), its, strict=True):
        print(f'{which + " it reads":17}{"".join(f"{word:>8}" for word in words)}   most of all')
        for layer, head in np.ndindex(maps_LHTT.shape[:2]):
            row_T = maps_LHTT[layer, head, it]
            shares = "".join(f"{row_T[positions[word]].sum():8.2f}" for word in words)
            print(f"  layer {layer}, head {head}{shares}   {tokens[row_T.argmax()]!r}")
        equal = "".join(f"{len(positions[word]) / (it + 1):8.2f}" for word in words)
        print(f"  {'equal shares':15}{equal}\n")
    finders = [
        f"layer {layer}, head {head}" for layer, head in np.ndindex(maps_LHTT.shape[:2])
        if maps_LHTT[layer, head, its][:, positions[REFERENT_OF_IT]].sum(axis=-1).min() > 0.5
    ]  # fmt: skip
    print(f'heads that read "{REFERENT_OF_IT}" with more than half their weight at both: '
          f"{', '.join(finders) or 'none'}")  # fmt: skip
    picture(
        draw_maps, figures / "04_attention.png", maps_LHTT, tokens,
        'how much each position (row) reads from each other (column); framed: what "it" reads',
        marked=its,
    )  # fmt: skip
    picture(draw_rows, figures / "04_it.png", maps_LHTT, tokens, its)
    return {"maps": maps_LHTT}


def draw_maps(path, weights_LHTS, tokens, title, marked):
    """The attention weights of the heads of each layer; row: the position that reads.

    tokens   the T tokens, one for each row and column
    marked   rows to frame
    """
    L, H, T, _ = weights_LHTS.shape
    labels = [token.strip() for token in tokens]
    drawing, axes = plots.figure(
        2.1 * H + 1.4, 2.1 * L + 1.2, L, H, squeeze=False, sharex=True, sharey=True
    )
    for (layer, head), panel in np.ndenumerate(axes):
        image = panel.imshow(weights_LHTS[layer, head], cmap="Blues", vmin=0, vmax=1)
        for t in marked:
            low, high = t - 0.5, t + 0.5
            xs, ys = [-0.5, high, high, -0.5, -0.5], [low, low, high, high, low]
            panel.plot(xs, ys, color=plots.COLOURS[1], linewidth=1.2, clip_on=False)
        panel.set_title(f"layer {layer}, head {head}", fontsize=9)
        panel.set_xticks(range(T), labels, fontsize=6.5, rotation=90)
        panel.set_yticks(range(T), labels, fontsize=6.5)
    drawing.colorbar(image, ax=axes, shrink=0.6, label="weight; those of a row sum to 1")
    drawing.suptitle(title)
    drawing.supxlabel("position read", fontsize=9)
    drawing.supylabel("position reading", fontsize=9)
    return plots.save(drawing, path)


def draw_rows(path, weights_LHTT, tokens, rows):
    """What one position reads in every head: a strip for each head, a panel for each position.

    tokens   the T tokens;  rows   the positions, each the first of some
    """
    L, H, T, _ = weights_LHTT.shape
    heads = [f"layer {layer}, head {head}" for layer, head in np.ndindex(L, H)]
    drawing, axes = plots.figure(7.4, 0.24 * L * H * len(rows) + 2.2, len(rows), 1, sharex=True)
    for panel, row, which in zip(axes, rows, ("first", "last"), strict=True):
        seen_NT = np.where(np.arange(T) <= row, weights_LHTT[:, :, row].reshape(L * H, T), np.nan)
        image = panel.imshow(seen_NT, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for (head, t), weight in np.ndenumerate(seen_NT):
            if weight >= 0.2:  # written, too: a shade is hard to read
                colour = "white" if weight > 0.5 else plots.INK
                panel.text(t, head, f"{weight:.1f}", ha="center", va="center", fontsize=7.5,
                           color=colour)  # fmt: skip
        panel.set_title(f'what the {which} "it" reads', fontsize=10)
        panel.set_yticks(range(L * H), heads, fontsize=8)
    axes[-1].set_xticks(range(T), [token.strip() for token in tokens], fontsize=8, rotation=90)
    drawing.colorbar(image, ax=axes, shrink=0.6, label="weight; a row sums to 1")
    return plots.save(drawing, path)


def what_decides(trained):
    expect("""
        3. Beginnings in which one word decides what comes next: what is done against being tired,
        whose ring was lost, how many there are. Expect the next token to follow that word, and a
        head at the last position to give it much weight. Here the model does have to know whom
        "his" or "they" means.
        """)
    answers = {}
    for beginning, word in DECIDED:
        ids_T = trained.tokenizer.encode(beginning)
        probs_V = Sampling().probabilities(trained.model.next_logits(ids_T[None])[0])
        positions = positions_of(word, beginning, trained.tokenizer)[0]
        maps = maps_of_every_head(trained.model, ids_T)
        weight = maps[:, :, -1, positions].sum(axis=-1).max()
        answers[word] = trained.tokenizer.decode([probs_V.argmax()])
        print(f"{word!r:9} {'... ' + beginning[-26:]:30} -> {answers[word]!r:9} "
              f"{probs_V.max():.2f}, a head reads {word!r} with {weight:.2f}")  # fmt: skip
    return {"answers": answers}


def causality(trained):
    expect("""
        4. Causality: the last token is replaced. Expect the logits of all earlier positions to be
        the same to the last bit, and those of the last to move.
        """)
    ids_T = trained.tokenizer.encode(SENTENCE_WITH_IT)
    changed_T = np.append(ids_T[:-1], ids_T[0])
    logits_TV, others_TV = (trained.model(ids[None])[0].data[0] for ids in (ids_T, changed_T))
    moved_T = np.abs(logits_TV - others_TV).max(axis=1)
    print(f"largest change before the last position {moved_T[:-1].max()}, at it {moved_T[-1]:.2f}")
    return {"moved_before": moved_T[:-1].max(), "moved_last": moved_T[-1]}


def main(quick=False, figures=FIGURES):
    numbers = by_hand()
    trained = train_small_gpt(quick, seed=1)
    return numbers | in_a_model(trained, figures) | what_decides(trained) | causality(trained)


if __name__ == "__main__":
    run(main)
