"""Two ranks of MPI are one process with the same batches, and end together."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_run import TINY, environment

from npgpt.checkpoint import load_run
from npgpt.config import RUN_FORMAT

ROOT = Path(__file__).parents[2]
SETTINGS = [*TINY, "--sample-tokens", "0", "--max-iters", "100", "--eval-interval", "50"]
SAVED = ("model.safetensors", "train_state.safetensors")

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
from npgpt.config import RUN_FORMAT
from npgpt import train as run
from npgpt.run import parallel

def signalled(model, optimizer, ids, config, ranks, objective, steps=run.training_steps):
    with compiling.told("attend", "FOLDER"):
        pass
    for step in steps(model, optimizer, ids, config, ranks, objective):
        yield step
        if ranks.rank == 1 and step.step == 57:
            os.kill(os.getpid(), signal.Signals[sys.argv[1]])

run.training_steps = parallel.training_steps = signalled
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
    )


def losses(folder):
    with open(folder / "metrics.csv", encoding="utf-8", newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def pair(tmp_path_factory, corpus):
    """Return the folder of a run on two ranks, and its output."""
    folder = tmp_path_factory.mktemp("pair") / "run"
    done = two_ranks("train", "--corpus", corpus, "--out", folder, *SETTINGS)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@pytest.mark.parametrize("arch", ["llama", "bert", "t5"])
def test_the_losses_of_other_models_are_those_of_one_process(cli, tmp_path, corpus, arch):
    settings = [*SETTINGS, "--arch", arch, "--max-iters", "30", "--eval-stride", "0"]
    done = two_ranks("train", "--corpus", corpus, "--out", tmp_path / "two", *settings)
    assert done.returncode == 0, done.stderr
    assert cli("train", "--corpus", corpus, "--out", tmp_path / "one", *settings)[0] == 0
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=1e-5)


def test_the_losses_are_those_of_one_process(cli, tmp_path, corpus, pair):
    folder, said = pair
    assert cli("train", "--corpus", corpus, "--out", tmp_path / "one", *SETTINGS)[0] == 0
    one, two = losses(tmp_path / "one"), losses(folder)
    assert len(two) == 100 and two == pytest.approx(one, abs=1e-5)
    assert said.count("step 100: loss") == 1 and "ranks   2" in said


@pytest.mark.parametrize(("sent", "saved"), [("SIGKILL", 50), ("SIGTERM", 58)])
def test_a_rank_that_dies_or_stops_ends_the_job_and_the_run_goes_on_to_the_same_bits(
    tmp_path, corpus, pair, sent, saved
):
    folder = tmp_path / "run"
    arguments = [sent, "train", "--corpus", corpus, "--out", folder, *SETTINGS]
    done = two_ranks(*arguments, code=SIGNALLED)
    assert done.stdout.count("FOLDER") == 1 and "FOLDER" not in done.stderr
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


@pytest.mark.parametrize(
    ("otherwise", "said"),
    [
        ("arguments += ['--n-layer', '2']", "n_layer is 1 on rank 0, 2 on rank 1"),
        ("arguments += ['--lr', '0.5']", "lr is None on rank 0, 0.5 on rank 1"),
        ("arguments += ['--tokenizer', 'bpe']", "tokenizer is None on rank 0, 'bpe' on rank 1"),
        ("arguments += ['--resume']", "resume is False on rank 0, True on rank 1"),
        ("os.environ['AUTOGRAD_BACKEND'] = 'numpy'",
         "backend is 'numba' on rank 0, 'numpy' on rank 1"),
        ("import numpy; numpy.__version__ = '1'; import importlib.metadata as m; v = m.version; "
         "m.version = lambda p: '1.0' if p == 'numpy' else v(p)", "'1.0' on rank 1"),
        ("import npgpt.config; npgpt.config.RUN_FORMAT = 99",
         f"run format is {RUN_FORMAT} on rank 0, 99 on rank 1"),
    ],
)
def test_ranks_with_other_settings_are_refused_by_all(tmp_path, corpus, otherwise, said):
    folder = tmp_path / "run"
    arguments = [otherwise, "train", "--corpus", corpus, "--out", folder, *SETTINGS]
    done = two_ranks(*arguments, code=OTHERWISE)
    assert done.returncode != 0 and not folder.exists()
    assert said in done.stderr and "start all with the same settings" in done.stderr
    assert "Traceback" not in done.stderr and "text    " not in done.stdout


def test_a_settings_file_that_is_another_one_on_a_rank_is_refused(tmp_path, corpus):
    """Each machine may have its own file of this name."""
    for name, batch in (("one", 4), ("two", 8)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.toml").write_text(f"[training]\nbatch_size = {batch}\n", "utf-8")
    otherwise = f"os.chdir({str(tmp_path / 'two')!r})"
    settings = [word for word in SETTINGS if word not in ("--batch-size", "4")]
    code = OTHERWISE.replace("if MPI", f"os.chdir({str(tmp_path / 'one')!r})\nif MPI")
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n" + code
    done = two_ranks(otherwise, "train", "--config", "run.toml", "--corpus", corpus, "--out",
                     tmp_path / "run", *settings, code=code)
    assert done.returncode != 0 and "batch_size is 4 on rank 0, 8 on rank 1" in done.stderr


def test_ranks_with_other_tokens_or_texts_are_refused_by_all(tmp_path, corpus):
    folder = tmp_path / "run"
    for changed, said in (
        ("CharTokenizer, 'tokens', property(lambda self: [b'x'] * self.vocab_size)", "tokenizer"),
        ("TextSource, '__post_init__', lambda self: object.__setattr__(self, 'sha256', '0')",
         "text"),
    ):
        otherwise = (
            "from npgpt import CharTokenizer; from npgpt.checkpoint import TextSource; "
            f"setattr({changed})"
        )
        arguments = [otherwise, "train", "--corpus", corpus, "--out", folder, *SETTINGS]
        done = two_ranks(*arguments, code=OTHERWISE)
        assert done.returncode != 0 and not folder.exists()
        assert f"{said} is '" in done.stderr and "on the same files" in done.stderr


def test_without_mpi4py_a_launched_process_says_what_to_install(cli, here, corpus, monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    monkeypatch.setitem(os.environ, "OMPI_COMM_WORLD_SIZE", "2")
    status, _, err = cli("train", "--corpus", corpus, *SETTINGS)
    assert status == 1 and "pip install -e '.[mpi]'" in err
