"""Section 3, embeddings: a vector for every token, and one for every position.

The table is a matrix, and looking up a row is a matrix product with a one-hot vector. The vectors
start as random numbers. Training gives similar vectors to tokens that are used alike, because
the model has to treat them alike: nobody told it what an animal is.

Try:
- Give `compare` the vectors of an untrained model, `GPT(trained.model.config)`: no neighbour has
  anything to do with its word, and no group is closer than another.
- Ask for other words. One that is several tokens, such as " bridge", has no vector of its own:
  the blocks put its meaning together.
- In small_model.py, train for 50 steps: frequent words have found company, rare ones not yet.
- `npgpt look RUN`, view Embeddings: the vectors of your own model, and who is near whom.
"""

from itertools import permutations

import numpy as np
from example import FIGURES, expect, picture, run
from small_model import train_small_gpt

from autograd import Tensor, embedding, matmul
from npgpt import tales
from npgpt.activations import activations
from npgpt.support import plots

GROUPS = {  # name -> a list of the grammar
    "lords": "lord", "ladies": "lady", "animals": "animal", "places": "place", "things": "thing",
    "foods": "food", "moods": "mood",
}
WORDS_TO_ASK = (" dog", " King", " red", " tired", " street")
RELATIONS = {  # name -> pairs of words
    "what is wrong, the cure": [
        ("tired", "slept"), ("hungry", "ate"), ("thirsty", "drank"), ("cold", "put"),
        ("sad", "played"), ("scared", "lit"),
    ],
    "he and she": [
        ("he", "she"), ("He", "She"), ("his", "her"), ("King", "Queen"), ("Duke", "Dame"),
        ("Lord", "Lady"),
    ],
}
GOOD = (  # beginnings that end in " good": of an animal, and of food
    ("A good", "The good", "Then a good", "One dawn good", "Long ago there was a good"),
    ("so it ate good", "They had good", "Who ate my good", "and had good", "baked him good"),
)


def rows_of_a_table():
    expect("""
        1. A table of 5 tokens with 3 channels. Expect a one-hot vector times the table to be a row
        of the table, and only the rows that were looked up to get a gradient: token 2, which
        occurs twice, the sum of two.
        """)
    weight_VC = Tensor(np.arange(15.0).reshape(5, 3), requires_grad=True)
    ids_T = np.array([2, 0, 2])
    one_hot_TV = np.eye(5)[ids_T]
    product_TC, looked_up_TC = matmul(one_hot_TV, weight_VC), embedding(weight_VC, ids_T)
    looked_up_TC.sum().backward()
    print(f"ids {ids_T}, one-hot\n{one_hot_TV}\none-hot @ table\n{product_TC.data}\n"
          f"rows of the table\n{looked_up_TC.data}\n"
          f"gradient of the table\n{weight_VC.grad}")
    same = np.array_equal(product_TC.data, looked_up_TC.data)
    return {"lookup_is_product": same, "row_gradients": weight_VC.grad[:, 0].tolist()}


def cosines(a_NC, b_MC):
    """Return cosines between vectors, (N, M): 1 same direction, 0 unrelated, -1 opposite."""
    a_NC = a_NC / np.linalg.norm(a_NC, axis=1, keepdims=True)
    b_MC = b_MC / np.linalg.norm(b_MC, axis=1, keepdims=True)
    return a_NC @ b_MC.T


