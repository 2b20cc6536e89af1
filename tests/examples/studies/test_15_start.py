"""The trainings of study 15, its questions, and its table again from the stored rows."""

import importlib

import numpy as np
import pytest
import study_numbers as sn
from laboratory import key

from npgpt import GPT, GPTConfig

study = importlib.import_module("15_start")
questions = importlib.import_module("tale_questions")


@pytest.mark.parametrize(("start", "branch", "table"), [
    ("fan_in", 1 / 32, 1 / 8), (study.STARTS[2], 1 / 16, 1 / 8), (study.STARTS[3], 1 / 32, 0.02)])
def test_the_kinds_of_fan_in_are_those_of_the_plan(start, branch, table):
    model = GPT(GPTConfig(50, 64, n_layer=2, n_head=2, n_embd=64, init="fan_in"))
    study.change(model, start)
    found = {name: weight.data.std() for name, weight in model.parameters().items()}
    assert found["h.1.mlp.c_proj.weight"] == pytest.approx(branch, rel=0.05)
    assert found["wte.weight"] == pytest.approx(table, rel=0.05)


def test_answers_are_words_of_their_story():
    own = ("tired", "hungry", "thirsty", "cold", "sad", "scared")
    for prompt, answer in questions.rows(200_000, 3):
        story, question, _ = prompt.split("\n")
        words = answer.lower().removeprefix("the ").strip(".\n")
        assert words in story.lower() or words.startswith("it was "), (story, question)
        if question.startswith("What was too "):
            end = " of " if question[13:-1] in own else " because it was "
            assert story.split(end)[0].endswith(f" {words}"), (story, question, answer)


def test_the_table_is_that_of_the_rows():
    found = {key(settings): result for settings, result in sn.rows("15_start.jsonl")}
    lines = sn.tables_of("15_start.md")["final"].splitlines()[2:]
    trained = {label: [*map(found.get, map(key, of))] for label, of in study.FINAL.items()}
    trained = {label: runs for label, runs in trained.items() if None not in runs}
    assert [line.split(" | ")[0] for line in lines] == [f"| {label}" for label in trained]
    summary = sn.tables_of(sn.CONCEPTS)["examples/studies/15_start.py"].splitlines()[2:]
    assert summary == [" | ".join(line.split(" | ")[:4]) + " |" for line in lines
                       if "a third" not in line]
    for line, runs in zip(lines, trained.values(), strict=True):
        base, new = np.reshape([r["loss"] for r in runs], (-1, 2)).T  # GPT-2's start first
        counts = np.array([(r.get("right", 0), r.get("stories", 0)) for r in runs])
        right = " | ".join(f"{n / of:.0%}" if of else "" for n, of in
                           (counts[0::2].sum(axis=0), counts[1::2].sum(axis=0)))
        change = "{:+.4f} ({:+.4f} to {:+.4f})".format(*sn.student(new - base))
        assert line.endswith(f"| {base.mean():.4f} | {new.mean():.4f} | {change} | {right} |")


def test_what_the_report_and_the_lesson_say_is_so():
    found = {key(settings): result for settings, result in sn.rows("15_start.jsonl")}
    of = {label: [[found[key(t)] for t in trials[i::2]] for i in (0, 1)]
          for label, trials in study.FINAL.items()}
    loss = {label: [np.mean([r["loss"] for r in runs]) for runs in both]
            for label, both in of.items()}
    fell = {label: base - new for label, (base, new) in loss.items()}
    right = {label: [f"{sum(r['right'] for r in runs) / sum(r['stories'] for r in runs):.0%}"[:-1]
                     for runs in both] for label, both in of.items() if "questions" in label}
    (base, new), answers = right["questions"], right["questions, loss on answers"]
    shakespeare, of_64, of_512 = (f"`text`, {of}" for of in (
        "Shakespeare", "64 channels", "512 channels"))
    sn.assert_says(
        "15_start.md",
        f"`text` ends {fell[shakespeare]:.3f} 64 channels {fell[of_64]:.3f} `tales` "
        f"{fell['`tales`']:.4f} of the {loss['`tales`'][0] - 0.3940:.4f}",
        f"{new} % GPT-2's start {base} % {answers[1]} and {answers[0]} %",
        f"512 channels GPT-2's start ends {-fell[of_512]:.3f} lower")


def test_the_trainings_that_choose_are_those_of_the_rows():
    found = {key(settings): result["loss"] for settings, result in sn.rows("15_start.jsonl")}
    short = [t for t in study.SHORT + study.BEYOND if key(t) in found]
    of = {}
    for t in short:
        of.setdefault((f"`{t['preset']}`", t["start"], f"{t['lr']:g}"), []).append(found[key(t)])
    lines = [f"| {' | '.join(k)} | {np.mean(v):.4f} | {len(v)} |" for k, v in of.items()]
    assert sn.tables_of("15_start.md")["choice"].splitlines()[2:] == lines
