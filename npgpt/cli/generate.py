"""`npgpt generate MODEL`: continue a text, token by token, or find what is hidden in it."""

import sys
import time
from contextlib import suppress

import numpy as np

from npgpt.cli import print_json
from npgpt.data.objectives import OBJECTIVES
from npgpt.data.texts import decode_whole
from npgpt.files import read_given
from npgpt.generation.generate import columns
from npgpt.generation.sampling import Sampling, log_probabilities
from npgpt.generation.text import TextStream, decoded, printable, starting_prompt
from npgpt.generation.weights import KINDS, use_weights
from npgpt.tokenizer import BPETokenizer
from npgpt.training.estimate import read_bandwidth
from npgpt.training.models import load_model
from npgpt.training.warmup import warm_up
from npgpt.training.writing import WRITERS

SAMPLING = ("temperature", "top_k", "top_p", "min_p")
# what only models that continue a text can do
CONTINUING = ("n", "stop", "logprobs", "interactive", "stats", "repetition_penalty")


def add_arguments(parser):
    add = parser.add_argument
    add("model", help="a run folder, such as runs/tales; a folder of the transformers library; or, "
        "with npgpt[hub] installed, the name of a model on the Hugging Face Hub")  # fmt: skip
    prompt = parser.add_mutually_exclusive_group()
    prompt.add_argument(
        "--prompt", metavar="TEXT", help="the text to continue; for bert with <mask> for each "
        "hidden token, for t5 with <extra_id_0>, <extra_id_1>, ... for hidden spans",
    )  # fmt: skip
    prompt.add_argument("--prompt-file", metavar="FILE", help="read it from a file, or - for stdin")
    prompt.add_argument("--interactive", action="store_true",
                        help="continue each line that is typed, after all before it")  # fmt: skip
    add("--max-new-tokens", type=int, metavar="N", help="default 500; not for bert")
    add("--temperature", type=float, default=1.0, metavar="T", help="0 is greedy; default 1")
    add("--top-k", type=int, metavar="K", help="draw from the K most likely tokens only")
    add("--top-p", type=float, metavar="P", help="draw from the likeliest that reach P together")
    add("--min-p", type=float, metavar="P",
        help="draw from tokens at least P times as likely as the likeliest")  # fmt: skip
    add("--repetition-penalty", type=float, metavar="R",
        help="above 1: against tokens that are in the text")  # fmt: skip
    add("--stop", action="append", metavar="TEXT", help="end before this text; may be repeated")
    add("--n", type=int, metavar="N", help="so many continuations")
    add("--logprobs", type=int, metavar="K",
        help="with --json: the log-probability of each token, and the K likeliest")  # fmt: skip
    add("--weights", choices=KINDS, default="fp32",
        help="how a gpt's weights are stored: fewer bytes are read faster; default fp32")
    add("--seed", type=int, metavar="S", help="the same text each time")
    add("--stats", action="store_true",
        help="print tokens/s, time to the first token, share of the memory limit")  # fmt: skip
    add("--json", action="store_true", help="one JSON object: prompt, text, tokens")


def run(args):
    loaded = load_model(args.model)
    arch, tokenizer = loaded.training.arch, loaded.tokenizer
    model = use_weights(loaded.model, args.weights)
    continues = WRITERS[arch] is WRITERS["gpt"]
    _check_flags(args, arch, continues)
    warm_up(model.config, byte_pairs=isinstance(tokenizer, BPETokenizer), trains=False,
            weights=args.weights)  # fmt: skip
    objective = OBJECTIVES[arch](tokenizer)
    prompt = "" if args.interactive else _prompt(args, tokenizer, objective)
    sampling = {name: getattr(args, name) for name in SAMPLING}
    if not continues:
        return _restore(args, model, arch, tokenizer, objective, prompt, sampling)
    if args.repetition_penalty is not None:
        sampling["repetition_penalty"] = args.repetition_penalty
    writer = Writer(args, model, tokenizer, Sampling(**sampling))
    if args.interactive:
        return _talk(args, writer, tokenizer)
    if args.json:
        samples = writer.write(tokenizer.encode(prompt), show=lambda text: None)
        result = {"prompt": prompt} | samples[0]
        result |= {"samples": samples} if args.n else {}
        print_json(result | ({"stats": writer.stats()} if args.stats else {}))
        return None
    if writer.n == 1:
        _show(prompt.lstrip("\n"))
    writer.write(tokenizer.encode(prompt), _show)
    print()
    return _print_stats(args, writer)


