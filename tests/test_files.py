"""Files from strangers: `npgpt.files.read_arrays` beside the safetensors library, and `member`."""

import json
import os
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from safetensors import SafetensorError
from safetensors.numpy import load, save

from npgpt.files import member, read_arrays

DTYPES = [np.float64, np.float32, np.float16, np.int64, np.int8, np.uint16, np.bool_]
HERE = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
some_arrays = st.dictionaries(
    st.text(min_size=1, max_size=5).filter(lambda name: name != "__metadata__"),
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: arrays(dtype, array_shapes(min_dims=0, min_side=0, max_side=4))
    ),
    max_size=4,
)


def read(path, content):
    path.write_bytes(content)
    return read_arrays(path)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()
        assert found[name].flags.aligned and found[name].flags.writeable


@HERE
@given(some_arrays)
def test_arrays_are_those_that_were_saved(tmp_path, expected):
    assert_same(read(tmp_path / "a.safetensors", save(expected, {"format": "pt"})), expected)


@HERE
@given(some_arrays, st.data())
def test_a_damaged_file_is_refused_or_read_as_the_library_reads_it(tmp_path, expected, data):
    content = bytearray(save(expected))
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    content = bytes(content[:cut] if data.draw(st.booleans()) else content)
    try:
        found = read(tmp_path / "a.safetensors", content)
    except ValueError as error:
        assert "a.safetensors is damaged" in str(error) and "restore it from a copy" in str(error)
    else:
        try:
            assert_same(found, load(content))
        except SafetensorError as error:  # ours may be the more generous one, if nothing is wrong
            assert "header" in str(error).lower() or "json" in str(error).lower()


def file_of(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 7,
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 10**12) + b"{}",
        file_of(b"[" * 100_000),
        file_of([]),
        file_of({"a": 5}),
        file_of({"a": ENTRY}, bytes(7)),  # cut short
        file_of({"a": ENTRY}, bytes(9)),  # more than it says
        file_of({"a": ENTRY, "b": ENTRY}, bytes(8)),  # two arrays in one place
        file_of({"a": ENTRY | {"data_offsets": [8, 16]}}, bytes(16)),  # a hole
        file_of({"a": ENTRY | {"shape": [-1, -2]}}, bytes(8)),
        file_of({"a": ENTRY | {"shape": [2.0]}}, bytes(8)),
        file_of({"a": ENTRY | {"shape": [True, 2]}}, bytes(8)),
        file_of({"a": ENTRY | {"shape": [10**30, 0], "data_offsets": [0, 0]}}),
        file_of({"a": ENTRY | {"shape": [2**62, 8], "data_offsets": [0, 0]}}),
        file_of({"a": ENTRY | {"dtype": "F8_E4M3"}}, bytes(8)),
        file_of({"a": ENTRY | {"data_offsets": "ab"}}, bytes(8)),
        file_of(b'{"a": %b, "a": %b}' % ((json.dumps(ENTRY).encode(),) * 2), bytes(8)),
        file_of(b"\xff{}"),
    ],
)
def test_hostile_files_are_refused(tmp_path, content):
    with pytest.raises(ValueError, match=r"a\.safetensors is damaged"):
        read(tmp_path / "a.safetensors", content)


def test_an_array_that_is_not_aligned_is_copied(tmp_path):
    body = bytes([1]) + np.arange(3, dtype="<f4").tobytes()
    header = {
        "a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "b": {"dtype": "F32", "shape": [3], "data_offsets": [1, 13]},
    }
    found = read(tmp_path / "a.safetensors", file_of(header, body))
    assert found["b"].tolist() == [0, 1, 2] and found["b"].flags.aligned


TARGETS = [
    "file", "missing", "sub/file", "../../blobs/file", "../../blobs/link", "../../blobs",
    "../../blobs-2/file", "../../file", "../other/file", "../..", ".", "link", "again",
]
NAMES = ["file", "link", "again", "link/file", "again/file", *TARGETS[2:5], "../other/file"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@given(
    parent=st.sampled_from(["snapshots", "shots"]), name=st.sampled_from(NAMES),
    link=st.sampled_from(TARGETS), again=st.sampled_from(TARGETS),
    of_blobs=st.sampled_from(["file", "../file", "../blobs-2/file", "../snapshots/1/file"]),
)
def test_what_is_read_of_a_folder_is_its_own(
    tmp_path_factory, parent, name, link, again, of_blobs
):
    """Or from blobs in a cache of the Hub; no link leads anywhere else."""
    model = tmp_path_factory.mktemp("hub") / "model"
    folder = model / parent / "1"
    own = {folder, folder / "sub"} | ({model / "blobs"} if parent == "snapshots" else set())
    others = {model, model / "blobs", model / "blobs-2", model / parent / "other"} - own
    for place in sorted(own | others):
        place.mkdir(parents=True, exist_ok=True)
        (place / "file").write_bytes(b"own" if place in own else b"of others")
    (folder / "link").symlink_to(link)
    (folder / "again").symlink_to(again)
    (model / "blobs" / "link").symlink_to(of_blobs)
    path = folder / name
    content = path.read_bytes() if path.is_file() else None
    try:
        found = member(folder, name)
    except ValueError as error:
        assert content != b"own" and "put the file itself there" in str(error)
    else:
        assert found == path and content in (None, b"own")
