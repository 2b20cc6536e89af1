"""The diagrams of CONCEPTS.md, with numbers that are computed here.

    python examples/diagrams.py            all of them, into examples/figures/

Here are those of boxes and numbers: one pass, merges, the two embeddings, masks, a GPT and its
block, attention in four steps, heads, the steps to a model that answers. `curves.py` has the
curves.

Try:
- Another word of `MERGED`: how many tokens is it, and when were its merges learned?
- Another `seed` in `heads`: other numbers, and still no row reads from a later one.
"""

import numpy as np
from curves import CURVES
from example import FIGURES
from snippets import DOCUMENT, snippets, what_they_print

import autograd
from npgpt import BPETokenizer, tales
from npgpt.support import plots
from npgpt.support.plots import KEY, QUERY, VALUE
from npgpt.support.text import visible

BLUE, ORANGE, GREEN, _, GOLD, SKY = plots.COLOURS
PALE = {BLUE: "#d6e9f5", ORANGE: "#fbe3d0", GREEN: "#d3efe6", GOLD: "#fbeccb", SKY: "#e1f2fb",
        plots.GREY: "#f0f0f0"}
MERGED = " because", " unhappiness"
CHANNELS = {BLUE: ("article", "animal", "action", "food"), GREEN: "0123"}  # of One Pass


def box(axes, x, y, text, colour=plots.GREY, width=2.0, height=0.62, size=9):
    """Draw a box with its middle at (x, y)."""
    label(axes, x, y, text, size)
    axes.add_patch(_rectangle(x, y, width, height, PALE[colour], colour))


def label(axes, x, y, text, size=9, **font):
    style = {"ha": "center", "va": "center", "color": plots.INK, "zorder": 3}
    axes.text(x, y, text, fontsize=size, **style, **font)


def _rectangle(x, y, width, height, face, edge):
    from matplotlib.patches import FancyBboxPatch

    corner = x - width / 2, y - height / 2
    return FancyBboxPatch(
        corner, width, height, boxstyle="round,pad=0.02,rounding_size=0.08", facecolor=face,
        edgecolor=edge, linewidth=1.2, zorder=2,
    )


def arrow(axes, *points, colour=plots.INK):
    """Draw a line along points, with a head at the last."""
    axes.plot(*zip(*points[:-1], strict=True), color=colour, linewidth=1.2, zorder=1)
    style = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", points[-1], points[-2], arrowprops=style)


def plain(axes, xlim, ylim):
    axes.set(xlim=xlim, ylim=ylim)
    axes.set_aspect("equal")
    axes.axis("off")


def table(axes, x, y, values, colours, title, decimals=1, filled=True):
    """Draw a matrix of numbers, its upper left corner at (x, y).

    colours, filled   one for all cells, for each column, or [[one], ...] for each row
    """
    colours, filled = (np.broadcast_to(of, values.shape) for of in (colours, filled))
    for (row, column), value in np.ndenumerate(values):
        colour = colours[row, column]
        at = x + column + 0.5, y - 0.62 * row - 0.31
        face = PALE[colour] if filled[row, column] else "white"
        axes.add_patch(_rectangle(*at, 0.9, 0.52, face, colour))
        shown = f"{value:.{decimals}f}" if np.isfinite(value) else "–∞"
        label(axes, *at, shown, 8)
    axes.text(x, y + 0.14, title, fontsize=8, va="bottom", color=plots.INK)


