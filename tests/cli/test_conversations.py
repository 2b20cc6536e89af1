"""`npgpt train --conversations`, and what `eval` and `chat` do with such a run."""

import json
import re

import pytest
from tiny_run import CHAR, TINY, assert_same_checkpoint, settings_of

from npgpt import tales
from npgpt.cli.plan import merged
from npgpt.data import conversations
from npgpt.loading import load_model
from npgpt.loading.runs import SHIPPED_RUN
from npgpt.objectives import reference as held
from npgpt.support.metrics import read_metrics
from npgpt.tales.questions import questions


def conversation(asked, answer):
    """Return a line of a file of conversations."""
    return json.dumps({"messages": [{"role": "user", "content": asked},
                                    {"role": "assistant", "content": answer}]}) + "\n"


TALKS = "".join(conversation(f"q{i}?", f"a{i}.") for i in range(20))
WINDOW = ("--block-size", "40", "--eval-tokens", "30", "--gradient-accumulation-steps", "2")


@pytest.fixture
def talks(tmp_path):
    path = tmp_path / "talks.jsonl"
    path.write_text(TALKS)
    return path


def test_a_run_is_resumed_evaluated_and_talked_to(
    tmp_path, as_json, done, refused, interrupted, talks
):
    whole, parts, exported = (tmp_path / name for name in ("whole", "parts", "exported"))
    train = ("train", "--conversations", talks, *TINY, *WINDOW, *CHAR, "--out")
    assert "<|user|>" in done(*train, whole)
    interrupted(5, *train, parts)
    moved = talks.rename(tmp_path / "moved.jsonl")
    resume = ("train", "--resume", parts)
    refused(*resume)
    moved.write_text(TALKS + TALKS)
    assert "another" in refused(*resume, "--conversations", moved)
    moved.write_text(TALKS)
    done(*resume, "--conversations", moved)
    assert_same_checkpoint(whole, parts)
    found = as_json("eval", whole, "--conversations", moved)
    assert found["tokens"] == 2 * len("a18.E") and found["bits_per_byte"] is None
    assert found["grammar_loss"] is None
    assert "special token" in refused("chat", whole, "--prompt", "q1?<|end|>")
    done("export", whole, exported)
    assert (exported / "chat_template.jinja").read_text() == conversations.JINJA
    asked = ("--prompt", "q1?", "--temperature", 0, "--max-new-tokens", 5)
    answer = as_json("chat", whole, *asked)
    assert answer == as_json("chat", exported, *asked) and "<|end|>" not in answer["text"]


def test_few_conversations_are_all_taught_and_none_validates(tmp_path, done, finished):
    path, whole, parts = (tmp_path / name for name in ("few.jsonl", "whole", "parts"))
    path.write_text("".join(TALKS.splitlines(keepends=True)[:3]))
    train = ("train", "--init-from", finished, "--conversations", path, "--hold", "0", "--lr",
             "0.03", "--eval-interval", "40", "--warmup-iters", "5", "--out")
    out = done(*train, whole, "--max-iters", "80")
    said = " ".join(out.split())
    tokens, in_answers = 3 * len("UqN?AaN."), 3 * len("aN.E")
    for fact in ("3 conversations", f" {tokens} tokens", f" {in_answers} of them", "80 times",
                 "of 3 answers", "gives 3 ", "a0.<|end|>"):
        assert fact in said
    assert out.count("on what is taught") == 3
    for fact in ("validation", "best", "overfitting", "--max-iters 160"):
        assert fact not in out
    assert settings_of(whole)["training"]["batch_size"] <= 3
    assert not (whole / "best.safetensors").exists()
    assert {row["val_loss"] for row in read_metrics(whole / "metrics.csv")} == {None}
    out = done(*train, parts, "--max-iters", "2")
    assert "gives 0 " in out
    settings_of(parts, max_iters=80)
    done("train", "--resume", parts)
    assert_same_checkpoint(whole, parts)


@pytest.mark.parametrize(("talks", "preset"), [("tales", "answers"), ("a", "shakespeare-cpu")])
def test_a_model_that_goes_on_learns_own_conversations_at_a_lower_rate(talks, preset):
    assert merged({"conversations": (talks,)}, load_model(SHIPPED_RUN))[0] == preset


def test_what_cannot_be_learned_so_is_refused(refuses, finished, talks):
    train = ("train", "--init-from", finished, "--conversations", talks)
    for wrong, fact in (("--eval-stride 4", "stride"), ("--reward grammar", "reward"),
                        ("--corpus tales", "one of them")):
        refuses(fact, *train, *wrong.split())
    refuses("--arch", "train", "--conversations", talks, "--arch", "bert")
    refuses("template", "eval", finished, "--conversations", talks)
    refuses("one of them", "eval", SHIPPED_RUN, "tales", "--conversations", talks)
    refuses("--tokenizer words", "train", "--init-from", SHIPPED_RUN, "--conversations", "tales")


