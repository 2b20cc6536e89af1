"""Every architecture: dropout, initial loss, caches, padding, refusals, a larger vocabulary."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npgpt import T5, Bert, BertConfig, GPTConfig, Llama, LlamaConfig, T5Config
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


# ---- caches


# ---- padding


def masked_call(arch, model, mask, seed=0):
    """Return logits; the tokens at padding are drawn by `seed`."""
    text = np.where(mask == 1, ids(*mask.shape), ids(*mask.shape, seed=seed))
    if arch == "bert":
        return model(text, mask_BT=mask)[0].data
    return model(text, ids(len(mask), 5), mask_BS=mask)[0].data


@pytest.mark.parametrize("arch", ["bert", "t5"])
def test_padding_at_the_end_is_as_if_it_were_not_there(arch):
    model, mask = made(SMALL[arch]), np.array([[1, 1, 1, 0, 0]])
    padded, whole = masked_call(arch, model, mask), masked_call(arch, model, mask[:, :3])
    padded = padded[:, :3] if arch == "bert" else padded
    np.testing.assert_allclose(padded, whole, rtol=1e-10, atol=1e-12)


# ---- lengths and errors


@pytest.mark.parametrize(("call", "message"), [
    (lambda: Llama(LLAMA)(ids(1, 9)), "1 to 8"),
    (lambda: Llama(LLAMA)(ids(8)), r"\(8,\)"),
    (lambda: T5(T5_)(ids(1, 0), ids(1, 2)), r"\(1, 0\)"),
    (lambda: Bert(replace(BERT, mlm_head=False))(ids(1, 3)), "hidden"),
    (lambda: replace(LLAMA, n_kv_head=3), "n_kv_head=3"),
    (lambda: replace(LLAMA, n_embd=12), "n_embd=16"),
    (lambda: replace(LLAMA, rope_base=0.0), "rope_base"),
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
@given(more=st.integers(1, 30), seed=st.integers(0, 3))
@settings(max_examples=5)
def test_rows_of_new_tokens_are_initial_ones_and_the_rest_stays(config, more, seed):
    before, larger = made(config), replace(config, vocab_size=11 + more)
    model, fresh = resize_embeddings(before, larger, seed), type(before)(larger, seed, np.float64)
    assert model.config == larger
    of_vocabulary = set()
    for name, weight in model.parameters().items():
        old, new = before.parameters()[name].data, fresh.parameters()[name].data
        if weight.shape != old.shape:
            of_vocabulary.add(name)
            axis = [*np.equal(weight.shape, old.shape)].index(False)
            (kept, added), (_, drawn) = (np.split(of, [11], axis) for of in (weight.data, new))
            np.testing.assert_array_equal(added, drawn)
        else:
            kept = weight.data
        np.testing.assert_array_equal(kept, old)
    tied = getattr(config, "tie_weights", True)
    has_bias = getattr(config, "mlm_head", False)
    expected = ["wte.weight"] + ["lm_head.weight"] * (not tied) + ["mlm.bias"] * has_bias
    assert of_vocabulary == set(expected)
