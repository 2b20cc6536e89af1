"""The fast path, `npgpt.fast.decoder`, against the plain path: the model itself."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autograd import backend
from npgpt import GPT, Bert, Llama
from npgpt.fast import storage
from npgpt.fast.storage import STORAGE_FORMATS, restored, stored, use_storage
from npgpt.generate import CachedLogits, decoding_steps
from npgpt.sampling import Sampling

pytestmark = pytest.mark.kernels
if backend.name == "numba":
    from autograd.kernels import decode
    from npgpt.fast import decoder
    from npgpt.fast.decoder import Decoder

V, BLOCK_SIZE = 61, 16
CLOSE = 1e-5  # of the largest logit: what rounding may do
LLAMA = {"Model": Llama, "n_kv_head": 1, "n_inner": 96}


def a_model(Model=GPT, **changes):
    """Return a model with weights of order one: a new model's logits are nearly the same."""
    config = {"vocab_size": V, "block_size": BLOCK_SIZE, "n_layer": 2, "n_head": 3, "n_embd": 96}
    model = Model(Model.Config(**config | changes), seed=3)
    rng = np.random.default_rng(4)
    for weight in model.parameters().values():
        scale = 1 / np.sqrt(weight.shape[0] if weight.data.ndim == 2 else 4)
        weight.data += (scale * rng.standard_normal(weight.shape)).astype(np.float32)
    return model


@pytest.fixture(scope="module")
def one_thread():
    """Not here."""


@pytest.fixture(params=["one thread", "all threads", "all threads, prompts by the plain path"])
def threads(request, monkeypatch):
    """The models here are so small that they would never be shared by threads, and their windows so
    short that no prompt would take the plain path."""
    monkeypatch.setattr(decode, "SMALL", 10**9 if request.param == "one thread" else 0)
    monkeypatch.setattr(decoder, "SHORT", 3 if "plain" in request.param else 64)


def plain(model):
    return CachedLogits(model.next_logits, model.config.block_size)


def assert_close(found_BV, expected_BV):
    assert np.abs(found_BV - expected_BV).max() <= CLOSE * np.abs(expected_BV).max()


@pytest.fixture(scope="module", params=[
    {}, {"bias": False}, {"tie_weights": False}, LLAMA,
    {"Model": Llama, "n_inner": 50, "tie_weights": False, "rope_base": 50.0, "norm_eps": 0.1},
])
def model(request):
    return a_model(**request.param)


prompts = st.lists(
    st.lists(st.integers(0, V - 1), min_size=1, max_size=BLOCK_SIZE + 9), min_size=1, max_size=6
)


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prompts, st.integers(0, 2**32), st.integers(1, 2 * BLOCK_SIZE))
def test_every_logit_is_that_of_the_plain_path(model, threads, rows, seed, new):
    """Rows of any lengths, whose windows move at different times."""
    rows = [np.array(row) for row in rows]
    fast, fresh = Decoder(model), plain(model)
    for step in decoding_steps(fast, rows, new, Sampling(), block_size=BLOCK_SIZE, seed=seed):
        contexts = fast.read
        assert_close(step.logits_BV, fresh(contexts))
        whole = [model.next_logits(context[None])[0] for context in contexts]
        assert_close(step.logits_BV, np.stack(whole))


@pytest.mark.parametrize("kind", ["bf16", "int8", "q8"])
@pytest.mark.parametrize("tie_weights", [True, False])
@pytest.mark.parametrize(("changes", "matrices"), [({}, 12 * 96), (LLAMA, 5 * 96 + 2 * 32)])
def test_weights_in_fewer_bytes_are_those_left_in_the_model(
    threads, kind, tie_weights, changes, matrices
):
    model = use_storage(a_model(tie_weights=tie_weights, **changes), kind)
    fast = model.decoder()
    assert isinstance(fast, Decoder)
    rows = [np.arange(5), np.arange(3)]
    new = 2 * BLOCK_SIZE
    for step in decoding_steps(fast, rows, new, Sampling(), block_size=BLOCK_SIZE, seed=1):
        whole = [model.next_logits(context[None])[0] for context in fast.read]
        assert_close(step.logits_BV, np.stack(whole))
    weights = (2 * matrices + V) * 96
    assert fast.bytes_per_token == weights * {"bf16": 2, "int8": 1, "q8": 1 + 4 / 32}[kind]


def test_the_number_of_threads_changes_no_bit(monkeypatch):
    model, found = a_model(), []
    for small in (0, 10**9):
        monkeypatch.setattr(decode, "SMALL", small)
        rows = [np.arange(3)] * 5
        new = decoding_steps(Decoder(model), rows, 6, Sampling(), block_size=BLOCK_SIZE, seed=1)
        found.append([step.logits_BV for step in new])
    np.testing.assert_array_equal(*found)


