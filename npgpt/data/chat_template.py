"""Chat templates: from the messages of a conversation to the text that a model continues.

A published model was taught conversations in a form of its own, which its files describe as a
template of Jinja. That is a program from a stranger: it runs in Jinja's sandbox, in a process of
its own with limits of time and memory.
"""

import json
import os
import subprocess
import sys
from contextlib import suppress
from datetime import datetime
from functools import cached_property, partial
from itertools import islice

LIMIT, WAIT = 5, 60  # seconds of CPU time where the system can limit it, and of a busy machine
MEMORY = 1 << 29  # bytes of address space, where the system can limit it
MAX_CHARACTERS = 1 << 22  # characters of a template, and of what it makes
TEXTS_AT_ONCE = 100  # texts of one process
MARK = "\ue000"  # stands for an answer


class ChatTemplate:
    """The template of a model.

    template   its source
    tokens     bos_token and eos_token, as far as the model has them
    source     the file, for messages
    """

    instead = "give a copy of the model with a template that is correct, or with none"

    def __init__(self, template, tokens, source):
        self.template, self.tokens, self.source = template, tokens, source

    @cached_property
    def end(self):
        """What follows an answer. Raises ValueError as `prompt`."""
        talk = [{"role": "user", "content": "?"}, {"role": "assistant", "content": MARK}]
        end = next(self.rendered([(talk, False)])).rpartition(MARK)[2].strip()
        return end or self.tokens.get("eos_token", "")

    def prompt(self, messages):
        """Return the text after which the model answers.

        messages   dicts of a role ("system", "user", "assistant") and a content

        Raises ValueError for a template that fails, takes too long or makes too much.
        """
        return next(self.rendered([(messages, True)]))

    def rendered(self, asked):
        """Yield the text of each pair (messages, whether an answer is to follow) when it is needed.
        """
        asked = iter(asked)
        while part := [*islice(asked, TEXTS_AT_ONCE)]:
            for text, error in self._rendered(part):
                if error:
                    raise ValueError(f"the chat template of {self.source} cannot be used: "
                                     f"{error!r}; {self.instead}")
                yield text

    def files(self):
        """Return {name: content} of the files from which it can be read again."""
        return {"chat_template.jinja": self.template,
                "tokenizer_config.json": json.dumps(self.tokens, indent=2) + "\n"}

    def _rendered(self, asked):
        asked = {"template": self.template, "several": [
            self.tokens | {"messages": messages, "add_generation_prompt": answers,
                           "tools": None, "documents": None}
            for messages, answers in asked]}
        # -I: nothing of the current folder is imported; what this process can import is.
        command = [sys.executable, "-I", __file__, str(LIMIT),
                   *map(os.path.abspath, filter(None, sys.path))]
        try:
            done = subprocess.run(command, check=False, input=json.dumps(asked), timeout=WAIT,
                                  capture_output=True, encoding="utf-8")
            return json.loads(done.stdout)
        except (subprocess.TimeoutExpired, ValueError):
            return [[None, f"it takes more than {LIMIT} s of CPU time, {WAIT} s in all or "
                           f"{MEMORY >> 20} MiB, or ends Python"]]


def eos_token(tokenizer, template):
    """Return the special token that ends a text, None if there is none."""
    end = template.tokens.get("eos_token") if template else "<|endoftext|>"
    return end if end in tokenizer.special_ids else None


def main(seconds, *folders):
    """Read a template and several sets of values from standard input; print [text, error] each."""
    sys.path += folders
    asked = json.load(sys.stdin)
    with suppress(ImportError):
        import resource  # not on Windows

        for name, most in (("AS", MEMORY), ("CPU", int(seconds)), ("CORE", 0)):
            with suppress(ValueError, OSError):
                resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most + 1))
    texts = []
    try:
        for text in _render(**asked):
            texts.append([text, None])
    except ModuleNotFoundError:
        texts.append([None, "it needs the extra chat: pip install jinja2"])
    except BaseException as error:
        texts.append([None, f"{type(error).__name__}: {error}"[:300]])
    print(json.dumps(texts))


def _render(template, several):
    """Yield the text of each set of values."""
    from jinja2.exceptions import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def fail(message):
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = fail
    environment.globals["strftime_now"] = datetime.now().strftime
    environment.filters["tojson"] = partial(json.dumps, ensure_ascii=False)
    compiled = environment.from_string(template)
    for values in several:
        text = ""
        for piece in compiled.generate(values):
            text += piece
            if len(text) > MAX_CHARACTERS:
                raise ValueError(f"it makes more than {MAX_CHARACTERS:,} characters")
        yield text


if __name__ == "__main__":
    main(*sys.argv[1:])
