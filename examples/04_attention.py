"""Section 4, attention: each position reads from earlier ones, as they match its query.

A position asks with its query, is found by its key, and hands over its value. The weights are a
softmax of query-key products, so they are positive and sum to 1. A model has several heads: each
asks its own question. The causal mask hides what comes later.

Try:
- In `by_hand`, let "it" ask for a place, with the query (0, 3): it reads the street.
- Let it ask with (30, 0): all its weight is on one token. Where a softmax is that sure, its
  gradient is 0, and nothing is learned; the division by sqrt(D) keeps products of long vectors
  from going there.
- Train with a different seed, in `main`: the heads share the work differently.
- In `OTHERWISE`, put "cold" or "thirsty": is it carried by the same positions?
- `npgpt look RUN`, view Attention: every head of your own model, as you type; click a weight to see
  how it came about.
"""

import numpy as np
from example import FIGURES, expect, picture, run
from heads import (
    attention,
    induction,
    losses_without_each_head,
    patched,
    rows_of_rules,
    said_twice,
    without_head,
)
from small_model import train, train_small_gpt

from autograd import scaled_dot_product_attention
from npgpt import GPT, GPTConfig, TrainConfig
from npgpt.activations import activations
from npgpt.sampling import Sampling
from npgpt.support import plots
from npgpt.tales import SENTENCE_WITH_IT
from npgpt.tokenizers.pretokenize import split

REFERENT_OF_IT = "dog"
OTHERWISE = "hungry"  # what the animal is instead of tired
TWICE, ELSEWHERE = 24, 12  # tokens said twice, to look for induction
SEEDS = 1, 2, 3

# The beginning of a tale, and the word in it that decides what comes next.
DECIDED = (
    (SENTENCE_WITH_IT, "tired"),
    (SENTENCE_WITH_IT.replace("tired", "hungry"), "hungry"),
    ("One dawn shy King Lisoro of Velaria lost", "King"),
    ("One dawn shy Queen Lisora of Velaria lost", "Queen"),
    ("Long ago there was a shy red fox in Velaria.", "was"),
    ("Long ago there were three shy red foxes in Velaria.", "were"),
)


def by_hand():
    expect("""
        1. Four tokens, those of CONCEPTS.md, with queries of two channels: "animal" and "place".
        The query of "it" asks for an animal, the key of "dog" says that it is one. Expect "it" to
        read nearly all of its result from "dog", and nobody to read from a later token.
        """)
    tokens = ("dog", "street", "tired", "it")
    x_TC = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0.2, 0.2, 0, 1]])
    q_TD = x_TC @ [[0.5, 0], [0, 0.5], [1, 0], [3, 0]]
    k_TD = x_TC @ [[2, 0], [0, 2], [0.2, 0], [0, 0]]
    v_TD = x_TC @ [[1, 0], [0, 1], [0.5, 0.5], [0, 0]]
    scores_TT, weights_TT = attention(q_TD, k_TD)
    result_TD = weights_TT @ v_TD
    titles = "Q", "K", "V", "scores by " + " ".join(tokens), "weights on the same", "result"
    print(f"{'':8}" + "".join(title.ljust(width) for title, width in
                             zip(titles, (13, 13, 13, 30, 30, 0), strict=True)))
    for t, token in enumerate(tokens):
        rows = (part[t] for part in (q_TD, k_TD, v_TD, scores_TT, weights_TT, result_TD))
        cells = (" ".join(f"{value:5.2f}" for value in row) for row in rows)
        print(f"{token:8}" + "  ".join(cell.ljust(28 if len(cell) > 12 else 11) for cell in cells))
    by_op_TD = scaled_dot_product_attention(*(x[None, None] for x in (q_TD, k_TD, v_TD))).data[0, 0]
    gap = np.abs(by_op_TD - result_TD).max()
    print(f"\nautograd.scaled_dot_product_attention differs by {gap:.0e}")
    return {"hand_weights": weights_TT, "op_gap": gap}


