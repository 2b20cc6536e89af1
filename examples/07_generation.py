"""Section 7, generation: draw a token, append it, and ask again.

A model only gives a distribution. Temperature makes it sharper or flatter, top-k and top-p cut off
its tail; greedy takes the likeliest token each time. While a context grows, the keys and values of
its earlier tokens do not change, so a cache stores them.

Try:
- Another seed in `texts_of`: all but the greedy text change.
- A context longer than block_size: the window slides, every token gets a new position, and the
  cached keys and values are of no use.
- `npgpt look RUN`, view Tokens: move the sliders, and see which tokens fall away.
"""

import numpy as np
from example import FIGURES, draw_bars, expect, picture, run
from small_model import train_small_gpt

from npgpt import GPT, GPTConfig, tales
from npgpt.generate import CachedLogits, generate
from npgpt.sampling import Sampling
from npgpt.support import plots

SETTINGS = {
    "greedy": {"temperature": 0},
    "temperature 0.1": {"temperature": 0.1},
    "temperature 0.7": {"temperature": 0.7},
    "temperature 1": {},
    "temperature 2": {"temperature": 2.0},
    "top-k 3": {"top_k": 3},
    "top-p 0.8": {"top_p": 0.8},
}
BEGINNING = "A shy small dog of Velaria did not cross the red street because it was too"
# Contexts in which the model is more and less sure.
CONTEXTS = (
    "Long ago there was", BEGINNING, "They danced until", "One dawn shy King", "A shy small",
)
TOLD = SETTINGS | {f"temperature {t}": {"temperature": t} for t in (0.5, 1.4)}
TEXTS = 3  # of each of these
SAID_BEFORE = 8  # tokens in a row, for a text to have said them before


def distributions(trained, figures):
    expect("""
        1. One distribution under each setting. Expect greedy to leave one token, temperatures
        below 1 to move probability to the likeliest and 2 to the others, top-k to leave k tokens,
        and top-p the fewest that have p together.
        """)
    logits_V = trained.model.next_logits(trained.tokenizer.encode(BEGINNING)[None])[0]
    order = np.argsort(-logits_V)[:10]
    labels = [trained.tokenizer.decode([i]) for i in order]
    panels, kept, likeliest = {}, {}, {}
    for name, settings in SETTINGS.items():
        probs_V = Sampling(**settings).probabilities(logits_V)
        panels[name] = labels, probs_V[order]
        likeliest[name] = float(probs_V.max())
        kept[name] = int((probs_V > 0).sum())
        print(f"{name:16} keeps {kept[name]:4} tokens; likeliest: "
              f"{labels[0]!r} {probs_V[order[0]]:.2f}")
    sure = max(CONTEXTS, key=lambda text: _probabilities(trained, text).max())
    probs_V = _probabilities(trained, sure, **SETTINGS["top-p 0.8"])
    order = np.argsort(-_probabilities(trained, sure))[:10]
    panels[f"top-p 0.8 where it is sure,\nafter “... {sure[-18:].strip()}”"] = (
        [trained.tokenizer.decode([i]) for i in order], probs_V[order],
    )
    title = ("Temperature reshapes, top-k and top-p cut\n"
             f"the token after “... {BEGINNING[-10:]}”")
    picture(draw_bars, figures / "07_generation.png", panels, title)
    return {"kept": kept, "likeliest": likeliest}


def _probabilities(trained, context, **settings):
    """Return the probability of each token after a context, (V,)."""
    logits_V = trained.model.next_logits(trained.tokenizer.encode(context)[None])[0]
    return Sampling(**settings).probabilities(logits_V)


def top_p_in_contexts(trained):
    expect("""
        2. Top-k and top-p in several contexts. Expect top-k to keep as many tokens everywhere, and
        top-p few where the model is sure and many where it is not.
        """)
    settings = {name: of for name, of in SETTINGS.items() if of.keys() & {"top_k", "top_p"}}
    kept = {name: [] for name in settings}
    print(f"{'':28}{'likeliest':>20}  " + "  ".join(f"{name:>9}" for name in settings))
    for context in CONTEXTS:
        probs_V = _probabilities(trained, context)
        best, share = trained.tokenizer.decode([probs_V.argmax()]), probs_V.max()
        for name, of in settings.items():
            kept[name].append(int((_probabilities(trained, context, **of) > 0).sum()))
        counts = "  ".join(f"{counts[-1]:9}" for counts in kept.values())
        print(f"{'... ' + context[-24:]:28}{best!r:>15} {share:4.2f}  {counts}")
    return kept


def texts_of(trained, tokens):
    expect("""
        3. A text under each setting. Expect the greedy one to be the same at every call, the
        others to be those of their seed. At a temperature of 0.1 expect nearly the greedy text, at
        2 misspelled names and tales that run into each other, as unlikely tokens add up.
        """)
    prompt_T = trained.tokenizer.encode(BEGINNING)
    texts = {}
    for name, settings in SETTINGS.items():
        ids_T = trained.model.generate(prompt_T, tokens, seed=1, **settings)
        texts[name] = trained.tokenizer.decode(ids_T)
        story = texts[name].split("\n\n")[0]
        print(f"{name:16} {story}\n")
    return texts


