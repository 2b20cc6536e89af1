"""Every architecture: dropout, initial loss, caches, padding, refusals, a larger vocabulary."""

from dataclasses import replace

import numpy as np
import pytest

from npgpt import BertConfig, GPTConfig, Llama, LlamaConfig, T5Config
from npgpt.models import architecture, architecture_of, resize_embeddings

LLAMA = LlamaConfig(vocab_size=11, block_size=8, n_layer=2, n_head=4, n_embd=16)
BERT = BertConfig(vocab_size=11, block_size=8, n_layer=2, n_head=2, n_embd=8)
T5_ = T5Config(vocab_size=11, block_size=8, n_layer=1, n_head=2, n_embd=8, n_decoder_layer=2,
               n_bucket=4, max_distance=4)
SMALL = {"gpt": GPTConfig(11, 8, 2, 2, 8), "llama": LLAMA, "bert": BERT, "t5": T5_}
ARCHITECTURES = pytest.mark.parametrize("arch", SMALL)


def made(config, spread=0.4, **options):
    """Return a model in float64 with weights of order one."""
    cls = architecture_of(config).Model
    model, rng = cls(config, dtype=np.float64, **options), np.random.default_rng(0)
    for name, weight in model.parameters().items():
        of_a_norm = "ln_" in name and name.endswith("weight")
        weight.data[...] = of_a_norm + rng.normal(0, spread, weight.shape)
    return model


def ids(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 11, shape)


def batch_of(arch, T=5, seed=0):
    batch = ids(2, T, seed=seed), ids(2, T, seed=seed + 1)
    return (ids(2, 6, seed=seed + 2), *batch) if arch == "t5" else batch


# ---- What all share


@ARCHITECTURES
def test_what_the_models_share(arch):
    model, batch = made(replace(SMALL[arch], dropout=0.5), seed=3), batch_of(arch)
    single = architecture(arch).Model(SMALL[arch], seed=5)
    double = architecture(arch).Model(SMALL[arch], seed=5, dtype=np.float64)
    for name, weight in double.parameters().items():
        np.testing.assert_array_equal(single.parameters()[name].data, weight.data.astype("f4"))
    first = model.loss(*batch).item()
    assert model.dropout_step == 1 and model.loss(*batch).item() != first
    model.dropout_step = 0
    assert model.loss(*batch).item() == first
    with model.evaluating():
        still = model(*batch)[1]
        assert model.loss(*batch).item() == pytest.approx(still.item(), rel=1e-12)
        assert not still.requires_grad and model(*batch[:-1])[1] is None


# ---- lengths and errors


@pytest.mark.parametrize(("call", "message"), [
    (lambda: Llama(LLAMA)(ids(1, 9)), "1 to 8"),
    (lambda: replace(LLAMA, n_kv_head=3), "n_kv_head=3"),
    (lambda: replace(T5_, n_bucket=16, max_distance=8), "max_distance"),
])
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---- a larger vocabulary

GROWN = [*SMALL.values()]
GROWN += [replace(config, tie_weights=False) for config in GROWN if hasattr(config, "tie_weights")]
GROWN += [replace(BERT, mlm_head=False)]


@pytest.mark.parametrize("config", GROWN)
def test_rows_of_new_tokens_are_initial_ones_and_the_rest_stays(config):
    before, larger = made(config), replace(config, vocab_size=14)
    model, fresh = resize_embeddings(before, larger, 3), type(before)(larger, 3, np.float64)
    assert model.config == larger
    for name, weight in model.parameters().items():
        old, new = before.parameters()[name].data, fresh.parameters()[name].data
        expected = new.copy()
        expected[tuple(map(slice, old.shape))] = old
        np.testing.assert_array_equal(weight.data, expected)
        assert (weight.shape != old.shape) == (
            name in ("wte.weight", "lm_head.weight", "mlm.bias")), name
