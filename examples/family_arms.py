"""What `10_families.py` has beside its three families: a T5 trained to continue stories, a GPT that
learns to rewrite for longer, and the optimum given how hidden words were chosen."""

import numpy as np
from families import LONGEST, Rewriting
from family_tasks import WAYS_ON, hidden_words, telling

from autograd import Tensor, log_softmax
from npgpt.families.objectives import PAD

PREFIXES, LONGER = "t5, prefixes", "gpt, longer"  # names of families in the rows
TIMES = 4  # as many FLOPs to learn to rewrite


def beginnings(tokenizer, stories, seed=0):
    """Return a pair of token ids for each story: what is before a cut, and the rest."""
    rng, pairs = np.random.default_rng(seed), []
    for story in stories:
        ids_T = tokenizer.encode(story)
        cut = rng.integers(1, len(ids_T))
        pairs.append((ids_T[:cut], ids_T[cut:]))
    return pairs


def continued(model, tokenizer, ids_T, given, seed):
    """Return the first `given` ids and what a T5 draws after them, up to the end of the line."""
    rng, end = np.random.default_rng(seed), tokenizer.ids["\n"]
    source = Rewriting("t5", tokenizer).batch([(ids_T[:given],) * 2]).inputs[0]
    written = [tokenizer.special_ids[PAD]]
    with model.evaluating():
        encoded = model.encode(source)
        while len(written) <= LONGEST - given and written[-1] != end:
            x_BTC = model.decode(np.array([written]), encoded)
            logs = log_softmax(Tensor(model.head(x_BTC[:, -1]).data[0])).data
            p = np.exp(logs.astype(float))
            written.append(int(rng.choice(len(p), p=p / p.sum())))
    return [*ids_T[:given].tolist(), *written[1:]]


def nats_of_the_optimum(tokenizer, stories, count):
    """Return (nats, share found) of the best guesses of the words that `hidden_words` hides.

    A word is hidden by a draw from those of its story that the rest tells something of. So a story
    in which many are such is less likely to be asked for this one: the odds of a word are those of
    its story, divided by how many of the story's words could have been hidden.
    """
    nats, found = [], []
    for hidden in hidden_words(tokenizer, stories)[:count]:
        odds_K = np.array([
            odds / len(telling(tokenizer, _with(tokenizer, hidden, word))) if odds else 0.0
            for word, odds in zip(hidden.words_K, hidden.odds_K, strict=True)
        ])
        odds_K /= odds_K.sum()
        nats.append(-np.log(odds_K[hidden.right]))
        found.append(odds_K.argmax() == hidden.right)
    return float(np.mean(nats)), float(np.mean(found))


def _with(tokenizer, hidden, word):
    ids_T = hidden.ids_T.copy()
    ids_T[hidden.at] = word
    return tokenizer.decode(ids_T)


WAYS_ON[PREFIXES] = continued
