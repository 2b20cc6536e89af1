"""Folders as the makers of models publish them: their tokenizers, in every command that takes one.

The models are small and random; the tokenizers have the parts of BERT's, T5's, TinyLlama's and
SmolLM's.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tiny_run import TEXT

from npgpt import BPETokenizer, load_tokenizer
from npgpt.loading import load_model
from npgpt.tokenizers import LibraryTokenizer
from npgpt.tokenizers.gpt2_files import byte_to_unicode

library = pytest.importorskip("tokenizers", reason="pip install '.[peers]'")
transformers = pytest.importorskip("transformers", reason="pip install '.[peers]'")
torch = pytest.importorskip("torch", reason="pip install '.[peers]'")
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors  # noqa: E402

transformers.utils.logging.disable_progress_bar()
WORDS = ["the", "hen", "to", "it", "so"]
ABSENT = b"\x04\x06\xf1\xff"  # SmolLM's have no token either


def special(tokenizer, *texts):
    tokenizer.add_special_tokens([library.AddedToken(text, normalized=False) for text in texts])
    return tokenizer


def template(tokenizer, *parts):
    ids = [(part, tokenizer.token_to_id(part)) for part in parts if part != "$A"]
    tokenizer.post_processor = processors.TemplateProcessing(" ".join(parts), special_tokens=ids)
    return tokenizer


def bert():
    letters = [chr(i) for i in range(97, 123)]
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocab = [*names, *letters, *(f"##{c}" for c in letters), *WORDS, ".", ",", "!"]
    ids = {token: i for i, token in enumerate(vocab)}
    found = library.Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    found.normalizer = normalizers.BertNormalizer()
    found.pre_tokenizer, found.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    return template(special(found, *names), "[CLS]", "$A", "[SEP]")


def t5():
    pieces = ["▁", *(f"▁{word}" for word in WORDS), *map(chr, range(33, 127))]
    scores = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)] + [(p, -len(pieces)) for p in pieces]
    found = library.Tokenizer(models.Unigram(scores, unk_id=2))
    found.pre_tokenizer, found.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    names = ["<pad>", "</s>", "<unk>", *(f"<extra_id_{i}>" for i in range(99, -1, -1))]
    return template(special(found, *names), "$A", "</s>")


def tinyllama():
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), "▁", *"abcdehnst .,"]
    merges = [("▁", "t"), ("h", "e"), ("▁t", "he"), ("▁", "he"), ("▁he", "n")]
    tokens += ["".join(pair) for pair in merges]
    found = library.Tokenizer(models.BPE(
        {token: i for i, token in enumerate(tokens)}, merges, unk_token="<unk>", fuse_unk=True,
        byte_fallback=True,
    ))
    found.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    found.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
        decoders.Strip(" ", 1, 0),
    ])
    return template(special(found, "<unk>", "<s>", "</s>"), "<s>", "$A")


def smollm():
    table = byte_to_unicode()
    tokens = ["<|im_start|>", *(c for byte, c in table.items() if byte not in ABSENT)]
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("Ġ", "1"), ("Ġ", "Ġ"), ("!", "!"), ("1", "1")]
    tokens += ["".join(pair) for pair in merges]
    found = library.Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    found.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
    ])
    found.decoder = decoders.ByteLevel()
    return special(found, "<|im_start|>")


TOKENIZERS = {maker.__name__: maker() for maker in (bert, t5, tinyllama, smollm)}
OURS = {"bert": ["a <mask> hen", "[MASK]the"], "t5": ["a <extra_id_0> hen to <extra_id_1>"]}


def write(folder, name):
    """Write a model of this layout; return it as transformers has it."""
    tokenizer = TOKENIZERS[name]
    size = tokenizer.get_vocab_size()
    sizes = {"vocab_size": size, "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1,
             "intermediate_size": 16, "max_position_embeddings": 32}
    torch.manual_seed(0)
    if name == "bert":
        config = transformers.BertConfig(**sizes)
        model = transformers.BertForMaskedLM(config)
    elif name == "t5":
        config = transformers.T5Config(
            vocab_size=size + 8, d_model=8, d_kv=4, d_ff=16, num_layers=1, num_heads=2,
            n_positions=32,
        )
        model = transformers.T5ForConditionalGeneration(config)
    else:
        config = transformers.LlamaConfig(**sizes, initializer_range=0.5)
        model = transformers.LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return model.eval()


@pytest.mark.filterwarnings("always:8 rows that pad")
@pytest.mark.parametrize("name", TOKENIZERS)
def test_every_command_takes_it(done, here, name):
    model, text = write(here, name), "the hen, to 11 hens!"
    (here / "text.txt").write_text(TEXT, encoding="utf-8")
    prompt = OURS.get(name, [text])[0]
    assert json.loads(done("info", here, "--json"))["parameters"] <= model.num_parameters() + 8
    shown = json.loads(done("tokenize", here, text, "--json"))
    assert shown["ids"] == TOKENIZERS[name].encode(text, add_special_tokens=False).ids
    arguments = ["--prompt", prompt, "--temperature", 0]
    arguments += ["--max-new-tokens", 8] * (name != "bert")
    written = json.loads(done("generate", here, *arguments, "--json"))
    assert done("generate", here, *arguments).rstrip("\n").endswith(written["text"].rstrip("\n"))
    if name == "bert":
        arguments[1] = prompt.replace("<mask>", "[MASK]")
        its_own = json.loads(done("generate", here, *arguments, "--json"))
        assert its_own["text"] == written["text"]
    assert json.loads(done("eval", here, "--corpus", "text.txt", "--json"))["loss"] > 1
    if name in ("tinyllama", "smollm"):  # the tokens of greedy transformers
        ids = torch.tensor([TOKENIZERS[name].encode(prompt).ids])
        with torch.no_grad():
            theirs = model.generate(ids, max_new_tokens=8, do_sample=False, eos_token_id=None)
        assert written["ids"] == theirs[0, ids.shape[1] :].tolist()
    else:
        assert "[CLS]" not in written["text"] and "</s>" not in written["text"]
    done("train", "--init-from", here, "--corpus", "text.txt", "--out", "run", "--max-iters", 1,
         "--warmup-iters", 1, "--sample-tokens", 2, "--batch-size", 2)
    done("generate", "run", *arguments)
    done("export", "run", "out")
    again = load_tokenizer(here / "out" / "tokenizer.json")
    assert again.encode(text).tolist() == shown["ids"]
    roles = json.loads((here / "out" / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert roles.get("mask_token") == ("[MASK]" if name == "bert" else None)


@pytest.mark.parametrize("name", TOKENIZERS)
@example("ab  the1 11\x04!\x06! \U00040000 <|im_start|>'s  9x Ünï [MASK]", 1)
@given(st.text(" the'sn19!²Ⅷ\x04\x06\n\U00040000é▁") | st.text(), st.integers(0, 9))
@pytest.mark.filterwarnings("ignore:the text has bytes")
def test_ids_and_texts_are_those_of_the_library(tmp_path_factory, name, text, cut):
    path, theirs = tmp_path_factory.getbasetemp() / f"{name}.json", TOKENIZERS[name]
    if not path.exists():
        theirs.save(str(path))
    ours = load_tokenizer(path)
    ids = ours.encode(text)
    assert type(ours) is (BPETokenizer if name == "smollm" else LibraryTokenizer)
    assert ids.tolist() == theirs.encode(text, add_special_tokens=False).ids
    if name != "smollm":  # which has no template
        assert ours.templated(text).tolist() == theirs.encode(text).ids
    assert ours.decode(ids) == theirs.decode(ids.tolist(), skip_special_tokens=False)
    assert ours.vocab_size == theirs.get_vocab_size() == len(ours.tokens)
    blocks = [text[:cut], text[cut:]]
    assert "".join(ours.chunks(blocks)) == text


def test_threads_with_different_special_tokens_do_not_share_a_switch(tmp_path):
    TOKENIZERS["bert"].save(str(tmp_path / "tokenizer.json"))
    ours = load_tokenizer(tmp_path / "tokenizer.json")

    def wrong(trusted):
        allowed = "all" if trusted else ()
        return sum((ours.special_ids["[SEP]"] in ours.encode(
            "[SEP]", allowed_special=allowed, disallowed_special=())) != trusted
            for _ in range(20_000))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(wrong, [True, False] * 2)) == 0
    finally:
        sys.setswitchinterval(before)


def test_what_a_token_adds_to_a_text_are_its_bytes(tmp_path):
    ours = {}
    for name, theirs in TOKENIZERS.items():
        theirs.save(str(tmp_path / "tokenizer.json"))
        ours[name] = load_tokenizer(tmp_path / "tokenizer.json")
    for name, token, expected in (
        ("bert", "hen", " hen"), ("bert", "##s", "s"), ("bert", ",", ","),
        ("bert", "[SEP]", "[SEP]"), ("t5", "▁hen", " hen"), ("t5", "n", "n"),
        ("tinyllama", "▁the", " the"), ("tinyllama", "<0x0A>", "\n"),
        ("tinyllama", "</s>", "</s>"), ("smollm", "Ġthe", " the"),
    ):
        assert ours[name].tokens[TOKENIZERS[name].token_to_id(token)] == expected.encode(), token
    assert ours["tinyllama"].tokens[3 + 0xC3] == b"\xc3"  # a part of a character
    assert ours["bert"].special_ids["<mask>"] == ours["bert"].special_ids["[MASK]"]
    with pytest.raises(ValueError, match=r"\[SEP\]"):
        ours["bert"].encode("a [SEP]", allowed_special=["[MASK]"])
    plain = ours["bert"].encode("[SEP]", allowed_special=(), disallowed_special=())
    assert not set(plain.tolist()) & set(ours["bert"].special_ids.values()) - {1}


@pytest.mark.parametrize("begin", ["", "{{ bos_token }}", None])
def test_chat_begins_a_text_once(done, here, begin):
    pytest.importorskip("jinja2", reason="the extra chat: pip install jinja2")
    write(here, "tinyllama")
    (here / "tokenizer_config.json").write_text('{"bos_token": "<s>"}', encoding="utf-8")
    if begin is not None:
        template = begin + "{{ messages[0].content }}"
        (here / "chat_template.jinja").write_text(template, encoding="utf-8")
    arguments = ["--prompt", "the hen", "--temperature", 0, "--max-new-tokens", 8, "--json"]
    found = json.loads(done("chat", here, *arguments))["text"]  # generate begins with <s>, too
    assert found == json.loads(done("generate", here, *arguments))["text"]


def test_what_has_no_token_is_said():
    theirs = TOKENIZERS["smollm"]
    ours = BPETokenizer([], ids=[None if b in ABSENT else b for b in range(256)])
    with pytest.warns(UserWarning, match="0x0") as said:
        assert ours.encode("a\x04b").tolist() == [97, 98]
        ours.encode("\x06")
    assert len(said) == 2 and ours.absent == ABSENT and theirs.token_to_id("Ą") is None


def test_without_the_library_it_is_said_how_to_get_it(refused, here, monkeypatch):
    write(here, "bert")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    assert "'.[hub]'" in refused("tokenize", here, "hen")
    (here / "tokenizer.json").write_text('{"model": {"type": "WordPiece"}}', encoding="utf-8")
    monkeypatch.undo()
    assert "tokenizer.json" in refused("tokenize", here, "hen")


@pytest.mark.filterwarnings("always:8 rows that pad")
def test_a_vocabulary_padded_to_a_round_number_is_cut(cli, here):
    write(here, "t5")
    status, _, err = cli("generate", here, "--prompt", OURS["t5"][0], "--max-new-tokens", 2)
    assert status == 0 and "8 rows" in err
    with pytest.warns(match="8 rows"):
        assert not load_model(here).model.training
