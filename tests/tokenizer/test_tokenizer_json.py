"""tokenizer.json: round trips, damage, old files, and saving that never loses a file."""


import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.tokenizers import (
    BPETokenizer,
    CharTokenizer,
    WordTokenizer,
    load_tokenizer,
)
from npgpt.tokenizers.pretokenize import PATTERNS

TEXT = "Hug the pug, hug the bug.\r\n\u2028 Naïve \U0001f389"
TOKENIZERS = {
    "char": CharTokenizer.train(TEXT),
    "words": WordTokenizer(" abhn", ["hen"], ["<mask>"]),
    "bpe": BPETokenizer.train(TEXT, 270, special_tokens=["<|end|>", "<ü>"]),
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Return a path that the examples of a property test share."""
    return tmp_path_factory.mktemp("tokenizers") / "tokenizer.json"


@given(
    st.text("ab c\n"),
    st.lists(st.text().map("<|{}|>".format), unique=True),
    st.sampled_from([*PATTERNS, None]),
    st.randoms(),
)
def test_byte_pairs_survive_saving_and_loading(path, text, special_tokens, pattern, rng):
    merges = BPETokenizer.train(text, 280, pattern=pattern).merges
    n_plain = 256 + len(merges)
    ids = rng.sample(range(2 * n_plain), n_plain + len(special_tokens))
    special_ids = dict(zip(special_tokens, ids[n_plain:], strict=True))
    tokenizer = BPETokenizer(merges, special_ids, pattern=pattern, ids=ids[:n_plain])
    tokenizer.save(path)
    for loaded in (BPETokenizer.load(path), load_tokenizer(path)):
        for name in ("merges", "ids", "tokens", "special_ids", "pattern"):
            assert getattr(loaded, name) == getattr(tokenizer, name)


OLD = {  # what earlier versions wrote, and the ids of "ab"
    '"type": "char", "version": 1, "characters": "abc"': [0, 1],
    '"type": "char", "version": 2, "characters": "ab", "special_tokens": ["<a>"]': [0, 1],
    '"type": "char", "version": 3, "characters": "b", "special_tokens": [], "added": "a"': [1, 0],
    '"type": "words", "version": 2, "characters": "ab", "special_tokens": [], "words": ["ab"]': [2],
}


@pytest.mark.parametrize("content", OLD)
def test_older_files_are_read(path, content):
    path.write_text("{" + content + "}", encoding="utf-8")
    assert load_tokenizer(path).encode("ab").tolist() == OLD[content]


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_file_cut_anywhere_is_refused_by_name(kind, path):
    TOKENIZERS[kind].save(path)
    whole = path.read_bytes()
    for length in range(0, len(whole.rstrip()), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"tokenizer\.json"):
            load_tokenizer(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 100_000, "damaged"),
        (b"[1, 2]", "list"),
        (b'{"type": "char", "version": 4}', "version 4, .* 3"),
    ],
)
def test_what_no_tokenizer_wrote_is_refused_by_name(content, message, path):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        load_tokenizer(path)
    assert str(path) in str(error.value)
