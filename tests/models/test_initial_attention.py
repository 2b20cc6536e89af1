"""Before any training, heads of BERT and T5 look at their neighbours; GPT and Llama have none."""

import numpy as np
import pytest

from npgpt import Bert, BertConfig
from npgpt.models.initial_attention import neighbours


@pytest.mark.parametrize("n_head", [2, 8])
def test_heads_of_a_new_bert_find_their_neighbour(n_head):
    model = Bert(BertConfig(40, 60, 1, n_head, 128), seed=0)
    attention, tokens = model.h[0].attn, np.random.default_rng(0).integers(0, 40, 60)
    x_TC = model.ln_e(model.wte(tokens) + model.wpe(np.arange(60))).data
    q, k = (
        (x_TC @ part.weight.data).reshape(60, n_head, -1).swapaxes(0, 1)
        for part in (attention.q, attention.k)
    )
    for scores_TT, ahead in zip(q @ k.swapaxes(1, 2), neighbours(n_head), strict=True):
        found_T = scores_TT[5:-5].argmax(axis=1) - np.arange(5, 55)
        assert (found_T == ahead).mean() > 0.8
