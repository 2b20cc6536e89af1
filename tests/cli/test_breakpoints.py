"""A breakpoint in the engine first meets the reader's own model, in whatever backend."""

import json
import subprocess
import sys

import pytest
from tiny_run import TINY, environment

# Prints, for the functions in which readers stop, the width of the model at work when each is first
# called. `Tensor.backward` is the same function as `autograd.engine.backward`.
STOPS = """
import json, sys
from autograd import backend, engine
from npgpt.cli import main
from npgpt.gpt import Model

stops = {engine.backward.__code__: "backward", engine.Op.__call__.__code__: "Op"}
if backend.name == "numba":  # where a GPT's tokens are compiled steps, which call no op
    from npgpt.fast.decoder import Decoder
    stops[Decoder.__call__.__code__] = "Decoder"
met = {}

def stop(frame, event, _):
    name = stops.get(frame.f_code)
    if event == "call" and name and name not in met:
        models = []
        while frame:
            models += [v for v in frame.f_locals.values() if isinstance(v, Model)]
            frame = frame.f_back
        met[name] = models[0].config.n_embd if models else None

sys.setprofile(stop)
status = main(sys.argv[1:])
sys.setprofile(None)
print(json.dumps([status, met]))
"""
WIDE = ["--n-embd", "24"]


@pytest.mark.parametrize("backend", ["numpy", pytest.param("numba", marks=pytest.mark.kernels)])
def test_a_breakpoint_first_meets_the_readers_model(corpus, tmp_path, backend):
    def met(*arguments):
        done = subprocess.run(
            [sys.executable, "-c", STOPS, *map(str, arguments)], check=True, encoding="utf-8",
            capture_output=True, env=environment(AUTOGRAD_BACKEND=backend),
        )
        return json.loads(done.stdout.splitlines()[-1])

    run = tmp_path / "run"
    assert met("train", *TINY, *WIDE, "--corpus", corpus, "--out", run) == [
        0, {"backward": 24, "Op": 24}]
    _, seen = met("generate", run, "--max-new-tokens", "3")
    assert seen == {"Op" if backend == "numpy" else "Decoder": 24}
