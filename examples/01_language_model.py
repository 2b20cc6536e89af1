"""Section 1, what is a language model: a program that says how likely each next token is.

The oldest count: how often did a token follow the one before (bigram), the two before (trigram)?
A GPT reads all tokens before. The models are compared by their loss, the mean of -ln of the
probability that they gave the token that came. A grammar writes the tales, and its own loss on the
same tokens is known: on average no model does better.

Try:
- Change BEGINNINGS: end one in "was too hungry, so it". The GPT's answer follows, while to the
  trigram model all of these beginnings are the same two tokens.
- Add "4-gram": 4 to ORDERS. It is worse than the trigram: most of its contexts are new, and
  zero counts say nothing.
- Train longer, with more steps in small_model.py: the GPT gets closer to the grammar.
- `npgpt look RUN`, view Tokens: the grammar's odds beside those of your own model, as you type.
"""

import numpy as np
from example import FIGURES, draw_bars, expect, picture, run
from small_model import train_small_gpt

from npgpt.batches import NextToken
from npgpt.ngram import NgramModel
from npgpt.sampling import Sampling
from npgpt.train import evaluate

BEGINNINGS = (
    "A shy small dog of Velaria did not cross the red street because it was too tired, so it",
    "A shy small dog of Velaria did not cross the red street because it was too thirsty, so it",
)
ORDERS = {"unigram": 1, "bigram": 2, "trigram": 3}


def predictions(trained, ngrams, figures):
    expect("""
        1. The distribution of the next token after a beginning. Expect the unigram model to name
        frequent tokens, the bigram model what follows "it" somewhere, the trigram model all that
        a creature does after "so it"; and the GPT to know why this one did it.
        """)
    answers = {}
    for beginning in BEGINNINGS:
        ids_T = trained.tokenizer.encode(beginning)
        rows = {name: model.probabilities(ids_T) for name, model in ngrams.items()}
        rows["GPT"] = Sampling().probabilities(trained.model.next_logits(ids_T[None])[0])
        print(f"... {beginning[-33:].strip()!r}")
        panels = {}
        for name, probs_V in rows.items():
            assert np.isclose(probs_V.sum(), 1)
            best = np.argsort(-probs_V)[:8]
            panels[name] = [trained.tokenizer.decode([i]) for i in best], probs_V[best]
            shown = (f"{word!r} {p:.2f}" for word, p in zip(*panels[name], strict=True))
            print(f"    {name:8} {', '.join(list(shown)[:5])}")
        answers[beginning] = panels["GPT"][0][0]
    shown = BEGINNINGS[-1][-25:].strip()
    title = f"Only the GPT looks back to “thirsty”\nthe token after “... {shown}”"
    picture(draw_bars, figures / "01_language_model.png", panels, title)
    return answers


def losses(trained, ngrams):
    expect("""
        2. The loss of each on tales it was not trained on. Expect each model to do better than the
        one before it, which saw less context, and none to do better than the grammar.
        """)
    tokens_N = trained.val_ids[:20_000]
    found = {name: model.loss(tokens_N) for name, model in ngrams.items()}
    found["GPT"] = evaluate(trained.model, tokens_N, stride=16)[0]
    grammar = NextToken(trained.tokenizer).grammar_loss(tokens_N, 64, before=trained.train_ids)
    found["grammar"] = grammar.nats
    for name, loss in found.items():
        print(f"{name:8} {loss:.4f} nats per token")
    return found


def main(quick=False, figures=FIGURES):
    trained = train_small_gpt(quick, vocab_size=768, n_characters=2_000_000)
    V = trained.model.config.vocab_size
    ngrams = {
        name: NgramModel(trained.train_ids, V, n, smoothing=0.01) for name, n in ORDERS.items()
    }
    answers = predictions(trained, ngrams, figures)
    return {"answers": list(answers.values()), "losses": losses(trained, ngrams)}


if __name__ == "__main__":
    run(main)
