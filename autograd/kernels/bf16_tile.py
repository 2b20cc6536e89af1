"""Products of a few rows of pairs with a panel of pairs, by the tile of this processor.

multiply_rows(a, a0, a_row, b, b0, s, s0, s_row, c, c0, c_row, depth, rows, columns, add, stream,
              room)
    c_ij becomes the sum over `depth` pairs, a multiple of 16, of a_ip b_pj, plus s_ij if `add`:
    a in rows of which there is a multiple of TALL, b one panel. `room` has ROOM numbers. Whole
    blocks of AMX are written past the caches if `stream`.
open_tiles(), close_tiles()
    Before the first product of a thread, and after its last.
"""

from autograd.kernels.compiler import helper
from autograd.kernels.pair_tile import multiply_pairs
from autograd.kernels.pairs import LANES, WIDTH
from autograd.kernels.register_tile import tile_height
from autograd.kernels.tiles import TILE

if TILE == "amx":
    from autograd.kernels.amx_tile import TALL, close_tiles, multiply_rows, open_tiles
else:
    TALL = LANES

    @helper
    def multiply_rows(
        a, a0, a_row, b, b0, s, s0, s_row, c, c0, c_row, depth, rows, columns, add, stream, room
    ):
        i = 0
        while i < rows:
            height = tile_height(rows - i)
            multiply_pairs(a, a0 + i * a_row, a_row, 1, b, b0, WIDTH, s, s0 + i * s_row, s_row,
                           c, c0 + i * c_row, c_row, depth, height, columns, add)  # fmt: skip
            i += height

    @helper
    def open_tiles():
        pass

    @helper
    def close_tiles():
        pass


ROOM = TALL * WIDTH
