"""Compiled kernels are kept on disk: found again, never stale, and never in the way.

A child process imports the kernels from their sources, or from a copy of them, calls one that
compiles quickly, and reports how often code was loaded and how often it was compiled.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numba
import pytest

import autograd
from autograd.kernels import compiler

pytestmark = pytest.mark.slow

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
ROOT, NOBODY = os.name != "nt" and os.geteuid() == 0, 65534
PROJECT = Path(autograd.__file__).parents[1]
KERNELS = Path(compiler.__file__).parent
TOKENIZER = PROJECT / "npgpt" / "tokenizer" / "compiled" / "kernels"
CHILD = """
import json, sys
import numpy as np
from autograd import kernels
for dtype in sys.argv[1:]:
    assert kernels.sum_of_squares([np.array([3, 4], dtype)]) == 25, dtype
stats = sys.modules["autograd.kernels.optimizer"]._sum_of_squares.stats
print(json.dumps([sum(stats.cache_hits.values()), sum(stats.cache_misses.values())]))
"""
SUMS = """
import hashlib, json, sys
import numpy as np
from autograd import kernels
x_NC, dy_NC = np.random.default_rng(0).standard_normal((2, 64, 384), np.float32)
y_NC, (mean_N, rstd_N, weight_C) = kernels.softmax(x_NC), np.ones((3, 384), np.float32)
gradients = kernels.layer_norm_backward(dy_NC, x_NC, weight_C, mean_N[:64], rstd_N[:64])
stats = [
    sys.modules["autograd.kernels.softmax"]._softmax.stats,
    sys.modules["autograd.kernels.layer_norm"]._layer_norm_backward.stats,
]
loaded = sum(sum(each.cache_hits.values()) for each in stats)
digests = [hashlib.sha256(array.tobytes()).hexdigest() for array in (y_NC, *gradients)]
print(json.dumps([loaded, digests]))
"""


def start(cache, *dtypes, project=PROJECT, flags=(), code=CHILD):
    """A process that calls sum_of_squares of the `autograd` in `project`, once for each dtype."""
    return subprocess.Popen(
        [sys.executable, "-B", *flags, "-c", code, *dtypes],
        env=os.environ | {"NUMBA_CACHE_DIR": str(cache)},
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def finish(process):
    """(loaded, compiled, what it wrote to stderr)"""
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    loaded, compiled = json.loads(output)
    return loaded, compiled, errors


def run(*arguments, **settings):
    return finish(start(*arguments, **settings))


@pytest.fixture(scope="module")
def filled_cache(tmp_path_factory):
    """A cache that has sum_of_squares for float32."""
    cache = tmp_path_factory.mktemp("cache")
    assert run(cache, "float32")[:2] == (0, 1)
    return cache


def test_a_second_process_compiles_nothing(filled_cache):
    assert run(filled_cache, "float32")[:2] == (1, 0)


def test_a_second_process_gets_the_same_bits(tmp_path):
    """Of sums too: Numba optimises what a kernel is made of several times, and the sums go in
    another order each time."""
    outputs = []
    for _ in range(2):
        output, errors = start(tmp_path, code=SUMS).communicate()
        assert output, errors
        outputs.append(json.loads(output))
    (compiled, digests), (loaded, of_loaded) = outputs
    assert (compiled, loaded) == (0, 2)
    assert digests == of_loaded


def test_the_folder_named_by_the_environment_is_used(filled_cache):
    (folder,) = filled_cache.iterdir()
    assert folder.name == f"kernels-{compiler.source_hash()}"
    assert list(folder.rglob("*sum_of_squares*.nbi")) and list(folder.rglob("*.nbc"))


def test_a_relative_folder_is_meant_from_where_the_process_started(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "kept")
    monkeypatch.chdir(tmp_path)
    assert compiler.cache_folder() == tmp_path / "kept" / f"kernels-{compiler.source_hash()}"


def test_without_the_environment_it_is_the_cache_folder_of_the_user(tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(compiler.platformdirs, "user_cache_path", lambda name: tmp_path / name)
    assert compiler.cache_folder().parent == tmp_path / "npgpt"


def test_another_packages_jitted_functions_stay_where_they_were(monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", "theirs")
    with compiler.compiled_code_cached():
        assert Path(numba.config.CACHE_DIR).name == f"kernels-{compiler.source_hash()}"
    assert numba.config.CACHE_DIR == "theirs"


# ---- removed when it is no longer used


def unused(folder, days=31):
    """A folder of compiled code that was last used so many days ago."""
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "kernel.nbc").touch()
    os.utime(folder, (time.time() - days * 86400,) * 2)


def test_folders_of_earlier_sources_go_after_a_month(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    unused(tmp_path / "kernels-0123456789ab")
    unused(tmp_path / "kernels-ba9876543210", days=29)
    unused(tmp_path / "kernels-of-others")
    folder = compiler.cache_folder()
    kept = {"kernels-ba9876543210", "kernels-of-others", folder.name}
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_each_name_has_its_own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    unused(tmp_path / "kernels-0123456789ab")
    unused(tmp_path / "tokenizer-0123456789ab")
    folder = compiler.cache_folder("tokenizer")
    assert {path.name for path in tmp_path.iterdir()} == {"kernels-0123456789ab", folder.name}


def test_a_folder_in_use_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    folder = compiler.cache_folder()
    (folder / "kernel.nbc").touch()
    os.utime(folder, (0, 0))
    assert compiler.cache_folder() == folder
    assert (folder / "kernel.nbc").exists()
    assert folder.stat().st_mtime > time.time() - 3600


# ---- never stale


@pytest.mark.parametrize("source", sorted(KERNELS.rglob("*.py")), ids=lambda path: path.stem)
def test_an_edit_of_any_source_changes_the_folder(source, tmp_path, monkeypatch):
    copy = tmp_path / "kernels"
    shutil.copytree(KERNELS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(compiler, "__file__", str(copy / "compiler.py"))
    before = compiler.source_hash()
    edited = copy / source.relative_to(KERNELS)
    edited.write_bytes(edited.read_bytes() + b"#")
    after = compiler.source_hash()
    edited.rename(copy / "renamed.py")
    assert len({compiler.source_hash(), after, before}) == 3


def test_an_edit_of_the_compiler_changes_the_tokenizers_folder(tmp_path, monkeypatch):
    copy = shutil.copy(compiler.__file__, tmp_path)
    monkeypatch.setattr(compiler, "__file__", copy)
    before = compiler.source_hash(TOKENIZER)
    Path(copy).write_bytes(b"#")
    assert compiler.source_hash(TOKENIZER) != before


@pytest.mark.parametrize(
    ("source", "sources"),
    [(path, sources) for sources in (KERNELS, TOKENIZER) for path in sources.rglob("*.py")],
    ids=lambda path: f"{path.parent.name}-{path.stem}",
)
def test_kernels_import_nothing_of_ours_whose_edit_would_not_be_seen(source, sources):
    """Numba freezes what a kernel imports, such as a table of constants, into the code."""
    hashed = compiler.hashed_files(sources if sources == TOKENIZER else None)
    assert source in hashed
    assert {str(path) for path in imported(source)} <= {str(path) for path in hashed}


def imported(source):
    """The files of ours that a source file imports from, anywhere in it."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import, which this test cannot follow"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            if name.partition(".")[0] in ("autograd", "npgpt"):
                yield file_of(name)


