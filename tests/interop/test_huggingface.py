"""Models in the format of the transformers library, with the same numbers there and here."""

import json
import os
import re
import shutil
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from npgpt import GPT, T5, Bert, BertConfig, GPTConfig, Llama, LlamaConfig, T5Config
from npgpt.files import read_arrays

IDX_BT = np.random.default_rng(0).integers(0, 7, (2, 5))
CONFIG = GPTConfig(vocab_size=7, block_size=6, n_layer=2, n_head=2, n_embd=8)


def order_one(model):
    rng = np.random.default_rng(1)
    for weight in model.parameters().values():
        weight.data[...] = rng.normal(0, 0.5, weight.shape)
    return model


@settings(max_examples=15, deadline=None)
@given(
    bias=st.booleans(), tie_weights=st.booleans(), n_layer=st.integers(1, 3),
    heads=st.integers(1, 3), size=st.integers(1, 4), vocab_size=st.integers(7, 30),
)
def test_a_model_comes_back_as_it_was(
    tmp_path_factory, bias, tie_weights, n_layer, heads, size, vocab_size
):
    folder = tmp_path_factory.mktemp("model")
    config = GPTConfig(vocab_size, 6, n_layer, heads, heads * size, 0.1, bias, tie_weights)
    model = order_one(GPT(config)).eval()
    model.save_pretrained(folder)
    again = GPT.from_pretrained(folder).eval()
    assert vars(again.config) == vars(config) | {"bias": True}
    np.testing.assert_array_equal(again(IDX_BT)[0].data, model(IDX_BT)[0].data)


@pytest.mark.parametrize("tie_weights", [True, False])
@pytest.mark.slow
def test_transformers_computes_the_same_logits(tmp_path, tie_weights):
    transformers = pytest.importorskip("transformers", reason="the peer: pip install '.[peers]'")
    torch = pytest.importorskip("torch", reason="the peer: pip install '.[peers]'")
    config = GPTConfig(**(vars(CONFIG) | {"tie_weights": tie_weights}))
    model = order_one(GPT(config))
    model.save_pretrained(tmp_path / "ours")
    theirs = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "ours").eval()
    with torch.no_grad():
        logits_BTV = theirs(torch.tensor(IDX_BT)).logits.numpy()
    np.testing.assert_allclose(logits_BTV, model(IDX_BT)[0].data, rtol=1e-4, atol=1e-5)
    theirs.save_pretrained(tmp_path / "theirs")
    again = GPT.from_pretrained(tmp_path / "theirs")
    np.testing.assert_array_equal(again(IDX_BT)[0].data, model(IDX_BT)[0].data)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.slow
def test_weights_in_half_the_bits_are_read_as_transformers_reads_them(tmp_path, dtype):
    transformers = pytest.importorskip("transformers", reason="the peer: pip install '.[peers]'")
    torch = pytest.importorskip("torch", reason="the peer: pip install '.[peers]'")
    order_one(GPT(CONFIG)).save_pretrained(tmp_path / "ours")
    half = transformers.GPT2LMHeadModel.from_pretrained(
        tmp_path / "ours", dtype=getattr(torch, dtype)
    )
    half.save_pretrained(tmp_path / "half")
    theirs = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "half", dtype=torch.float32)
    ours = GPT.from_pretrained(tmp_path / "half")
    for name, weight in theirs.named_parameters():
        found = ours.parameters()[name.removeprefix("transformer.")]
        np.testing.assert_array_equal(found.data, weight.detach().numpy())
    with torch.no_grad():
        logits_BTV = theirs.eval()(torch.tensor(IDX_BT)).logits.numpy()
    np.testing.assert_allclose(ours(IDX_BT)[0].data, logits_BTV, rtol=1e-4, atol=1e-5)


def bfloat16_file(path, name, bits):
    """Write a safetensors file with one bfloat16 array.    bits: the bits of each number"""
    head = {name: {"dtype": "BF16", "shape": [len(bits)], "data_offsets": [0, 2 * len(bits)]}}
    header = json.dumps(head).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + np.array(bits, "<u2").tobytes())


