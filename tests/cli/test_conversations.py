"""`npgpt train --conversations`, and what `eval` and `chat` do with such a run."""

import json
import re

import pytest
from tiny_run import CHAR, TINY, assert_same_checkpoint, settings_of

from npgpt import tales
from npgpt.data import conversations
from npgpt.loading.runs import SHIPPED_RUN
from npgpt.metrics import REWARD_COLUMNS, read_metrics
from npgpt.objectives import reference as held
from npgpt.tales.questions import questions

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
    common = ("train", "--conversations", talks, *TINY, *WINDOW, *CHAR)
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
    assert "another" in refused(*resume, moved)
    moved.write_text(TALKS, encoding="utf-8")
    assert json.loads((tmp_path / "whole/result.json").read_text())["grammar_loss"] is None
    found = json.loads(done("eval", tmp_path / "whole", "--conversations", moved, "--json"))
    assert found["tokens"] == 2 * len("a18.E") and found["bits_per_byte"] is None
    assert "right" not in found
    answer = json.loads(done("chat", tmp_path / "whole", "--prompt", "q1?", "--json",
                             "--max-new-tokens", 5))
    assert "<|end|>" not in answer["text"]
    for typed in (("--prompt", "q1?<|end|>"), ("--prompt", "q1?", "--system", "<|user|>")):
        assert "special token" in refused("chat", tmp_path / "whole", *typed)
    done("export", tmp_path / "whole", tmp_path / "exported")
    assert json.loads((tmp_path / "exported/config.json").read_text())["eos_token_id"]
    assert (tmp_path / "exported/chat_template.jinja").read_text() == conversations.JINJA
    asked = ("--prompt", "q1?", "--temperature", 0, "--max-new-tokens", 5)
    answers = [done("chat", tmp_path / name, *asked) for name in ("whole", "exported")]
    assert answers[0] == answers[1]
    done(*resume, moved)
    assert_same_checkpoint(tmp_path / "whole", tmp_path / "parts")


def test_few_conversations_are_all_taught_and_none_validates(tmp_path, done, finished):
    path = tmp_path / "few.jsonl"
    path.write_text("".join(TALKS.splitlines(keepends=True)[:3]), encoding="utf-8")
    train = ("train", "--init-from", finished, "--conversations", path, "--hold", "0", "--lr",
             "0.03", "--eval-interval", "40", "--warmup-iters", "5", "--out")
    out = done(*train, tmp_path / "whole", "--max-iters", "80")
    said = " ".join(out.split())
    tokens, in_answers = 3 * len("UqN?AaN."), 3 * len("aN.E")
    for fact in ("3 conversations", f" {tokens} tokens to train on", f" {in_answers} of them",
                 "padding", "token of an answer", "is read 80 times"):
        assert fact in said
    assert out.count("on what is taught") == 3
    assert "validation" not in out and "best" not in out and "overfitting" not in out
    assert "of 3 answers" in out and "gives 3 " in out and "a0.<|end|>" in out
    assert "--max-iters 160" not in out
    settings = settings_of(tmp_path / "whole")["training"]
    assert settings["batch_size"] <= 3 and settings["corpus"] == []
    assert not (tmp_path / "whole/best.safetensors").exists()
    assert {row["val_loss"] for row in read_metrics(tmp_path / "whole/metrics.csv")} == {None}
    assert "(all)" in done("eval", tmp_path / "whole")
    out = done(*train, tmp_path / "parts", "--max-iters", "2")
    assert "gives 0 " in out
    settings_of(tmp_path / "parts", max_iters=80)
    done("train", "--resume", "--out", tmp_path / "parts")
    assert_same_checkpoint(tmp_path / "whole", tmp_path / "parts")
    assert "what is taught" in done("compare", tmp_path / "whole", tmp_path / "parts")


def test_a_model_of_texts_learns_to_answer(tmp_path, done, refused, finished, talks):
    out = done("train", "--init-from", finished, "--conversations", talks, "--out",
               tmp_path / "run", "--max-iters", "2")
    assert "<|user|>" in out
    done("chat", tmp_path / "run" / "best.safetensors", "--prompt", "q1?", "--max-new-tokens", "3")
    assert "at most" in done("info", tmp_path / "run")
    assert "at most" not in done("info", finished)
    assert "chat template" in refused("eval", finished, "--conversations", talks)
    for wrong in (("--arch", "bert"), ("--eval-stride", "4")):
        refused("train", "--conversations", talks, "--out", tmp_path / "no", *wrong)
    refused("train", "--init-from", finished, "--conversations", talks, "--reward", "grammar")
    assert "one of them" in refused("train", "--corpus", "tales", "--conversations", talks)
    err = refused("train", "--init-from", SHIPPED_RUN, "--conversations", "tales")
    assert "--tokenizer words" in err


TEMPLATE = ("{% for m in messages %}{{ m.content }}{{ '.' if m.role == 'assistant' else ' ' }}"
            "{% endfor %}")


