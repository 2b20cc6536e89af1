"""The trainings of study 15, its questions, and its table again from the stored rows."""

import importlib

import numpy as np
import pytest
import study_numbers as sn

from npgpt import GPT, GPTConfig

study = importlib.import_module("15_start")
questions = importlib.import_module("tale_questions")


@pytest.mark.parametrize(("start", "branch", "table"), [
    ("fan_in", 256**-0.5 / 4**0.5, 64**-0.5),
    ("fan_in, branches whole", 256**-0.5, 64**-0.5),
    ("fan_in, tables of 0.02", 256**-0.5 / 4**0.5, 0.02),
])
def test_the_kinds_of_fan_in_are_those_of_the_plan(start, branch, table):
    assert start in study.STARTS
    model = GPT(GPTConfig(50, 64, n_layer=2, n_head=2, n_embd=64, init="fan_in"))
    study.change(model, start)
    found = {name: weight.data.std() for name, weight in model.parameters().items()}
    assert found["h.1.mlp.c_proj.weight"] == pytest.approx(branch, rel=0.05)
    assert found["wte.weight"] == pytest.approx(table, rel=0.05)
    assert found["wpe.weight"] == pytest.approx(table, rel=0.05)


def test_a_training_gives_its_first_and_last_loss():
    tiny = study.SHORT[8] | {"max_iters": 20, "n_embd": 16, "n_layer": 1, "block_size": 64}
    found = study.measure(tiny)
    assert found["uniform"] == pytest.approx(found["first"], rel=0.02)
    assert 2 < found["loss"] < found["first"] - 0.05 and found["right"] <= found["stories"]


def test_answers_are_words_of_their_story():
    rows = questions.rows(200_000, 3)
    assert len(rows) > 1000 and len({prompt.split("\n")[1] for prompt, _ in rows}) > 100
    for prompt, answer in rows:
        story, question, _ = prompt.split("\n")
        words = answer.lower().removeprefix("the ").replace(".", "").split()
        assert " ".join(words) in story.lower() or words[:2] == ["it", "was"], (story, question)
        if question.startswith("What was too "):
            own = question[13:-1] in ("tired", "hungry", "thirsty", "cold", "sad", "scared")
            noun = story.split(" of ")[0] if own else story.split(" because it was ")[0]
            assert noun.endswith(words[-1]), (story, question, answer)


def test_the_table_is_that_of_the_rows():
    found = sn.rows("15_start.jsonl")
    lines = sn.tables_of("15_start.md")["final"].splitlines()[2:]
    labels = [label for label, trials in study.FINAL.items()
              if all(trial in [s for s, _ in found] for trial in trials)]
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines] == labels
    for label, line in zip(labels, lines, strict=True):
        loss = {"gpt2": {}, "new": {}}
        for trial in study.FINAL[label]:
            of = loss["gpt2" if trial["start"] == "gpt2" else "new"]
            of[trial["seed"]] = next(r["loss"] for s, r in found if s == trial)
        base, new = (np.array([x for _, x in sorted(of.items())]) for of in loss.values())
        mean, low, high = sn.student(new - base)
        assert (f"| {base.mean():.4f} | {new.mean():.4f} | {mean:+.4f} ({low:+.4f} to {high:+.4f})"
                in line)
