"""Every kernel gives the same bits whatever the number of threads.

The kernels run in a separate process, which may use three threads on any machine.
"""

import numpy as np
import pytest
from tile_process import run_with

from autograd.kernels import tiles


@pytest.mark.slow
def test_the_number_of_threads_changes_no_bit():
    run = run_with(tiles.TILE, __file__)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split()[-1] == "same", run.stdout


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
    print("same")


if __name__ == "__main__":
    main()
