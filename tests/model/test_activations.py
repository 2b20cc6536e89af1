"""The inside of a pass, against the model computed part by part."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from autograd import Tensor, no_grad
from npgpt import GPT, Llama
from npgpt.activations import activations


@given(st.sampled_from([GPT, Llama]), st.integers(1, 3), st.sampled_from([(1, 1), (4, 2), (3, 1)]),
       st.integers(1, 3), st.integers(1, 7), st.booleans())
def test_the_inside_of_a_pass_adds_up_to_its_logits(Model, L, heads, half, T, tied):
    (H, G), B, V = heads, 2, 9
    shared = {"n_kv_head": G} if Model is Llama else {"dropout": 0.5}
    model = Model(Model.Config(V, 8, L, H, 2 * half * H, tie_weights=tied, **shared))
    ids_BT = np.random.default_rng(T).integers(0, V, (B, T))
    found = activations(model, ids_BT)
    with no_grad():
        expected = model.eval()(ids_BT)[0].data
        last = model.head(model.ln_f(Tensor(found.stream_PBTC[-1]))).data
    np.testing.assert_array_equal(found.logits_BTV, expected)
    np.testing.assert_allclose(last, expected, atol=1e-6)
    assert found.stream_PBTC.shape == (2 * L + 1, B, T, 2 * half * H)
    assert found.weights_LBHTT.shape == (L, B, H, T, T) and found.logits_BTV.dtype == np.float32
    np.testing.assert_array_equal(np.triu(found.weights_LBHTT, 1), 0)
    for layer, block in enumerate(model.h):  # what attention adds is the mean of values by weights
        x_BTC, after_BTC = found.stream_PBTC[2 * layer : 2 * layer + 2]
        with no_grad():
            n_BTC = block.ln_1(Tensor(x_BTC))
            if Model is GPT:
                v_BHTD = block.attn.heads(n_BTC)[2].data
            else:
                v_BTE = block.attn.v(n_BTC).data.reshape(B, T, G, -1)
                v_BHTD = v_BTE.swapaxes(1, 2).repeat(H // G, axis=1)
            y_BTHD = (found.weights_LBHTT[layer] @ v_BHTD).swapaxes(1, 2)
            project = block.attn.c_proj if Model is GPT else block.attn.o
            added = project(Tensor(y_BTHD.reshape(B, T, -1))).data
        np.testing.assert_allclose(x_BTC + added, after_BTC, atol=1e-5)
