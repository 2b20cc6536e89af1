"""Halving keeps what is best of planted results, three texts judge it, a row is a training."""

from functools import partial

import own_text as own
import pytest
from laboratory import kept

from npgpt.families.presets import PRESETS


def planted(best, worst_on=()):
    """Return a function from trials to results, by their settings, and the trials that it got."""
    got = []

    def found(trials):
        got.extend(trials)
        return [{"bits": 2 - 0.1 * (t["setting"] == best) + 0.01 * t["seed"]
                 + (t["setting"] == best and t["text"] in worst_on)} for t in trials]

    return found, got


@pytest.mark.parametrize("best", own.SETTINGS)
def test_the_best_of_eight_is_left_and_judged(best):
    found, got = planted(best)
    assert len(own.SETTINGS) == 8 and own.chosen(found) == best
    minutes = [trial["minutes"] for trial in got]
    assert minutes == [1.25] * 24 + [2.5] * 12 + [5] * 6
    table, changes = own.judged(found, best)
    assert changes == (best != own.OLD)
    assert table.count("1.9250 (within 0.0100)") == (3 if best != own.OLD else 6)
    assert not own.judged(planted(best, ("french",))[0], best)[1]
    assert {*own.CHOOSE} & {*own.JUDGE} == set() and 1 not in own.SEEDS


def test_the_report_is_that_of_the_rows(monkeypatch):
    monkeypatch.setattr(own, "measure", None)
    monkeypatch.setattr(own, "speed", None)
    assert own.REPORT.read_text(encoding="utf-8") == own.report(own.found)
    changes = own.judged(own.found, own.chosen(own.found))[1]
    assert changes == (PRESETS["text"].get("tokenizer") == "bpe")


def test_a_training_of_seconds_gives_a_row(tmp_path, monkeypatch):
    monkeypatch.setattr(own, "FOLDER", tmp_path)
    short = own.text_of("orders")[:20_000]
    assert short == own.text_of("orders")[:20_000] and len(own.text_of("headers")) > 10**5
    monkeypatch.setattr(own, "text_of", lambda name: short)
    monkeypatch.setattr(own, "SETTINGS", {"tiny": ({"n_layer": 1, "n_embd": 16, "block_size": 16,
                                                    "batch_size": 2}, 300)})
    monkeypatch.setattr(own, "ROWS", tmp_path / "rows.jsonl")
    monkeypatch.setattr(own, "run", partial(own.run, workers=0))
    monkeypatch.setattr(own, "speed", lambda trial: {"steps": 20 + 10 * trial["round"]})
    trial = {"setting": "tiny", "text": "orders", "minutes": 1, "seed": 2}
    row = own.found([trial])[0]
    stored = kept(own.ROWS)
    assert 0 < row["bits"] < 9 and row["sample"] and len(stored) == 4
    assert stored[-1]["settings"] == trial | {"steps": 6} and stored[-1]["result"] == row
    monkeypatch.setattr(own, "measure", None)
    assert own.found([trial]) == [row]
