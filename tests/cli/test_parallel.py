"""Two ranks of MPI are one process with the same batches, and end together."""

import re
import shutil
import sys
from pathlib import Path

import pytest
from tiny_run import TINY, assert_same_checkpoint, npgpt, resumed_at

from npgpt.loading.runs import load_run
from npgpt.support.metrics import read_metrics

SETTINGS = [*TINY, "--sample-tokens", "0", "--max-iters", "100", "--eval-interval", "50"]

# More ranks than cores, and root in a container, are fine here; each MPI reads its own names. The
# folder for temporary files that macOS gives has too long a name for Open MPI's sockets.
LENIENT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe", "TMPDIR": "/tmp",
}

# Each rank compiles, and the second gets a signal after step 57.
SIGNALLED = """
import os, signal, sys
from autograd import compiling
from npgpt.cli import main
from npgpt import train as run
from npgpt.run import parallel

def signalled(model, optimizer, ids, config, objective, steps=run.training_steps):
    with compiling.notified("attend", "FOLDER"):
        pass
    for step in steps(model, optimizer, ids, config, objective):
        yield step
        if run.CURRENT_RANKS.get().rank == 1 and step.step == 57:
            os.kill(os.getpid(), signal.Signals[sys.argv[1]])

run.training_steps = parallel.training_steps = signalled
sys.exit(main(sys.argv[2:]))
"""


# mpirun of this environment, or of the machine.
LAUNCHER = shutil.which("mpirun", path=str(Path(sys.executable).parent)) or shutil.which("mpirun")


pytest.importorskip("mpi4py", reason="mpi4py, of the extra 'mpi', is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not LAUNCHER, reason="there is no mpirun; the extra 'mpi' has it"),
]


def two_ranks(*arguments, code=None):
    return npgpt(*arguments, code=code, launcher=[LAUNCHER, "-n", "2"], timeout=300,
                 env={"NUMBA_NUM_THREADS": "1", **LENIENT})


def losses(folder):
    return [row["loss"] for row in read_metrics(folder / "metrics.csv")]


@pytest.fixture(scope="module")
def pair(tmp_path_factory, corpus):
    """Return the folder of a run on two ranks, and its output."""
    folder = tmp_path_factory.mktemp("pair") / "run"
    done = two_ranks("train", corpus, "--out", folder, *SETTINGS)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_the_losses_are_those_of_one_process(cli, tmp_path, corpus, pair):
    folder, said = pair
    assert cli("train", corpus, "--out", tmp_path / "one", *SETTINGS)[0] == 0
    one, two = losses(tmp_path / "one"), losses(folder)
    assert len(two) == 100 and two == pytest.approx(one, abs=1e-5)
    assert said.count("step 100:") == 1 and "ranks   2" in said


@pytest.mark.parametrize(("sent", "saved"), [("SIGKILL", 50), ("SIGTERM", 58)])
def test_a_rank_that_dies_or_stops_ends_the_job_and_the_run_goes_on_to_the_same_bits(
    tmp_path, corpus, pair, sent, saved
):
    folder = tmp_path / "run"
    train = ("train", corpus, "--out", folder, *SETTINGS)
    done = two_ranks(sent, *train, code=SIGNALLED)
    assert done.stderr.count("FOLDER") == 1 and "FOLDER" not in done.stdout
    assert done.returncode != 0
    load_run(folder)
    done = two_ranks("train", "--resume", folder)
    assert done.returncode == 0 and resumed_at(done.stdout) == saved, done.stderr
    assert_same_checkpoint(folder, pair[0])


# What the first argument says is done on the second rank only.
OTHERWISE = """
import os, sys
from mpi4py import MPI
arguments = sys.argv[2:]
if MPI.COMM_WORLD.rank == 1:
    exec(sys.argv[1])
from npgpt.cli import main
sys.exit(main(arguments))
"""


@pytest.mark.parametrize(("otherwise", "facts"), [
    ("arguments += ['--lr', '0.5']", "lr 0.006 0.5"),
    ("os.environ['AUTOGRAD_BACKEND'] = 'numpy'", "backend 'numba' 'numpy'"),
    ("import importlib.metadata as m; v = m.version; "
     "m.version = lambda p: '1.0' if p == 'numpy' else v(p)", "'1.0'"),
    ("from npgpt import CharTokenizer as C; "
     "C.tokens = property(lambda self: [b'x'] * self.vocab_size)", "tokenizer"),
    ("from npgpt.batches import TextSource as T; "
     "T.__post_init__ = lambda self: object.__setattr__(self, 'sha256', '0')", "text"),
])
def test_ranks_with_other_settings_tokens_or_texts_are_refused_by_all(
    tmp_path, corpus, otherwise, facts
):
    folder = tmp_path / "run"
    train = ("train", corpus, "--out", folder, *SETTINGS)
    done = two_ranks(otherwise, *train, code=OTHERWISE)
    assert done.returncode != 0 and not folder.exists() and "Traceback" not in done.stderr
    assert re.search(" .*".join(map(re.escape, facts.split())), done.stderr)


def test_a_batch_that_can_not_be_shared_is_refused_by_all(tmp_path, corpus):
    train = ("train", corpus, "--out", tmp_path / "run", *SETTINGS)
    done = two_ranks(*train, "--batch-size", 5)
    assert done.returncode != 0 and not (tmp_path / "run").exists()
    assert "--batch-size 4" in done.stderr


def test_without_mpi4py_a_launched_process_says_what_to_install(refused, here, corpus, monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    assert "mpi4py" in refused("train", corpus, *SETTINGS)