def one_pass(path):
    """Draw every number of One Pass in CONCEPTS.md, whose snippets are run for them."""
    of, document = {}, DOCUMENT.read_text(encoding="utf-8")
    what_they_print(snippets(document.partition("\n## What is")[0]), DOCUMENT, of)
    inputs = [of["words"][i] for i in of["input_T"]]
    bet_TV, loss_T = of["bet_TV"], of["loss_T"]
    came = np.arange(5) == of["target_T"][:, None]
    drawing, axes = plots.figure(7.6, 3.7)
    plain(axes, (-2.2, 17.6), (-7.6, 1.4))
    rows = (
        (0, (("1. look up: x", of["x_TC"], BLUE, 1),
             ("2. who reads whom", of["weight_TT"], GOLD, 2),
             ("x + what was read", of["read_TC"], BLUE, 1))),
        (-4.9, (("3. units of the MLP", of["hidden_TM"], GREEN, 2),
                ("x + what they add", of["final_TC"], BLUE, 1))),
    )
    for y, tables in rows:
        for word, down in zip(inputs, (0.31, 0.93, 1.55, 2.17), strict=True):
            label(axes, -1.1, y - down, word)
        for i, (title, values, colour, decimals) in enumerate(tables):
            heading(axes, 5.5 * i, y, title, inputs if colour == GOLD else CHANNELS.get(colour, ""))
            table(axes, 5.5 * i, y, values + 0.0, colour, "", decimals)
    heading(axes, 11, -4.9, "4. bets (5. loss)", of["words"])
    table(axes, 11, -4.9, bet_TV, ORANGE, "", 2, came)
    for down, loss in zip((0.31, 0.93, 1.55, 2.17), loss_T, strict=True):
        label(axes, 16.8, -4.9 - down, f"{loss:.2f}")
    drawing.suptitle("From four words to four bets: every number of one pass", fontsize=12)
    return plots.save(drawing, path)


def heading(axes, x, y, title, columns):
    """Write a title above a table at (x, y), and a word above each column."""
    axes.text(x, y + 0.75, title, fontsize=9, weight="bold", color=plots.INK)
    for i, word in enumerate(columns):
        label(axes, x + i + 0.5, y + 0.3, word, 7)


def merges(path, words=MERGED):
    """Draw the merges of words, from bytes up to tokens, by the tokenizer of CONCEPTS.md."""
    tokenizer = BPETokenizer.train(tales.generate(300_000, seed=1)[:100_000], vocab_size=512)
    drawing, axes = plots.figure(9.4, 2.7)
    plain(axes, (-0.7, sum(map(len, words)) + 0.7), (-0.5, 4.1))
    left = 0
    for word in words:
        for token in tokenizer.encode(word).tolist():
            left, *_ = _merged(axes, tokenizer, token, left, GOLD)
        left += 1
    axes.set_title("A frequent word becomes one token, a rare one stays in pieces", fontsize=12)
    axes.text(len(words[0]) + 0.6, 3.8, "a number: the merge that made it, in the order learned\n"
              "filled: a token of the word", va="top", fontsize=8.5, color=plots.INK)
    return plots.save(drawing, path)


def _merged(axes, tokenizer, token, left, colour=plots.GREY):
    """Draw a token above its pair, which begins at `left`; return (its end, the token's x, y)."""
    below = []
    for half in tokenizer.pair(token):
        left, *at = _merged(axes, tokenizer, half, left)
        below.append(at)
    x, y = np.mean([x for x, _ in below] or [left]), max((y for _, y in below), default=-0.9) + 0.9
    for at in below:
        axes.plot(*zip((x, y), at, strict=True), color=plots.INK, linewidth=1, zorder=1)
    name = visible(tokenizer.tokens[token].decode())
    box(axes, x, y, name, colour, width=0.5 + 0.17 * len(name), height=0.5)
    if below:
        axes.text(x + 0.33 + 0.085 * len(name), y + 0.1, token - 255, fontsize=7, color=plots.INK)
    return left + (not below), x, y


def look_up(path, text="moon", C=3, seed=1):
    """Draw the rows of two tables, one for each token and one for each position, and their sum."""
    rng, letters = np.random.default_rng(seed), sorted(set(text))
    row_of_token_T = [letters.index(letter) for letter in text]
    E, P = (rng.normal(size=(len(rows), C)).round(1) for rows in (letters, text))
    twice = [[GOLD if text.count(letter) > 1 else plots.GREY] for letter in letters]
    drawing, axes = plots.figure(8.4, 2.2)
    plain(axes, (-0.9, 19.3), (-3, 0.7))
    table(axes, 0, -0.31, E, twice, "E, a row for each token")
    here = [twice[row] for row in row_of_token_T]
    table(axes, 6, 0, E[row_of_token_T], here, "the rows looked up")
    table(axes, 11, 0, P, plots.GREY, "P, a row for each position")
    table(axes, 16, 0, E[row_of_token_T] + P, here, "the sum (T, C)")
    for row, letter in enumerate(letters):
        label(axes, -0.3, -0.62 - 0.62 * row, letter)
    for t, row in enumerate(row_of_token_T):
        y = -0.31 - 0.62 * t
        label(axes, 5.7, y, text[t])
        label(axes, 10.7, y, t)
        arrow(axes, (C + 0.1, -0.62 - 0.62 * row), (5.4, y), colour=here[t][0])
    label(axes, 9.8, -1.24, "+", 14)
    label(axes, 15, -1.24, "=", 14)
    label(axes, 3.7, -2.8, "Both o are the same row of E. The position tells them apart.", 8.5)
    axes.set_title("A vector is the token's row plus the position's row", fontsize=12)
    return plots.save(drawing, path)


