"""Every kernel gives the same bits whatever the number of threads, and every tile is right.

The scripts run in separate processes, which may use three threads on any machine.
"""

from pathlib import Path

import numpy as np
import pytest
from tile_process import run_with, skip_without_instructions

from autograd.kernels import tiles

SCRIPTS = {  # beside this machine's tile; .ci/run tests the whole folder with that of AVX2
    "test_threads": [], "test_attention": ["avx512", "neon", "plain"],
    "test_attention_bf16": ["neon"],
    "test_matmul": ["amx", "avx512bf16", "avx512", "neon", "plain"],
}


@pytest.mark.slow
@pytest.mark.parametrize(("script", "tile"), [
    (script, tile) for script, others in SCRIPTS.items()
    for tile in dict.fromkeys([tiles.TILE, *others])
])
def test_every_tile_is_right_and_the_number_of_threads_changes_no_bit(script, tile):
    skip_without_instructions(tile)
    run = run_with(tile, Path(__file__).with_name(f"{script}.py"))
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == [tile, "right"]


def main():
    import numba
    from conftest import NAMES, make_arguments
    from test_reference import arrays_in

    from autograd import kernels

    def bits(name, sizes, dtype, threads):
        numba.set_num_threads(threads)
        arguments = make_arguments(name, sizes, dtype)
        returned = getattr(kernels, name)(*arguments)
        results = returned if isinstance(returned, tuple) else (returned,)
        changed = [np.asarray(r) for r in results if r is not None] + arrays_in(arguments)
        return [r.tobytes() for r in changed]

    for name in NAMES:
        for sizes in [(1, 1, 1), (3, 333, 65), (1, 700, 70)]:
            for dtype in (np.float32, np.float64):
                one, *others = (bits(name, sizes, dtype, threads) for threads in (1, 2, 3))
                for other in others:
                    assert other == one, f"{name} {sizes} {dtype.__name__} depends on threads"
    print(tiles.TILE, "right")


if __name__ == "__main__":
    main()