def compare(tokenizer, weight_VC):
    expect("""
        2. Trained vectors. Expect the nearest neighbours of an animal to be animals, of a colour
        colours; and words of one group to be closer to each other than to those of other groups.
        """)
    for word in WORDS_TO_ASK:
        ids = tokenizer.encode(word)
        if len(ids) > 1:
            print(f"{word!r:9} is {len(ids)} tokens")
            continue
        cosine_V = cosines(weight_VC[ids], weight_VC)[0]
        nearest = [i for i in np.argsort(-cosine_V) if i != ids[0]][:5]
        shown = (f"{tokenizer.decode([i])!r} {cosine_V[i]:.2f}" for i in nearest)
        print(f"{word!r:9} {', '.join(shown)}")
    vectors = {}
    for group, name in GROUPS.items():
        words = [option.lead for option in tales.GRAMMAR.lists[name]]
        ids = {word: tokenizer.encode(" " + word) for word in words}
        whole = [word for word in words if len(ids[word]) == 1]
        if len(whole) > 2:
            vectors[group] = weight_VC[[ids[word][0] for word in whole]], whole
    within, between = [], []
    print(f"\nmean cosine {' '.join(f'{group:>8}' for group in vectors)}")
    for group, (a_NC, _) in vectors.items():
        row = []
        for other, (b_MC, _) in vectors.items():
            cosine = cosines(a_NC, b_MC)
            off_itself = cosine[~np.eye(len(a_NC), dtype=bool)] if other == group else cosine
            (within if other == group else between).append(off_itself.mean())
            row.append(off_itself.mean())
        print(f"{group:11} {' '.join(f'{value:8.2f}' for value in row)}")
    return vectors, {"within": float(np.mean(within)), "between": float(np.mean(between))}


def analogies(tokenizer, weight_VC):
    expect("""
        3. Differences of vectors. "king - man + woman is near queen" is said of vectors trained on
        billions of words. Here each pair of a relation is tried with each other pair: is "tired",
        less "slept", plus "ate", nearest to "hungry", these three left out? One example can always
        be found; expect the share of all to be small, though far above that of a word at random.
        """)
    ids_V = {tokenizer.decode([i]): i for i in range(len(weight_VC))}
    found = {}
    for name, pairs in RELATIONS.items():
        ids = [[ids_V[f" {word}"] for word in pair] for pair in pairs
               if all(f" {word}" in ids_V for word in pair)]
        if len(ids) < 2:
            print(f"{name:25} not enough of its words are one token")
            continue
        right, alone, tried = 0, 0, 0
        for (a, b), (c, d) in permutations(ids, 2):
            moved_C = weight_VC[a] - weight_VC[b] + weight_VC[d]
            right += _nearest(moved_C, weight_VC, {a, b, d}) == c
            alone += _nearest(weight_VC[d], weight_VC, {a, b, d}) == c
            tried += 1
        others = len({word for pair in ids for word in pair}) - 3
        found[name] = {"right": right, "alone": alone, "tried": tried, "chance": 1 / others}
        print(f"{name:25} {len(ids):2} pairs: {right:3} of {tried:3} right ({right / tried:4.0%}); "
              f"nearest to the last word alone {alone / tried:4.0%}; any word of these pairs at "
              f"random {1 / others:4.0%}, of all {1 / (len(weight_VC) - 3):.1%}")
    return found


def _nearest(vector_C, weight_VC, left_out):
    """Return the token of the largest cosine with a vector, but for some."""
    order = np.argsort(-cosines(vector_C[None], weight_VC)[0])
    return next(int(i) for i in order if i not in left_out)


def in_two_contexts(trained):
    expect("""
        4. A word in two contexts. "good" is said of an animal and of food. At the table it is one
        vector; expect the blocks to tell the two apart: the cosine between the two contexts to
        fall, block by block, below that between two sentences of the same kind.
        """)
    ids = [[trained.tokenizer.encode(text) for text in texts] for texts in GOOD]
    good, weight_VC = trained.tokenizer.encode(" good"), trained.model.wte.weight.data
    if len(good) > 1 or any(row[-1] != good[0] for rows in ids for row in rows):
        print("' good' is not one token here")
        return {}
    vectors = [  # of each sentence: " good" in the table, and after each block
        [weight_VC[good[0]], *activations(trained.model, row[None]).stream_PBTC[2::2, 0, -1]]
        for rows in ids for row in rows
    ]
    found, n = {"same": [], "other": []}, len(GOOD[0])
    off = ~np.eye(n, dtype=bool)
    for layer, vectors_NC in enumerate(np.array(vectors).swapaxes(0, 1)):
        cosine_NN = cosines(vectors_NC, vectors_NC)
        same = (cosine_NN[:n, :n][off].mean() + cosine_NN[n:, n:][off].mean()) / 2
        found["same"].append(float(same))
        found["other"].append(float(cosine_NN[:n, n:].mean()))
        where = f"after block {layer - 1}" if layer else "the table"
        print(f"{where:14} same kind of sentence {found['same'][-1]:5.2f}, the other kind "
              f"{found['other'][-1]:5.2f}")
    return found


