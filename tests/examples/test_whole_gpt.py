"""The GPT in one file computes what npgpt.GPT does: loss, every gradient, AdamW's steps."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npgpt import GPT, AdamW, GPTConfig, TrainConfig, tales
from npgpt.optim import learning_rate

PATH = Path(__file__).parents[2] / "examples" / "whole_gpt.py"
NAMES = {
    "wte": "wte.weight", "wpe": "wpe.weight", "g": "ln_f.weight", "b": "ln_f.bias",
    "g1": "ln_1.weight", "b1": "ln_1.bias", "w_qkv": "attn.c_attn.weight",
    "b_qkv": "attn.c_attn.bias", "w_o": "attn.c_proj.weight", "b_o": "attn.c_proj.bias",
    "g2": "ln_2.weight", "b2": "ln_2.bias", "w_up": "mlp.c_fc.weight", "b_up": "mlp.c_fc.bias",
    "w_down": "mlp.c_proj.weight", "b_down": "mlp.c_proj.bias",
}


@pytest.fixture(scope="module")
def page():
    spec = importlib.util.spec_from_file_location("whole_gpt", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def scalar_engine(page):
    sys.path.insert(0, str(PATH.parent))
    yield importlib.import_module("scalar_engine")
    sys.path.remove(str(PATH.parent))


def by_name(parts):
    """Return the page's arrays by the names of a GPT's parameters."""
    return {
        (f"h.{part - 1}." if part else "") + NAMES[name]: array
        for part, of in enumerate(parts)
        for name, array in of.items()
    }


def equal_models(page, config, seed, spread=0.5):
    """Return (GPT in float64, the page's equal weights), of order one, gains and biases too."""
    model = GPT(config, seed=seed, dtype=np.float64)
    rng = np.random.default_rng(seed)
    C, T = config.n_embd, config.block_size
    weights = page.initial_weights(rng, config.vocab_size, T, C, config.n_layer, np.float64)
    assert set(by_name(weights)) == set(model.parameters())
    for name, array in by_name(weights).items():
        array += rng.normal(0, spread, array.shape)
        model.parameters()[name].data[...] = array
    return model, weights


@settings(max_examples=25)
@given(
    B=st.integers(1, 3), T=st.integers(1, 7), unused=st.integers(0, 2), H=st.integers(1, 3),
    D=st.integers(1, 4), layers=st.integers(1, 3), V=st.integers(2, 9), seed=st.integers(0, 99),
)
def test_the_loss_and_every_gradient_are_the_models(page, B, T, unused, H, D, layers, V, seed):
    config = GPTConfig(V, T + unused, layers, H, H * D)
    model, weights = equal_models(page, config, seed)
    x_BT, y_BT = np.random.default_rng(seed).integers(0, V, (2, B, T))
    _, loss = model(x_BT, y_BT)
    loss.backward()
    found_loss, gradients = page.loss_and_gradients(weights, x_BT, y_BT, H)
    gradients = by_name(gradients)
    assert found_loss == pytest.approx(loss.item(), rel=1e-10, abs=1e-10)
    largest = max(np.abs(weight.grad).max() for weight in model.parameters().values())
    for name, weight in model.parameters().items():
        assert gradients[name].shape == weight.shape, name
        np.testing.assert_allclose(
            gradients[name], weight.grad, rtol=0, atol=1e-10 * largest, err_msg=name
        )


def test_it_begins_and_moves_as_the_model_does(page):
    config = GPTConfig(vocab_size=11, block_size=6, n_layer=2, n_head=2, n_embd=8)
    model = GPT(config, seed=3)
    weights = page.initial_weights(np.random.default_rng(3), 11, 6, 8, 2)
    for name, array in by_name(weights).items():
        np.testing.assert_array_equal(array, model.parameters()[name].data, err_msg=name)

    model, weights = equal_models(page, config, seed=4)
    optimizer = AdamW(model.parameters())
    m, v = ([{name: 0 * w for name, w in of.items()} for of in weights] for _ in "mv")
    training = TrainConfig(max_iters=6, warmup_iters=2, lr=0.05, min_lr=0.005)
    rng, norms = np.random.default_rng(0), []
    for step in range(6):
        x_BT, y_BT = rng.integers(0, 11, (2, 3, 6))
        model(x_BT, y_BT)[1].backward()
        rate = page.learning_rate(step, 6, 2, 0.05)
        assert rate == pytest.approx(learning_rate(step, training))
        norms.append(optimizer.step(rate))
        optimizer.zero_grad()
        _, gradients = page.loss_and_gradients(weights, x_BT, y_BT, 2)
        page.adamw(weights, gradients, m, v, step + 1, rate)
    assert min(norms) < 1 < max(norms)  # with and without clipping
    for name, array in by_name(weights).items():
        np.testing.assert_allclose(array, model.parameters()[name].data, atol=1e-9, err_msg=name)


def test_it_is_one_page_of_numpy():
    lines = PATH.read_text(encoding="utf-8").splitlines()
    imports = [line for line in lines if line.lstrip().startswith(("import ", "from "))]
    assert len(lines) <= 250
    assert [line for line in imports if "autograd" in line or "npgpt" in line] == []


@settings(max_examples=10)
@given(
    B=st.integers(1, 2), T=st.integers(1, 4), H=st.integers(1, 2), D=st.integers(1, 3),
    layers=st.integers(1, 2), V=st.integers(2, 5), seed=st.integers(0, 99),
)
def test_number_by_number_the_gradients_are_the_same(
    page, scalar_engine, B, T, H, D, layers, V, seed
):
    _, weights = equal_models(page, GPTConfig(V, T, layers, H, H * D), seed)
    x_BT, y_BT = np.random.default_rng(seed).integers(0, V, (2, B, T))
    loss, gradients = page.loss_and_gradients(weights, x_BT, y_BT, H)
    by_number, found, _ = scalar_engine.loss_and_gradients(weights, x_BT, y_BT, H)
    assert by_number == pytest.approx(loss, rel=1e-10, abs=1e-10)
    largest = max(np.abs(array).max() for array in by_name(gradients).values())
    for name, array in by_name(gradients).items():
        np.testing.assert_allclose(
            by_name(found)[name], array, rtol=0, atol=1e-10 * largest, err_msg=name
        )


def test_a_number_that_is_used_twice_has_the_sum_of_both_gradients(scalar_engine):
    a = scalar_engine.Value(3.0)
    b = a + a
    c = b * b - a / b  # 4 a^2 - 1/2
    assert c.backward() >= 5
    assert (c.data, a.grad) == (35.5, 24.0)


def test_it_says_a_blind_guess_and_nudges_one_weight(page, tmp_path, capsys):
    (tmp_path / "tales.txt").write_text(tales.generate(9_000), encoding="utf-8")
    page.main(tmp_path / "tales.txt", steps=20, T=16, C=8, H=2, layers=1)
    first, *_, last = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"a blind guess: loss ln (\d+) = 3\.\d+", first)
    rule, nudged = re.findall(r"-?0\.\d{7}", last)
    assert float(rule) == pytest.approx(float(nudged), abs=1e-6) and abs(float(rule)) > 1e-4


def test_it_computes_on_one_thread():
    pytest.importorskip("threadpoolctl")
    code = "import whole_gpt, threadpoolctl; print(threadpoolctl.threadpool_info())"
    free = {name: value for name, value in os.environ.items() if "_NUM_THREADS" not in name}
    found = subprocess.run([sys.executable, "-c", code], cwd=PATH.parent, env=free, check=True,
                           capture_output=True, text=True).stdout
    threads = [info["num_threads"] for info in ast.literal_eval(found)]
    assert threads and set(threads) == {1}


@pytest.mark.slow
def test_it_learns_a_text_and_tells_another(page, tmp_path, capsys):
    text = tmp_path / "tales.txt"
    text.write_text(tales.generate(50_000), encoding="utf-8")
    page.main(text, steps=301, T=32, C=32, layers=1, B=8)
    out = capsys.readouterr().out
    last = [float(line.split()[-1]) for line in out.splitlines() if line.startswith("step ")][-1]
    assert last < 2.3  # what the frequencies of pairs of characters give
    assert len(out[out.index("not seen", out.rindex("step ")) :]) > 600
    with pytest.raises(SystemExit, match="20 characters"):
        text.write_text("Once upon a time ...", encoding="utf-8")
        page.main(text)
