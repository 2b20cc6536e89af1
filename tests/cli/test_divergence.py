"""`npgpt train` on a step that is not finite, and `--check`."""

import re

import numpy as np
import pytest
from tiny_run import TINY, files

from autograd import OPS
from npgpt import train as run
from npgpt.checkpoint import load_run

SETTINGS = [*TINY, "--n-layer", "4", "--sample-tokens", "0"]


@pytest.fixture
def planted(monkeypatch):
    """From step 5 on, the GELU of the third layer gives one NaN."""
    taken, calls = [], []
    steps, forward = run.training_steps, OPS["gelu"].forward

    def counted(*arguments):
        for step in steps(*arguments):
            yield step
            taken.append(step)

    def wrong(x, /, **settings):
        output, saved = forward(x, **settings)
        if len(taken) == 4:
            calls.append(x)
            if len(calls) % 4 == 3:
                output[0, 1, 2] = np.nan
        return output, saved

    monkeypatch.setattr(run, "training_steps", counted)
    monkeypatch.setattr(OPS["gelu"], "forward", wrong)


def test_a_nan_stops_the_run_with_its_op_layer_and_step(cli, here, corpus, planted):
    status, out, err = cli("train", "--corpus", corpus, "--out", "run", *SETTINGS)
    assert status == 1
    assert "step 5: the loss is nan" in err
    assert re.search(r"forward of gelu in h\.2\.mlp: .* the first at \[0, 1, 2\]", err)
    assert "from before that" in err and "lower learning rate" in err
    assert all(np.isfinite(w.data).all() for w in load_run("run")[0].parameters().values())
    assert [line.split(",")[0] for line in (here / "run/metrics.csv").read_text("utf-8").split()] \
        == ["step", "1", "2", "3"]


def test_weights_that_are_not_finite_are_not_saved(cli, here, corpus, monkeypatch):
    steps = run.training_steps

    def spoiled(model, *others):
        for step in steps(model, *others):
            if step.step == 6:
                model.parameters()["wte.weight"].data[3, 1] = np.inf
            yield step

    monkeypatch.setattr(run, "training_steps", spoiled)
    with np.errstate(all="ignore"):
        status, _, err = cli("train", "--corpus", corpus, "--out", "run", *SETTINGS)
    assert status == 1
    assert "after step 6: the weight wte.weight has 0 nan and 1 inf" in err
    assert all(np.isfinite(w.data).all() for w in load_run("run")[0].parameters().values())


def test_check_trains_nothing_and_writes_nothing(cli, here, corpus):
    status, out, err = cli("train", "--corpus", corpus, "--check", *TINY)
    assert (status, err) == (0, "")
    assert re.search(r"loss at the start +[\d.]+; ln 20 = 2.9957, a uniform guess: right", out)
    assert re.search(r"no look ahead +right", out)
    assert re.search(r"one batch memorised +[\d.]+ to [\d.]+ in 100 steps: right", out)
    assert files(here) == {}


def test_check_finds_a_model_that_looks_ahead(cli, here, corpus, monkeypatch):
    attention = OPS["scaled_dot_product_attention"]
    right = attention.forward
    monkeypatch.setattr(attention, "forward", lambda *qkv, causal: right(*qkv, causal=False))
    status, out, err = cli("train", "--corpus", corpus, "--check", *TINY)
    assert status == 1 and "mask or learn as it should" in err
    assert "WRONG, the last token changes the logits at position 0" in out


def test_check_finds_a_model_that_does_not_learn(cli, here, corpus, monkeypatch):
    right = OPS["gelu"].vjp, OPS["linear"].vjp
    monkeypatch.setattr(OPS["gelu"], "vjp", lambda dy, saved: -right[0](dy, saved))
    monkeypatch.setattr(
        OPS["linear"], "vjp",
        lambda *a, **k: tuple(None if g is None else -g for g in right[1](*a, **k)),
    )
    status, out, err = cli("train", "--corpus", corpus, "--check", *TINY)
    assert status == 1 and "WRONG, it should fall below a half" in out and "gradcheck" in err