def may_read(S, T):
    """Return masks by family, (reader, read): GPT and BERT (T, T), T5 (S + T, S + T)."""
    before_TT = np.tri(T, dtype=bool)
    t5 = np.block([[np.ones((S, S)), np.zeros((S, T))], [np.ones((T, S)), before_TT]])
    return {"GPT": before_TT, "BERT": np.ones((T, T), bool), "T5": t5 > 0}


def masks(path):
    """Draw which position may read which, in a GPT, a BERT and a T5."""
    rows = (
        ("GPT", 0, 6, "the cat sat on a mat", "GPT: what came before"),
        ("BERT", 0, 6, "the cat [MASK] on a mat", "BERT: both sides"),
        ("T5", 5, 4, "the cat <x> a mat <s> <x> sat on",
         "T5: the source both ways,\nits own words as a GPT"),
    )
    drawing, axes = plots.figure(9.6, 3.9, 1, 3, width_ratios=(6, 6, 9))
    for panel, (family, S, T, text, title) in zip(axes, rows, strict=True):
        words, mask = text.split(), may_read(S, T)[family]
        for (row, column), reads in np.ndenumerate(mask):
            colour = GOLD if column < S <= row else SKY
            face, edge = (PALE[colour], colour) if reads else ("white", "#dddddd")
            panel.add_patch(_rectangle(column, row, 0.8, 0.8, face, edge))
        panel.set(xlim=(-0.6, S + T - 0.4), ylim=(S + T - 0.4, -0.6), aspect="equal")
        panel.set_xticks(range(S + T), words, rotation=60, ha="right", rotation_mode="anchor",
                         fontsize=8)
        panel.set_yticks(range(S + T), words, fontsize=8)
        panel.tick_params(length=0)
        panel.spines[:].set_visible(False)
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("is read: its key", color=KEY, fontsize=9)
    axes[0].set_ylabel("reads: its query", color=QUERY, fontsize=9)
    for x, y, text in ((6.5, 2, "hidden from\nthe encoder"), (2, 6.5, "cross-attention")):
        label(axes[2], x, y, text, bbox={"facecolor": "white", "edgecolor": "none", "pad": 2})
    for y, text in ((2, "encoder"), (7, "decoder")):
        label(axes[2], 9, y, text, rotation=-90)
    drawing.suptitle("The mask makes the model: who may read whom", fontsize=12)
    return plots.save(drawing, path)


