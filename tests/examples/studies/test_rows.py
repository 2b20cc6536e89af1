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


@pytest.mark.parametrize("path", sorted(sn.STUDIES.rglob("*.jsonl")), ids=lambda path: str(
    path.relative_to(sn.STUDIES)))
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


def sign(mean, low, high):
    return np.sign(mean) * (low * high > 0)


def said(effect):
    return "({:+.0f} %, {:.0f} to {:.0f})".format(*100 * np.expm1(effect))


def test_what_came_out_again_is_what_the_table_says():
    table = {line.split(" | ")[0].strip("| "): line for line in
             sn.tables_of("README.md")["again"].splitlines()[2:]}
    assert [*table] == [name for name, *_ in again.quoted()]
    flipped, compared = {}, {"08_ablations": 26, "12_rows": 42, "14_training": 2}
    before, after = (sn.moderated(sn.of_settings(seeds)) for seeds in ((1, 2, 3), (21, 22, 23)))
    flipped["08_ablations"] = [c for c in before if sign(*before[c]) != sign(*after[c])]
    sn.assert_says("08_ablations.md", " ".join(said(after[c]) for c in flipped["08_ablations"]))
    post = [sn.found_in(*after[f"post-norm (beside pre-norm, {n} blocks)"]) for n in (4, 12)]
    before, after = sn.of_parts(), sn.of_parts(range(21, 26))
    flipped["12_rows"] = [c for text in before for c in before[text]
                          if sign(*before[text][c]) != sign(*after[text][c])]
    sn.assert_says("12_rows.md", "SwiGLU on rows " + said(after["rows"]["SwiGLU"]), " ".join(
        said(after["tales"][c]) for c in ("untied", "weights of 0.02", "post-norm")),
        "new seeds " + said(after["tales"]["post-norm"])[1:].replace("%, ", "% ("))
    untied = said(after["tales"]["untied"])
    sn.assert_says("CLAIMS.md", f"new seeds shown {untied}", "four cannot be told, 12 are shown")
    sn.assert_says(sn.CONCEPTS, f"untied with new seeds: {untied[1:].split(',')[0]}")
    assert post == ["cannot be told", "shown"]
    for name, trials, _ in again.quoted():
        runs, chose = sn.rows(f"again/{name}.jsonl"), sn.CHOOSE if name in again.CHOSE else ()
        first = sn.rows(f"{name}.jsonl") + (sn.rows("12_rows.jsonl") if name[0:2] == "14" else [])
        assert len(runs) == len(trials)
        inside = []
        for arm in {key(s | {"seed": None}) for s, _ in runs}:
            both = [[again.numbers(r) for s, r in some if key(s | {"seed": None}) == arm
                     and s["seed"] not in chose] for some in (first, runs)]
            for number in {name for r in both[1] for name in r}:
                x, y = ([r[number] for r in some if r.get(number) is not None] for some in both)
                if len(x) > 1:
                    reach = stats.t.ppf(0.975, len(x) - 1) * np.std(x, ddof=1)
                    inside.append(abs(np.mean(x) - np.mean(y))
                                  <= reach * (1 / len(x) + 1 / len(y)) ** 0.5)
        flips, of = flipped.get(name, []), compared.get(name, 0)
        assert (f"| {name} | {len(runs)} | {sum(inside)} of {len(inside)} | {of - len(flips)} of "
                f"{of} | ") in table[name]
        assert all(change in table[name] for change in flips)
        if flips:
            sn.assert_says(f"{name}.md", f"{of - len(flips)} of {of} verdicts come out")


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
