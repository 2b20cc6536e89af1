"""`npgpt generate RUN`: continue a text, token by token, as it is drawn, or find what is hidden."""

import sys

from npgpt.cli import print_json
from npgpt.data.objectives import OBJECTIVES
from npgpt.data.texts import decode_whole
from npgpt.files import read_given
from npgpt.generation.text import decoded, printable, starting_prompt
from npgpt.tokenizer import BPETokenizer
from npgpt.training.checkpoint import load_run
from npgpt.training.warmup import warm_up
from npgpt.training.writing import WRITERS


def add_arguments(parser):
    add = parser.add_argument
    add("run", help="a run folder, such as runs/tales")
    prompt = parser.add_mutually_exclusive_group()
    prompt.add_argument(
        "--prompt", metavar="TEXT", help="the text to continue; for bert with <mask> for each "
        "hidden token, for t5 with <extra_id_0>, <extra_id_1>, ... for hidden spans",
    )  # fmt: skip
    prompt.add_argument("--prompt-file", metavar="FILE", help="read it from a file, or - for stdin")
    add("--max-new-tokens", type=int, metavar="N", help="default 500; not for bert")
    add("--temperature", type=float, default=1.0, metavar="T", help="0 is greedy; default 1")
    add("--top-k", type=int, metavar="K", help="draw from the K most likely tokens only")
    add("--top-p", type=float, metavar="P", help="draw from the likeliest that reach P together")
    add("--seed", type=int, metavar="S", help="the same text each time")
    add("--json", action="store_true", help="one JSON object: prompt, text, tokens")


def run(args):
    model, tokenizer, run = load_run(args.run)
    warm_up(run.model, byte_pairs=isinstance(tokenizer, BPETokenizer), trains=False)
    arch, objective = run.training.arch, OBJECTIVES[run.training.arch](tokenizer)
    if arch == "bert" and args.max_new_tokens is not None:
        raise ValueError("--max-new-tokens: bert fills in as many as are hidden; leave it out")
    prompt = _prompt(args, tokenizer, objective)
    ids = WRITERS[arch](
        model, tokenizer, objective.prompt(prompt),
        500 if args.max_new_tokens is None else args.max_new_tokens,
        temperature=args.temperature, top_k=args.top_k, top_p=args.top_p, seed=args.seed,
    )  # fmt: skip
    if args.json:
        ids = list(ids)
        result = {"prompt": prompt, "text": tokenizer.decode(ids), "tokens": len(ids)}
        print_json(result)
        return
    shown = printable if sys.stdout.isatty() else str
    if objective.every_token:  # others give the whole text
        print(shown(prompt.lstrip("\n")), end="", flush=True)
    for text in decoded(tokenizer, ids):
        print(shown(text), end="", flush=True)
    print()


def _prompt(args, tokenizer, objective):
    if args.prompt is not None:
        prompt = args.prompt
    elif args.prompt_file == "-":
        prompt = decode_whole(sys.stdin.buffer.read(), "standard input")
    elif args.prompt_file is not None:
        prompt = decode_whole(read_given(args.prompt_file), args.prompt_file)
    elif not objective.every_token:
        raise ValueError(f"this model {objective.purpose}; give such a text with --prompt")
    else:
        return starting_prompt(tokenizer)
    if not prompt:
        raise ValueError("the prompt is empty; give some text, or leave --prompt out")
    return prompt
