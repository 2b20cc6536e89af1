"""Section 2, tokenization: text becomes a row of token ids, and the ids become text again.

A character tokenizer numbers the characters. Byte pair encoding starts from bytes, merges the pair
that occurs most often, again and again, and so makes frequent words one token each. A larger
vocabulary makes texts shorter: the model reads further back with the same number of positions.

Try:
- Change WORDS to words of your own. Words that the tales do not have take several tokens.
- Write a digit into SENTENCE. No tale has one: the character tokenizer refuses, BPE does not mind.
- Append 4000 to SIZES. The merges beyond 2000 make invented names that were met a few times; other
  tales hardly ever have the same, so their tokens get no longer.
"""

from pathlib import Path

import numpy as np
from example import FIGURES, expect, picture, run
from small_model import train

from npgpt import GPT, BPETokenizer, CharTokenizer, GPTConfig, TrainConfig, tales
from npgpt.models.size import flops_per_token
from npgpt.support import plots
from npgpt.support.metrics import bits_per_byte, bytes_per_token
from npgpt.train import evaluate

SIZES = (256, 288, 320, 384, 512, 768, 1024, 2000)
TRAINED = (256, 384, 768, 2000)  # vocabularies that a GPT is trained with
WORDS = (" because", " mountain", " unhappiness", " Velaria")
SENTENCE = "A shy dog did not cross the street."
STRANGE = "naïve 🐕 東京\n\ttabs   and spaces "


def two_tokenizers(text):
    expect("""
        1. One sentence, two tokenizers. Expect the characters' ids to be ranks in the alphabet of
        the text, and BPE to need fewer; how many fewer depends on how much the sentence is like
        the tales that it was trained on.
        """)
    char, bpe = CharTokenizer.train(text), BPETokenizer.train(text, vocab_size=768)
    print(f"alphabet {char.characters!r}")
    for name, tokenizer in (("characters", char), ("BPE", bpe)):
        try:
            ids_N = tokenizer.encode(SENTENCE)
        except ValueError as error:
            print(f"{name}: {error}")
            continue
        print(f"{name}: vocabulary {tokenizer.vocab_size}, {len(ids_N)} tokens for "
              f"{len(SENTENCE)} characters\n    "
              f"{' '.join(map(str, ids_N))}\n    "
              f"{'|'.join(tokenizer.decode([i]) for i in ids_N)}")
    return char, bpe


def merges(bpe):
    expect("""
        2. What BPE learned, and words merged step by step. Expect the first merges to be ends and
        beginnings of words, the last ones rare words; a frequent word to end as one token, and a
        rare word, a word that no tale has or an invented name to stay several.
        """)
    learned = [token.decode("utf-8", errors="replace") for token in bpe.tokens[256:]]
    print(f"first {learned[:12]}\nlast  {learned[-6:]}\n")
    tokens_of = {}
    for word in WORDS:
        steps = bpe.merge_steps(word)
        for tokens in steps:
            print("   " + " ".join(repr(token.decode("utf-8")) for token in tokens))
        print(f"{word!r}: {len(steps) - 1} merges\n")
        tokens_of[word] = len(steps[-1])
    return {"tokens": tokens_of, "first_merges": learned[:12]}


def round_trip(char, bpe):
    expect("""
        3. There and back, on a text with characters that no tale has. Expect the character
        tokenizer to refuse it, and BPE to give it back exactly, a byte a token where it must.
        """)
    try:
        char.encode(STRANGE)
        refused = ""
    except ValueError as error:
        refused = str(error)
    print(f"characters: {refused}")
    ids_N = bpe.encode(STRANGE)
    same = bpe.decode(ids_N) == STRANGE
    print(f"BPE: {len(STRANGE)} characters, {len(STRANGE.encode('utf-8'))} bytes, {len(ids_N)} "
          f"tokens; decode(encode(text)) == text: {same}")
    return {"refused": refused, "round_trip": same}


def lengths(text, unseen, figures):
    expect("""
        4. The length of text. Expect tokens to get longer with the vocabulary on tales, and much
        less so on other prose (this file's): what the merges know are the words of tales.
        """)
    other = Path(__file__).read_text(encoding="utf-8")
    curves = {"tales not trained on": [], "a Python file": []}
    print("vocabulary   " + "   ".join(curves) + "   (characters per token)")
    for size in SIZES:
        bpe = BPETokenizer.train(text, vocab_size=size)
        for curve, sample in zip(curves.values(), (unseen, other), strict=True):
            curve.append(len(sample) / len(bpe.encode(sample)))
        print(f"{bpe.vocab_size:10}   " + "   ".join(
            f"{curve[-1]:{len(name)}.2f}" for name, curve in curves.items()))
    picture(
        plots.curves_picture, figures / "02_tokenization.png",
        {name: (SIZES, curve) for name, curve in curves.items()},
        xlabel="vocabulary size", ylabel="characters per token",
        title="Merges help on text like the one they were learned from",
        marks=[("bytes only", SIZES[0])],
    )
    tales_curve, other_curve = curves.values()
    return {"tales_per_token": tales_curve, "other_per_token": other_curve}


def equal_compute(text, unseen, quick):
    expect("""
        5. What the length is worth. A GPT of the same width is trained with each vocabulary, for
        the same number of operations. Expect a larger one to cost parameters and operations a
        token, so fewer steps, and up to a point to see more text all the same; and the loss, which
        has to be counted in bits per byte, to fall, and to rise where tokens are too rare to learn.
        """)
    found, cost_of_bytes = [], None
    print("vocabulary   parameters   steps   tokens seen   text seen   nats/token   bits/byte")
    for size in TRAINED[:2] if quick else TRAINED:
        bpe = BPETokenizer.train(text, vocab_size=size)
        config = GPTConfig(vocab_size=bpe.vocab_size, block_size=64, n_layer=2, n_head=2, n_embd=64)
        cost = flops_per_token(config)
        cost_of_bytes = cost_of_bytes or cost
        n_steps = round((20 if quick else 300) * cost_of_bytes / cost)
        training = TrainConfig(max_iters=n_steps, batch_size=12, lr=3e-3, min_lr=3e-4,
                               warmup_iters=10)
        ids_N, unseen_N = bpe.encode(text), bpe.encode(unseen)
        model = train(GPT(config, seed=1), ids_N, training)
        loss, _ = evaluate(model, unseen_N)
        bits = bits_per_byte(loss, bytes_per_token(unseen_N, bpe))
        seen = n_steps * 12 * config.block_size
        per_token = len(text) / len(ids_N)
        print(f"{bpe.vocab_size:10}   {model.num_parameters():10,}   {n_steps:5}   "
              f"{seen:11,}   {seen * per_token:9,.0f}   {loss:10.3f}   {bits:9.3f}")
        found.append((model.num_parameters(), seen * per_token, bits))
    parameters, characters, bits = np.array(found).T.tolist()
    return {"parameters": parameters, "characters_seen": characters, "bits_per_byte": bits}


def main(quick=False, figures=FIGURES):
    text = tales.generate(50_000 if quick else 300_000, seed=0)
    unseen = tales.generate(20_000, seed=9)
    char, bpe = two_tokenizers(text)
    return (
        merges(bpe) | round_trip(char, bpe) | lengths(text, unseen, figures)
        | equal_compute(text, unseen, quick)
    )


if __name__ == "__main__":
    run(main)