@pytest.fixture
def stepped(monkeypatch):
    """How many rows each call of the compiled step computes."""
    rows, gpt_step = [], decode.gpt_step
    monkeypatch.setattr(decode, "gpt_step",
                        lambda x_BC, *rest: (rows.append(len(x_BC)), gpt_step(x_BC, *rest)))
    return rows


def test_samples_of_one_prompt_share_its_computation(stepped):
    texts = use_storage(a_model(), "fp32").generate([[*range(7)]] * 4 + [[1, 2]], 5, seed=0)
    assert stepped == [7, 2, 5, 5, 5, 5]
    assert len({tuple(text) for text in texts}) == 5


@pytest.mark.parametrize("token", [-1, V])
def test_unknown_tokens_are_refused_as_by_the_plain_path(token):
    for next_logits in Decoder(a_model()), plain(a_model()):
        with pytest.raises(IndexError, match=str(token)):
            next_logits([np.array([1, token])])


@pytest.mark.parametrize("limit", [0, 10**9])
def test_a_large_pretrained_model_generates_by_the_compiled_path(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(storage, "COMPILED", limit)
    a_model().save_pretrained(tmp_path)
    usual = GPT.from_pretrained(tmp_path)
    by_ops = GPT.from_pretrained(tmp_path, weights="plain")
    assert isinstance(usual.decoder(), CachedLogits if limit else Decoder)
    assert isinstance(by_ops.decoder(), CachedLogits)
    same = [model.generate([5, 7], 12, temperature=0) for model in (usual, by_ops)]
    np.testing.assert_array_equal(*same)


def test_weights_changed_in_place_between_two_calls_are_seen():
    model = use_storage(a_model(), "fp32")
    before = model.generate([5], 12, temperature=0)
    for name in ("h.1.mlp.c_fc.weight", "wte.weight", "h.0.ln_1.weight"):
        model.parameters()[name].data[:] *= -1
    after = model.generate([5], 12, temperature=0)
    expected = use_storage(model, "plain").generate([5], 12, temperature=0)
    assert (after != before).any()
    np.testing.assert_array_equal(after, expected)


def test_a_model_without_a_choice_of_weights_takes_the_plain_path():
    assert isinstance(GPT(a_model().config).decoder(), CachedLogits)
    bert = Bert(Bert.Config(vocab_size=5, block_size=8, n_layer=1, n_head=1, n_embd=4))
    assert use_storage(bert, "fp32").storage is None
    for model, kind, fact in ((bert, "int8", "Bert"), (a_model(n_embd=48), "q8", "32")):
        with pytest.raises(ValueError, match=fact):
            use_storage(model, kind)


@pytest.mark.parametrize("kind", STORAGE_FORMATS)
def test_rounded_weights_are_the_nearest_that_can_be_stored(kind):
    rng = np.random.default_rng(0)
    weight_OI = rng.standard_normal((50, 64)).astype(np.float32)
    weight_OI[3] = 0
    array, scales = stored(weight_OI, kind)
    error = np.abs(restored(array, scales) - weight_OI)
    largest = np.abs(weight_OI.reshape(50, -1, 32)).max(axis=2).repeat(32, axis=1)
    half_step = {"fp32": 0 * weight_OI, "bf16": np.abs(weight_OI) * 2**-8,
                 "int8": np.abs(weight_OI).max(axis=1, keepdims=True) / 254,
                 "q8": largest / 254 * (1 + 2**-11)}[kind]  # the scale is rounded to float16
    assert (error <= half_step * 1.0001).all()
    again, again_scales = stored(restored(array, scales), kind)
    np.testing.assert_array_equal(again, array)  # so a Decoder stores what the model was left with
    np.testing.assert_allclose(again_scales, scales, rtol=1e-6)


def test_a_decoder_goes_on_with_another_text(model):
    """A text that is one token longer than the last one may differ from it at its beginning."""
    fast = Decoder(model)
    fast([np.array([1, 2, 3]), np.array([4, 5])])
    for contexts in ([1, 9, 3, 7], [4, 5, 6]), ([1, 9, 3, 8, 2, 2], [4, 5]), ([7], [4, 5, 1, 1]):
        contexts = list(map(np.array, contexts))
        assert_close(fast(contexts), plain(model)(contexts))


def test_of_a_text_that_begins_as_before_only_the_rest_is_computed(stepped):
    fast = Decoder(a_model())
    for context in ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 9, 9, 9], [1, 2, 3, 4]):
        fast([np.array(context)])
    assert stepped == [6, 3, 1]


@pytest.mark.parametrize("decoding", [Decoder, plain] if backend.name == "numba" else [])
def test_a_text_that_its_owner_changes_is_read_again(decoding):
    """As a list that grows, or an array written in place: what was read before is not taken."""
    model = a_model()
    decode_next, contexts = decoding(model), [np.array([1, 2, 3]), np.array([4, 5])]
    decode_next(contexts)
    contexts[0][:] = 7, 8, 9
    contexts[0], contexts[1] = np.append(contexts[0], 3), np.array([4, 5, 6])
    assert_close(decode_next(contexts), plain(model)(contexts))
