"""`npgpt train` on a step that is not finite, and `--check`."""

import numpy as np
import pytest
from tiny_run import CHAR, TINY, files

from autograd import OPS
from npgpt.loading.runs import load_run
from npgpt.support.metrics import read_metrics


@pytest.mark.parametrize(("value", "after", "facts"), [
    (3e38, 4, ("step 5", "linear in h.2.mlp", "learning rate")),  # its products overflow
    (np.inf, 6, ("step 6", "h.2.mlp.c_fc.weight", "256 inf")),  # no step follows
])
def test_a_step_that_is_not_finite_stops_the_run_and_is_not_saved(
    refused, here, corpus, at_each_step, value, after, facts
):
    def spoil(step, model):
        if step == after:
            model.parameters()["h.2.mlp.c_fc.weight"].data[:] = value

    at_each_step(spoil)
    err = refused("train", corpus, "--out", "run", *TINY, "--n-layer", 4)
    assert all(fact in err for fact in facts), err
    load_run("run")  # which refuses weights that are not finite
    assert [row["step"] for row in read_metrics("run/metrics.csv")] == [1, 2, 3]


def test_check_trains_nothing_and_writes_nothing(cli, here, corpus):
    status, out, err = cli("train", corpus, "--check", *TINY, *CHAR)
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
    status, out, err = cli("train", corpus, "--check", *TINY)
    assert status == 1 and out.count("right") == 2 and "gradcheck" in err
