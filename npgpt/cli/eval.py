"""`npgpt eval RUN`: the loss of a trained model on a text, beside the least that is possible.

A model that continues a text is asked for every token once; one that restores what is hidden, for
what a fixed draw hides.
"""

import math
from contextlib import ExitStack

from tqdm import tqdm

from npgpt.cli import print_json
from npgpt.data.objectives import OBJECTIVES
from npgpt.data.tokens import bytes_per_token
from npgpt.tokenizer import BPETokenizer
from npgpt.training.checkpoint import load_run
from npgpt.training.dataset import open_dataset, open_whole_text
from npgpt.training.loop import evaluate
from npgpt.training.metrics import bits_per_byte
from npgpt.training.summary import beside_floor
from npgpt.training.warmup import warm_up


def add_arguments(parser):
    add = parser.add_argument
    add("run", help="a run folder, such as runs/tales")
    add("--corpus", nargs="+", action="extend", metavar="NAME|PATH",
        help="default: the text it was trained on")  # fmt: skip
    add("--split", choices=("val", "train", "all"), default="val",
        help="which part of the text, cut as in training; default val")  # fmt: skip
    add("--stride", type=int, metavar="N",
        help="targets counted per window, 0 for all; default: as in training")  # fmt: skip
    add("--json", action="store_true", help="one JSON object")


def run(args):
    model, tokenizer, run = load_run(args.run)
    warm_up(run.model, byte_pairs=isinstance(tokenizer, BPETokenizer), trains=False)
    objective = OBJECTIVES[run.training.arch](tokenizer)
    stride = run.training.eval_stride if args.stride is None else args.stride
    with ExitStack() as stack:
        source, ids_N = _ids(args, run, tokenizer, stack)
        with tqdm(total=objective.asked_of(ids_N), unit="token", unit_scale=True, leave=False,
                  disable=None) as bar:  # fmt: skip
            loss, tokens = evaluate(
                model, ids_N, stride=stride or None, progress=bar.update, objective=objective,
                seed=run.training.seed,
            )  # fmt: skip
        bits = None
        if objective.every_token:
            bits = bits_per_byte(loss, bytes_per_token(ids_N, tokenizer))
        floor = objective.floor(
            ids_N, run.model.block_size, source.entropy_rate, seed=run.training.seed
        )
    result = {
        "loss": loss,
        "bits_per_byte": bits,
        "perplexity": math.exp(loss) if loss < 709 else math.inf,
        "tokens": tokens,
        "stride": stride,
        "corpus": source.name,
        "split": args.split,
        "entropy_rate": source.entropy_rate,
        "floor": floor and floor.nats,
        "floor_share": floor and floor.share,
    }
    if args.json:
        print_json(result)
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"the loss is {loss}: the weights of {args.run} are too large to compute with; train "
            "again with a lower learning rate"
        )
    if args.json:
        return
    print(f"{source.name} ({args.split}): loss {loss:.4f} nats per {objective.target} over "
          f"{tokens:,} tokens")  # fmt: skip
    per_byte = f"{bits:.4f} bits per byte, " if bits is not None else ""
    print(f"  {per_byte}perplexity {result['perplexity']:.3f}")
    if floor:
        print(f"  {beside_floor(loss, floor)}")


def _ids(args, run, tokenizer, stack):
    """(TextSource, token ids) of what is asked for."""
    if args.split == "all":
        return open_whole_text(run.training, stack, args.corpus, tokenizer)
    dataset = open_dataset(run.training, stack, args.corpus, tokenizer)
    return dataset.source, dataset.val_ids if args.split == "val" else dataset.train_ids
