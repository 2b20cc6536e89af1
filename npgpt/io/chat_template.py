"""Chat templates: from the messages of a conversation to the text that a model continues.

A published model was taught conversations in a form of its own, which its files describe as a
template of Jinja. That is a program from a stranger: it runs in Jinja's sandbox, in a process of
its own with limits of time and memory.
"""

import json
import os
import subprocess
import sys

LIMIT = 5  # seconds
MEMORY = 1 << 29  # bytes of address space, where the system can limit it
LONGEST = 1 << 22  # characters of a template, and of what it makes
MARK = "\ue000"  # stands for an answer


class ChatTemplate:
    """The template of a model.

    template   its source
    tokens     bos_token and eos_token, as far as the model has them
    source     the file, for messages
    end        what follows an answer
    """

    def __init__(self, template, tokens, source):
        self.template, self.tokens, self.source = template, tokens, source
        talk = [{"role": "user", "content": "?"}, {"role": "assistant", "content": MARK}]
        self.end = self._rendered(talk, False).rpartition(MARK)[2].strip()
        self.end = self.end or tokens.get("eos_token", "")

    def prompt(self, messages):
        """Return the text after which the model answers.

        messages   dicts of a role ("system", "user", "assistant") and a content

        Raises ValueError for a template that fails, takes too long or makes too much.
        """
        return self._rendered(messages, True)

    def _rendered(self, messages, add_generation_prompt):
        asked = {"template": self.template, "values": self.tokens | {
            "messages": messages, "add_generation_prompt": add_generation_prompt}}
        # -I: nothing of the current folder is imported; what this process can import is.
        command = [sys.executable, "-I", __file__, *map(os.path.abspath, filter(None, sys.path))]
        try:
            done = subprocess.run(command, check=False, input=json.dumps(asked), timeout=LIMIT,
                                  capture_output=True, encoding="utf-8")
            text, error = json.loads(done.stdout)
        except subprocess.TimeoutExpired:
            error = f"it takes more than {LIMIT} s"
        except ValueError:
            error = "it takes too much memory or ends Python"
        if error:
            from npgpt.text import shown  # the process of the template imports nothing of ours

            raise ValueError(
                f"the chat template of {self.source} cannot be used: {shown(error)}; take "
                "--no-template, which continues what you type as it stands"
            )
        return text


def main(folders):
    """Read a template and its values from standard input; print a list [text, error]."""
    sys.path += folders
    asked = json.load(sys.stdin)
    try:
        import resource  # not on Windows

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except (ImportError, ValueError, OSError):
        pass
    try:
        print(json.dumps([_render(**asked), None]))
    except ModuleNotFoundError:
        print(json.dumps([None, "it needs the extra chat: pip install jinja2"]))
    except BaseException as error:
        print(json.dumps([None, f"{type(error).__name__}: {error}"[:300]]))


def _render(template, values):
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
    text = ""
    for piece in environment.from_string(template).generate(values):
        text += piece
        if len(text) > LONGEST:
            raise ValueError(f"it makes more than {LONGEST:,} characters")
    return text


if __name__ == "__main__":
    main(sys.argv[1:])
