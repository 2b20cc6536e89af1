"""Models in the format of the transformers library, with the same numbers there and here."""

import json
import os
import re
import shutil
import struct
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from npgpt import GPT, T5, Bert, BertConfig, GPTConfig, Llama, LlamaConfig, T5Config
from npgpt.support.files import read_arrays

IDX_BT = np.random.default_rng(0).integers(0, 7, (2, 5))
CONFIG = GPTConfig(vocab_size=7, block_size=6, n_layer=2, n_head=2, n_embd=8)


def order_one(model):
    rng = np.random.default_rng(1)
    for weight in model.parameters().values():
        weight.data[...] = rng.normal(0, 0.5, weight.shape)
    return model


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


def test_every_bfloat16_number_is_read_exactly(tmp_path):
    bits, path = np.arange(1 << 16), tmp_path / "all.safetensors"
    head = {"all": {"dtype": "BF16", "shape": [1 << 16], "data_offsets": [0, 1 << 17]}}
    header = json.dumps(head).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bits.astype("<u2").tobytes())
    found = read_arrays(path)["all"]
    sign, exponent, fraction = bits >> 15, (bits >> 7) & 0xFF, bits & 0x7F
    small = exponent == 0
    value = np.ldexp(np.where(small, fraction, fraction + 128), np.where(small, 1, exponent) - 134)
    expected = np.where(sign == 1, -value, value)
    finite = exponent < 0xFF
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[finite], expected[finite])
    np.testing.assert_array_equal(np.isnan(found), ~finite & (fraction > 0))
    np.testing.assert_array_equal(np.isinf(found), ~finite & (fraction == 0))


@pytest.mark.parametrize("content", [
    b"{}", b'{"weight_map": null}', b'{"weight_map": ["a"]}', b'{"weight_map": {"a": 3}}',
    b'{"weight_map": {"a": null}}', b"[]", b"{", b'{"a": ' * 100_000, b"\xff", b"",
])
def test_an_index_that_lists_no_files_is_refused_by_name(tmp_path, content):
    GPT(CONFIG).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(str(tmp_path))) as refused:
        GPT.from_pretrained(tmp_path)
    assert re.search("again|a copy of it", str(refused.value))  # what to do