def quality_and_diversity(trained, quick, figures):
    expect("""
        4. Longer texts of several stories. Expect the greedy one to say again what it said, and
        one at a temperature of 0.1 often; high temperatures to break the grammar of the tales; and
        the settings between, or that cut off unlikely tokens, to tell more stories that it derives
        than either, at the price of fewer different words.
        """)
    prompt_T, found = trained.tokenizer.encode("\n\n"), {}
    tokens, seeds = (100, [3]) if quick else (3_000, range(3, 3 + TEXTS))
    print(f"{'':16} stories derived   said before   different words")
    for name, settings in TOLD.items():
        counts = []
        for seed in seeds:
            ids_T = trained.model.generate(prompt_T, tokens, seed=seed, **settings)
            text = trained.tokenizer.decode(ids_T)
            stories = [story + "\n\n" for story in text.split("\n\n")[1:-1]]
            derived = sum(tales.log_probability(story) is not None for story in stories)
            windows = np.lib.stride_tricks.sliding_window_view(ids_T, SAID_BEFORE)
            again = 1 - len(np.unique(windows, axis=0)) / len(windows)
            counts.append((derived, len(stories), again, len(set(text.split()))))
        found[name] = np.array(counts).T
        derived, told, again, words = found[name]
        print(f"{name:16} {derived.sum():7} of {told.sum():4} {again.mean():13.0%} "
              f"{words.mean():17.0f}")
    picture(draw_quality, figures / "07_quality.png", found)
    return {"told": {
        name: {"derived": derived.sum() / max(1, told.sum()), "stories": int(told.sum()),
               "again": again.mean(), "words": words.mean()}
        for name, (derived, told, again, words) in found.items()
    }}


def draw_quality(path, found):
    """Draw the share of derived stories against the different words of a text.

    found   setting -> (stories derived, stories, said before, different words) of each text
    """
    drawing, axes = plots.figure(7.4, 4)
    curve = []
    for name, (derived, told, _, words) in found.items():
        by_temperature = name.startswith("temperature")
        left = name in ("temperature 0.1", "temperature 0.5", "top-k 3")
        x, share = words.mean(), derived.sum() / max(1, told.sum())
        interval = 1.96 * np.sqrt(share * (1 - share) / max(1, told.sum()))
        axes.errorbar(
            x, share, interval if np.ptp(words) else None, fmt="o" if by_temperature else "s",
            color=plots.COLOURS[not by_temperature], elinewidth=0.9,
        )
        axes.annotate(name, (x, share), (-7 if left else 7, 3), ha="right" if left else "left",
                      **plots.NOTE_STYLE)
        curve += [(x, share)] * by_temperature
    axes.plot(*zip(*sorted(curve), strict=True), color=plots.COLOURS[0], linewidth=0.9)
    axes.set(xlabel="different words in a text of 3,000 tokens", ylim=(0, None),
             xlim=(0, 1.2 * max(curve)[0]), ylabel="stories that the grammar derives")
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.set_title("Greedy repeats itself, high temperatures break the grammar", fontsize=11)
    return plots.save(drawing, path)


class Counting:
    """A model's `next_logits` that counts the positions it computes."""

    def __init__(self, model):
        self.model, self.positions = model, 0

    def __call__(self, idx_BT, cache=None):
        self.positions += np.size(idx_BT)
        return self.model.next_logits(idx_BT, cache)


def kept_keys_and_values(quick):
    expect("""
        5. One text with keys and values kept and without, by a model that is not trained, since
        what it says does not matter here. Expect the same tokens, and count the positions that
        the model computes: with them one for each token, without them all tokens so far, for each
        token anew, so that a text of twice the length takes four times as many.
        """)
    model = GPT(GPTConfig(vocab_size=1000, block_size=256, n_layer=2, n_head=2, n_embd=32), seed=0)
    same, computed = True, []
    for new in (16, 32) if quick else (64, 128, 255):
        texts, counts = [], []
        for keeps in (True, False):
            counting = Counting(model)
            logits = CachedLogits(counting, 256) if keeps else counting
            prompt_T = np.array([0])
            texts.append(generate(logits, prompt_T, new, Sampling(), block_size=256, seed=2))
            counts.append(counting.positions)
        same = same and np.array_equal(*texts)
        computed.append(counts)
        print(f"{new:4} tokens: {counts[0]:4} positions with, {counts[1]:6,} without; "
              f"the same tokens: {np.array_equal(*texts)}")
    return {"cache_is_exact": same, "positions": computed}


def main(quick=False, figures=FIGURES):
    trained = train_small_gpt(quick)
    shown, by_context = distributions(trained, figures), top_p_in_contexts(trained)
    tokens = 10 if quick else 50
    texts = texts_of(trained, tokens)
    again = trained.model.generate(
        trained.tokenizer.encode(BEGINNING), tokens, temperature=0, seed=99
    )
    stories = [text.split("\n\n")[0] + "\n\n" for name, text in texts.items() if name != "greedy"]
    parsed = sum(tales.log_probability(story) is not None for story in stories)
    print(f"{parsed} of {len(stories)} drawn stories follow the grammar of the tales")
    shown |= {
        "kept_by_context": by_context,
        "greedy_repeats": trained.tokenizer.decode(again) == texts["greedy"],
    }
    shown |= quality_and_diversity(trained, quick, figures)
    return shown | kept_keys_and_values(quick)


if __name__ == "__main__":
    run(main)