def block(path):
    """Return a GPT from token ids to logits, and what one of its blocks does."""
    drawing, (whole, one) = plots.figure(7.4, 4.7, 1, 2)
    plain(whole, (-2.3, 3.3), (-0.5, 7.5))
    whole.set_title("a GPT", fontsize=11)
    rows = (
        ("token ids", "(B, T)", plots.GREY),
        ("token + position\nembedding", "(B, T, C)", GREEN),
        ("block 0", "(B, T, C)", BLUE),
        ("block 1", "(B, T, C)", BLUE),
        ("... block n_layer - 1", "(B, T, C)", BLUE),
        ("final norm", "(B, T, C)", plots.GREY),
        ("times embedding,\ntransposed", "(B, T, V)", GREEN),
    )
    for y, (name, shape, colour) in enumerate(rows):
        box(whole, 0, y, name, colour, width=2.9)
        whole.text(1.65, y + 0.33, shape, fontsize=8, va="center", color=plots.INK)
        arrow(whole, (0, y + 0.33), (0, y + 0.67))
    label(whole, 0, 7.0, "logits")

    plain(one, (-1.5, 4.1), (-0.5, 7.5))
    one.set_title("one block", fontsize=11)
    label(one, 0, -0.2, "x (B, T, C)")
    arrow(one, (0, 0.1), (0, 2.85))
    arrow(one, (0, 3.15), (0, 6.35))
    arrow(one, (0, 6.65), (0, 7.3))
    branches = ((0.5, "norm", "attention: reads\nother positions"),
                (4.0, "norm", "MLP: each position\nby itself"))
    for y, norm, branch in branches:
        arrow(one, (0, y), (2.3, y), (2.3, y + 0.35))
        box(one, 2.3, y + 0.65, norm, plots.GREY, width=1.5, height=0.55)
        arrow(one, (2.3, y + 0.95), (2.3, y + 1.2))
        box(one, 2.3, y + 1.65, branch, ORANGE, width=2.9, height=0.85, size=8.5)
        arrow(one, (2.3, y + 2.1), (2.3, y + 2.5), (0.17, y + 2.5))
        circle = {"boxstyle": "circle,pad=0.12", "facecolor": "white", "edgecolor": plots.INK}
        label(one, 0, y + 2.5, "+", 12, bbox=circle)
    label(one, -0.35, 5.0, "the residual stream", 8.5, rotation=90)
    drawing.suptitle("A block only adds to the residual stream", fontsize=12)
    return plots.save(drawing, path)


def attention_steps():
    """Return the words of CONCEPTS.md's example and their weights (T, T) at each of its steps."""
    words = "dog", "street", "tired", "it"
    x_TC = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0.2, 0.2, 0, 1]])
    q_TD = x_TC @ [[0.5, 0], [0, 0.5], [1, 0], [3, 0]]
    score_TT = q_TD @ (x_TC @ [[2, 0], [0, 2], [0.2, 0], [0, 0]]).T / np.sqrt(2)
    scores = {
        "1. an average": np.zeros((4, 4)), "2. by the vectors themselves": x_TC @ x_TC.T,
        "3. by queries and keys": score_TT,
        "4. without what comes later": np.where(np.tri(4), score_TT, -np.inf),
    }
    return words, {step: autograd.softmax(z_TT).data for step, z_TT in scores.items()}


def four_steps(path):
    """Draw who reads how much from whom, at each step of the example."""
    words, steps = attention_steps()
    drawing, axes = plots.figure(9.4, 2.9, 1, 4)
    for panel, (step, weight_TT) in zip(axes, steps.items(), strict=True):
        panel.imshow(weight_TT, cmap="Blues", vmin=0, vmax=1)
        for (t, s), weight in np.ndenumerate(weight_TT):
            panel.text(s, t, f"{weight:.2f}", ha="center", va="center", fontsize=8,
                       color="white" if weight > 0.5 else plots.INK)
        panel.set_title(step, fontsize=9)
        panel.set_xticks(range(4), words, fontsize=8)
        panel.set_yticks(range(4), words, fontsize=8)
        panel.tick_params(length=0)
    axes[0].set_ylabel("reads: its query", color=QUERY, fontsize=9)
    drawing.supxlabel("is read: its key", color=KEY, fontsize=9)
    drawing.suptitle("Only queries and keys let “it” find the dog", fontsize=12)
    return plots.save(drawing, path)