TEMPLATE = ("{% for m in messages %}{{ m.content }}{{ '.' if m.role == 'assistant' else ' ' }}"
            "{% endfor %}")


@pytest.fixture
def published(tmp_path, done):
    """Return a function: the exported model of a run, with a chat template."""
    pytest.importorskip("jinja2")

    def exported(run):
        done("export", run, tmp_path / "model")
        (tmp_path / "model/chat_template.jinja").write_text(TEMPLATE)
        return tmp_path / "model"

    return exported


def test_a_template_stays_with_the_run(
    tmp_path, as_json, done, refused, finished, talks, published
):
    run, again = tmp_path / "run", tmp_path / "again"
    train = ("train", "--init-from", published(finished), "--conversations", talks, "--out", run,
             "--max-iters", "2", "--eval-interval", "1")
    assert "--hold 0" in refused(*train) and not run.exists()
    done(*train, "--hold", "0")
    done("export", run, again)
    found, same = (as_json("chat", folder, "--prompt", "q1?", "--seed", 1)
                   for folder in (run, again))
    assert "." not in found["text"] and same == found
    assert (again / "chat_template.jinja").read_text() == TEMPLATE
    for wrong in (("--conversations", talks), ("--init-from", run, "--reward", "answers")):
        assert "--hold" in refused("train", *wrong, "--hold", "1")


def test_what_a_model_answers_is_held_and_measured(tmp_path, done, interrupted, talks, published):
    text, whole, parts = (tmp_path / name for name in ("all.txt", "whole", "parts"))
    text.write_text((held.QUESTIONS + held.UNTAUGHT + held.PROSE) * 3)
    done("train", text, *TINY, "--block-size", "200", "--out", tmp_path / "text")
    train = ("train", "--init-from", published(tmp_path / "text"), "--conversations", talks,
             "--eval-interval", "2", "--sample-tokens", "0", "--max-iters", "4", "--out")
    out = done(*train, whole)
    assert "KL from the start" in out and "0: unchanged" in out and "plain text" in out
    assert settings_of(whole)["training"]["hold"] == 4.0
    interrupted(3, *train, parts)
    done("train", "--resume", parts)
    assert_same_checkpoint(whole, parts)


def test_a_model_that_only_writes_is_held_after_half_of_the_steps(tmp_path, done, finished, talks):
    train = ("train", "--init-from", finished, "--conversations", talks, "--max-iters", "4",
             "--eval-interval", "4", "--sample-tokens", "0", "--lr", "0.01", "--out")
    losses = []
    for hold in ("0", "9"):
        done(*train, tmp_path / hold, "--hold", hold)
        losses += [[row["loss"] for row in read_metrics(tmp_path / hold / "metrics.csv")]]
    free, held = losses
    assert held[:2] == free[:2] and held[2] > free[2]


def test_from_text_to_talk(tmp_path, done, refused, interrupted, monkeypatch):
    monkeypatch.setattr(conversations, "TALES_CONVERSATIONS", 200)
    text, talk, few, taught, whole, parts = (
        tmp_path / name for name in ("text", "talk", "few.jsonl", "taught", "whole", "parts"))
    corpus = tmp_path / "tales.txt"
    corpus.write_text(tales.generate(100_000, seed=1))
    sizes = ("--block-size", "300", "--n-embd", "32")
    done("train", corpus, "--tokenizer", "words", *TINY, *sizes, "--out", text)
    short = ("--eval-tokens", "500", "--eval-interval", "2", "--sample-tokens", "0")
    out = done("train", "--init-from", text, "--conversations", "tales", *short,
               "--batch-size", "2", "--max-iters", "2", "--out", talk)
    assert "answers right" in out and "texts of its own: KL" in out
    learn = ("--reward", "answers", *short, "--batch-size", "8", "--lr", "1e-3", "--warmup-iters",
             "1", "--max-iters", "4", "--out")
    untaught = ("train", "--init-from", talk, *learn, tmp_path / "no")
    assert "--conversations tales" in refused(*untaught)
    # It memorises some requested stories: without a right one nothing is rewarded.
    few.write_text("".join(conversation(asked.prompt, asked.answer)
                           for asked in questions(200) if asked.kind == "story"))
    done("train", "--init-from", talk, "--conversations", few, "--hold", "0", "--max-iters", "60",
         "--lr", "0.02", "--sample-tokens", "0", "--out", taught)
    learn = ("train", "--init-from", taught, *learn)
    out = done(*learn, whole)
    rows = read_metrics(whole / "metrics.csv")
    assert 0 < rows[0]["valid"] < 1
    assert re.search(rf"answers right .*{rows[-1]['answers']:.1%}", out)
    assert rows[0]["kl"] == pytest.approx(0, abs=1e-6) and rows[-1]["kl"] > 1e-5
    assert settings_of(whole)["training"]["reward_kl"] == 0.1
    interrupted(3, *learn, parts)
    done("train", "--resume", parts)
    assert_same_checkpoint(whole, parts)
