"""The size of a matrix product's tile, which depends on the processor's vector registers.

A tile is what `autograd.kernels.microkernel` holds in registers: ROWS rows of VECTORS vectors of
BYTES bytes. The sizes use the registers up: 32 of 64 bytes in AVX-512, 16 of 32 bytes in AVX2, 32
of 16 bytes in NEON. AUTOGRAD_TILE overrides the choice; results are right on any processor.
"""

import os

from llvmlite import binding
from numba import config
from numba.core.codegen import get_host_cpu_features

# rows, vectors in a row, bytes in a vector
TILES = {"avx512": (14, 2, 64), "avx2": (6, 2, 32), "neon": (8, 3, 16), "plain": (4, 8, 64)}


def _best_tile():
    """The one for the widest vectors with a multiply-add that Numba compiles for.

    Not always those of the machine: Windows on ARM runs programs for x86, and with
    NUMBA_CPU_NAME=generic only what every processor has is used. A multiply-add that is no
    instruction is the call of a function.
    """
    if binding.get_process_triple().startswith(("aarch64", "arm64")):
        return "neon"
    asked = config.CPU_FEATURES
    features = (get_host_cpu_features() if asked is None else asked).split(",")
    if "+avx512f" in features:
        return "avx512"
    return "avx2" if {"+avx2", "+fma"}.issubset(features) else "plain"


TILE = os.environ.get("AUTOGRAD_TILE") or _best_tile()
if TILE not in TILES:
    raise ValueError(f"AUTOGRAD_TILE={TILE!r} is unknown; use one of: {', '.join(TILES)}")
ROWS, VECTORS, BYTES = TILES[TILE]
# Sums of these make any number of rows, so that no tile computes rows that c does not have.
HEIGHTS = (ROWS, *(h for h in (8, 4, 2, 1) if h < ROWS))
