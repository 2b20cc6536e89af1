"""The functions on tiles that products are made of, for this processor.

`autograd.kernels.microkernel` documents them and makes them of vector instructions;
`autograd.kernels.plain_tile` has them as loops, where `autograd.kernels.tiles` knows no vectors.
Products and attention share three more: `empty_lines`; `tile_height`; and `pack_rows`, which makes
panels.
"""

import numpy as np

from autograd.kernels.compiler import helper
from autograd.kernels.tiles import BYTES, HEIGHTS, LINE, TILE, VECTORS

STREAMED = 1 << 22  # bytes

if TILE == "plain":
    from autograd.kernels import plain_tile as tile
else:
    from autograd.kernels import microkernel as tile

multiply_tile, copy_panel_row = tile.multiply_tile, tile.copy_panel_row
transpose_block = tile.transpose_block
stream_row, finish_streams = tile.stream_row, tile.finish_streams


@helper
def empty_lines(size, dtype):
    """Return memory for `size` entries that begins with a line of the cache.

    A vector of 64 bytes across two lines is read twice; a block of AMX takes four times as long.
    """
    x = np.empty(size + LINE, dtype)
    return x[-x.ctypes.data % LINE // x.itemsize :][:size]


@helper
def can_stream(c, row):
    """Return whether `stream_row` can write rows of this many entries of c, and should: whether c
    is so large that it leaves the caches before it is read again."""
    return (
        c.size * c.itemsize >= STREAMED
        and row * c.itemsize % LINE == 0
        and c.ctypes.data % LINE == 0
    )


@helper
def tile_height(rows):
    """Return the tallest tile that fits."""
    height = 1
    for h in HEIGHTS:
        if height < h <= rows:
            height = h
    return height


@helper
def pack_rows(x, x0, x_row, rows, depth, panels):
    """Write the rows of x from x0 on as panels[panel, k, row]: side by side, for tiles to read.

    Blocks of `lanes` by `lanes` entries are written whole, with anything beyond the last row and
    the depth: the memory of the last panel must go on for `lanes` more k.
    """
    lanes = BYTES // x.itemsize
    width = VECTORS * lanes
    for i in range(0, rows, lanes):
        start = i // width * width * depth + i % width
        for k in range(0, depth, lanes):
            # What falls beyond the depth of a panel is in the next one, which is written later.
            transpose_block(x, x0 + i * x_row + k, x_row, min(lanes, rows - i),
                            min(lanes, depth - k), panels, start + k * width, width)
