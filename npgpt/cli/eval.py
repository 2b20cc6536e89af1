"""`npgpt eval RUN`: the loss of a trained GPT on a text, every token counted once."""

import json
import math

from tqdm import tqdm

from npgpt.data.batches import split_text
from npgpt.data.corpora import load_corpus
from npgpt.training.checkpoint import load_run
from npgpt.training.loop import evaluate


def add_arguments(parser):
    add = parser.add_argument
    add("run", help="a run folder, such as runs/tales")
    add("--corpus", nargs="+", metavar="NAME|PATH", help="default: the text it was trained on")
    add("--split", choices=("val", "train", "all"), default="val",
        help="which part of the text, cut as in training; default val")  # fmt: skip
    add("--stride", type=int, metavar="N",
        help="targets counted per window, 0 for all; default: as in training")  # fmt: skip
    add("--json", action="store_true", help="one JSON object")


def run(args):
    model, tokenizer, run = load_run(args.run)
    corpus = load_corpus(tuple(args.corpus or run.training.corpus))
    train_text, val_text = split_text(corpus.text, run.training.train_fraction)
    text = {"val": val_text, "train": train_text, "all": corpus.text}[args.split]
    ids_N = tokenizer.encode(text)
    stride = run.training.eval_stride if args.stride is None else args.stride
    with tqdm(total=len(ids_N) - 1, unit="token", unit_scale=True, leave=False) as bar:
        loss, tokens = evaluate(model, ids_N, stride=stride or None, progress=bar.update)
    first = tokenizer.decode(ids_N[:1])  # the one token that is not predicted
    bytes_predicted = len(text.encode("utf-8")) - len(first.encode("utf-8"))
    result = {
        "loss": loss,
        "bits_per_byte": loss * tokens / bytes_predicted / math.log(2),
        "perplexity": math.exp(loss),
        "tokens": tokens,
        "stride": stride,
        "corpus": corpus.name,
        "split": args.split,
        "entropy_rate": corpus.entropy_rate,
    }
    if args.json:
        print(json.dumps(result, ensure_ascii=False))
        return
    print(f"{corpus.name} ({args.split}): loss {loss:.4f} nats per token over {tokens:,} tokens")
    print(f"  {result['bits_per_byte']:.4f} bits per byte, perplexity {result['perplexity']:.3f}")
    if corpus.entropy_rate:
        floor = corpus.entropy_rate
        print(f"  entropy of this text: {floor:.4f}; the loss is {loss / floor - 1:.1%} above it")
