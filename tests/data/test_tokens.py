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
from npgpt.data.tokens import (
    TokenFile,
    open_dataset,
    prepared_paths,
    scan,
    split_chunks,
)
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
    assert gaps.max() - gaps.min() <= 1 and set(p for p, _ in chunks) == {0, 1}


@given(st.lists(st.text("ab\n", min_size=1), min_size=2, max_size=4),
       st.lists(st.text("ab\n", min_size=1), min_size=2, max_size=4),
       st.sampled_from(["tail", "documents"]))
def test_a_text_that_changes_between_its_readings_is_an_error(one, other, split):
    found = scan(corpus_of(*one), split)
    changed = corpus_of(*other)
    if changed.text == corpus_of(*one).text:
        return
    with pytest.raises(ValueError, match="given .*changed"):
        list(split_chunks(changed, found, split, 0.5))


@given(st.lists(st.text("ab\n", min_size=1), min_size=1))
def test_a_scan_tells_documents_apart_only_where_they_are_split(documents):
    apart, joined = corpus_of(*documents), corpus_of(corpus_of(*documents).text)
    assert scan(apart).sha256 == scan(joined).sha256
    same = scan(apart, "documents").sha256 == scan(joined, "documents").sha256
    assert same == (len(documents) == 1)


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
        half = TokenFile(file, dtype, (0.5, 1.0))
        np.testing.assert_array_equal(half[:], ids_N[N // 2 :])


def test_token_files_are_found_by_name_or_folder(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    assert prepared_paths(["tales"]) is None and prepared_paths([str(folder)]) is None
    (folder / "train.bin").write_bytes(b"")
    (folder / "val.bin").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="tokenizer.json"):
        prepared_paths([str(folder)])
    CharTokenizer("ab").save(folder / "tokenizer.json")
    assert [path.name for path in prepared_paths([str(folder)])] == ["train.bin", "val.bin"]
    assert prepared_paths([str(folder / "val.bin")]) == [folder / "val.bin"]
    with pytest.raises(ValueError, match="others"):
        prepared_paths(["tales", str(folder)])


def test_an_edit_of_one_id_is_seen(tmp_path):
    ids_N = np.zeros(2_200_000, "<u2")
    CharTokenizer("ab").save(tmp_path / "tokenizer.json")

    def opened(expected=None):
        ids_N.tofile(tmp_path / "x.bin")
        with ExitStack() as stack:
            corpus = [str(tmp_path / "x.bin")]
            gpt = architecture("gpt")
            return open_dataset(gpt, TrainConfig(), stack, corpus, None, expected).source

    source = opened()
    assert opened(source) == source
    ids_N[1500] = 1
    with pytest.raises(ValueError, match="another text"):
        opened(source)
