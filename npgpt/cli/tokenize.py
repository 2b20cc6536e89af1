"""`npgpt tokenize RUN|FILE|gpt2 TEXT`: a text as tokens, their ids and their merges."""

import sys
from pathlib import Path

from npgpt.cli import print_json
from npgpt.loading.gguf import is_gguf
from npgpt.loading.pretrained import reader
from npgpt.loading.transformers_folder import TOKENIZER_FILES, local_folder
from npgpt.support.text import visible
from npgpt.tokenizers import BPETokenizer, load_tokenizer


def add_arguments(parser):
    add = parser.add_argument
    add("tokenizer", metavar="MODEL|FILE",
        help="a tokenizer.json, gpt2 for GPT-2's own, or a MODEL as npgpt generate takes "
        "it")
    add("text", nargs="?", default="-", metavar="TEXT", help="- or nothing reads it from stdin")
    add("--tree", action="store_true", help="also the merges of each token, down to bytes")
    add("--json", action="store_true", help="one JSON object: ids, tokens, bytes, bytes_per_token")


def run(args):
    tokenizer = named_tokenizer(args.tokenizer)
    text = args.text if args.text != "-" else sys.stdin.buffer.read().decode("utf-8")
    ids = tokenizer.encode(text).tolist()
    n_bytes = len(text.encode("utf-8"))
    per_token = n_bytes / len(ids) if ids else 0.0
    if args.json:
        tokens = [tokenizer.decode([i]) for i in ids]
        return print_json(
            {"ids": ids, "tokens": tokens, "bytes": n_bytes, "bytes_per_token": per_token})
    names = [_name(tokenizer, i) for i in ids]
    print("|".join(names))
    print("  ".join(f"{i} {name}" for i, name in zip(ids, names, strict=True)))
    print(f"\n{len(ids):,} tokens for {n_bytes:,} bytes: {per_token:.2f} bytes per token")
    if args.tree:
        for i in dict.fromkeys(ids):
            print("\n" + "\n".join(tree(tokenizer, i)))


def tree(tokenizer, token_id, lead="", branch=""):
    """Return the lines of a token's merges, down to bytes.

    >>> print("\\n".join(tree(BPETokenizer.train("hug hug hug pug", 258), 257)))
    257 hug
    ├─ 104 h
    └─ 256 ug
       ├─ 117 u
       └─ 103 g
    """
    lines = [f"{lead}{branch}{token_id} {_name(tokenizer, token_id)}"]
    pair = tokenizer.pair(token_id) if isinstance(tokenizer, BPETokenizer) else ()
    below = lead + {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
    for half, branch in zip(pair, ("├─ ", "└─ "), strict=False):
        lines += tree(tokenizer, half, below, branch)
    return lines


def _name(tokenizer, token_id):
    """Return a token as text, with visible spaces and line ends; its bytes if it is not UTF-8."""
    token = tokenizer.tokens[token_id]
    try:
        return visible(token.decode("utf-8"))
    except UnicodeDecodeError:
        return "<" + token.hex(" ") + ">"


def named_tokenizer(name):
    """Return the tokenizer of a file, a MODEL or gpt2."""
    if name == "gpt2" and not Path(name).exists():
        return BPETokenizer.gpt2()
    path = local_folder(name, TOKENIZER_FILES)
    if path.is_dir() or is_gguf(path):
        return reader(path).tokenizer(path)
    return load_tokenizer(path)
