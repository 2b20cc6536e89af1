"""Products of a few rows of pairs with a panel of pairs, by this processor's tile.

multiply_rows(a, a0, a_row, b, b0, s, s0, s_row, c, c0, c_row, depth, rows, columns, add, room)
    c_ij becomes the sum over `depth` pairs, a multiple of 16, of a_ip b_pj, plus s_ij if `add`:
    a has rows, a multiple of TALL in memory, b is one panel, `room` has ROOM numbers.
open_tiles(), close_tiles()
    Before the first product of a thread, and after its last.
"""

from autograd.kernels.bf16.pair_tile import multiply_pairs
from autograd.kernels.bf16.pairs import LANES, WIDTH
from autograd.kernels.compiler import helper
from autograd.kernels.panels import tile_height
from autograd.kernels.tiles import TILE

if TILE == "amx":
    from autograd.kernels.bf16.amx_tile import TALL, close_tiles, multiply_rows, open_tiles
else:
    TALL = LANES

    @helper
    def multiply_rows(
        a, a0, a_row, b, b0, s, s0, s_row, c, c0, c_row, depth, rows, columns, add, room
    ):
        i = 0
        while i < rows:
            height = tile_height(rows - i)
            multiply_pairs(a, a0 + i * a_row, a_row, 1, b, b0, WIDTH, s, s0 + i * s_row, s_row,
                           c, c0 + i * c_row, c_row, depth, height, columns, add)
            i += height

    @helper
    def open_tiles():
        pass

    close_tiles = open_tiles


ROOM = TALL * WIDTH
