"""The functions on tiles that products are made of, for this processor.

`autograd.kernels.microkernel` documents them and makes them of vector instructions;
`autograd.kernels.plain_tile` has them as loops, where `autograd.kernels.tiles` knows no vectors.
"""

from autograd.kernels.compiler import helper
from autograd.kernels.tiles import HEIGHTS, TILE

if TILE == "plain":
    from autograd.kernels import plain_tile as tile
else:
    from autograd.kernels import microkernel as tile

multiply_tile, multiply_tile_onto = tile.multiply_tile, tile.multiply_tile_onto
copy_panel_row, transpose_block = tile.copy_panel_row, tile.transpose_block


@helper
def tile_height(rows):
    """The tallest tile that fits."""
    height = 1
    for h in HEIGHTS:
        if height < h <= rows:
            height = h
    return height
