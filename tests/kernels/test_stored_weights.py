"""Every tile with a b that is stored in fewer bytes and read from memory."""

import os
import subprocess
import sys
from itertools import product as product_of

import numba
import numpy as np
import pytest

from autograd import backend

pytestmark = pytest.mark.kernels
if backend.name == "numba":
    from tile_process import skip_without_instructions

    from autograd.kernels.stored_tile import multiply_grouped, multiply_streamed
    from autograd.kernels.tiles import BYTES, GROUP, HEIGHTS, TILES, VECTORS

    WIDTH = VECTORS * BYTES // 4
else:
    TILES = ()


def main():
    """Check every height, with b of each dtype, against NumPy."""

    @numba.njit
    def product(x, w, y, depth, height):
        multiply_streamed(
            x, 0, depth, 1, w, 0, WIDTH, y, 0, WIDTH, y, 0, WIDTH, depth, height, WIDTH, False
        )

    @numba.njit
    def grouped(x, w, halves, y, groups, height, packed):
        totals = np.array([x[i : i + GROUP].sum() for i in range(0, x.size, GROUP)])
        multiply_grouped(
            x, 0, groups * GROUP, totals, 0, w, 0, halves, 0, y, 0, groups, height, packed
        )

    rng = np.random.default_rng(0)
    for height in HEIGHTS:
        for depth in (1, 37):
            x_HI = rng.standard_normal((height, depth), np.float32)
            w_IO = rng.standard_normal((depth, WIDTH), np.float32)
            upper = (w_IO.view(np.uint32) >> 16).astype(np.uint16)
            small = rng.integers(-127, 128, w_IO.shape).astype(np.int8)
            bfloat = (upper.astype(np.uint32) << 16).view(np.float32)
            for stored, meant in (w_IO, w_IO), (upper, bfloat), (small, small):
                y = np.full(height * WIDTH, np.nan, np.float32)
                product(x_HI.ravel(), stored.ravel(), y, depth, height)
                expected = x_HI.astype(np.float64) @ meant
                error = np.abs(y.reshape(height, WIDTH) - expected).max()
                assert error < 1e-5 * np.abs(expected).max(), (stored.dtype, height, depth)
        for groups, packed in product_of((1, 3), (False, True)):
            x_HI = rng.standard_normal((height, groups * GROUP), np.float32)
            least, most = (0, 15) if packed else (-127, 127)
            w_GIO = rng.integers(least, most + 1, (groups, GROUP, WIDTH)).astype(np.int8)
            held = w_GIO[:, : GROUP // 2] | w_GIO[:, GROUP // 2 :] << 4 if packed else w_GIO
            scale, offset = halves = rng.standard_normal((2, groups, 1, WIDTH)).astype(np.float16)
            scale[0], offset[0] = 2.0**-24, -60000  # the smallest, and nearly the largest
            y = np.full(height * WIDTH, np.nan, np.float32)
            bits = halves.swapaxes(0, 1).copy().view(np.uint16)
            grouped(x_HI.ravel(), held.ravel(), bits.ravel(), y, groups, height, packed)
            w_IO = (w_GIO * scale.astype(np.float64) + offset).reshape(-1, WIDTH)
            error = np.abs(y.reshape(height, WIDTH) - x_HI.astype(np.float64) @ w_IO).max()
            assert error < 1e-6 * (np.abs(x_HI) @ np.abs(w_IO)).max(), (height, groups, packed)
            alone = np.empty(WIDTH, np.float32)  # a row's bits do not depend on the rows beside it
            grouped(x_HI[-1].copy(), held.ravel(), bits.ravel(), alone, groups, 1, packed)
            np.testing.assert_array_equal(alone, y[-WIDTH:])


@pytest.mark.parametrize("tile", TILES)
def test_every_tile_widens_what_is_stored(tile):
    skip_without_instructions(tile)
    run = subprocess.run(
        [sys.executable, "-c", "import test_stored_weights as test; test.main()"],
        env=os.environ | {"AUTOGRAD_TILE": tile, "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=os.path.dirname(__file__), capture_output=True, text=True, check=False,
    )
    assert run.returncode == 0, run.stderr
