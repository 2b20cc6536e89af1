"""The arms of study 16 beside its plan, and its table again from the stored rows."""

import importlib
import json
from operator import itemgetter

import numpy as np
import pytest
import study_numbers as sn

from npgpt.families import family
from npgpt.families.presets import from_preset
from npgpt.families.size import flops_per_token

study = importlib.import_module("16_talk")


def test_the_arms_have_equal_flops_before_the_reward_but_for_the_chain():
    shape, _ = from_preset("answers")

    def flops(tokens, block_size, vocab_size=400):
        Config = family("gpt").Config
        config = Config(vocab_size, **shape | {"block_size": block_size})
        return 3 * tokens * flops_per_token(config)

    spent = []
    for stories, talks, _, hold, _ in study.ARMS.values():
        width = 106 if stories else 98  # of the longest conversation; with stories' tokens and ours
        held = 0.6 * talks * 8 * 125 * 4 / 3 * bool(hold)  # forward of the start, too
        spent.append(flops(stories * 32 * 128, 128) + flops(talks * 32 * width, width)
                     + flops(held, 128))
    *equal, chain = spent
    assert max(equal) < 1.02 * min(equal) and chain > 2 * max(equal)


@pytest.mark.slow
def test_a_quick_study_measures_each_step():
    steps = [["questions", "reward"], ["questions"], ["stories", "questions"]]
    found = study.main(quick=True).values()
    assert [[*of["after"]] for of in found] == steps
    for of in found:
        assert {"right", "entropy", "loss"} <= of["after"]["questions"].keys()
    json.dumps([*found], allow_nan=False)


def runs():
    """Return (arm, step) -> what the models of seeds 4, 5, 6 can."""
    stored = sorted(sn.rows("16_talk.jsonl"), key=lambda row: row[0]["seed"])
    found = {}
    for settings, result in stored:
        for step, after in result["after"].items():
            found.setdefault((settings["arm"], step), []).append(after)
    assert {len(own) for own in found.values()} == {3}
    return found


def percent(own, *kinds):
    right, asked = np.sum([run["right"][kind] for run in own for kind in kinds], axis=0)
    return 100 * right / asked


def test_the_table_is_that_of_the_rows():
    lines, summary = (sn.tables_of(name)[mark].splitlines()[2:] for name, mark in (
        ("16_talk.md", "final"), (sn.CONCEPTS, "examples/studies/16_talk.py")))
    expected = []
    for label, at in study.ROWS.items():
        own, cells = runs()[at], [""] * 4
        if at[1] != "stories":
            cells = [f"{percent(own, *kinds):.1f}%" for kinds in (
                study.KINDS[:-1], ["it"], ["story"])]
            cells.append(f"{np.mean([run['entropy'] for run in own]):.1f}")
        cells.append(f"{np.mean([run['plain'] for run in own]):.4f}" if at[0] == "chain" else "")
        expected.append(f"| {' | '.join([label, *cells])} |")
    assert lines == summary == expected


def gain(before, after, of):
    """Return by how much of(a run) is higher after than before: the mean, and its interval."""
    return np.array(sn.student([of(a) - of(b) for b, a in zip(before, after, strict=True)]))


plain, entropy = itemgetter("plain"), itemgetter("entropy")


def right(run, kinds=study.KINDS[:-1]):
    return percent([run], *kinds)


def requests(run):
    return right(run, ("story",))


def test_what_the_report_says_of_models_from_nothing_is_so():
    found, asked = runs(), study.KINDS[:-1]
    base, reward, every, first = (found[at] for at in (
        ("answers", "questions"), ("answers", "reward"), ("all tokens", "questions"),
        ("stories first", "questions")))
    fell, less = gain(reward, base, entropy), gain(base, every, right)
    forgot, fewer = gain(found["stories first", "stories"], first, plain), gain(base, first, right)
    by_seed = [percent([run], *asked) for run in first]
    sn.assert_says(
        "16_talk.md",
        f"{percent(base, *asked):.1f} % of questions kind "
        f"{min(percent(base, kind) for kind in asked):.1f} % it {percent(base, 'it'):.1f} %",
        f"request from {percent(base, 'story'):.1f} to {percent(reward, 'story'):.1f} % questions "
        f"{percent(reward, *asked):.1f} % entropy {fell[0]:.1f} nats {fell[1]:.1f} {fell[2]:.1f}",
        "by {:.1f} points ({:.1f} to {:.1f})".format(*gain(base, reward, requests)),
        "loss on answers {:.3f} to {:.3f}".format(
            *(np.mean([run["loss"] for run in own]) for own in (base, reward))),
        "all tokens {:.1f} % {:.1f} points fewer {:.1f} to {:.1f} {:.1f} %".format(
            percent(every, *asked), *-less[[0, 2, 1]], percent(every, "story")),
        "not shown ({:.1f} to {:+.1f} points)".format(*gain(base, every, requests)[1:]),
        "{:.4f} nats {:.4f} to {:.4f} {:.1f} % of questions {:.1f} {:.1f} and {:.1f} %".format(
            *forgot, percent(first, *asked), *by_seed),
        "not shown ({:.1f} to {:+.1f} points)".format(*fewer[1:]))
    assert forgot[2] < 0.02 and fell[1] > 0 > less[2] and fewer[2] > 0
    assert percent(base, *asked) >= 95 and min(percent(base, kind) for kind in asked) >= 90
    assert percent(reward, "story") >= 80


def test_what_the_report_and_the_lesson_say_of_the_chain_is_so():
    found, asked = runs(), study.KINDS[:-1]
    stories, questions, reward = (
        found["chain", step] for step in ("stories", "questions", "reward"))
    forgot, cost = gain(stories, questions, plain), gain(stories, reward, plain)
    fell = gain(reward, questions, entropy)
    least = min(percent(questions, kind) for kind in asked)
    sn.assert_says(
        "16_talk.md",
        f"{percent(questions, *asked):.1f} % of questions kind {least:.1f} % "
        f"it {percent(questions, 'it'):.1f} %",
        "{:.4f} nats {:.4f} to {:.4f}".format(*forgot),
        f"reward {percent(reward, 'story'):.1f} % requested "
        f"{percent(questions, 'story'):.1f} % before",
        "not shown: {:.1f} to {:+.1f} points".format(*gain(questions, reward, requests)[1:]),
        "each seed, by {:.1f} nats ({:.1f} to {:+.1f})".format(*fell),
        f"fall to {percent(reward, *asked):.1f} % where {percent(reward, 'where'):.1f} %",
        "{:.3f} nats worse {:.3f} to {:.3f}".format(*cost))
    assert percent(questions, *asked) >= 95 and least >= 90 and forgot[2] < 0.02
    assert percent(reward, "story") >= 80 and min(
        b["entropy"] - a["entropy"] for b, a in zip(questions, reward, strict=True)) > 0
    sn.assert_says(sn.CONCEPTS, f"grammar's {questions[0]['grammars']:.1f}",
                   f"rise by {forgot[0]:.4f} nats")
    assert gain(questions, reward, right)[0] < 0 < cost[1]
