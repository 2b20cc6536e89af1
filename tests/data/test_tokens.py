"""Token files hold the tokens of their text and are read like an array: `npgpt.data.tokens`."""

from contextlib import ExitStack

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt import CharTokenizer
from npgpt.config import TrainConfig
from npgpt.data import corpora
from npgpt.data.corpora import Corpus, decode_whole, read_chunks
from npgpt.data.tokens import TokenFile, open_dataset, scan, split_chunks
from npgpt.models import architecture

LETTERS = "ab é\n\r\t"


def corpus_of(*documents):
    return Corpus("given", [lambda text=text: [text] if text else [] for text in documents])


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(corpora, "CHUNK", 3)


# ---- texts in chunks


@given(st.text(LETTERS), st.booleans())
def test_chunks_of_a_file_are_its_text(tmp_path_factory, text, marked):
    path = tmp_path_factory.mktemp("text") / "file"
    data = (b"\xef\xbb\xbf" if marked else b"") + text.encode("utf-8")
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(corpora, "CHUNK", 3)
        chunks = list(read_chunks(path))
    assert "".join(chunks) == decode_whole(data, "file")
    assert all(chunks)


# ---- the split


@given(st.integers(2, 40), st.floats(0.05, 0.95))
def test_documents_are_split_whole_and_evenly(count, fraction):
    corpus = corpus_of(*(f"document {i}\n" for i in range(count)))
    chunks = list(split_chunks(corpus, scan(corpus), "documents", fraction))
    assert [chunk for _, chunk in chunks] == [chunk for _, chunk in corpus.chunks()]
    chosen = [i for i, (part, _) in enumerate(chunks) if part == 1]
    assert len(chosen) == min(count - 1, max(1, round((1 - fraction) * count)))
    gaps = np.diff([-1, *chosen])
    assert gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize("split", ["tail", "documents"])
def test_a_text_that_changes_between_its_readings_is_an_error(split):
    found = scan(corpus_of("ab", "a"), split)
    with pytest.raises(ValueError, match="given .*changed"):
        list(split_chunks(corpus_of("ab", "b"), found, split, 0.5))


# ---- token files


@given(st.data(), st.integers(1, 50), st.sampled_from([np.uint16, np.uint32]))
def test_a_file_is_read_as_an_array(tmp_path_factory, data, N, dtype):
    path = tmp_path_factory.mktemp("ids") / "x.bin"
    ids_N = np.random.default_rng(N).integers(0, np.iinfo(dtype).max, N).astype(dtype)
    path.write_bytes(ids_N.astype(np.dtype(dtype).newbyteorder("<")).tobytes())
    positions = np.array(data.draw(st.lists(st.integers(0, N - 1), max_size=9)), int)
    with open(path, "rb") as file:
        opened = TokenFile(file, dtype)
        assert len(opened) == N and opened[N - 1] == ids_N[-1]
        np.testing.assert_array_equal(opened[positions], ids_N[positions])


def test_an_edit_of_one_id_is_seen(tmp_path):
    ids_N = np.zeros(2_200_000, "<u2")
    CharTokenizer("ab").save(tmp_path / "tokenizer.json")

    def opened(expected=None):
        for name in ("train.bin", "val.bin"):
            ids_N.tofile(tmp_path / name)
        with ExitStack() as stack:
            corpus = [str(tmp_path)]
            gpt = architecture("gpt")
            return open_dataset(gpt, TrainConfig(), stack, corpus, None, expected).source

    source = opened()
    assert opened(source) == source
    ids_N[1500] = 1
    with pytest.raises(ValueError, match="another text"):
        opened(source)
