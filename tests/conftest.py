"""Settings of hypothesis, the marker `kernels`, one thread for small arrays, the program.

Compiling a kernel makes a first example slow, so no example has a deadline. The examples are the
same in every run; `--hypothesis-profile=random` draws new ones.
"""

import io
import json
import os
import signal
import sys

import pytest
from hypothesis import settings
from tiny_run import CHAR, FORTY, TEXT, TINY, files, npgpt, run_program

from autograd import backend

settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("random", deadline=None, print_blob=True)
settings.load_profile("same")

# A shell starts background jobs with Ctrl-C ignored, which processes started here inherit: a test
# that interrupts one would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    for mark, skipped, reason in (
        ("kernels", backend.name != "numba", "measures the compiled kernels"),
        ("posix", os.name == "nt", "POSIX has it"),
    ):
        for item in items:
            if skipped and item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Compute on one thread: for a few numbers a second takes longer to wake than to compute.

    The results do not depend on the number of threads, as tests/kernels/test_threads.py, the
    decoder's and processes started by others show.
    """
    import numba

    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


class Terminal(io.StringIO):
    """The output to a terminal, with the size of a real one."""

    def __init__(self, descriptor):
        super().__init__()
        self.descriptor = descriptor

    def isatty(self):
        return True

    def fileno(self):
        return self.descriptor

    def line(self):
        """Return the line as last drawn."""
        return [line for line in self.getvalue().split("\r") if line.strip()][-1].rstrip()


@pytest.fixture
def terminal(monkeypatch):
    """A function that replaces standard error by a new `Terminal` of so many columns.

    It has one column more, as tqdm leaves the last one free.
    """
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    ours, theirs = pty.openpty()

    def new(columns):
        termios.tcsetwinsize(theirs, (25, columns + 1))
        monkeypatch.setattr(sys, "stderr", Terminal(theirs))
        return sys.stderr

    yield new
    os.close(ours)
    os.close(theirs)


@pytest.fixture
def cli(capfd, monkeypatch, request):
    """A function that calls the program in this process: (status, its stdout, its stderr).

    Drawing a picture takes longer than a tiny run: unless marked `pictures`, tests have none.
    """
    if not request.node.get_closest_marker("pictures"):
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # as if it were not installed

    def call(*arguments):
        from npgpt.cli import main

        status = main([str(argument) for argument in arguments])
        return status, *capfd.readouterr()

    return call


@pytest.fixture
def done(cli):
    """A function that calls the program, which does what it is asked: its stdout."""

    def call(*arguments):
        status, out, err = cli(*arguments)
        assert status == 0, err
        return out

    return call


@pytest.fixture
def as_json(done):
    """A function that calls the program with --json: the object that it prints."""
    return lambda *arguments: json.loads(done(*arguments, "--json"))


@pytest.fixture
def refused(cli):
    """A function that calls the program, which refuses in words: its stderr."""

    def call(*arguments):
        status, _, err = cli(*arguments)
        assert status == 1 and "Traceback" not in err, err
        assert "\nnpgpt " in f"\n{err}", err
        return err

    return call


@pytest.fixture
def refuses(refused, tmp_path):
    """A function that calls the program, which refuses with these words and changes no file."""

    def call(words, *arguments):
        before = files(tmp_path)
        err = refused(*arguments)
        assert all(word in err for word in words.split()), err
        assert files(tmp_path) == before

    return call


@pytest.fixture
def piped(monkeypatch):
    """A function that gives the program bytes on its standard input."""

    def give(data):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), "utf-8"))

    return give


@pytest.fixture
def at_each_step(monkeypatch):
    """A function: it has `act(step, model)` called after each training step, before it is saved."""
    from npgpt import train

    def watch(act, steps=train.training_steps):
        def watched(model, *others):
            for step in steps(model, *others):
                act(step.step, model)
                yield step

        monkeypatch.setattr(train, "training_steps", watched)

    return watch


@pytest.fixture
def interrupted(cli, monkeypatch):
    """A function that calls the program, with a Ctrl-C after so many steps: its stdout."""
    from npgpt import train

    def call(last, *arguments, steps=train.training_steps):
        def some(*others):
            for step in steps(*others):
                if step.step == last:
                    raise KeyboardInterrupt
                yield step

        with monkeypatch.context() as patched:
            patched.setattr(train, "training_steps", some)
            status, out, _ = cli(*arguments)
        assert status == 130
        return out

    return call


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "hens.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def finished(tmp_path_factory, corpus):
    """Return the folder of a finished run of 6 steps; do not write to it."""
    folder = tmp_path_factory.mktemp("runs") / "hens"
    run_program("train", "--corpus", corpus, "--out", folder, *TINY, *CHAR)
    return folder


@pytest.fixture(scope="session")
def forty(tmp_path_factory, corpus):
    """Return the folder of a run of 40 steps, by a process on one thread; do not write to it."""
    folder = tmp_path_factory.mktemp("forty") / "run"
    train = ("train", "--corpus", corpus, "--out", folder, *FORTY)
    run = npgpt(*train, env={"NUMBA_NUM_THREADS": "1"})
    assert run.returncode == 0, run.stderr
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
