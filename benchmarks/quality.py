"""The losses of the presets' models over their whole validation text. `shakespeare-cpu` is
nanoGPT's recipe for a CPU, whose README gives 1.88, an estimate from 20 batches. `tales`, the
default of `npgpt train`, stands beside the loss of the grammar of its text.
"""

import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

from benchmarks.train_step import CODE as STEP
from npgpt.cli import main as npgpt
from npgpt.data.corpora import load_corpus
from npgpt.loading.runs import RESULT_FILE, load_run
from npgpt.support.files import read_json
from npgpt.support.metrics import read_metrics
from npgpt.tales import stories_written

CODE = (*STEP, "npgpt/train.py", "npgpt/batches.py")
PEERS = ()
SEEDS = (1, 2, 3)


def tables(threads, short):
    """Raises FileNotFoundError if Shakespeare's text cannot be fetched."""
    load_corpus(("shakespeare",))
    few = ["--max-iters", 20] if short else []
    with tempfile.TemporaryDirectory() as folder:
        rows = {}
        for seed in SEEDS[: 1 if short else None]:
            out = Path(folder, str(seed))
            result = trained(out, "--preset", "shakespeare-cpu", "--seed", seed, *few)
            rows[f"seed {seed}"] = _told(out, result)
        yield "`npgpt train --preset shakespeare-cpu`: nats per character", rows
        out = Path(folder, "tales")
        result = trained(out, *few)
        model, tokenizer, _ = load_run(out)
        count, right = stories_written(model, tokenizer)
        grammar = result["grammar_loss"]
        yield "`npgpt train`: nats per character", {
            "loss": _told(out, result),
            "loss of the grammar on the same tokens": f"{grammar:.4f}",
            "the loss is above it by": f"{result['loss'] / grammar - 1:.1%}",
            f"of {count} stories of the model the grammar derives": f"{right / count:.1%}",
        }


def trained(out, *arguments):
    """Train a run in the folder `out`; return its result.json."""
    with redirect_stdout(sys.stderr):  # which --json leaves alone
        if npgpt(["train", "--sample-tokens", "0", "--out", str(out), *map(str, arguments)]):
            raise SystemExit("a training run failed; see above")
    return read_json(out / RESULT_FILE)


def _told(out, result):
    seconds = read_metrics(out / "metrics.csv")[-1]["seconds"]
    return f"{result['loss']:.4f} over {result['tokens']:,} tokens, {seconds:.0f} s of training"