def positions_of(word, text, tokenizer):
    """Return the positions of the tokens of each occurrence of a word in a text."""
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
    maps_LHTT = activations(trained.model, ids_T[None]).weights_LBHTT[:, 0]
    words = (REFERENT_OF_IT, "street", "tired")
    positions = {
        word: positions_of(word, SENTENCE_WITH_IT, trained.tokenizer)[0] for word in words
    }
    its = [found[-1] for found in positions_of("it", SENTENCE_WITH_IT, trained.tokenizer)]
    read = {word: maps_LHTT[:, :, its][..., at].sum(axis=-1).max(axis=(0, 1)).tolist()
            for word, at in positions.items()}
    for which, it in zip(("first", "last"), its, strict=True):
        print(f'{which + " it reads":17}{"".join(f"{word:>8}" for word in words)}   most of all')
        for layer, head in np.ndindex(maps_LHTT.shape[:2]):
            row_T = maps_LHTT[layer, head, it]
            shares = "".join(f"{row_T[positions[word]].sum():8.2f}" for word in words)
            print(f"  block {layer}, head {head}{shares}   {tokens[row_T.argmax()]!r}")
        equal = "".join(f"{len(positions[word]) / (it + 1):8.2f}" for word in words)
        print(f"  {'equal shares':15}{equal}\n")
    finders = [
        f"block {layer}, head {head}" for layer, head in np.ndindex(maps_LHTT.shape[:2])
        if maps_LHTT[layer, head, its][:, positions[REFERENT_OF_IT]].sum(axis=-1).min() > 0.5
    ]
    print(f'heads that read "{REFERENT_OF_IT}" with more than half their weight at both: '
          f"{', '.join(finders) or 'none'}")
    picture(draw_maps, figures / "04_attention.png", maps_LHTT, tokens, its)
    picture(draw_rows, figures / "04_it.png", maps_LHTT, tokens, its, positions["tired"])
    return {"maps": maps_LHTT, "most read": read}


def draw_maps(path, weights_LHTT, tokens, marked):
    """Draw the attention weights of all heads; a row is the position that reads.

    tokens   the T tokens, each written on the diagonal, where its row ends and its column begins
    marked   rows to frame
    """
    L, H, T, _ = weights_LHTT.shape
    rows = L * H // 3 + 1  # so that one place is left for the scale
    drawing, axes = plots.figure(8.4, 2.75 * rows + 0.6, rows, 3)
    for panel in axes.flat:
        panel.axis("off")
    for (layer, head), panel in zip(np.ndindex(L, H), axes.flat, strict=False):
        seen_TT = np.where(np.tri(T), weights_LHTT[layer, head], np.nan)
        image = panel.imshow(seen_TT, cmap="Blues", vmin=0, vmax=1)
        for t, token in enumerate(tokens):
            panel.text(t + 0.7, t, token.strip(), fontsize=6.5, va="center",
                       color=plots.QUERY if t in marked else plots.INK)
        for t in marked:
            panel.axhspan(t - 0.5, t + 0.5, fill=False, edgecolor=plots.QUERY)
        panel.set_title(f"block {layer}, head {head}", fontsize=9)
        panel.set_xlim(-0.7, T + 1.5)
    scale = axes[-1, -1].inset_axes((0.1, 0.55, 0.8, 0.07))
    drawing.colorbar(image, cax=scale, location="bottom", label="weight; a row sums to 1")
    drawing.suptitle("Each head reads different positions, and none a later one", fontsize=12)
    drawing.supxlabel("position read (its key)", fontsize=9, color=plots.KEY)
    drawing.supylabel("position reading (its query); framed: “it”", fontsize=9, color=plots.QUERY)
    return plots.save(drawing, path)


