"""Files that appear complete, and files from strangers: `npgpt.support.files`."""

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

from npgpt.support.files import append, atomic_write, member, open_file, read_arrays, read_json

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
        assert "a.safetensors" in str(error)
        with pytest.raises(SafetensorError):
            load(content)
    else:
        assert_same(found, load(content))


def file_of(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize("content", [
    b"",
    struct.pack("<Q", 10**12) + b"{}",
    file_of(b"[" * 100_000),
    file_of({"a": ENTRY, "b": ENTRY}, bytes(8)),  # two arrays in one place
    file_of({"a": ENTRY | {"shape": [2**62, 8], "data_offsets": [0, 0]}}),
    file_of({"a": ENTRY | {"dtype": "F8_E4M3", "shape": [8]}}, bytes(8)),
])
def test_hostile_files_are_refused(tmp_path, content):
    with pytest.raises(ValueError, match=r"a\.safetensors"):
        read(tmp_path / "a.safetensors", content)


def test_an_array_that_is_not_aligned_is_copied(tmp_path):
    body = bytes([1]) + np.arange(3, dtype="<f4").tobytes()
    header = {
        "a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "b": {"dtype": "F32", "shape": [3], "data_offsets": [1, 13]},
    }
    found = read(tmp_path / "a.safetensors", file_of(header, body))
    assert found["b"].tolist() == [0, 1, 2] and found["b"].flags.aligned


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    """A disk may be full; on Windows a file that is open elsewhere cannot be replaced."""
    path = tmp_path / "weights"
    atomic_write(path, b"old")
    for failing in ("os.fsync", "os.replace"):
        with monkeypatch.context() as patched:
            patched.setattr(failing, lambda *_: os.stat(tmp_path / "none"))
            with pytest.raises(OSError):
                atomic_write(path, b"new, longer")
        assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("weights", b"old")]
    atomic_write(path, "neu, größer")
    assert path.read_text(encoding="utf-8") == "neu, größer"


@pytest.mark.skipif(os.name == "nt", reason="no modes there, and links need rights")
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path):
    path = tmp_path / "weights"
    path.touch()
    for mode in (0o600, 0o640, 0o444):
        path.chmod(mode)
        atomic_write(path, b"new")
        assert path.stat().st_mode & 0o777 == mode


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_nothing_is_appended_to_a_file_with_a_second_name(tmp_path, link):
    mine = tmp_path / "mine"
    mine.write_bytes(b"mine")
    link(mine, tmp_path / "samples.txt")
    with pytest.raises(ValueError, match="samples.txt is .*link"):
        append(tmp_path / "samples.txt", "of a stranger")
    assert mine.read_bytes() == b"mine"
    append(tmp_path / "new.txt", "für\n")
    append(tmp_path / "new.txt", "uns\n")
    assert (tmp_path / "new.txt").read_bytes() == "für\nuns\n".encode()


@pytest.mark.skipif(os.name == "nt", reason="no such device there")
def test_only_a_file_is_opened(tmp_path):
    for path, what in ((os.devnull, "device"), (tmp_path, "folder")):
        with pytest.raises(ValueError, match=f"{path} .*{what}"):
            open_file(path, "rb")


def test_a_json_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path, tmp_path / "file"):
        with pytest.raises(FileNotFoundError, match="none.json"):
            read_json(folder / "none.json")
    for content in (b'{"a": "\xff"}', b'{"a": NaN}', b"[]", b"[" * 100_000, b'{"a"'):
        (tmp_path / "bad.json").write_bytes(content)
        with pytest.raises(ValueError, match="bad.json"):
            read_json(tmp_path / "bad.json")


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
    for path in sorted(own | others):
        path.mkdir(parents=True, exist_ok=True)
        (path / "file").write_bytes(b"own" if path in own else b"of others")
    (folder / "link").symlink_to(link)
    (folder / "again").symlink_to(again)
    (model / "blobs" / "link").symlink_to(of_blobs)
    path = folder / name
    content = path.read_bytes() if path.is_file() else None
    try:
        found = member(folder, name)
    except ValueError as error:
        assert content != b"own" and name in str(error)
    else:
        assert found == path and content in (None, b"own")