@pytest.mark.parametrize(
    "name", ["../elsewhere.safetensors", "{outside}", "sub/../../elsewhere.safetensors", "link",
             "device", ".."],
)
def test_no_file_outside_the_folder_is_read(tmp_path, name):
    folder, outside = tmp_path / "model", tmp_path / "elsewhere.safetensors"
    GPT(CONFIG).save_pretrained(folder)
    (folder / "sub").mkdir()
    shutil.copy(folder / "model.safetensors", outside)
    if name in ("link", "device"):
        (folder / name).symlink_to(outside if name == "link" else os.devnull)
    index = {"weight_map": {"a": name.format(outside=outside)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(ValueError, match="out of "):
        GPT.from_pretrained(folder)


def rewritten(folder, **changes):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8")) | changes
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


@pytest.mark.parametrize("cls", [GPT, Bert, T5])
def test_a_model_that_names_no_dropout_has_none_and_is_not_in_training(tmp_path, cls):
    cls(CONFIGS[cls]).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    said = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({name: v for name, v in said.items() if "drop" not in name}))
    model = cls.from_pretrained(tmp_path)
    assert model.config.dropout == 0 and not model.training


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
    with pytest.raises(FileNotFoundError, match="two.safetensors"):
        GPT.from_pretrained(tmp_path)


@pytest.mark.parametrize(("spoil", "error", "message"), [
    (lambda f: (f / "config.json").unlink(), FileNotFoundError, "config.json"),
    (lambda f: (f / "model.safetensors").unlink(), FileNotFoundError, "missing"),
    (lambda f: (f / "config.json").write_bytes(b"{"), ValueError, "config.json is damaged"),
    (lambda f: (f / "config.json").write_bytes(b"[]"), ValueError, "config.json is damaged"),
    (lambda f: (f / "config.json").write_bytes(b"{}"), ValueError, "config.json"),
    (lambda f: (f / "model.safetensors").write_bytes(b"abc"), ValueError, "model.safetensors"),
    (lambda f: rewritten(f, model_type="llama"), ValueError, "'llama'"),
    (lambda f: rewritten(f, model_type="opt"), ValueError, "'opt'.*GPT2"),
    (lambda f: rewritten(f, activation_function="relu"), ValueError, "activation_function"),
    (lambda f: rewritten(f, n_embd=None), ValueError, "'n_embd'"),
    (lambda f: rewritten(f, n_positions="6"), ValueError, "'n_positions'"),
    (lambda f: rewritten(f, n_layer=-1), ValueError, "'n_layer'"),
    (lambda f: rewritten(f, n_inner=9), ValueError, "n_inner"),
    (lambda f: rewritten(f, n_layer=1), ValueError, r"h\.1\."),
    (lambda f: rewritten(f, n_layer=3), ValueError, "h.2.ln_1.weight"),
    (lambda f: rewritten(f, vocab_size=8), ValueError, r"wte.weight .*\(7, 8\)"),
])
def test_a_folder_that_cannot_be_used_says_what_to_do(tmp_path, spoil, error, message):
    GPT(CONFIG).save_pretrained(tmp_path)
    spoil(tmp_path)
    with pytest.raises(error, match=message):
        GPT.from_pretrained(tmp_path)


# ---- the other architectures

ROPE = {"rope_type": "default", "rope_theta": 1e4}
REFUSED = [
    *[(GPT, huge, "config.json")  # more than any memory has
      for huge in ({"n_embd": 2**40}, {"n_layer": 2**62}, {"n_positions": 2**50})],
    (Llama, {"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling"),
    (Llama, {"rope_parameters": ROPE | {"rope_type": "llama3"}}, "rope_parameters.*'llama3'"),
    (Llama, {"rope_parameters": ROPE | {"factor": 2.0}}, "rope_parameters.*'factor': 2.0"),
    (Llama, {"sliding_window": 4096}, "sliding_window.*4096"),
    (Llama, {"rope_parameters": 5}, "rope_parameters"),
    (Llama, {"quantization_config": {"bits": 4}}, "quantization_config"),
    (Llama, {"model_type": "mistral"}, "'mistral'.*Llama"),
    (Llama, {"model_type": "bert"}, "'bert'.*"),
    (Llama, {"model_type": ["x"]}, "'x'"),
    (Llama, {"num_key_value_heads": 3}, "n_kv_head=3"),
    (Llama, {"num_attention_heads": 0}, "'num_attention_heads'"),
    (Llama, {"intermediate_size": None}, "'intermediate_size'"),
    (Llama, {"intermediate_size": 9}, r"h.0.mlp.gate.weight .*\(8, 24\)"),
    (Llama, {"tie_word_embeddings": False}, "lm_head.weight"),
    (Llama, {"num_hidden_layers": 1}, r"(layers|h)\.1\."),
    (Llama, {"num_hidden_layers": 2**62}, "config.json"),
    (Bert, {"position_embedding_type": "relative_key"}, "position_embedding_type.*'relative_key'"),
    (Bert, {"hidden_size": 2**40}, "config.json"),
    (T5, {"feed_forward_proj": "gated-silu"}, "feed_forward_proj.*'gated-silu'"),
    (T5, {"feed_forward_proj": []}, "damaged"),
    (T5, {"num_decoder_layers": 0}, "num_decoder_layers"),
    (T5, {"d_kv": 2**50}, "config.json"),
]
CONFIGS = {
    GPT: CONFIG, Llama: LlamaConfig(7, 6, 2, 2, 8), Bert: BertConfig(7, 6, 2, 2, 8),
    T5: T5Config(7, 6, 2, 2, 8),
}


@pytest.mark.parametrize(("cls", "changes", "message"), REFUSED)
def test_what_is_not_built_here_is_refused_by_name(tmp_path, cls, changes, message):
    cls(CONFIGS[cls]).save_pretrained(tmp_path)
    rewritten(tmp_path, **changes)
    with pytest.raises(ValueError, match=message) as refused:
        cls.from_pretrained(tmp_path)
    assert re.search("use |download", str(refused.value))


COPIES = [
    (GPT, "lm_head.weight", "transformer.wte.weight"),
    (Llama, "lm_head.weight", "model.embed_tokens.weight"),
    (Bert, "cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"),
    (Bert, "cls.predictions.decoder.bias", "cls.predictions.bias"),
    (T5, "lm_head.weight", "shared.weight"),
    (T5, "encoder.embed_tokens.weight", "shared.weight"),
    (T5, "decoder.embed_tokens.weight", "shared.weight"),
]


@pytest.mark.parametrize(("cls", "copy", "original"), COPIES)
def test_a_copy_of_a_weight_is_equal_to_it_or_alone_or_refused(tmp_path, cls, copy, original):
    model = order_one(cls(CONFIGS[cls]))
    model.save_pretrained(tmp_path)
    path, batch = tmp_path / "model.safetensors", [IDX_BT] * (1 + (cls is T5))
    arrays = load_file(path)
    arrays[copy] = arrays[original].copy()
    alone = {name: array for name, array in arrays.items() if name != original}
    for found in (arrays, alone):
        save_file(found, path)
        again = cls.from_pretrained(tmp_path)
        np.testing.assert_array_equal(again(*batch)[0].data, model(*batch)[0].data)
    save_file(arrays | {copy: arrays[original] * 1.001}, path)
    with pytest.raises(ValueError, match=copy):
        cls.from_pretrained(tmp_path)


@pytest.mark.parametrize(("cls", "name", "second"), [
    (GPT, "transformer.wte.weight", "wte.weight"), (Llama, "model.norm.weight", "ln_f.weight"),
    (Bert, "bert.embeddings.LayerNorm.weight", "bert.embeddings.LayerNorm.gamma"),
])
def test_a_weight_by_two_names_is_refused(tmp_path, cls, name, second):
    cls(CONFIGS[cls]).save_pretrained(tmp_path)
    arrays = load_file(tmp_path / "model.safetensors")
    save_file(arrays | {second: arrays[name] * 2}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="twice"):
        cls.from_pretrained(tmp_path)


def test_a_t5_that_is_not_scaled_may_have_the_embedding_for_a_head(tmp_path):
    model = order_one(T5(CONFIGS[T5]))
    model.save_pretrained(tmp_path)
    rewritten(tmp_path, scale_decoder_outputs=False)
    logits, scaled = T5.from_pretrained(tmp_path)(IDX_BT, IDX_BT)[0], model(IDX_BT, IDX_BT)[0]
    np.testing.assert_allclose(logits.data, scaled.data * 8**0.5, rtol=1e-4, atol=1e-5)


def renamed(cls, name):
    """Return the name of a weight in the oldest files."""
    if cls is GPT:
        return name.removeprefix("transformer.")
    return name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta")


@pytest.mark.parametrize(
    ("cls", "changes"),
    [
        (GPT, {"activation_function": "gelu_pytorch_tanh", "n_inner": 32}),
        (Llama, {"rope_parameters": None, "num_key_value_heads": None}),
        (Llama, {"rope_scaling": {"type": "default"}}),
        (Llama, {"rope_scaling": {"rope_type": "default", "rope_theta": 500.0}}),
        (Bert, {"gradient_checkpointing": False}),
        (T5, {"num_decoder_layers": None}),
    ],
)
def test_the_names_and_settings_of_old_files_are_read(tmp_path, cls, changes):
    rope = {"rope_base": 500.0} if cls is Llama else {}
    model = order_one(cls(replace(CONFIGS[cls], **rope)))
    model.save_pretrained(tmp_path)
    rewritten(tmp_path, **changes)
    path, batch = tmp_path / "model.safetensors", [IDX_BT] * (1 + (cls is T5))
    arrays = {renamed(cls, name): array for name, array in load_file(path).items()}
    unused = {
        GPT: "h.0.attn.bias", Llama: "model.layers.0.self_attn.rotary_emb.inv_freq",
        Bert: "bert.pooler.dense.weight",
        T5: "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",
    }
    save_file(arrays | {unused[cls]: np.ones((2, 2), "f4")}, path)
    np.testing.assert_array_equal(
        cls.from_pretrained(tmp_path)(*batch)[0].data, model(*batch)[0].data
    )