def draw_rows(path, weights_LHTT, tokens, rows, reason):
    """Draw the weights of single positions: a strip for each head, a panel for each position.

    tokens   the T tokens;  rows   the positions of the first and of the last "it"
    reason   the positions of "tired", between the two
    """
    L, H, T, _ = weights_LHTT.shape
    heads = [f"block {layer}, head {head}" for layer, head in np.ndindex(L, H)]
    drawing, axes = plots.figure(7.4, 0.24 * L * H * len(rows) + 2.2, len(rows), 1, sharex=True)
    reading = (weights_LHTT[:, :, rows[-1], reason].sum(axis=-1) > 0.5).sum()
    number = f"{('no', 'one', 'two', 'three', 'four')[reading] if reading < 5 else reading}"
    titles = (
        "At the first “it” the reason is still to come",
        f"At the last, {number} {'head reads' if reading == 1 else 'heads read'} “tired”",
    )
    for panel, row, title in zip(axes, rows, titles, strict=True):
        seen_NT = np.where(np.arange(T) <= row, weights_LHTT[:, :, row].reshape(L * H, T), np.nan)
        image = panel.imshow(seen_NT, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for (head, t), weight in np.ndenumerate(seen_NT):
            if weight >= 0.2:  # written, too: a shade is hard to read
                colour = "white" if weight > 0.5 else plots.INK
                panel.text(t, head, f"{weight:.1f}", ha="center", va="center", fontsize=7.5,
                           color=colour)
        panel.set_title(title, fontsize=10)
        panel.set_yticks(range(L * H), heads, fontsize=8)
    axes[-1].set_xticks(range(T), [token.strip() for token in tokens], fontsize=8, rotation=90)
    for panel in axes:
        panel.axvspan(reason[0] - 0.5, reason[-1] + 0.5, fill=False, edgecolor=plots.KEY)
    drawing.colorbar(image, ax=axes, shrink=0.6, label="weight; a row sums to 1")
    return plots.save(drawing, path)


def what_decides(trained):
    expect("""
        3. Beginnings in which one word decides what comes next: what is done against being tired,
        whose ring was lost, how many there are. Expect the next token to follow that word, and a
        head at the last position to give it much weight, another one for another question. Here
        the model does have to know whom "his" or "they" means.
        """)
    answers, readers = {}, {}
    for beginning, word in DECIDED:
        ids_T = trained.tokenizer.encode(beginning)
        probs_V = Sampling().probabilities(trained.model.next_logits(ids_T[None])[0])
        positions = positions_of(word, beginning, trained.tokenizer)[0]
        maps = activations(trained.model, ids_T[None]).weights_LBHTT[:, 0]
        weights_LH = maps[:, :, -1, positions].sum(axis=-1)
        block, head = map(int, np.unravel_index(weights_LH.argmax(), weights_LH.shape))
        readers[word] = block, head, weights_LH.max()
        answers[word] = trained.tokenizer.decode([probs_V.argmax()])
        print(f"{word!r:9} {'... ' + beginning[-26:]:30} -> {answers[word]!r:9} "
              f"{probs_V.max():.2f}; block {block}, head {head} reads {word!r} with "
              f"{weights_LH.max():.2f}")
    return {"answers": answers, "readers": readers}


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


def heads_removed(trained):
    expect("""
        5. What each head is good for: the loss on other tales when it says nothing. Expect some
        heads to matter much and others hardly at all.
        """)
    loss, grown_LH = losses_without_each_head(trained.model, trained.val_ids)
    print(f"loss {loss:.3f}; by how much it grows without")
    for layer, head in np.ndindex(grown_LH.shape):
        print(f"  block {layer}, head {head}: {grown_LH[layer, head]:6.3f}")
    return {"loss": loss, "grown": grown_LH}


class Watch:
    """Called in training: notes at some steps how much induction there is on tokens said twice."""

    def __init__(self, steps, length=TWICE):
        self.at = {*np.linspace(0, steps, 41, dtype=int).tolist()}
        self.length, self.steps, self.rows = length, [], []

    def __call__(self, step, model):
        if step in self.at:
            with model.evaluating():
                scores_LH, _, second = induction(model, self.length)
            self.steps.append(step)
            self.rows.append((scores_LH.max(), second))

    def curves(self):
        """Return steps, and at each the best head's score and the loss of the repetition."""
        return np.array(self.steps), *np.array(self.rows).T


def both(*watches):
    return lambda step, model: [watch(step, model) for watch in watches]


def a_fixed_distance(watch, quick):
    expect(f"""
        6. Induction: of {TWICE} random tokens that are said twice, what follows the second time is
        known from the first. A head's score is the weight that it gives to what followed its
        token then. Tales hardly reward that: expect no such head in the model above. Trained on
        tokens said twice, always {TWICE} of them, expect a loss that stays where it was, and then
        falls at once, as the score jumps. But is that induction, to look for the token itself, or
        does a head look {TWICE - 1} back? Expect the latter: said twice at another distance, of
        which it has read nothing, they are not found.
        """)
    steps, V = (60, 32) if quick else (600, 64)
    training = TrainConfig(max_iters=steps, batch_size=32, lr=2e-3, min_lr=2e-3, warmup_iters=20)
    same, other = Watch(steps), Watch(steps, ELSEWHERE)
    model = GPT(GPTConfig(V, 2 * TWICE, 2, 4, 64, bias=False), seed=1)
    train(model, said_twice(V, np.full(6000, TWICE), seed=1), training, both(same, other))
    found = {"tales": watch.curves(), f"one distance, read at {TWICE}": same.curves(),
             f"one distance, read at {ELSEWHERE}": other.curves()}
    print_growth(found)
    return found


def print_growth(found):
    print(f"{'trained on':28} step   score of the best head   loss of what is said again")
    for name, (at, score, second) in found.items():
        for i in np.linspace(0, len(at) - 1, 6).round().astype(int):
            print(f"{name:28} {at[i]:4}   {score[i]:22.2f}   {second[i]:26.2f}")
    print(f"score if all positions before were read alike: {1 / (1.5 * TWICE):.2f}")


def a_head_forms(quick):
    expect("""
        7. A head that forms. In each row every letter has one successor, in the next row another:
        to know it one has to find where the letter stood before, at whatever distance. Expect the
        loss to stay for some hundred steps, and then to fall at once, with each of three seeds.
        Random letters said twice, which these models never read, are found now at both distances,
        less well without the best head. How it is done shows if two letters of a row are exchanged,
        so that other letters follow them. Expect the two themselves to carry the new answer before
        the first block; then those behind them, which are the same in both rows, as a head of the
        first block told them who stands before them; at the end the last position.
        """)
    steps, found, heads, moved = 60 if quick else 1000, {}, {}, []
    training = TrainConfig(max_iters=steps, batch_size=32, lr=4e-3, min_lr=4e-3, warmup_iters=20)
    text = rows_of_rules(12_000, seed=1).ravel()
    for seed in SEEDS[: 1 if quick else None]:
        watches = [Watch(steps, length) for length in (TWICE, ELSEWHERE)]
        model = GPT(GPTConfig(16, 64, 2, 4, 64, bias=False, init="fan_in"), seed=seed)
        train(model, text, training, both(*watches))
        found |= {f"rules, seed {seed}, read at {watch.length}": watch.curves()
                  for watch in watches}
        scores_LH, _, second = induction(model, ELSEWHERE)
        head = np.unravel_index(scores_LH.argmax(), scores_LH.shape)
        with without_head(model, *head):
            without = induction(model, ELSEWHERE)[2]
        at, _, losses = watches[1].curves()
        heads[seed] = *map(int, head), second, without, at[(losses < 2).argmax()]
        moved.append(np.mean([carriers(model, row) for row in range(20)], axis=0))
        if seed == SEEDS[0]:
            ids_T = np.tile(np.random.default_rng(0).permutation(16)[:ELSEWHERE], 2)
            weights_TT = activations(model, ids_T[None]).weights_LBHTT[head[0], 0, head[1]]
    print_growth(found)
    for seed, (layer, head, second, without, step) in heads.items():
        print(f"seed {seed}: block {layer}, head {head}; what is said again at {ELSEWHERE} costs "
              f"{second:.2f} nats, without this head {without:.2f}; below 2 from step {step}")
    formed = {"heads": heads, "weights": weights_TT, "carried": np.mean(moved, axis=0)}
    print(f"\nletters {FIRST} and {SECOND} exchanged: how much of the answer a position carries")
    print_carriers(formed["carried"], [*map(str, range(ROW)), "again"])
    return found, formed


FIRST, SECOND, ROW = 2, 6, 10  # positions of the letters that are exchanged; letters of a row


def carriers(model, seed):
    """Return how much of a new answer each position carries: (n_layer + 1, ROW + 1).

    A row of different letters ends in the one at FIRST, said again. Then the letters at FIRST and
    SECOND are exchanged, so that another letter follows it.
    """
    letters_T = np.random.default_rng(seed).permutation(model.config.vocab_size)[:ROW]
    row_T, other_T = (np.append(letters_T, letters_T[FIRST]) for _ in range(2))
    other_T[[FIRST, SECOND]] = row_T[[SECOND, FIRST]]
    return patched(model, row_T, other_T, row_T[FIRST + 1], row_T[SECOND + 1])


def draw_induction(path, found, formed):
    """Draw the loss of letters said twice as the heads form, and what one head reads then."""
    drawing, (losses, weights) = plots.figure(9.2, 3.6, 1, 2)
    for seed, colour, style in zip(formed["heads"], plots.COLOURS, ("-", "--", ":"), strict=False):
        at, _, second = found[f"rules, seed {seed}, read at {ELSEWHERE}"]
        losses.plot(at, second, style, color=colour, label=f"seed {seed}")
    losses.set(xlabel="step", ylabel="loss of the second time, nats", ylim=(0, None))
    losses.set_title("Suddenly the loss of what is said again falls", fontsize=10)
    losses.legend(frameon=False, fontsize=9)
    second_TT = formed["weights"][ELSEWHERE:]
    weights.imshow(second_TT, cmap="Blues", vmin=0, vmax=1, extent=(
        -0.5, 2 * ELSEWHERE - 0.5, 2 * ELSEWHERE - 0.5, ELSEWHERE - 0.5))
    reading = np.arange(ELSEWHERE, 2 * ELSEWHERE)
    weights.plot(reading - ELSEWHERE + 1, reading, "s", fillstyle="none", markersize=9,
                 color=plots.KEY)
    weights.set(xlabel="position read", ylabel="position reading",
                yticks=(ELSEWHERE, 2 * ELSEWHERE - 1))
    weights.set_title("A head reads what followed the last time (framed)", fontsize=10)
    return plots.save(drawing, path)


def it_with_the_answer_visible(trained):
    expect(f"""
        8. "... because it was too tired, so it": the animal slept. Told that it was {OTHERWISE},
        it ate. One vector of one position is put in from the other sentence: 1 is a change as
        large as that of the whole sentence. Expect the word itself to carry the difference before
        the first block, and the last position after the last; a head of some block reads it over.
        """)
    texts = SENTENCE_WITH_IT, SENTENCE_WITH_IT.replace("tired", OTHERWISE)
    ids = [trained.tokenizer.encode(text) for text in texts]
    if len(ids[0]) != len(ids[1]):
        print(f"'tired' and {OTHERWISE!r} are not as many tokens here")
        return {}
    answers = [int(trained.model.next_logits(row[None])[0].argmax()) for row in ids]
    print(" | ".join(f"{text[-24:]!r} -> {trained.tokenizer.decode([a])!r}"
                     for text, a in zip(texts, answers, strict=True)))
    if answers[0] == answers[1]:
        print("the model says the same after both: nothing to follow")
        return {}
    moved_LT = patched(trained.model, *ids, *answers)
    first = int(np.flatnonzero(ids[0] != ids[1])[0])  # positions before it are the same
    tokens = [trained.tokenizer.decode([i]).strip() for i in ids[0][first:]]
    print_carriers(moved_LT[:, first:], tokens)
    return {"moved": moved_LT[:, first:], "tokens": tokens}


def print_carriers(moved_LT, tokens):
    print(f"{'':20}{''.join(f'{token:>9}' for token in tokens)}")
    for layer, row in enumerate(moved_LT):
        where = f"before block {layer}" if layer + 1 < len(moved_LT) else "after the last"
        print(f"  {where:18}{''.join(f'{x:9.2f}' for x in row)}")


def draw_heads(path, removed, followed):
    """Draw the loss without each head, and which vectors carry the answer."""
    drawing, axes = plots.figure(10, 3.7, 1, 2)
    _draw_removed(axes[0], removed["grown"])
    _draw_followed(axes[1], followed)
    return plots.save(drawing, path)


def _draw_removed(axes, grown_LH):
    names = [f"block {layer}, head {head}" for layer, head in np.ndindex(grown_LH.shape)]
    axes.barh(names, grown_LH.ravel(), color=plots.COLOURS[0])
    axes.invert_yaxis()
    axes.tick_params(labelsize=8)
    axes.set(xlabel="growth of the loss, nats")
    axes.set_title("Without one head the loss grows by", fontsize=10)


def _draw_followed(axes, followed):
    axes.set_title("After one block, “it” carries the answer", fontsize=10)
    if followed:
        _draw_carriers(axes, followed["moved"], followed["tokens"])
    else:
        axes.text(0.5, 0.5, "not learned", ha="center", transform=axes.transAxes)


def _draw_carriers(axes, moved_LT, tokens):
    axes.imshow(np.clip(moved_LT, 0, 1), cmap="Blues", vmin=0, vmax=1.3, aspect="auto")
    for (layer, at), x in np.ndenumerate(moved_LT):
        axes.text(at, layer, f"{x:.2f}", ha="center", va="center", fontsize=8,
                  color="white" if x > 0.7 else plots.INK)
    L = len(moved_LT) - 1
    axes.set_xticks(range(len(tokens)), tokens, fontsize=8)
    axes.set_yticks(range(L + 1), [f"before\nblock {i}" for i in range(L)] + ["after\nthe last"],
                    fontsize=8)
    axes.set(xlabel="position whose vector is exchanged")


def main(quick=False, figures=FIGURES):
    numbers = by_hand()
    steps = 50 if quick else 500
    watch = Watch(steps)
    trained = train_small_gpt(quick, seed=1, watch=watch)
    numbers |= in_a_model(trained, figures) | what_decides(trained) | causality(trained)
    removed, found = heads_removed(trained), a_fixed_distance(watch, quick)
    forms, formed = a_head_forms(quick)
    followed = it_with_the_answer_visible(trained)
    picture(draw_heads, figures / "04_heads.png", removed, followed)
    picture(draw_induction, figures / "04_induction.png", forms, formed)
    return numbers | {"removed": removed, "induction": found | forms, "formed": formed,
                      "followed": followed}


if __name__ == "__main__":
    run(main)
