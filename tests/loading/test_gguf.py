"""GGUF files: the weights, tokenizer and logits that are in them; damaged and hostile ones."""

import re
import struct
import tracemalloc
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autograd import backend
from npgpt import GPT, AdamW, Bert, BPETokenizer, CharTokenizer, GPTConfig, Llama, LlamaConfig
from npgpt.fast.storage import StoredWeight, is_matrix
from npgpt.loading import gguf, load_model, transformers_folder
from npgpt.loading.gguf_writer import KINDS
from npgpt.loading.pretrained import save_gguf
from npgpt.loading.runs import SHIPPED_RUN
from npgpt.tokenizers import WordTokenizer
from npgpt.tokenizers.gpt2_files import byte_to_unicode

TOKENS = ["<|end|>", *byte_to_unicode().values(), "th", "the"]
TOKENIZER = {"model": "gpt2", "tokens": TOKENS, "merges": ["t h", "th e"],
             "token_type": [3] + [1] * (len(TOKENS) - 1)}
SIZES = {"context_length": 16, "block_count": 2, "embedding_length": 32,
         "attention.head_count": 4, "feed_forward_length": 64}
LLAMA = {"attention.head_count_kv": 2, "rope.freq_base": 500.0}
def order_one(model):
    for at, weight in enumerate(model.parameters().values()):
        weight.data[...] = np.random.default_rng(at).normal(0, 0.3, weight.shape)
    return model


CASES = {
    "llama": (order_one(Llama(LlamaConfig(len(TOKENS), 16, 2, 4, 32, 2, 64, rope_base=500.0))),
              SIZES | LLAMA | {"attention.layer_norm_rms_epsilon": 1e-6}, "smollm"),
    "gpt2": (order_one(GPT(GPTConfig(len(TOKENS), 16, 2, 4, 32))),
             SIZES | {"attention.layer_norm_epsilon": 1e-5, "feed_forward_length": 128}, "gpt-2"),
}
def text(value):
    return struct.pack("<Q", len(value.encode())) + value.encode()


def value(found):
    """Return (type, bytes) of a setting."""
    if isinstance(found, list):
        types, parts = zip(*map(value, found), strict=True)
        return 9, struct.pack("<IQ", types[0], len(parts)) + b"".join(parts)
    if isinstance(found, str):
        return 8, text(found)
    return (6, struct.pack("<f", found)) if type(found) is float else (4, struct.pack("<I", found))


def file_of(arch, packed=None, **changes):
    """Return the bytes of the GGUF file of a case, whose settings are changed.

    packed   of matrices: how their bytes are made, and the number of their kind
    """
    model, sizes, split = CASES[arch]
    fields = {f"{arch}.{name}": found for name, found in sizes.items()}
    fields |= {f"tokenizer.ggml.{name}": found for name, found in TOKENIZER.items()}
    fields |= {"general.architecture": arch, "tokenizer.ggml.pre": split} | changes
    names = {ours: theirs for theirs, ours in gguf.names_of(arch).items()}
    arrays = dict(transformers_folder.renamed(
        {name: weight.data for name, weight in model.parameters().items()}, names, ("wte", "wpe")
    ))
    for name, array in arrays.items():
        if "attn_q." in name or "attn_k." in name:  # channel i, then i + D/2 of each head of 8
            arrays[name] = array.reshape(-1, 2, 4, 32).swapaxes(1, 2).reshape(-1, 32)
    if arch == "gpt2":
        arrays["output.weight"] = arrays["token_embd.weight"]  # as converters repeat it
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(arrays), len(fields))
    for name, found in fields.items():
        kind, data = value(found)
        head += text(name) + struct.pack("<I", kind) + data
    body = b""
    for name, array in arrays.items():
        shape = struct.pack(f"<I{array.ndim}Q", array.ndim, *array.shape[::-1])
        held, kind = array, 0
        if packed and array.ndim == 2 and name != "position_embd.weight":
            held, kind = packed[0](np.ascontiguousarray(array)), packed[1]
        head += text(name) + shape + struct.pack("<IQ", kind, len(body))
        body += held.tobytes() + bytes(-held.nbytes % 32)
    return head + bytes(-len(head) % 32) + body