def file_of(name):
    """Of a module `a.b`, or of the module `a` that has something called b."""
    path = PROJECT.joinpath(*name.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.exists():
            return file
    return file_of(name.rpartition(".")[0])


def test_an_edit_is_seen_by_the_next_process(filled_cache, tmp_path):
    cache = shutil.copytree(filled_cache, tmp_path / "cache")
    shutil.copytree(PROJECT / "autograd", tmp_path / "autograd")
    edited = tmp_path / "autograd" / "kernels" / "optimizer.py"
    text = edited.read_text(encoding="utf-8")
    changed = text.replace("result += partial[chunk]", "result += 2 * partial[chunk]")
    assert changed != text
    edited.write_text(changed, encoding="utf-8")
    process = start(cache, "float32", project=tmp_path)
    assert "AssertionError: float32" in process.communicate()[1]


# ---- several processes


def test_processes_that_start_at_once_on_an_empty_cache(tmp_path):
    unused(tmp_path / "kernels-0123456789ab")
    children = [start(tmp_path, dtype) for dtype in ("float32", "float64") * 2]
    for child in children:
        assert sum(finish(child)[:2]) == 1
    assert [folder.name for folder in tmp_path.iterdir()] == [f"kernels-{compiler.source_hash()}"]
    run(tmp_path, "float64", "float32")  # an entry may be missing, and is added again
    assert run(tmp_path, "float32", "float64")[:2] == (2, 0)


def test_an_index_that_was_overwritten_never_leads_to_code_for_another_dtype(
    filled_cache, tmp_path
):
    """Two processes that both found no index: the index of one, the code of both."""
    cache = shutil.copytree(filled_cache, tmp_path / "cache")
    (index,) = cache.rglob("*sum_of_squares*.nbi")
    of_float32 = index.read_bytes()
    index.unlink()
    assert run(cache, "float64")[:2] == (0, 1)
    of_float64 = index.read_bytes()
    for content, hit in ((of_float32, "float32"), (of_float64, "float64")):
        index.write_bytes(content)
        assert run(cache, hit)[:2] == (1, 0)


# ---- where nothing can be written


def test_a_folder_that_can_not_be_written_to_is_a_warning(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for name in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))
    for expected in ((0, 1), (1, 0)):  # another is used
        loaded, compiled, errors = run(tmp_path / "file", "float32")
        assert (loaded, compiled) == expected
        assert errors.count("RuntimeWarning") == 1 and "Set NUMBA_CACHE_DIR" in errors


