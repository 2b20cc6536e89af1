"""The gain of each rung: the same training step number by number, by hand, by the engine on NumPy,
by the engine on its kernels."""

from dataclasses import asdict

from benchmarks.measure import QUICK, Contest, Effort
from benchmarks.report import comparison_table
from benchmarks.runners import OURS_NUMPY, PAGE, SCALARS
from benchmarks.shapes import CONFIGURATIONS, TINY

LONG = Effort(seconds=40.0, least=5, most=9)
SETTINGS = {
    "tiny": (*TINY["tiny"], (SCALARS, PAGE, OURS_NUMPY)),
    "cpu": (*CONFIGURATIONS["cpu"], (PAGE, OURS_NUMPY)),
}


def tables(threads, quick=False):
    found = []
    for name, (batch, config, baselines) in list(SETTINGS.items())[: 1 if quick else None]:
        what = (f"`{name}`: {config.n_layer} layers, {config.n_embd} wide, "
                f"T={config.block_size}, B={batch}, V={config.vocab_size}")
        with Contest(threads, baselines, QUICK if quick else LONG) as contest:
            found += contest.compare(what, "training_step", batch=batch, config=asdict(config))
    yield comparison_table(
        "A training step, rung by rung", found,
        "`examples/scalar_engine.py` keeps a record of every number, `examples/whole_gpt.py` none: "
        "its backward is written out, in NumPy. The engine with AUTOGRAD_BACKEND=numpy does the "
        "same arithmetic and keeps its own record, of arrays; with the kernels it is npgpt as "
        "installed. Where arrays are tiny, calls cost more than arithmetic.",
    )
