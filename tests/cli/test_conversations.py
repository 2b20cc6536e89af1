"""`npgpt train --conversations`, and what `eval` and `chat` do with such a run."""

import json

import pytest
from tiny_run import TINY, assert_same_checkpoint, settings_of

from npgpt.families import conversations
from npgpt.io import chat_template

TALKS = "".join(
    json.dumps({"messages": [{"role": "user", "content": f"q{i}?"},
                             {"role": "assistant", "content": f"a{i}."}]}) + "\n"
    for i in range(20)
)
WINDOW = ("--block-size", "40", "--eval-tokens", "30", "--gradient-accumulation-steps", "2")


@pytest.fixture
def talks(tmp_path):
    path = tmp_path / "talks.jsonl"
    path.write_text(TALKS, encoding="utf-8")
    return path


def test_a_run_is_resumed_evaluated_and_talked_to(tmp_path, done, refused, talks):
    common = ("train", "--conversations", talks, *TINY, *WINDOW)
    out = done(*common, "--out", tmp_path / "whole")
    assert "npgpt chat" in out and "<|user|>" in out
    done(*common, "--max-iters", "3", "--out", tmp_path / "parts")
    settings_of(tmp_path / "parts", max_iters=6)
    moved = tmp_path / "moved.jsonl"
    talks.rename(moved)
    refused("train", "--resume", "--out", tmp_path / "parts")
    settings_of(tmp_path / "whole", conversations=[str(talks)])
    resume = ("train", "--resume", "--out", tmp_path / "parts", "--conversations")
    moved.write_text(TALKS + TALKS, encoding="utf-8")
    assert "others" in refused(*resume, moved)
    moved.write_text(TALKS, encoding="utf-8")
    assert json.loads((tmp_path / "whole/result.json").read_text())["floor"] is None
    found = json.loads(done("eval", tmp_path / "whole", "--conversations", moved, "--json"))
    assert found["tokens"] == 2 * len("a18.E") and found["bits_per_byte"] is None
    assert "right" not in found
    answer = json.loads(done("chat", tmp_path / "whole", "--prompt", "q1?", "--json",
                             "--max-new-tokens", 5))
    assert "<|end|>" not in answer["text"]
    done(*resume, moved)
    assert_same_checkpoint(tmp_path / "whole", tmp_path / "parts")


def test_a_model_of_texts_learns_to_answer(tmp_path, done, refused, finished, talks):
    out = done("train", "--init-from", finished, "--conversations", talks, "--out",
               tmp_path / "run", "--max-iters", "2")
    assert "<|user|>" in out and "new tokens" in out
    done("chat", tmp_path / "run" / "best.safetensors", "--prompt", "q1?", "--max-new-tokens", "3")
    assert "chat template" in refused("eval", finished, "--conversations", talks)
    for wrong in (("--arch", "bert"), ("--eval-stride", "4"), ("--split", "documents")):
        refused("train", "--conversations", talks, "--out", tmp_path / "no", *wrong)
    refused("train", "--init-from", finished, "--conversations", talks, "--reward", "grammar")


def test_a_template_stays_with_the_run(tmp_path, done, finished, talks, monkeypatch):
    pytest.importorskip("jinja2")
    done("export", finished, tmp_path / "model")
    monkeypatch.setattr(chat_template, "LIMIT", 60)
    template = ("{% for m in messages %}{{ m.content }}{{ '.' if m.role == 'assistant' else ' ' }}"
                "{% endfor %}")
    (tmp_path / "model/chat_template.jinja").write_text(template, encoding="utf-8")
    done("train", "--init-from", tmp_path / "model", "--conversations", talks, "--out",
         tmp_path / "run", "--max-iters", "2", "--eval-interval", "1")
    assert (tmp_path / "run/chat_template.jinja").read_text() == template
    done("train", "--resume", "--out", tmp_path / "run", "--max-iters", "3")
    found = json.loads(done("chat", tmp_path / "run", "--prompt", "q1?", "--json"))
    assert "." not in found["text"]


def test_tales_say_the_share_of_right_answers(tmp_path, done, monkeypatch):
    monkeypatch.setattr(conversations, "OF_TALES", 60)
    out = done("train", "--preset", "answers", *TINY, "--block-size", "400", "--tokenizer", "char",
               "--out", tmp_path / "run")
    assert "answers right" in out and "interval" in out and "best possible loss" in out
    found = json.loads(done("eval", tmp_path / "run", "--json"))
    assert sum(asked for _, asked in found["right"].values()) == 6
    assert 0 < found["floor"] < found["loss"]
    assert "of 6 " in done("eval", tmp_path / "run")
