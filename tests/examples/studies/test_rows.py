"""Stored rows follow the schema; trainings again have seeds of their own, and flips are named."""

import importlib
import json

import numpy as np
import pytest
import study_numbers as sn
from laboratory import key
from scipy import stats

again, pd = map(importlib.import_module, ("again", "pandas"))
SCHEMA = json.loads(sn.report("rows.schema.json"))
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int,
         "number": (int, float), "null": type(None)}


def faults(value, schema, name):
    """Yield what of a value is not as the schema says."""
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(isinstance(value, TYPES[of]) and (of == "boolean" or not isinstance(value, bool))
               for of in types):
        yield f"{name} is {value!r}, not {types}"
    elif isinstance(value, dict) and "properties" in schema:
        yield from (f"{name} lacks {of}" for of in schema.get("required", ()) if of not in value)
        for of, x in value.items():
            if of in schema["properties"]:
                yield from faults(x, schema["properties"][of], f"{name}.{of}")
            else:
                yield f"{name}.{of}: describe it in rows.schema.json"


@pytest.mark.parametrize("path", sorted(sn.STUDIES.glob("*.jsonl")), ids=lambda path: path.name)
def test_every_row_follows_the_schema(path):
    rows = [*map(json.loads, path.read_text(encoding="utf-8").splitlines())]
    assert rows and [fault for row in rows for fault in faults(row, SCHEMA, path.name)] == []


def test_seeds_of_trainings_again_are_new():
    stored = [s for path in sn.STUDIES.glob("*.jsonl") for s, _ in sn.rows(path.name)]
    known = {key(s | {"seed": None}) for s in stored}
    for name, trials, _ in again.quoted():
        assert not {t["seed"] for t in trials} & {s.get("seed") for s in stored}
        assert {key(t | {"seed": None}) for t in trials} <= known
        assert len({t["seed"] for t in trials}) == len(again.SEEDS.get(name, again.THREE))


def test_a_verdict_that_flips_is_named():
    """The first seeds under new numbers hold all; with a better arm one flips."""
    stored = {key(s): r for s, r in sn.rows("08_ablations.jsonl")}
    new = {key(s | {"seed": s["seed"] + 20}): dict(r) for s, r in sn.rows("08_ablations.jsonl")
           if s.get("seed", 9) < 4}
    before = again.verdicts("08_ablations", stored, (1, 2, 3))
    assert before.abs().sum() == 15
    assert before.equals(again.verdicts("08_ablations", stored | new, (21, 22, 23)))
    sgd = next(row for row in again.ablations.ROWS if row.label == "SGD with momentum")
    for seed in (21, 22, 23):
        new[key(sgd.trial(seed, 1.0))]["excess"] = 0.001
    after = again.verdicts("08_ablations", stored | new, (21, 22, 23))
    assert [*before.index[before != after]] == ["SGD with momentum, tales"]
    assert after["SGD with momentum, tales"] == -1


def test_a_mean_is_held_within_the_prediction_interval():
    x = pd.DataFrame({"arm": "one", "number": "excess", "value": np.linspace(-1, 1, 10)}).set_index(
        ["arm", "number"]).value
    reach = stats.t.ppf(0.975, 9) * x.std() * (2 / 10) ** 0.5
    assert again.held(x, x + 0.99 * reach).tolist() == [True]
    assert again.held(x, x + 1.01 * reach).tolist() == [False]
