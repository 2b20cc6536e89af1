"""The size of a matrix product's tile, which depends on the processor's vector registers.

A tile is what `autograd.kernels.microkernel` holds in registers: ROWS rows of VECTORS vectors of
BYTES bytes. The sizes use the registers up: 32 of 64 bytes in AVX-512, 16 of 32 bytes in AVX2, 32
of 16 bytes in NEON. AUTOGRAD_TILE overrides the choice; results are right on any processor.
"""

import os
import platform

from llvmlite import binding

# rows, vectors in a row, bytes in a vector
TILES = {"avx512": (14, 2, 64), "avx2": (6, 2, 32), "neon": (8, 3, 16), "plain": (4, 8, 64)}


def _best_tile():
    """The one for the widest vectors with a multiply-add that this processor has."""
    if platform.machine().lower() in {"arm64", "aarch64"}:
        return "neon"
    try:
        features = binding.get_host_cpu_features()
    except RuntimeError:  # LLVM can not tell for every kind of processor
        return "plain"
    if features.get("avx512f"):
        return "avx512"
    return "avx2" if features.get("avx2") and features.get("fma") else "plain"


TILE = os.environ.get("AUTOGRAD_TILE") or _best_tile()
if TILE not in TILES:
    raise ValueError(f"AUTOGRAD_TILE={TILE!r} is unknown; use one of: {', '.join(TILES)}")
ROWS, VECTORS, BYTES = TILES[TILE]
# Sums of these make any number of rows, so that no tile computes rows that c does not have.
HEIGHTS = (ROWS, *(h for h in (8, 4, 2, 1) if h < ROWS))
