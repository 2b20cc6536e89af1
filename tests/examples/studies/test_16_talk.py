"""The arms of study 16 beside its plan, and its table again from the stored rows."""

import importlib
import json

import numpy as np
import pytest
import study_numbers as sn

study = importlib.import_module("16_talk")


def test_the_arms_have_equal_steps_before_the_reward():
    assert {first + talk for first, talk, *_ in study.ARMS.values()} == {3000}
    sn.assert_says("PLAN.md", "1,500 steps of 32 windows", "150 steps of 64 requested stories",
                   "400 steps", "3,000 steps of conversations from nothing")
    for label, (arm, name) in study.ROWS.items():
        assert dict(zip(study.STEPS, study.ARMS[arm], strict=False))[name] > 0, label


@pytest.mark.slow
def test_a_quick_study_measures_each_step():
    (found,) = study.main(quick=True).values()
    assert [*found["after"]] == ["stories", "talk", "reward"]
    for ability in found["after"].values():
        assert {"right", "entropy", "plain", "loss"} <= ability.keys()
    json.dumps(found, allow_nan=False)


def stored():
    path = sn.STUDIES / "16_talk.jsonl"
    return sn.rows(path.name) if path.exists() else []


def test_the_table_is_that_of_the_rows():
    lines = sn.tables_of("16_talk.md")["final"].splitlines()[2:]
    expected = []
    for label, (arm, name) in study.ROWS.items():
        runs = [r["after"] for s, r in stored() if s["arm"] == arm and s["seed"] in (4, 5, 6)]
        if len(runs) < 3:
            continue
        own = [run[name] for run in runs]
        counts = {k: np.sum([run["right"][k] for run in own], axis=0) for k in study.KINDS}
        asked = sum(n for k, n in counts.items() if k != "story")
        shares = [f"{n[0] / n[1]:.1%}" for n in (asked, counts["it"], counts["story"])]
        nats = [f"{np.mean([run[k] for run in own]):.1f}" for k in ("entropy", "grammars")]
        change = ""
        if "stories" in runs[0]:
            lost = np.array([run[name]["plain"] - run["stories"]["plain"] for run in runs])
            change = "{:+.4f} ({:+.4f} to {:+.4f})".format(*sn.student(lost))
        expected.append(f"| {' | '.join([label, *shares, *nats, change])} |")
    assert lines == expected
