"""Two ranks of MPI are one process with the same batches, and end together."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_run import TINY, environment

from npgpt.training.checkpoint import load_run

ROOT = Path(__file__).parents[2]
SETTINGS = [*TINY, "--sample-tokens", "0", "--max-iters", "100", "--eval-interval", "50"]
SAVED = ("model.safetensors", "train_state.safetensors")

# More ranks than cores, and root in a container, are fine here; each MPI reads its own names. The
# folder for temporary files that macOS gives has too long a name for Open MPI's sockets.
LENIENT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe", "TMPDIR": "/tmp",
}  # fmt: skip

# The second rank gets a signal after step 57.
SIGNALLED = """
import os, signal, sys
from npgpt.cli import main
from npgpt.training import run

def signalled(model, optimizer, ids, config, first_step, ranks, steps=run.training_steps):
    for step in steps(model, optimizer, ids, config, first_step, ranks):
        yield step
        if ranks.rank == 1 and step.step == 57:
            os.kill(os.getpid(), signal.Signals[sys.argv[1]])

run.training_steps = signalled
sys.exit(main(sys.argv[2:]))
"""


def launcher():
    """mpirun of this environment, or of the machine."""
    return shutil.which("mpirun", path=str(Path(sys.executable).parent)) or shutil.which("mpirun")


pytest.importorskip("mpi4py", reason="mpi4py, of the extra 'mpi', is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not launcher(), reason="there is no mpirun; the extra 'mpi' has it"),
]


def two_ranks(*arguments, code=None):
    program = ["-c", code] if code else ["-m", "npgpt.cli"]
    command = [launcher(), "-n", "2", sys.executable, *program, *arguments]
    return subprocess.run(
        [str(part) for part in command], cwd=ROOT, check=False, capture_output=True,
        env=environment(NUMBA_NUM_THREADS="1", **LENIENT), encoding="utf-8", timeout=300,
    )  # fmt: skip


def losses(folder):
    with open(folder / "metrics.csv", encoding="utf-8", newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def pair(tmp_path_factory, corpus):
    """The folder of a run on two ranks, and what it printed."""
    folder = tmp_path_factory.mktemp("pair") / "run"
    done = two_ranks("train", "--corpus", corpus, "--out", folder, *SETTINGS)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_the_losses_are_those_of_one_process(cli, tmp_path, corpus, pair):
    folder, said = pair
    assert cli("train", "--corpus", corpus, "--out", tmp_path / "one", *SETTINGS)[0] == 0
    one, two = losses(tmp_path / "one"), losses(folder)
    assert len(two) == 100 and two == pytest.approx(one, abs=1e-5)
    assert said.count("step 100: loss") == 1 and "ranks   2" in said


@pytest.mark.parametrize(("sent", "saved"), [("SIGKILL", 50), ("SIGTERM", 58)])
def test_a_rank_that_dies_or_stops_ends_the_job_and_the_run_goes_on_to_the_same_bits(
    tmp_path, corpus, pair, sent, saved
):  # fmt: skip
    folder = tmp_path / "run"
    arguments = [sent, "train", "--corpus", corpus, "--out", folder, *SETTINGS]
    done = two_ranks(*arguments, code=SIGNALLED)
    assert done.returncode != 0
    assert (f"stopped after step {saved}, which is saved" in done.stdout) == (sent == "SIGTERM")
    load_run(folder)
    done = two_ranks("train", "--resume", "--out", folder)
    assert done.returncode == 0, done.stderr
    assert f"from step {saved}" in done.stdout
    for name in SAVED:
        assert (folder / name).read_bytes() == (pair[0] / name).read_bytes()
    assert losses(folder) == losses(pair[0])


def test_a_batch_that_can_not_be_shared_is_refused_by_all(tmp_path, corpus):
    folder = tmp_path / "run"
    settings = [*SETTINGS, "--batch-size", "5"]
    done = two_ranks("train", "--corpus", corpus, "--out", folder, *settings)
    assert done.returncode != 0 and not folder.exists()
    assert "batch_size=5 cannot be shared by 2 ranks; use --batch-size 4" in done.stderr


def test_without_mpi4py_a_launched_process_says_what_to_install(cli, here, corpus, monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    monkeypatch.setitem(os.environ, "OMPI_COMM_WORLD_SIZE", "2")
    status, _, err = cli("train", "--corpus", corpus, *SETTINGS)
    assert status == 1 and "pip install 'npgpt[mpi]'" in err
