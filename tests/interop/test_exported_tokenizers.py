"""Tokenizers that `export` wrote, read by `tokenizers`, by `transformers`, and here.

Every id and every text has to be that of our own tokenizer.
"""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import TINY

from npgpt import BPETokenizer, CharTokenizer
from npgpt.models import ARCHITECTURES, architecture
from npgpt.tokenizers import WordTokenizer, load_tokenizer, save_pretrained

SPECIAL = ["<pad>", "<mask>", "<extra_id_0>"]
characters = st.characters(codec="utf-8")
# Characters that cut words, and letters and numbers on which programs disagree.
odd = st.sampled_from(" \n\r\t_',.-0123456789aäßñ\u0301\u00b2\u00bd\u2167\u0660\u1c89\u3007一")
alphabets = st.lists(characters | odd, min_size=1, max_size=20, unique=True).map(
    lambda found: "".join(sorted(found))
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder that the examples of a property test share."""
    return tmp_path_factory.mktemp("exported")


@st.composite
def tokenizers_and_texts(draw):
    """Draw a tokenizer of characters or words, and a text of characters that it knows."""
    alphabet, special = draw(alphabets), draw(st.sampled_from([[], SPECIAL]))
    if draw(st.booleans()):
        tokenizer = CharTokenizer(alphabet, special)
    else:
        letters = [c for c in alphabet if c.isalnum() and not c.isdecimal()]
        bare = st.text(letters, min_size=1, max_size=3) if letters else st.nothing()
        words = bare.filter(lambda word: len(word) > 1)
        if " " in alphabet:
            words |= bare.map(lambda word: " " + word)
        tokenizer = WordTokenizer(alphabet, draw(st.lists(words, unique=True)), special)
    tokenizer = tokenizer.with_characters(draw(st.text(characters | odd, max_size=4)))
    known = st.sampled_from(tokenizer.characters + tokenizer.added)
    parts = [known, *(st.sampled_from(p) for p in (getattr(tokenizer, "words", []), special) if p)]
    return tokenizer, "".join(draw(st.lists(st.one_of(parts), max_size=40)))


@given(tokenizers_and_texts())
def test_a_saved_and_an_exported_file_are_the_same_tokenizer_here(folder, drawn):
    tokenizer, text = drawn
    path, ids = folder / "tokenizer.json", tokenizer.encode(text, allowed_special="all").tolist()
    tokenizer.save(path)
    assert type(tokenizer).load(path).arguments() == tokenizer.arguments()
    for save in (tokenizer.save, lambda path: save_pretrained(tokenizer, path.parent)):
        save(path)
        loaded = load_tokenizer(str(path))
        assert type(loaded) is type(tokenizer) and loaded.tokens == tokenizer.tokens
        assert loaded.special_ids == tokenizer.special_ids
        assert loaded.encode(text, allowed_special="all").tolist() == ids


@given(tokenizers_and_texts())
def test_the_library_tokenizers_gives_the_same_ids_and_texts(folder, drawn):
    library = pytest.importorskip("tokenizers", reason="the peer: pip install '.[peers]'")
    tokenizer, text = drawn
    save_pretrained(tokenizer, folder)
    theirs = library.Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = tokenizer.encode(text, allowed_special="all").tolist()
    assert theirs.encode(text).ids == ids
    assert theirs.decode(ids, skip_special_tokens=False) == text
    assert theirs.get_vocab_size() == tokenizer.vocab_size
    assert theirs.to_str() == library.Tokenizer.from_str(theirs.to_str()).to_str()
    (folder / "again.json").write_text(theirs.to_str(), encoding="utf-8")  # as the library saves it
    assert load_tokenizer(folder / "again.json").tokens == tokenizer.tokens


def test_an_unknown_character_is_an_error_there_too(folder):
    library = pytest.importorskip("tokenizers", reason="the peer: pip install '.[peers]'")
    for tokenizer in (CharTokenizer("ab"), WordTokenizer(" ab", ["ab"])):
        save_pretrained(tokenizer, folder)
        theirs = library.Tokenizer.from_file(str(folder / "tokenizer.json"))
        with pytest.raises(Exception, match="<unk>"):
            theirs.encode("abc")


LETTERS = "\n ,1abä"
TOKENIZERS = {
    "char": lambda special: CharTokenizer(LETTERS, special).with_characters("?!"),
    "words": lambda special: WordTokenizer(LETTERS, ["ab", " ab", " abä"], special, "?!"),
    "bpe": lambda special: BPETokenizer.train("ab ab äb", 260 + len(special), special),
}


AUTO = {"gpt": "AutoModelForCausalLM", "llama": "AutoModelForCausalLM",
        "bert": "AutoModelForMaskedLM", "t5": "AutoModelForSeq2SeqLM"}


def exported(folder, arch, kind):
    """Write a small model and its tokenizer; return both."""
    tokenizer = TOKENIZERS[kind](architecture(arch).Objective.special_tokens)
    sizes = {"block_size": 8, "n_layer": 1, "n_head": 2, "n_embd": 8}
    of = architecture(arch)
    model = of.Model(of.Config(vocab_size=tokenizer.vocab_size, **sizes))
    for weight in model.parameters().values():
        weight.data[...] += np.random.default_rng(0).normal(0, 0.3, weight.shape)
    model.save_pretrained(folder)
    save_pretrained(tokenizer, folder)
    return model, tokenizer


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("arch", [arch for arch, f in ARCHITECTURES.items() if f.files])
def test_transformers_has_the_ids_and_logits_of_an_exported_model(tmp_path, arch, kind):
    transformers = pytest.importorskip("transformers", reason="the peer: pip install '.[peers]'")
    model, tokenizer = exported(tmp_path, arch, kind)
    special = list(tokenizer.special_ids)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert len(theirs) == tokenizer.vocab_size
    texts = (" ab\n\n ab,ab  abä 1 , ab ?!", "\n", "ab " + " ".join(special), "a" * 1000 + "ab")
    for text in texts:
        ids = tokenizer.encode(text, allowed_special="all").tolist()
        assert theirs(text)["input_ids"] == ids
        assert theirs.decode(ids) == text
    assert theirs.mask_token == ("<mask>" if arch == "bert" else None)
    assert theirs.pad_token == ("<pad>" if special else None)
    theirs.save_pretrained(tmp_path / "again")
    assert load_tokenizer(tmp_path / "again" / "tokenizer.json").tokens == tokenizer.tokens
    auto = getattr(transformers, AUTO[arch]).from_pretrained(tmp_path)
    idx_BT = theirs([texts[0]], return_tensors="pt")["input_ids"][:, :8]
    inputs = (idx_BT, idx_BT) if arch == "t5" else (idx_BT,)
    logits = auto(**dict(zip(("input_ids", "decoder_input_ids"), inputs, strict=False))).logits
    ours, _ = model(*(ids.numpy() for ids in inputs))
    np.testing.assert_allclose(ours.data, logits.detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("arch", [arch for arch, f in ARCHITECTURES.items() if f.files])
@pytest.mark.slow
def test_ctranslate2_converts_an_exported_model(tmp_path, arch, kind):
    ctranslate2 = pytest.importorskip("ctranslate2", reason="the peer: pip install '.[peers]'")
    model, tokenizer = exported(tmp_path / "model", arch, kind)
    out = tmp_path / "converted"
    ctranslate2.converters.TransformersConverter(str(tmp_path / "model")).convert(str(out))
    names = json.loads(next(out.glob("*vocabulary.json")).read_text(encoding="utf-8"))
    assert len(names) == tokenizer.vocab_size
    if AUTO[arch] == "AutoModelForCausalLM":
        config = json.loads((out / "config.json").read_text(encoding="utf-8"))
        config |= dict.fromkeys(("bos_token", "eos_token", "unk_token"), names[0])  # it needs some
        (out / "config.json").write_text(json.dumps(config), encoding="utf-8")
        ids = tokenizer.encode(" ab\n ab, 1")[:8]
        logits = ctranslate2.Generator(str(out)).forward_batch([[names[i] for i in ids]])
        np.testing.assert_allclose(np.array(logits), model(ids[None])[0].data, atol=1e-5)


@pytest.mark.parametrize("kind", ["char", "words", "bpe"])
def test_export_names_the_tokenizer(cli, tmp_path, kind):
    corpus, run, out = tmp_path / "hens.txt", tmp_path / "hens", tmp_path / "exported"
    corpus.write_text("The hen, said the hen.\n\n" * 60, encoding="utf-8")
    assert cli("train", "--corpus", corpus, "--out", run, "--tokenizer", kind, *TINY)[0] == 0
    status, text, _ = cli("export", run, out)
    assert status == 0 and f"AutoTokenizer.from_pretrained('{out}')" in text
    names = text.splitlines()[0].partition(": ")[2].split(", ")
    assert sorted(names) == sorted(path.name for path in out.iterdir())
    flags = ("--max-new-tokens", 12, "--seed", 1, "--json")
    text, text_again = (json.loads(cli("generate", x, *flags)[1]) for x in (run, out))
    assert text == text_again


