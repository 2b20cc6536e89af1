"""`npgpt eval MODEL`: the loss of a trained model on a text, beside the grammar's.

A model that continues a text predicts every token once; a model that restores hidden tokens
predicts those that a fixed draw hides.
"""

import math
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import replace
from functools import partial

from autograd import using_matmul_precision
from npgpt.cli import model_path, print_json
from npgpt.cli.settings import add_texts, check_texts
from npgpt.data.conversations import open_conversations
from npgpt.data.tokens import open_dataset
from npgpt.evaluation.answers import answered
from npgpt.fast.storage import STORAGE_FORMATS, formats, use_storage
from npgpt.loading import load_model, template_of
from npgpt.models import architecture
from npgpt.run.opening import open_run
from npgpt.support.metrics import beside_grammar
from npgpt.support.progress import note
from npgpt.train import evaluate


def add_arguments(parser):
    add = parser.add_argument
    add("model", metavar="MODEL", help="a run folder, such as runs/tales, or a folder or a model's "
        "name as npgpt generate takes it")
    add_texts(add, "default: the text it was trained on")
    add("--conversations", nargs="+", action="extend", metavar="tales|FILE",
        help="the loss on their answers, as npgpt train --conversations has them; of tales the "
        "share of right answers too")
    add("--split", choices=("val", "train", "all"),
        help="part of the text, cut as in training; default val")
    add("--stride", type=int, metavar="N", help="distance of windows: each token but the first "
        "ones is predicted from more than block_size - N before it; 0 for disjoint windows; "
        "default: as in training")
    add("--weights", nargs="*", choices=STORAGE_FORMATS, metavar="KIND",
        help="also a gpt's or llama's loss with weights in fp32, bf16, int8, q8; default all")
    add("--json", action="store_true", help="one JSON object")


def run(args):
    path, split = model_path(args.model, "eval MODEL TEXT"), args.split or "val"
    loaded = load_model(path)
    model, training = loaded.model, loaded.training
    if args.stride is not None:
        training = replace(training, eval_stride=args.stride)
    if loaded.run is None and not (args.corpus or args.conversations):
        raise ValueError(f"{path} is no run, so its text is unknown; name one: npgpt eval MODEL "
                         "TEXT")
    kinds = args.weights or ([] if args.weights is None else formats(model))
    drawn = training.drawn | {"max_tokens": None}
    with ExitStack() as stack:
        stack.enter_context(using_matmul_precision(training.matmul_precision))
        dataset = _dataset(args, loaded, path, split == "all", stack)
        source, objective = dataset.source, dataset.objective
        if not dataset.validates:
            split = "all"  # of few conversations
        if args.corpus and not args.split:
            note("a part of the text is measured, as in training; --split all measures all of it")
        if split == "train":
            dataset = replace(dataset, val_ids=dataset.train_ids, train_ids=())
        ids_N = dataset.val_ids
        name = f"{source.name} ({split})"
        evaluated = partial(evaluate, ids_N=ids_N, objective=objective, what=name, **drawn)
        loss, tokens = evaluated(model)
        by_weights = {kind: evaluated(use_storage(deepcopy(model), kind))[0] for kind in kinds}
        found = answered(model, dataset, ids_N)
        bits = dataset.bits_per_byte(loss)
        grammar = dataset.grammar_loss(model.config.block_size, **drawn)
    result = {
        "loss": loss,
        "bits_per_byte": bits,
        "perplexity": math.exp(loss) if loss < 709 else math.inf,
        "tokens": tokens,
        "stride": training.eval_stride,
        "corpus": source.name,
        "split": split,
        "entropy_rate": source.entropy_rate,
        "grammar_loss": grammar and grammar.nats,
        "least_loss": grammar and grammar.least,
        "grammar_share": grammar and grammar.share,
    } | ({"loss_by_weights": by_weights} if by_weights else {})
    result |= found._asdict() if found.right else {}
    if args.json:
        print_json(result)
    else:
        per_byte = f"{bits:.4f} bits per byte, " if bits is not None else ""
        lines = [f"{per_byte}perplexity {result['perplexity']:.3f}"]
        lines += [beside_grammar(loss, grammar)] if grammar else []
        lines += found.lines()
        lines += [f"weights in {kind}: loss {rounded:.4f}, {rounded / loss - 1:+.3%}"
                  for kind, rounded in by_weights.items()]
        print(f"{name}: loss {loss:.4f} nats per {objective.target} over {tokens:,} tokens",
              *lines, sep="\n  ")
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"the loss is {loss}: the weights of {path} are too large to compute with"
        )


def _dataset(args, loaded, path, whole, stack):
    """Return the `Dataset` of the text in `args`."""
    tokenizer, training = loaded.tokenizer, loaded.training
    if args.corpus and args.conversations:
        raise ValueError("--corpus is a text, --conversations are answers: give one of them")
    if args.corpus:
        check_texts(args.corpus)
        return open_dataset(architecture(training.arch), training, stack, args.corpus, tokenizer,
                            whole=whole)
    if args.conversations:
        return open_conversations(training, args.conversations, loaded.model.config.block_size,
                                  tokenizer, template_of(path), whole=whole)
    return open_run(loaded.run, stack, tokenizer, whole=whole)