def test_every_bfloat16_number_is_read_exactly(tmp_path):
    bits = np.arange(1 << 16)
    bfloat16_file(tmp_path / "all.safetensors", "all", bits)
    found = read_arrays(tmp_path / "all.safetensors")["all"]
    sign, exponent, fraction = bits >> 15, (bits >> 7) & 0xFF, bits & 0x7F
    small = exponent == 0
    value = np.ldexp(np.where(small, fraction, fraction + 128), np.where(small, 1, exponent) - 134)
    expected = np.where(sign == 1, -value, value)
    finite = exponent < 0xFF
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[finite], expected[finite])
    np.testing.assert_array_equal(np.isnan(found), ~finite & (fraction > 0))
    np.testing.assert_array_equal(np.isinf(found), ~finite & (fraction == 0))


def test_gelu_pytorch_tanh_is_the_same_function(tmp_path):
    model = order_one(GPT(CONFIG))
    model.save_pretrained(tmp_path)
    rewritten(tmp_path, activation_function="gelu_pytorch_tanh")
    again = GPT.from_pretrained(tmp_path)
    np.testing.assert_array_equal(again(IDX_BT)[0].data, model(IDX_BT)[0].data)


@pytest.mark.parametrize(
    "content",
    [b"{}", b'{"weight_map": null}', b'{"weight_map": ["a"]}', b'{"weight_map": {"a": 3}}',
     b'{"weight_map": {"a": null}}', b'{"weight_map": {"a": "a\\u0000b"}}', b"[]", b"{",
     b'{"a": ' * 100_000, b"\xff", b""],
)
def test_an_index_that_lists_no_files_is_refused_by_name(tmp_path, content):
    GPT(CONFIG).save_pretrained(tmp_path)
    index = tmp_path / "model.safetensors.index.json"
    index.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(str(index))) as refused:
        GPT.from_pretrained(tmp_path)
    assert re.search("again|a copy of it", str(refused.value))  # what to do


def linked(path, target):
    try:
        path.symlink_to(target)
    except OSError:
        pytest.skip("links are not allowed here")