def draw(vectors, figures):
    expect("""
        5. The vectors of the table in the plane that shows most of their spread (principal
        components). Expect a cloud for each group, lords beside ladies. "good" is said of food as
        well as of people, and should stand off the other moods.
        """)
    all_NC = np.concatenate([vectors_NC for vectors_NC, _ in vectors.values()])
    mean_C = all_NC.mean(axis=0)
    _, size_C, directions_CC = np.linalg.svd(all_NC - mean_C, full_matrices=False)
    share = (size_C[:2] ** 2).sum() / (size_C**2).sum()
    print(f"the two directions hold {share:.0%} of the spread")
    groups = {
        group: ((vectors_NC - mean_C) @ directions_CC[:2].T, words)
        for group, (vectors_NC, words) in vectors.items()
    }
    title = "Words used alike lie together"
    picture(draw_clouds, figures / "03_embeddings.png", groups, title)


def draw_clouds(path, groups, title):
    """Draw a point for each word, and beside each group its name and some of its words.

    groups   name -> (points (n, 2), words)
    """
    drawing, axes = plots.figure(7.4, 4.4)
    for (name, (points, words)), colour in zip(groups.items(), plots.COLOURS, strict=False):
        axes.scatter(*points.T, s=22, color=colour, linewidth=0)
        right = points[:, 0].mean() < 0
        some = ", ".join(words[:4]) + (" ..." if len(words) > 4 else "")
        x, y = points[:, 0].max() if right else points[:, 0].min(), np.median(points[:, 1])
        axes.annotate(f"{name}: {some}", (x, y), (8 if right else -8, 0), va="center",
                      ha="left" if right else "right", textcoords="offset points", fontsize=10)
        if "good" in words:
            axes.annotate("good", points[words.index("good")], (-8, 0), va="center", ha="right",
                          textcoords="offset points", fontsize=10)
    axes.set(title=title, xticks=[], yticks=[])
    return plots.save(drawing, path)


def positions(model):
    expect("""
        6. The vectors of the positions. Expect neighbours in the text to have similar vectors, and
        similarity to fall with distance. The same token at two positions enters the model as two
        different vectors.
        """)
    weight_TC = model.wpe.weight.data
    cosine_TT = cosines(weight_TC, weight_TC)
    means = {d: float(np.diagonal(cosine_TT, d).mean()) for d in (1, 2, 4, 8, 16, 32)}
    for distance, cosine in means.items():
        print(f"{distance:3} apart: mean cosine {cosine:5.2f}")
    token_C = model.wte.weight.data[7]
    apart = float(np.linalg.norm((token_C + weight_TC[1]) - (token_C + weight_TC[10])))
    print(f"token 7 at positions 1 and 10: vectors {apart:.2f} apart")
    return {"position_cosines": means, "apart": apart}


def main(quick=False, figures=FIGURES):
    numbers = rows_of_a_table()
    trained = train_small_gpt(quick)
    vectors, cosine = compare(trained.tokenizer, trained.model.wte.weight.data)
    found = analogies(trained.tokenizer, trained.model.wte.weight.data)
    contexts = in_two_contexts(trained)
    draw(vectors, figures)
    numbers |= cosine | {"analogies": found, "contexts": contexts}
    return numbers | positions(trained.model)


if __name__ == "__main__":
    run(main)