@pytest.mark.parametrize("arch", CASES)
def test_a_file_holds_the_model_and_its_tokenizer(here, arch):
    (here / "m.gguf").write_bytes(file_of(arch))
    model, loaded = CASES[arch][0], load_model("m.gguf")
    again, tokenizer = loaded.model, loaded.tokenizer
    assert again.config == model.config and not again.training
    for name, weight in model.parameters().items():
        np.testing.assert_array_equal(again.parameters()[name].data, weight.data, err_msg=name)
    ids = tokenizer.encode("the 11<|end|>").tolist()
    assert tokenizer.decode(ids) == "the 11<|end|>" and ids[0] == TOKENS.index("the")


@pytest.mark.parametrize("kind", gguf.KINDS)
@given(seed=st.integers(0, 999))
@settings(max_examples=20)
def test_weights_are_those_of_the_package_gguf(kind, seed):
    theirs = pytest.importorskip("gguf", reason="the peer: pip install '.[peers]'")
    rng, kind = np.random.default_rng(seed), theirs.GGMLQuantizationType(kind)
    data = theirs.quantize(rng.normal(0, 0.3 + seed, (3, 64)).astype(np.float32), kind)
    ours = gguf.unpack(data.reshape(-1).view(np.uint8), kind.value, (3, 64))
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, theirs.dequantize(data, kind))


@pytest.mark.parametrize("arch", CASES)
@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q8_0"])
def test_the_codes_of_a_file_are_held_as_they_are(here, arch, kind):
    theirs = pytest.importorskip("gguf", reason="the peer: pip install '.[peers]'")
    kind = theirs.GGMLQuantizationType[kind]
    packed = lambda array: theirs.quantize(array, kind), kind
    (here / "m.gguf").write_bytes(file_of(arch, packed))
    Model = type(CASES[arch][0])
    rounded, exact = (Model.from_pretrained("m.gguf", weights=w) for w in ("plain", "q8"))
    for name, weight in rounded.parameters().items():
        found = exact.parameters()[name]
        np.testing.assert_array_equal(found.data, weight.data, err_msg=name)
        if is_matrix(exact, name):
            assert isinstance(found, StoredWeight)
    with pytest.raises(ValueError, match="read-only"):  # only its norms would move
        AdamW(exact.parameters())
    ids_T = np.arange(14)
    logits = rounded.next_logits(ids_T[None])
    np.testing.assert_array_equal(exact.next_logits(ids_T[None]), logits)
    if backend.name != "numpy":
        assert np.abs(exact.decoder()([ids_T]) - logits).max() < 1e-5 * np.abs(logits).max()


@st.composite
def models(draw):
    """Draw (a model of order one, its tokenizer, a text, the kind of a file's matrices)."""
    alphabet = draw(st.text(st.characters(codec="utf-8"), min_size=1, max_size=9))
    special = draw(st.sampled_from([(), ("<|endoftext|>", "<mask>")]))
    split, kind = draw(st.sampled_from(["gpt2", "smollm", None])), draw(st.sampled_from(KINDS))
    tokenizer = CharTokenizer("".join(sorted(set(alphabet))), special) if split is None else (
        BPETokenizer.train(alphabet * 3, 262, special, pattern=split))
    text = draw(st.lists(st.sampled_from([*alphabet, *special]), min_size=1))
    n_head, n_kv_head = draw(st.sampled_from([(1, 1), (4, 2), (3, 0)]))
    sizes = {"vocab_size": tokenizer.vocab_size, "block_size": 8, "n_head": n_head,
             "n_layer": 1, "n_embd": 32 * n_head, "tie_weights": draw(st.booleans())}
    llama = {"n_kv_head": n_kv_head, "n_inner": 64, "rope_base": 50.0, "norm_eps": 1e-4}
    model = order_one(Llama(LlamaConfig(**sizes, **llama)) if draw(st.booleans()) else GPT(
        GPTConfig(**sizes, bias=draw(st.booleans()))))
    return model, tokenizer, "".join(text), kind