def heads(path, seed=5):
    """Return (T, C) cut into H heads of D channels each; each attends by itself; joined again."""
    T, C, H = 3, 4, 2
    D = C // H
    rng = np.random.default_rng(seed)
    q_TC, k_TC, v_TC = (rng.normal(size=(3, T, C)) * 1.6).round(1)
    drawing, axes = plots.figure(7.4, 5.55)
    plain(axes, (-0.3, 18.3), (-10.2, 2.9))
    first = [True] * D + [False] * D
    parts = ("q", "queries", q_TC, QUERY), ("k", "keys", k_TC, KEY), ("v", "values", v_TC, VALUE)
    for row, (name, plural, x_TC, colour) in enumerate(parts):
        table(axes, 0, 1.6 - 3.4 * row, x_TC, colour, f"{name}, {plural} (T, C)", filled=first)
    label(axes, 2, 2.55, "head 0: filled | head 1: white")
    axes.plot([4.2, 4.45, 4.45, 4.2], [1.6, 1.6, -7.1, -7.1], color=plots.INK, linewidth=1.2)
    joined = []
    for head, (filled, y) in enumerate(((True, 1.6), (False, -3.9))):
        q, k, v = (x_TC[:, head * D : (head + 1) * D] for x_TC in (q_TC, k_TC, v_TC))
        score_TT = q @ k.T / np.sqrt(D)
        score_TT[np.triu_indices(T, 1)] = -np.inf
        weight_TT = autograd.softmax(score_TT).data
        joined.append(weight_TT @ v)
        title = f"head {head}: q kᵀ / √2, masked"
        table(axes, 5.4, y, score_TT, plots.GREY, title, filled=filled)
        table(axes, 9.6, y, weight_TT, plots.GREY, "softmax of each row", 2, filled)
        table(axes, 13.8, y, joined[-1], VALUE, "weights times v", filled=filled)
        for x in (4.45, 8.5, 12.7):
            arrow(axes, (x, y - 1), (x + 0.85, y - 1))
    y_TC = np.concatenate(joined, axis=1)
    table(axes, 13.8, -7.6, y_TC, VALUE, "both, side by side: y (T, C)", filled=first)
    axes.plot([16.0, 16.3, 16.3, 16.0], [1.6, 1.6, -5.8, -5.8], color=plots.INK, linewidth=1.2)
    arrow(axes, (16.3, -2.1), (17.3, -2.1), (17.3, -6.8))
    label(axes, 15.8, -9.85, "then times W (C, C)", 8.5)
    axes.text(5.4, -7.4, "A row is a position: it reads itself\nand what is above it, never below.",
              fontsize=8.5, va="top", color=plots.INK)
    drawing.suptitle("Each head attends by itself, with its own channels", fontsize=12)
    shapes = (x.reshape(1, T, H, D).swapaxes(1, 2) for x in (q_TC, k_TC, v_TC))
    attended = autograd.scaled_dot_product_attention(*shapes).data[0]
    assert np.allclose(attended.swapaxes(0, 1).reshape(T, C), y_TC)
    return plots.save(drawing, path)


def to_chat(path):
    """Draw the steps from text to a model that answers, and what each of them learns from."""
    drawing, axes = plots.figure(8.6, 2.9)
    plain(axes, (-1.2, 12.0), (-0.3, 4.1))
    axes.set_title("The same next-token model at each step; what changes is what it learns from",
                   fontsize=11)
    steps = (
        ("pre-training", "web pages, books, code:\n10¹² tokens", "continues\nany text", BLUE),
        ("instruction\ntuning", "written conversations:\n10⁴ and more", "answers\nin form", ORANGE),
        ("reward", "its own answers, judged by\npeople or a verifier", "answers\nas preferred",
         GREEN),
    )
    for i, (name, source, result, colour) in enumerate(steps):
        x = 4 * i
        axes.text(x, 3.3, source, ha="center", va="center", fontsize=8.5, color=plots.INK)
        arrow(axes, (x, 2.9), (x, 2.2))
        box(axes, x, 1.8, name, colour, width=2.2, height=0.8)
        axes.text(x + 2, 2.15, "weights" if i < 2 else "", ha="center", fontsize=8)
        if i < 2:
            arrow(axes, (x + 1.15, 1.8), (x + 2.85, 1.8))
        arrow(axes, (x, 1.4), (x, 0.75))
        axes.text(x, 0.3, result, ha="center", va="center", fontsize=8.5, color=plots.INK)
    arrow(axes, (9.15, 1.8), (10.4, 1.8))
    axes.text(11.2, 1.8, "in use: tools,\na cache, fewer\nbits a weight", ha="center", va="center",
              fontsize=8.5, color=plots.INK)
    return plots.save(drawing, path)


DIAGRAMS = (one_pass, merges, look_up, masks, block, four_steps, heads, *CURVES, to_chat)


def main(quick=False, figures=FIGURES):
    return [draw(figures / f"{draw.__name__}.png") for draw in DIAGRAMS]


if __name__ == "__main__":
    for picture in main():
        print(f"picture {picture}")