def test_nothing_is_written_beside_the_sources(tmp_path):
    """As for an installation that belongs to root."""
    project, cache = tmp_path / "installed", tmp_path / "cache"
    shutil.copytree(PROJECT / "autograd", project / "autograd")
    files = sorted(project.rglob("*"))
    for path in [project, *files]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert run(cache, "float32", project=project, flags=["-W", "error"])[:2] == (0, 1)
        assert run(cache, "float32", project=project)[:2] == (1, 0)
        assert sorted(project.rglob("*")) == files
    finally:
        for path in [project, *files]:
            path.chmod(0o755)


@pytest.fixture
def others(tmp_path_factory, monkeypatch):
    """A cache folder of the user and one of temporary files, to take if another cannot be used."""
    user, temporary = tmp_path_factory.mktemp("others") / "user", tmp_path_factory.mktemp("others")
    monkeypatch.setattr(compiler.platformdirs, "user_cache_path", lambda _: user)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setattr(compiler._Cache, "warned", False)
    return user, temporary / (f"npgpt-{os.geteuid()}" if os.name != "nt" else "npgpt")


def test_another_folder_is_used_if_one_cannot_be(tmp_path, monkeypatch, others):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    user, temporary = others
    with pytest.warns(
        RuntimeWarning, match="file.*they are kept in .*user.*Set NUMBA_CACHE"
    ) as told:
        assert compiler.cache_folder().parent == user
        shutil.rmtree(user)
        user.touch()
        assert compiler.cache_folder().parent == temporary
    assert len(told) == 1


def test_warning_names_the_folder_and_the_way_out(tmp_path, monkeypatch, others):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    for path in (tmp_path / "file", *others):
        path.touch()
    with pytest.warns(RuntimeWarning, match="file.*every run will compile.*Set NUMBA_CACHE_DIR"):
        assert compiler.cache_folder() is None
    with warnings.catch_warnings(action="error"), compiler.compiled_code_cached():  # said once
        assert numba.config.CACHE_DIR == ""


def test_the_warning_is_of_the_module_with_kernels(tmp_path, monkeypatch, others):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    with pytest.warns(RuntimeWarning) as told, compiler.compiled_code_cached():
        pass
    assert told[0].filename == __file__


# ---- whom to trust


@pytest.fixture
def refused(monkeypatch, others):
    def check(match):
        """That other folders are used than that of NUMBA_CACHE_DIR."""
        monkeypatch.setattr(compiler._Cache, "warned", False)
        with pytest.warns(RuntimeWarning, match=match + ".*Set NUMBA_CACHE_DIR") as told:
            assert compiler.cache_folder().parent == others[0]
            assert compiler.cache_folder("tokenizer").parent == others[0]
        assert len(told) == 1

    return check


@posix
@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o1777])
def test_a_folder_that_others_may_write_to_is_not_used(tmp_path, monkeypatch, refused, mode):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    folders = [compiler.cache_folder(), compiler.cache_folder("tokenizer")]
    for folder in folders:
        folder.chmod(mode)
    refused(f"other users may write to {folders[0]}; chmod go-w it")
    for folder in folders:
        folder.chmod(0o755)
    assert [compiler.cache_folder(), compiler.cache_folder("tokenizer")] == folders


@posix
def test_a_parent_that_others_may_write_to_is_one_like_tmp_or_not_used(
    tmp_path, monkeypatch, refused
):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    tmp_path.chmod(0o777)
    refused(f"other users may write to {tmp_path};")
    tmp_path.chmod(0o1777)
    assert compiler.cache_folder().parent == tmp_path


@posix
def test_nor_may_others_write_to_one_further_up(tmp_path, monkeypatch, refused):
    above = tmp_path / "above"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(above / "a" / "b"))
    folder = compiler.cache_folder()
    above.chmod(0o777)
    refused(f"other users may write to {above};")
    above.chmod(0o1777)
    assert compiler.cache_folder() == folder


@posix
def test_a_link_of_another_is_not_followed(tmp_path, monkeypatch, refused):
    """In /tmp anybody may make one, to any folder of this user."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    for name in ("kernels", "tokenizer"):
        (tmp_path / f"{name}-{compiler.source_hash()}").symlink_to(tmp_path)
    refused("other users may write to ")


@posix
@pytest.mark.parametrize("mask", [0o000, 0o002, 0o077])
def test_what_is_made_here_is_trusted_whatever_files_others_share(tmp_path, monkeypatch, mask):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    before = os.umask(mask)
    try:
        folder = compiler.cache_folder()
        assert folder is not None and compiler.cache_folder() == folder
    finally:
        os.umask(before)


@pytest.mark.skipif(not ROOT, reason="only root can give files to others")
def test_a_folder_of_another_user_is_not_used(tmp_path, monkeypatch, refused):
    """Unless it is root's."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    folders = [compiler.cache_folder(), compiler.cache_folder("tokenizer")]
    for paths in (folders, [tmp_path / "cache"]):
        for path in paths:
            os.chown(path, NOBODY, -1)
        refused(f"{paths[0]} belongs to another user")
        for path in paths:
            os.chown(path, 0, -1)
    assert compiler.cache_folder() == folders[0]