@settings(max_examples=40)
@given(models(), st.none() | st.just("{{ messages[0].content }}"))
def test_what_is_written_is_what_is_read(tmp_path_factory, made, template):
    pytest.importorskip("gguf", reason="the writer: pip install '.[chat]'")
    (model, tokenizer, text, kind), path = made, tmp_path_factory.getbasetemp() / "written.gguf"
    template = template and SimpleNamespace(template=template, tokens={"eos_token": "<mask>"})
    save_gguf(model, path, tokenizer, template, kind)
    loaded, expected = load_model(path), dict(model.parameters())
    assert type(loaded.tokenizer) is type(tokenizer)
    ids, known = (t.encode(text, allowed_special="all") for t in (loaded.tokenizer, tokenizer))
    assert ids.tolist() == known.tolist()
    assert loaded.tokenizer.special_ids == tokenizer.special_ids
    fixed = ({"bias": True} if isinstance(model, GPT) else {"n_kv_head": model.config.kv_heads})
    assert loaded.model.config == replace(model.config, **fixed)
    for name, weight in loaded.model.parameters().items():
        given = expected[name].data if name in expected else np.zeros(weight.shape)
        exact = weight.ndim == 1 or name == "wpe.weight" or kind == "F32"
        np.testing.assert_allclose(weight.data, given, atol=0 if exact else 0.02, err_msg=name,
                                   rtol=0 if exact else 0.004)
    end = gguf.read_header(path)[0].get("tokenizer.ggml.eos_token_id")
    assert end == tokenizer.special_ids.get("<mask>" if template else "<|endoftext|>")
    assert template is None or gguf.template(path).template == template.template


def test_export_writes_a_whole_file_or_none(done, refused, here):
    pytest.importorskip("gguf", reason="the writer: pip install '.[chat]'")
    resource = pytest.importorskip("resource", reason="Windows has no limit on the size of files")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # as of a full disk
    try:
        assert "t.gguf" in refused("export", SHIPPED_RUN, "t.gguf")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    config = {"block_size": 8, "n_layer": 1, "n_head": 1, "n_embd": 8}
    for tokenizer, Model, kind, fact in (
        (WordTokenizer("abc", ["ab"]), GPT, "F32", "WordTokenizer"),
        (CharTokenizer("abcd"), Bert, "F32", "bert"),
        (CharTokenizer("<a", ["<"]), GPT, "F32", "special"),
        (CharTokenizer("abcd"), GPT, "Q8_0", "BF16"),
    ):
        model = Model(Model.Config(vocab_size=tokenizer.vocab_size, **config))
        with pytest.raises(ValueError, match=fact):
            save_gguf(model, here / "x.gguf", tokenizer, None, kind)
    assert not [*here.iterdir()]
    done("export", SHIPPED_RUN, "t.gguf", "--outtype", "bf16")
    greedy = ("--temperature", 0, "--max-new-tokens", 9, "--prompt", "The hen")
    assert done("generate", "t.gguf", *greedy) == done("generate", SHIPPED_RUN, *greedy)


@pytest.mark.parametrize(("change", "message"), [
    ({"general.architecture": "mamba"}, "mamba"),
    ({"llama.rope.scaling.type": "yarn"}, "yarn"),
    ({"llama.block_count": 1 << 31}, "weights"),
    ({"llama.attention.key_length": 64}, "head_dim.*64"),
    ({"tokenizer.ggml.model": "llama"}, "llama.*folder"),
    ({"tokenizer.ggml.merges": ["t h", "x"]}, "merge 1 "),
])
def test_what_is_not_read_here_is_refused_by_name(refused, here, change, message):
    (here / "m.gguf").write_bytes(file_of("llama", **change))
    err = refused("generate", "m.gguf", "--max-new-tokens", 1)
    assert "m.gguf" in err and re.search(message, err), err


WHOLE = file_of("llama")
NUMBERS = st.sampled_from([0, 1, 31, 1 << 20, 1 << 31, (1 << 32) - 1, 1 << 62, (1 << 64) - 1])


@given(st.lists(st.tuples(st.integers(0, 1 << 14), NUMBERS, st.sampled_from([1, 4, 8])),
                max_size=3), st.integers(0, len(WHOLE)))
@example([(8, 1 << 62, 8)], 0)  # tensors
@example([(127, 1, 1)], 0)  # channels, fewer than heads
@example([(WHOLE.index(b"output_norm.weight") + 34, 1 << 40, 8)], 0)  # the position of one
@settings(max_examples=60)
def test_a_mutated_file_is_read_or_refused_in_little_memory(tmp_path_factory, edits, cut):
    path, data = tmp_path_factory.getbasetemp() / "mutated.gguf", bytearray(WHOLE)
    for at, number, size in edits:
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
    assert most < 40 * len(WHOLE)
