"""`npgpt prepare FOLDER`: a large text as token files, which training reads window by window."""

from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path

from npgpt.cli.tokenize import named_tokenizer
from npgpt.config import SPLITS, TrainConfig
from npgpt.data.corpora import load_corpus
from npgpt.data.tokens import SPLIT_FILES, scan, split_chunks, token_dtype, write_ids
from npgpt.support.files import atomic_file, quoted
from npgpt.support.folders import check_free, new_folder
from npgpt.support.progress import progress
from npgpt.tokenizers import CharTokenizer


def add_arguments(parser):
    add = parser.add_argument
    help_of = {field.name: field.metadata["help"] for field in fields(TrainConfig)}
    add("folder", metavar="FOLDER",
        help="a new folder, for train.bin, val.bin and tokenizer.json")
    add("--corpus", nargs="+", action="extend", metavar="NAME|PATH", required=True,
        help=help_of["corpus"])
    add("--tokenizer", metavar="MODEL|FILE",
        help="a tokenizer.json, gpt2, or a run's, such as one of npgpt train --tokenizer bpe; "
        "default: one token a character")
    add("--split", choices=SPLITS, default="tail", help=help_of["split"])
    add("--train-fraction", type=float, default=0.9, metavar="X",
        help=help_of["train_fraction"] + "; default 0.9")


def run(args):
    settings = TrainConfig(split=args.split, train_fraction=args.train_fraction)
    folder = Path(args.folder)
    check_free(folder)
    corpus = load_corpus(args.corpus)
    stats = scan(corpus)
    if args.tokenizer:
        tokenizer = named_tokenizer(args.tokenizer)
    else:
        tokenizer = CharTokenizer(stats.alphabet)
    chunks = split_chunks(corpus, stats, settings.split, settings.train_fraction)
    with new_folder(folder) as building:
        with progress("encoding the text"), ExitStack() as stack:
            files = [stack.enter_context(atomic_file(building / name)) for name in SPLIT_FILES]
            write_ids(chunks, tokenizer, files)
        tokenizer.save(building / "tokenizer.json")
    for name in SPLIT_FILES:
        count = (folder / name).stat().st_size // token_dtype(tokenizer.vocab_size)().itemsize
        print(f"{folder / name}: {count:,} tokens")
    print(f"train on them: npgpt train --corpus {quoted(folder)}")
