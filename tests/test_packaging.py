"""What is handed on: the source distribution runs the tests, the wheel has types and the page."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
NOT_HANDED_ON = (".ci/", ".github/")


def tracked():
    """The files that git knows."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=False, capture_output=True)
    if listed.returncode or not listed.stdout:
        pytest.skip("there is no git, or this is no clone")
    return [name for name in listed.stdout.decode("utf-8").split("\0") if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(names in the sdist without its folder, names in the wheel), built from a copy."""
    pytest.importorskip("setuptools", "64", reason="setuptools is not installed")
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("out")
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name)
    (copy / "examples" / "__pycache__").mkdir()
    (copy / "examples" / "__pycache__" / "a.pyc").write_bytes(b"")
    (copy / "tests" / "b.pyc").write_bytes(b"")
    build = "from setuptools import build_meta as b; b.build_sdist({0!r}); b.build_wheel({0!r})"
    subprocess.run([sys.executable, "-c", build.format(str(out))], cwd=copy, check=True,
                   capture_output=True)
    with tarfile.open(next(out.glob("*.tar.gz"))) as sdist:
        names = {m.name.partition("/")[2] for m in sdist.getmembers() if m.isfile()}
    with zipfile.ZipFile(next(out.glob("*.whl"))) as wheel:
        return names, set(wheel.namelist())


def test_the_sdist_has_every_file_that_a_clone_has(built):
    names, _ = built
    wanted = {name for name in tracked() if not name.startswith(NOT_HANDED_ON)}
    assert wanted - names == set()
    assert {name for name in names - wanted if "egg-info" not in name} == {"PKG-INFO"}


def test_the_wheel_has_the_page_the_trained_model_and_the_mark_of_types(built):
    _, names = built
    data = ("npgpt/look/page/", "npgpt/shipped/")
    page = {name for name in tracked() if name.startswith(data)}
    assert {"autograd/py.typed", "npgpt/py.typed"} | page <= names
    assert {name.partition("/")[0] for name in names if "dist-info" not in name} == {
        "autograd", "npgpt"
    }


def test_an_editable_install_is_a_path_with_the_two_packages_alone(tmp_path):
    """Type checkers and editors read paths, and run no import hook."""
    copy, site = tmp_path / "copy", tmp_path / "site"
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name)
    build = f"from setuptools import build_meta as b; b.build_editable({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    (path,) = (line for file in site.glob("*.pth") for line in file.read_text().splitlines())
    found = {entry.name for entry in Path(path).iterdir() if entry.suffix != ".egg-info"}
    assert found == {"autograd", "npgpt"}
    assert (Path(path) / "npgpt" / "__init__.py").samefile(copy / "npgpt" / "__init__.py")
