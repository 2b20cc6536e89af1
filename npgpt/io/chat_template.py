"""Chat templates: from the messages of a conversation to the text that a model continues.

A published model was taught conversations in a form of its own, which its files describe as a
template of Jinja. That is a program from a stranger: it runs in Jinja's sandbox, in a process of
its own with limits of time and memory.
"""

import json
import os
import subprocess
import sys
from functools import cached_property

LIMIT = 5  # seconds
MEMORY = 1 << 29  # bytes of address space, where the system can limit it
LONGEST = 1 << 22  # characters of a template, and of what it makes
AT_ONCE = 500  # texts of one process
MARK = "\ue000"  # stands for an answer


class ChatTemplate:
    """The template of a model.

    template   its source
    tokens     bos_token and eos_token, as far as the model has them
    source     the file, for messages
    """

    def __init__(self, template, tokens, source):
        self.template, self.tokens, self.source = template, tokens, source

    @cached_property
    def end(self):
        """What follows an answer. Raises ValueError as `prompt`."""
        talk = [{"role": "user", "content": "?"}, {"role": "assistant", "content": MARK}]
        end = self.rendered([(talk, False)])[0].rpartition(MARK)[2].strip()
        return end or self.tokens.get("eos_token", "")

    def prompt(self, messages):
        """Return the text after which the model answers.

        messages   dicts of a role ("system", "user", "assistant") and a content

        Raises ValueError for a template that fails, takes too long or makes too much.
        """
        return self.rendered([(messages, True)])[0]

    def rendered(self, asked, names=()):
        """Return the text of each pair (messages, whether an answer is to follow).

        names   what to call each in an error
        """
        texts = []
        for first in range(0, len(asked), AT_ONCE):
            for text, error in self._rendered(asked[first : first + AT_ONCE]):
                if error:
                    from npgpt.text import shown  # the template's process imports nothing of ours

                    where = "".join(f"{name}: " for name in names[len(texts) :][:1])
                    raise ValueError(
                        f"{where}the chat template of {self.source} cannot be used: "
                        f"{shown(error)}; take --no-template, which continues what you type as it "
                        "stands"
                    )
                texts.append(text)
        return texts

    def files(self):
        """Return {name: content} of the files from which it can be read again."""
        return {"chat_template.jinja": self.template,
                "tokenizer_config.json": json.dumps(self.tokens, indent=2) + "\n"}

    def _rendered(self, asked):
        asked = {"template": self.template, "several": [
            self.tokens | {"messages": messages, "add_generation_prompt": answers}
            for messages, answers in asked]}
        # -I: nothing of the current folder is imported; what this process can import is.
        command = [sys.executable, "-I", __file__, *map(os.path.abspath, filter(None, sys.path))]
        try:
            done = subprocess.run(command, check=False, input=json.dumps(asked), timeout=LIMIT,
                                  capture_output=True, encoding="utf-8")
            return json.loads(done.stdout)
        except subprocess.TimeoutExpired:
            error = f"it takes more than {LIMIT} s"
        except ValueError:
            error = "it takes too much memory or ends Python"
        return [[None, error]]


def eos_token(tokenizer, template):
    """Return the special token that ends a text, None if there is none."""
    end = template.tokens.get("eos_token") if template else "<|endoftext|>"
    return end if end in tokenizer.special_ids else None


def main(folders):
    """Read a template and several sets of values from standard input; print [text, error] each."""
    sys.path += folders
    asked = json.load(sys.stdin)
    try:
        import resource  # not on Windows

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except (ImportError, ValueError, OSError):
        pass
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
    environment.filters["tojson"] = lambda value, indent=None: json.dumps(
        value, ensure_ascii=False, indent=indent)
    compiled = environment.from_string(template)
    for values in several:
        text = ""
        for piece in compiled.generate(values):
            text += piece
            if len(text) > LONGEST:
                raise ValueError(f"it makes more than {LONGEST:,} characters")
        yield text


if __name__ == "__main__":
    main(sys.argv[1:])
