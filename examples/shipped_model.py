"""Make the trained model of the package from the run that README.md's first command leaves.

    npgpt train
    python examples/shipped_model.py runs/tales

It writes a run folder, `npgpt/shipped/tales/` or the one that is named, with weights in bfloat16,
every tenth row of the metrics, the loss of these weights on the whole validation text, and a README
that says so.
"""

import argparse
import json
import shutil
from contextlib import ExitStack
from pathlib import Path

from safetensors.numpy import save

from autograd.kernels.tiles import TILE
from npgpt.fast.storage import stored
from npgpt.loading.runs import SHIPPED_RUN, load_run
from npgpt.run.opening import open_run
from npgpt.support.files import atomic_write, read_arrays, read_json
from npgpt.train import evaluate

ABOUT = """\
A model trained for {step:,} steps on tales. Its loss on all of the validation text is {loss:.5f}
nats per token, and was {own:.5f} before its weights were rounded to bfloat16; the grammar that
wrote the text loses {grammar_loss:.5f} on the same tokens. It is made by

    {command}

On a processor with the same kernels, {tile}, the weights are the same to the bit. In
`metrics.csv` is every tenth row of the run's.
"""


def in_bfloat16(path):
    """Return a safetensors file with the arrays of a file, rounded to bfloat16."""
    data = save({
        name: stored(array.reshape(1, -1), "bf16")[0].reshape(array.shape)
        for name, array in read_arrays(path).items()
    }, {"format": "pt"})
    # NumPy has no bfloat16: the header, a length and JSON, calls it uint16.
    start = 8 + int.from_bytes(data[:8], "little")
    header = data[8:start].rstrip().replace(b'"U16"', b'"BF16"')
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[start:]


def validation_loss(folder):
    """Return the loss of a run on its whole validation text, in nats per token."""
    model, tokenizer, run = load_run(folder)
    with ExitStack() as stack:
        dataset = open_run(run, stack, tokenizer)
        return evaluate(model, dataset.val_ids, stride=run.training.eval_stride or None,
                        what="the whole validation text")[0]


def ship(run, folder=SHIPPED_RUN):
    """Write the folder from a finished run."""
    command = "npgpt train\n    python examples/shipped_model.py runs/tales"
    if folder != SHIPPED_RUN:
        command = (f"npgpt train --preset tales-words --out {run}\n"
                   f"    python examples/shipped_model.py {run} {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "samples.txt"):
        shutil.copyfile(run / name, folder / name)
    header, *rows = (run / "metrics.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    atomic_write(folder / "metrics.csv", header + "".join(rows[9::10]))
    atomic_write(folder / "model.safetensors", in_bfloat16(run / "model.safetensors"))
    settings, result = read_json(run / "config.json"), read_json(run / "result.json")
    del settings["machine"]
    atomic_write(folder / "config.json", json.dumps(settings, indent=2) + "\n")
    own, result["loss"] = result["loss"], validation_loss(folder)
    result["bits_per_byte"] *= result["loss"] / own
    atomic_write(folder / "result.json", json.dumps(result, indent=2) + "\n")
    atomic_write(folder / "README.md", ABOUT.format(own=own, tile=TILE, command=command, **result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path, nargs="?", default=SHIPPED_RUN)
    arguments = parser.parse_args()
    ship(arguments.run, arguments.folder)
