"""`npgpt train` on a step that is not finite, and `--check`."""

import numpy as np
from tiny_run import CHAR, TINY, files

from autograd import OPS
from npgpt.loading.runs import load_run
from npgpt.metrics import read_metrics

SETTINGS = [*TINY, "--n-layer", "4", "--sample-tokens", "0"]


def all_finite(folder):
    return all(np.isfinite(w.data).all() for w in load_run(folder)[0].parameters().values())


def test_a_nan_stops_the_run_with_its_op_layer_and_step(
    refused, here, corpus, monkeypatch, at_each_step
):
    """From step 5 on, the GELU of the third layer gives one NaN."""
    taken, calls = [], []
    forward = OPS["gelu"].forward

    def wrong(x, /, **settings):
        output, saved = forward(x, **settings)
        if len(taken) == 4:
            calls.append(x)
            if len(calls) % 4 == 3:
                output[0, 1, 2] = np.nan
        return output, saved

    at_each_step(lambda step, _: taken.append(step))
    monkeypatch.setattr(OPS["gelu"], "forward", wrong)
    err = refused("train", "--corpus", corpus, "--out", "run", *SETTINGS)
    for fact in ("step 5", "nan", "gelu in h.2.mlp", "[0, 1, 2]", "learning rate"):
        assert fact in err
    assert all_finite("run")
    assert [row["step"] for row in read_metrics(here / "run" / "metrics.csv")] == [1, 2, 3]


def test_weights_that_are_not_finite_are_not_saved(refused, here, corpus, at_each_step):
    def spoil(step, model):
        if step == 6:
            model.parameters()["wte.weight"].data[3, 1] = np.inf

    at_each_step(spoil)
    with np.errstate(all="ignore"):
        err = refused("train", "--corpus", corpus, "--out", "run", *SETTINGS)
    assert "step 6" in err and "wte.weight" in err and "1 inf" in err
    assert all_finite("run")


def test_check_trains_nothing_and_writes_nothing(cli, here, corpus):
    status, out, err = cli("train", "--corpus", corpus, "--check", *TINY, *CHAR)
    assert (status, err) == (0, "")
    assert "3.4957" in out and out.count("right") == 3  # ln 20 + 1/2
    assert files(here) == {}


def test_check_finds_a_model_that_does_not_learn(cli, here, corpus, monkeypatch):
    right = OPS["gelu"].vjp, OPS["linear"].vjp
    monkeypatch.setattr(OPS["gelu"], "vjp", lambda dy, saved: -right[0](dy, saved))
    monkeypatch.setattr(
        OPS["linear"], "vjp",
        lambda *a, **k: tuple(None if g is None else -g for g in right[1](*a, **k)),
    )
    status, out, err = cli("train", "--corpus", corpus, "--check", *TINY)
    assert status == 1 and out.count("right") == 2 and "gradcheck" in err
