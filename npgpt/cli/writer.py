"""Continuations of a prompt with the flags of `npgpt generate`, and how fast they came."""

import sys
import time

import numpy as np

from npgpt.generate import decoding_steps
from npgpt.run.estimate import read_bandwidth
from npgpt.sampling import log_probabilities
from npgpt.text import TextStream


class Writer:
    """Continues texts by one model with one set of flags."""

    def __init__(self, args, model, tokenizer, sampling):
        self.args, self.model, self.tokenizer, self.sampling = args, model, tokenizer, sampling
        self.n, self.decoder = 1 if args.n is None else args.n, model.decoder()
        self.times = []

    def write(self, prompt_T, show, prompt=""):
        """The continuations of a prompt, as dicts; `show` is called with text as it comes, or of
        several continuations with each, the text `prompt` before it, when all are done."""
        args = self.args
        new = 500 if args.max_new_tokens is None else args.max_new_tokens
        texts = [TextStream(self.tokenizer, args.stop or ()) for _ in range(self.n)]
        samples = [{"text": "", "tokens": 0, "ids": []} for _ in texts]
        self.times = [time.perf_counter()]
        for step in decoding_steps(
            self.decoder, [np.asarray(prompt_T)] * self.n, new, self.sampling,
            block_size=self.model.config.block_size, seed=args.seed,
        ):  # fmt: skip
            for b in np.flatnonzero(~step.finished_B):
                token, sample = int(step.next_B[b]), samples[b]
                text = texts[b].add(token)
                sample["text"] += text
                sample["ids"].append(token)
                if args.logprobs is not None:
                    self._add_logprobs(sample, step.logits_BV[b], token)
                if self.n == 1:
                    show(text)
                step.finished_B[b] = texts[b].ended
            self.times.append(time.perf_counter())
        for i, (sample, text) in enumerate(zip(samples, texts, strict=True)):
            rest = text.end()
            sample["text"] += rest
            sample["tokens"] = len(sample["ids"])
            show(rest if self.n == 1 else f"--- {i + 1} of {self.n}\n{prompt}{sample['text']}\n")
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

    def print_stats(self):
        """If --stats asks for them, on standard error."""
        if not self.args.stats:
            return
        found = self.stats()
        rate, first = found["tokens_per_second"], found["seconds_to_first_token"]
        if rate is None:
            print("too few tokens to measure", file=sys.stderr)
            return
        print(f"{rate:,.1f} tokens/s, {found['share_of_memory_limit']:.0%} of what reading the "
              f"weights ({found['weights_bytes'] / 1e6:,.1f} MB) allows; first token after "
              f"{first:.3f} s", file=sys.stderr)  # fmt: skip