class Writer:
    """Continues texts by one model with one set of flags."""

    def __init__(self, args, model, tokenizer, sampling):
        self.args, self.model, self.tokenizer, self.sampling = args, model, tokenizer, sampling
        self.n, self.decoder = 1 if args.n is None else args.n, model.decoder()
        self.times = []

    def write(self, prompt_T, show):
        """The continuations of a prompt, as dicts; `show` is called with text as it comes, or of
        several continuations with each when all are done."""
        args = self.args
        new = 500 if args.max_new_tokens is None else args.max_new_tokens
        texts = [TextStream(self.tokenizer, args.stop or ()) for _ in range(self.n)]
        samples = [{"text": "", "tokens": 0, "ids": []} for _ in texts]
        self.times = [time.perf_counter()]
        for column in columns(
            self.decoder, [np.asarray(prompt_T)] * self.n, new, self.sampling,
            block_size=self.model.config.block_size, seed=args.seed,
        ):  # fmt: skip
            for b in np.flatnonzero(~column.finished_B):
                token, sample = int(column.next_B[b]), samples[b]
                text = texts[b].add(token)
                sample["text"] += text
                sample["ids"].append(token)
                if args.logprobs is not None:
                    self._add_logprobs(sample, column.logits_BV[b], token)
                if self.n == 1:
                    show(text)
                column.finished_B[b] = texts[b].ended
            self.times.append(time.perf_counter())
        for i, (sample, text) in enumerate(zip(samples, texts, strict=True)):
            rest = text.end()
            sample["text"] += rest
            sample["tokens"] = len(sample["ids"])
            show(rest if self.n == 1 else f"--- {i + 1} of {self.n}\n{sample['text']}\n")
        return samples

    def _add_logprobs(self, sample, logits_V, token):
        own, likeliest = log_probabilities(logits_V, token, self.args.logprobs)
        sample.setdefault("logprobs", []).append({
            "token": self._text(token), "logprob": own,
            "top": [{"token": self._text(v), "logprob": p} for v, p in likeliest],
        })  # fmt: skip

    def _text(self, token):
        return self.tokenizer.tokens[token].decode("utf-8", "replace")

    def stats(self):
        """Of the last `write`: of all its continuations together, without the first token."""
        start, *times = self.times
        tokens, seconds = len(times) - 1, times[-1] - times[0] if times else 0
        size = getattr(self.decoder, "bytes_per_token", 4 * self.model.num_parameters())
        limit = read_bandwidth(size) / size
        rate = tokens / seconds if tokens > 0 else None
        return {
            "tokens_per_second": rate and rate * self.n,
            "seconds_to_first_token": times[0] - start if times else None,
            "weights_bytes": size,
            "memory_limit_tokens_per_second": limit * self.n,
            "share_of_memory_limit": rate and rate / limit,
        }


def _check_flags(args, arch, continues):
    if arch == "bert" and args.max_new_tokens is not None:
        raise ValueError("--max-new-tokens: bert fills in as many as are hidden; leave it out")
    given = [f"--{name.replace('_', '-')}" for name in CONTINUING if getattr(args, name)]
    if given and not continues:
        raise ValueError(
            f"{', '.join(given)}: only models that continue a text, gpt and llama, can do that, "
            f"and this is a {arch}; leave it out"
        )
    if args.n is not None and args.n < 1:
        raise ValueError(f"--n {args.n}: give 1 continuation or more")
    if args.logprobs is not None and not (args.json and args.logprobs >= 0):
        raise ValueError(f"--logprobs {args.logprobs}: give 0 or more, and --json with it")
    if args.interactive and (args.json or args.n):
        raise ValueError("--interactive is for a person: leave --json and --n out")


def _restore(args, model, arch, tokenizer, objective, prompt, sampling):
    ids = WRITERS[arch](
        model, tokenizer, objective.prompt(prompt),
        500 if args.max_new_tokens is None else args.max_new_tokens, seed=args.seed, **sampling,
    )  # fmt: skip
    if args.json:
        ids = list(ids)
        print_json({"prompt": prompt, "text": tokenizer.decode(ids), "tokens": len(ids)})
        return
    for text in decoded(tokenizer, ids):
        _show(text)
    print()


def _talk(args, writer, tokenizer):
    """Read a line, continue all that was said so far, until the input ends."""
    if sys.stdin.isatty():
        with suppress(ImportError):
            import readline  # noqa: F401 (input() then has a history)
    said = np.zeros(0, np.int64)
    while True:
        try:
            line = input("> " if sys.stdin.isatty() else "")
        except EOFError:
            return
        try:
            said = np.concatenate([said, tokenizer.encode(line + "\n")])
        except ValueError as error:  # a character that the model does not know
            print(error)
            continue
        (sample,) = writer.write(said, _show)
        print()
        said = np.concatenate([said, np.array(sample["ids"], np.int64)])
        _print_stats(args, writer)


def _print_stats(args, writer):
    if not args.stats:
        return
    found = writer.stats()
    rate, first = found["tokens_per_second"], found["seconds_to_first_token"]
    if rate is None:
        print("too few tokens to measure", file=sys.stderr)
        return
    print(f"{rate:,.1f} tokens/s, {found['share_of_memory_limit']:.0%} of what reading the weights "
          f"({found['weights_bytes'] / 1e6:,.1f} MB) allows; first token after {first:.3f} s",
          file=sys.stderr)  # fmt: skip


def _show(text):
    shown = printable if sys.stdout.isatty() else str
    print(shown(text), end="", flush=True)


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