@pytest.fixture
def published(tmp_path, done):
    """Return a function: the exported model of a run, with a chat template."""
    pytest.importorskip("jinja2")

    def exported(run):
        done("export", run, tmp_path / "model")
        (tmp_path / "model/chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
        return tmp_path / "model"

    return exported


def test_a_template_stays_with_the_run(tmp_path, done, refused, finished, talks, published):
    train = ("train", "--init-from", published(finished), "--conversations", talks, "--out",
             tmp_path / "run", "--max-iters", "2", "--eval-interval", "1")
    assert "--hold 0" in refused(*train) and not (tmp_path / "run").exists()
    assert "KL" not in done(*train, "--hold", "0")
    assert (tmp_path / "run/chat_template.jinja").read_text() == TEMPLATE
    done("train", "--resume", "--out", tmp_path / "run", "--max-iters", "3")
    done("export", tmp_path / "run", tmp_path / "again")
    assert (tmp_path / "again/chat_template.jinja").read_text() == TEMPLATE
    found, again = (json.loads(done("chat", tmp_path / name, "--prompt", "q1?", "--json", "--seed",
                                    1)) for name in ("run", "again"))
    assert "." not in found["text"] and again == found
    for wrong in (("--conversations", talks),
                  ("--init-from", tmp_path / "model", "--reward", "answers")):
        assert "--hold" in refused("train", *wrong, "--hold", "1", "--out", tmp_path / "no")


def test_what_a_model_answers_is_held_and_measured(tmp_path, done, talks, published):
    text = tmp_path / "all.txt"
    text.write_text((held.QUESTIONS + held.UNTAUGHT + held.PROSE) * 3, encoding="utf-8")
    done("train", text, *TINY, "--block-size", "200", "--out", tmp_path / "text")
    train = ("train", "--init-from", published(tmp_path / "text"), "--conversations", talks,
             "--eval-interval", "2", "--sample-tokens", "0")
    out = done(*train, "--max-iters", "4", "--out", tmp_path / "whole")
    assert "KL from the start" in out and "0: unchanged" in out and "plain text" in out
    assert settings_of(tmp_path / "whole")["training"]["hold"] == 4.0
    done(*train, "--max-iters", "2", "--out", tmp_path / "parts")
    settings_of(tmp_path / "parts", max_iters=4)
    done("train", "--resume", "--out", tmp_path / "parts")
    assert_same_checkpoint(tmp_path / "whole", tmp_path / "parts")
    done(*train, "--max-iters", "4", "--hold", "0", "--out", tmp_path / "free")
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "free"))
    assert one != two


def test_from_text_to_talk(tmp_path, done, refused, monkeypatch):
    monkeypatch.setattr(conversations, "TALES_CONVERSATIONS", 200)
    text = tmp_path / "tales.txt"
    text.write_text(tales.generate(100_000, seed=1), encoding="utf-8")
    done("train", text, "--tokenizer", "words", *TINY, "--block-size", "300", "--n-embd", "32",
         "--out", tmp_path / "text")
    few = ("--eval-tokens", "500", "--eval-interval", "2", "--sample-tokens", "0")
    out = done("train", "--init-from", tmp_path / "text", "--conversations", "tales", *few,
               "--batch-size", "2", "--max-iters", "2", "--out", tmp_path / "talk")
    assert "answers right" in out and "before 0.0%" in out and "texts of its own: KL" in out
    learn = ("--reward", "answers", *few, "--batch-size", "8", "--lr", "1e-3", "--warmup-iters",
             "1", "--max-iters", "4", "--out")
    untaught = ("train", "--init-from", tmp_path / "talk", *learn, tmp_path / "no")
    assert "--conversations tales" in refused(*untaught)
    refused(*untaught, "--conversations", text)
    # Some stories that are asked for, by heart: without a right one nothing is rewarded.
    requests = [talk for talk in questions(200) if talk.kind == "story"]
    (tmp_path / "few.jsonl").write_text("".join(json.dumps({"messages": [
        {"role": "user", "content": asked.prompt},
        {"role": "assistant", "content": asked.answer}]}) + "\n" for asked in requests))
    done("train", "--init-from", tmp_path / "talk", "--conversations", tmp_path / "few.jsonl",
         "--hold", "0", "--max-iters", "60", "--lr", "0.02", "--sample-tokens", "0", "--out",
         tmp_path / "taught")
    learn = ("train", "--init-from", tmp_path / "taught", *learn)
    out = done(*learn, tmp_path / "whole")
    assert "answers right" in out
    rows = read_metrics(tmp_path / "whole" / "metrics.csv")
    assert {*REWARD_COLUMNS} <= rows[0].keys() and 0 < rows[0]["valid"] < 1
    assert re.search(rf"answers right .*{rows[-1]['answers']:.1%}", out)
    assert rows[0]["kl"] == pytest.approx(0, abs=1e-6) and rows[-1]["kl"] > 1e-5
    done(*learn, tmp_path / "parts", "--max-iters", "2")
    assert settings_of(tmp_path / "whole")["training"]["reward_kl"] == 0.1
    settings_of(tmp_path / "parts", max_iters=4)
    done("train", "--resume", "--out", tmp_path / "parts")
    assert_same_checkpoint(tmp_path / "whole", tmp_path / "parts")
    done("chat", tmp_path / "whole", "--prompt", "Who lost the crown?", "--max-new-tokens", "3")
