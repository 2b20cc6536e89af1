"""A breakpoint in the engine first meets the reader's own model, in whatever backend."""

import json

import pytest
from tiny_run import TINY, npgpt

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


@pytest.mark.parametrize("backend", ["numpy", pytest.param("numba", marks=pytest.mark.kernels)])
def test_a_breakpoint_first_meets_the_readers_model(corpus, tmp_path, backend):
    def met(*words):
        done = npgpt(*words, code=STOPS, env={"AUTOGRAD_BACKEND": backend})
        return json.loads(done.stdout.splitlines()[-1])

    train = ("train", *TINY, "--n-embd", 24, corpus, "--out", tmp_path)
    assert met(*train) == [0, {"backward": 24, "Op": 24}]
    generates = {"Op" if backend == "numpy" else "Decoder": 24}
    assert met("generate", tmp_path, "--max-new-tokens", 3) == [0, generates]
