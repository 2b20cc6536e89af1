"""How a matrix product is cut into rectangles of c, the jobs that threads compute."""

from typing import NamedTuple

import numpy as np

from autograd.kernels.compiler import helper

COLUMNS, TALLEST = 256, 512
REPLACE, ADD, ADD_BIAS = range(3)  # c = a b; c += a b; c = a b + bias
SUMMED = 32  # rows of b that are summed before they are added up in float64
PACKING = 8  # copying a panel takes as long as multiplying so many rows with it


class Matrix(NamedTuple):
    """A matrix in a flat array: entry (i, j) is at start + i row + j column."""

    flat: np.ndarray
    start: int
    row: int
    column: int


@helper
def cut(Z, M, N, width, threads):
    """Return into how many parts to cut rows and columns of c, so that all threads have work."""
    across = (N + COLUMNS - 1) // COLUMNS
    down = max(1, (M + TALLEST - 1) // TALLEST)
    more = 1
    while Z * down * across * more % threads and Z * down * across * more < 8 * threads:
        more += 1
    panels = (N + width - 1) // width
    time_by_rows = (M // (down * more) + PACKING) * (panels // across)
    time_by_columns = (M // down + PACKING) * -(-panels // (across * more))
    return (down * more, across) if time_by_rows < time_by_columns else (down, across * more)


@helper
def bounds(size, step, part, parts):
    """Return the bounds of one part of `size`, cut into parts at multiples of `step`."""
    steps = (size + step - 1) // step
    return steps * part // parts * step, min(size, steps * (part + 1) // parts * step)