@pytest.mark.parametrize(
    "name", ["../elsewhere.safetensors", "{outside}", "sub/../../elsewhere.safetensors", "link",
             "device", ".."],
)
def test_no_file_outside_the_folder_is_read(tmp_path, name):
    folder, outside = tmp_path / "model", tmp_path / "elsewhere.safetensors"
    GPT(CONFIG).save_pretrained(folder)
    (folder / "sub").mkdir()
    shutil.copy(folder / "model.safetensors", outside)
    if name == "link":
        linked(folder / name, outside)
    elif name == "device":
        linked(folder / name, os.devnull)
    index = {"weight_map": {"a": name.format(outside=outside)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(ValueError, match="leads out of its folder"):
        GPT.from_pretrained(folder)


def test_a_config_that_asks_for_more_than_any_memory_is_compared_with_the_weights_first(tmp_path):
    GPT(CONFIG).save_pretrained(tmp_path)
    for huge in ({"n_embd": 2**40}, {"n_layer": 2**62}, {"n_positions": 2**50}):
        config = (tmp_path / "config.json").read_text(encoding="utf-8")
        rewritten(tmp_path, **huge)
        with pytest.raises(ValueError, match="but the model in config.json .*use the files"):
            GPT.from_pretrained(tmp_path)
        (tmp_path / "config.json").write_text(config, encoding="utf-8")


def rewritten(folder, **changes):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8")) | changes
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def test_names_without_prefix_and_stored_masks_are_read(tmp_path):
    model = order_one(GPT(CONFIG))
    model.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    arrays = {name.removeprefix("transformer."): a for name, a in load_file(path).items()}
    arrays["h.0.attn.bias"] = np.tri(6, dtype=np.float32)[None, None]
    save_file({name: a.astype(np.float16) for name, a in arrays.items()}, path)
    again = GPT.from_pretrained(tmp_path)
    weight = again.parameters()["h.1.mlp.c_fc.weight"].data
    assert weight.dtype == np.float32
    np.testing.assert_allclose(weight, model.parameters()["h.1.mlp.c_fc.weight"].data, atol=1e-3)


def test_weights_in_several_files_are_read(tmp_path):
    model = order_one(GPT(CONFIG))
    model.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    arrays = load_file(path)
    path.unlink()
    parts = {"one.safetensors": list(arrays)[::2], "two.safetensors": list(arrays)[1::2]}
    for part, names in parts.items():
        save_file({name: arrays[name] for name in names}, tmp_path / part)
    index = {"weight_map": {name: part for part, names in parts.items() for name in names}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    again = GPT.from_pretrained(tmp_path)
    np.testing.assert_array_equal(again(IDX_BT)[0].data, model(IDX_BT)[0].data)
    (tmp_path / "two.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="two.safetensors is missing; check the path"):
        GPT.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda f: (f / "config.json").unlink(), FileNotFoundError, "has no config.json; name a"),
        (lambda f: (f / "model.safetensors").unlink(), FileNotFoundError, "pickled weights"),
        (lambda f: (f / "config.json").write_bytes(b"{"), ValueError, "is damaged"),
        (lambda f: (f / "config.json").write_bytes(b"[]"), ValueError, "is damaged"),
        (lambda f: (f / "config.json").write_bytes(b"{}"), ValueError, "does not give"),
        (lambda f: (f / "model.safetensors").write_bytes(b"abc"), ValueError, "is damaged, or its"),
        (lambda f: rewritten(f, model_type="llama"), ValueError, "'llama'.*use Llama.from_pretra"),
        (lambda f: rewritten(f, model_type="opt"), ValueError, "'opt'.*use a model such as gpt2"),
        (lambda f: rewritten(f, activation_function="relu"), ValueError, "activation_function"),
        (lambda f: rewritten(f, n_embd=None), ValueError, r"does not give \['n_embd'\] as ints"),
        (lambda f: rewritten(f, n_positions="6"), ValueError, "describes no model.*block_size='6'"),
        (lambda f: rewritten(f, n_layer=-1), ValueError, "n_layer=-1; use an int of 1 or more"),
        (lambda f: rewritten(f, n_inner=9), ValueError, "n_inner=9"),
        (lambda f: rewritten(f, n_layer=1), ValueError, r"weights (\S+ ){3}and 9 more have"),
        (lambda f: rewritten(f, n_layer=3), ValueError, "weight h.2.ln_1.weight is absent"),
        (lambda f: rewritten(f, vocab_size=8), ValueError, r"wte.weight is \(7, 8\), by config.js"),
    ],
)
def test_a_folder_that_cannot_be_used_says_what_to_do(tmp_path, spoil, error, message):
    GPT(CONFIG).save_pretrained(tmp_path)
    spoil(tmp_path)
    with pytest.raises(error, match=message):
        GPT.from_pretrained(tmp_path)


# ---- the other architectures

ROPE = {"rope_type": "default", "rope_theta": 1e4}
REFUSED = [
    (Llama, {"hidden_act": "gelu"}, "hidden_act='gelu'"),
    (Llama, {"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling="),
    (Llama, {"rope_parameters": ROPE | {"rope_type": "llama3"}}, "rope_parameters=.*'llama3'"),
    (Llama, {"rope_parameters": ROPE | {"factor": 2.0}}, "rope_parameters=.*'factor': 2.0"),
    (Llama, {"attention_bias": True}, "attention_bias=True"),
    (Llama, {"mlp_bias": True}, "mlp_bias=True"),
    (Llama, {"sliding_window": 4096}, "sliding_window=4096"),
    (Llama, {"head_dim": 3}, "head_dim=3"),
    (Llama, {"quantization_config": {"bits": 4}}, "quantization_config="),
    (Llama, {"model_type": "mistral"}, "'mistral', not 'llama'; use a model such as TinyLlama"),
    (Llama, {"model_type": "bert"}, "'bert', not 'llama'; use Bert.from_pretrained"),
    (Llama, {"model_type": ["x"]}, r"\['x'\], not 'llama'; use a model such as"),
    (Llama, {"num_key_value_heads": 3}, "describes no model.*n_kv_head=3 does not divide"),
    (Llama, {"num_attention_heads": 0}, "describes no model.*n_head=0"),
    (Llama, {"intermediate_size": None}, r"does not give \['intermediate_size'\] as ints"),
    (Llama, {"intermediate_size": 9}, r"weight h.0.mlp.gate.weight is \(8, 24\), by config.json"),
    (Llama, {"tie_word_embeddings": False}, "weight lm_head.weight is absent"),
    (Llama, {"num_hidden_layers": 1}, "model.layers.1|h.1.* have no place in a model"),
    (Llama, {"num_hidden_layers": 2**62}, "but the model in config.json"),
    (Bert, {"hidden_act": "relu"}, "hidden_act='relu'"),
    (Bert, {"position_embedding_type": "relative_key"}, "position_embedding_type='relative_key'"),
    (Bert, {"is_decoder": True}, "is_decoder=True"),
    (Bert, {"tie_word_embeddings": False}, "tie_word_embeddings=False"),
    (Bert, {"layer_norm_eps": 1e-5}, "layer_norm_eps=1e-05"),
    (Bert, {"hidden_size": 2**40}, "but the model in config.json"),
    (T5, {"feed_forward_proj": "gated-silu"}, "feed_forward_proj='gated-silu'"),
    (T5, {"dense_act_fn": "gelu"}, "dense_act_fn='gelu'"),
    (T5, {"layer_norm_epsilon": 1e-5}, "layer_norm_epsilon=1e-05"),
    (T5, {"is_encoder_decoder": False}, "is_encoder_decoder=False"),
    (T5, {"d_kv": 2**50}, "but the model in config.json"),
]
CONFIGS = {
    Llama: LlamaConfig(7, 6, 2, 2, 8), Bert: BertConfig(7, 6, 2, 2, 8), T5: T5Config(7, 6, 2, 2, 8),
}


@pytest.mark.parametrize(("cls", "changes", "message"), REFUSED)
def test_what_is_not_built_here_is_refused_by_name(tmp_path, cls, changes, message):
    cls(CONFIGS[cls]).save_pretrained(tmp_path)
    rewritten(tmp_path, **changes)
    with pytest.raises(ValueError, match=message) as refused:
        cls.from_pretrained(tmp_path)
    assert "use " in str(refused.value)


@pytest.mark.parametrize("cls", [GPT, Llama, T5])
def test_an_output_layer_that_config_json_says_is_the_embedding_has_to_be_it(tmp_path, cls):
    config = CONFIG if cls is GPT else CONFIGS[cls]
    order_one(cls(replace(config, tie_weights=False))).save_pretrained(tmp_path)
    rewritten(tmp_path, tie_word_embeddings=True)
    with pytest.raises(ValueError, match="set tie_word_embeddings to false"):
        cls.from_pretrained(tmp_path)


def test_a_t5_that_is_not_scaled_may_have_the_embedding_for_a_head(tmp_path):
    model = order_one(T5(CONFIGS[T5]))
    model.save_pretrained(tmp_path)
    rewritten(tmp_path, scale_decoder_outputs=False)
    logits, scaled = T5.from_pretrained(tmp_path)(IDX_BT, IDX_BT)[0], model(IDX_BT, IDX_BT)[0]
    np.testing.assert_allclose(logits.data, scaled.data * 8**0.5, rtol=1e-4, atol=1e-5)


def test_names_of_old_berts_and_heads_that_are_not_built_are_read(tmp_path):
    model = order_one(Bert(CONFIGS[Bert]))
    model.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    arrays = {
        name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): array
        for name, array in load_file(path).items()
    }
    table = arrays["bert.embeddings.word_embeddings.weight"]
    arrays |= {
        "bert.pooler.dense.weight": np.zeros((8, 8), "f4"),
        "bert.embeddings.position_ids": np.arange(6)[None],
        "cls.seq_relationship.weight": np.zeros((2, 8), "f4"),
        "cls.predictions.decoder.weight": table.copy(),
    }
    save_file(arrays, path)
    again = Bert.from_pretrained(tmp_path)
    np.testing.assert_array_equal(again(IDX_BT)[0].data, model(IDX_BT)[0].data)


def test_settings_that_old_files_of_llamas_have_elsewhere_or_leave_out_are_read(tmp_path):
    model = order_one(Llama(replace(CONFIGS[Llama], rope_base=500.0)))
    model.save_pretrained(tmp_path)
    rewritten(tmp_path, rope_parameters=None, rope_theta=500.0, num_key_value_heads=None)
    again = Llama.from_pretrained(tmp_path)
    assert again.config.rope_base == 500.0 and again.config.kv_heads == 2
    np.testing.assert_array_equal(again(IDX_BT)[0].data, model(IDX_BT)[0].data)
