"""Section 7, generation: draw a token, append it, and ask again.

A model only gives a distribution. Temperature makes it sharper or flatter, top-k and top-p cut off
its tail; greedy takes the likeliest token each time. While a context grows, nothing that was
computed for its earlier tokens changes, so their keys and values are kept.

Try:
- TEMPERATURE = 2: names are misspelled and tales run into each other, as unlikely tokens add up.
- Another seed in `texts_of`: all but the greedy text change.
- A context longer than block_size: the window slides, every token gets another position, and the
  kept keys and values are of no use.
- `npgpt look RUN`, view Tokens: move the sliders, and see which tokens fall away.
"""

import timeit
from functools import partial

import numpy as np
from example import FIGURES, draw_bars, expect, picture, run
from small_model import train_small_gpt

from npgpt import GPT, GPTConfig
from npgpt.data import tales
from npgpt.generation import Sampling, generate

TEMPERATURE = 0.7
SETTINGS = {
    "greedy": {"temperature": 0},
    "temperature 1": {},
    f"temperature {TEMPERATURE}": {"temperature": TEMPERATURE},
    "top-k 3": {"top_k": 3},
    "top-p 0.8": {"top_p": 0.8},
}
BEGINNING = "A shy small dog of Velaria did not cross the red street because it was too"


def distributions(trained, figures):
    expect("""
        1. One distribution under each setting. Expect greedy to leave one token, a temperature
        below 1 to move probability to the likeliest, top-k to leave 3 tokens, and top-p the
        fewest that have 0.8 together.
        """)
    logits_V = trained.model.next_logits(trained.tokenizer.encode(BEGINNING)[None])[0]
    order = np.argsort(-logits_V)[:10]
    labels = [trained.tokenizer.decode([i]) for i in order]
    panels, kept = {}, {}
    for name, settings in SETTINGS.items():
        probs_V = Sampling(**settings).probabilities(logits_V)
        panels[name] = labels, probs_V[order]
        kept[name] = int((probs_V > 0).sum())
        print(f"{name:16} keeps {kept[name]:4} tokens; likeliest: "
              f"{labels[0]!r} {probs_V[order[0]]:.2f}")  # fmt: skip
    title = f"the token after “... {BEGINNING[-10:]}”"
    picture(draw_bars, figures / "07_generation.png", panels, title)
    return kept


def texts_of(trained, tokens):
    expect("""
        2. A text under each setting. Expect the greedy one to be the same at every call, the
        others to be those of their seed.
        """)
    prompt_T = trained.tokenizer.encode(BEGINNING)
    texts = {}
    for name, settings in SETTINGS.items():
        ids_T = trained.model.generate(prompt_T, tokens, seed=1, **settings)
        texts[name] = trained.tokenizer.decode(ids_T)
        story = texts[name].split("\n\n")[0]
        print(f"{name:16} {story}\n")
    return texts


def kept_keys_and_values(quick):
    expect("""
        3. One text with keys and values kept and without, by a larger model (what it says does not
        matter here, so it is not trained). Expect the same tokens. With them a text of twice the
        length takes about twice as long; without, more than that, as each token reads all before
        it again. Other programs disturb the clock, so of three tries the fastest counts.
        """)
    config = GPTConfig(vocab_size=1000, block_size=256, n_layer=4, n_head=4, n_embd=128)
    model = GPT(config, seed=0)
    prompt_T = np.array([0])
    same = True
    for new in (16, 32) if quick else (64, 128, 255):
        kept = partial(model.generate, prompt_T, new, seed=2)
        without = partial(
            generate, model.next_logits, prompt_T, new, Sampling(), block_size=256, seed=2
        )
        same = same and np.array_equal(kept(), without())
        seconds, longer = (min(timeit.repeat(f, number=1, repeat=3)) for f in (kept, without))
        print(f"{new:4} tokens: {seconds:6.3f} s with, {longer:6.3f} s without; "
              f"the same tokens: {same}")  # fmt: skip
    return same


def main(quick=False, figures=FIGURES):
    trained = train_small_gpt(quick)
    kept = distributions(trained, figures)
    tokens = 10 if quick else 50
    texts = texts_of(trained, tokens)
    again = trained.model.generate(
        trained.tokenizer.encode(BEGINNING), tokens, temperature=0, seed=99
    )
    stories = [text.split("\n\n")[0] + "\n\n" for name, text in texts.items() if name != "greedy"]
    parsed = sum(tales.log_probability(story) is not None for story in stories)
    print(f"{parsed} of {len(stories)} drawn stories follow the grammar of the tales")
    return {
        "kept": kept,
        "greedy_repeats": trained.tokenizer.decode(again) == texts["greedy"],
        "cache_is_exact": kept_keys_and_values(quick),
    }


if __name__ == "__main__":
    run(main)
