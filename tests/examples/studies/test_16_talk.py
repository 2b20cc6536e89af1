"""The arms of study 16 beside its plan, and its table again from the stored rows."""

import importlib
import json

import numpy as np
import pytest
import study_numbers as sn

from npgpt.families import family
from npgpt.families.presets import from_preset
from npgpt.families.size import flops_per_token

study = importlib.import_module("16_talk")


def test_the_arms_have_equal_flops_before_the_reward():
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
    assert max(spent) < 1.02 * min(spent)


@pytest.mark.slow
def test_a_quick_study_measures_each_step():
    steps = [["questions", "reward"], ["questions"], ["stories", "questions"]]
    found = study.main(quick=True).values()
    assert [[*of["after"]] for of in found] == steps
    for of in found:
        assert {"right", "entropy", "loss"} <= of["after"]["questions"].keys()
    json.dumps([*found], allow_nan=False)


def test_the_table_is_that_of_the_rows():
    lines = sn.tables_of("16_talk.md")["final"].splitlines()[2:]
    path, expected = sn.STUDIES / "16_talk.jsonl", []
    stored = sn.rows(path.name) if path.exists() else []
    for label, (arm, step) in study.ROWS.items():
        own = [r["after"][step] for s, r in stored if s["arm"] == arm and s["seed"] in (4, 5, 6)]
        if len(own) < 3:
            continue
        cells = [""] * 4
        if step != "stories":
            counts = {k: np.sum([run["right"][k] for run in own], axis=0) for k in study.KINDS}
            asked = sum(n for k, n in counts.items() if k != "story")
            cells = [f"{n[0] / n[1]:.1%}" for n in (asked, counts["it"], counts["story"])]
            cells.append(f"{np.mean([run['entropy'] for run in own]):.1f}")
        cells.append(f"{np.mean([run['plain'] for run in own]):.4f}" if arm == "stories first"
                     else "")
        expected.append(f"| {' | '.join([label, *cells])} |")
    assert lines == expected
