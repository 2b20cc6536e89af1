"""The size of a matrix product's tile, which depends on the processor's vector registers.

A tile is what `autograd.kernels.microkernel` holds in registers: ROWS rows of VECTORS vectors of
BYTES bytes. The sizes use the registers up: 32 of 64 bytes in AVX-512, 16 of 32 bytes in AVX2, 32
of 16 bytes in NEON; `plain` is for any processor, and multiplies and adds in two instructions.
AUTOGRAD_TILE overrides the choice; results are right on any processor.

The first two differ from `avx512` only in products of bfloat16: `avx512bf16` has an instruction for
pairs, `amx` one for blocks of 16 by 16 sums (`autograd.kernels.bf16.amx_tile`). The remaining tiles
multiply bfloat16 as float32; ARM's `bfmmla` and `bfdot` are unused, as no test has run on them.
"""

import ctypes
import os
import sys

from llvmlite import binding
from numba import config
from numba.core.codegen import get_host_cpu_features

# rows, vectors in a row, bytes in a vector
TILES = {
    "amx": (14, 2, 64), "avx512bf16": (14, 2, 64), "avx512": (14, 2, 64), "avx2": (6, 2, 32),
    "neon": (8, 3, 16), "plain": (4, 2, 16),
}


def _best_tile():
    """Return the name of the tile for the widest vectors that Numba may use here.

    The machine may have wider ones: Windows on ARM runs programs for x86, and
    NUMBA_CPU_NAME=generic allows only the instructions of every processor.
    """
    if binding.get_process_triple().startswith(("aarch64", "arm64")):
        return "neon"
    asked = config.CPU_FEATURES
    features = (get_host_cpu_features() if asked is None else asked).split(",")
    if {"+avx512f", "+amx-tile", "+amx-bf16"}.issubset(features) and _amx_permitted():
        return "amx"
    if "+avx512f" in features:
        return "avx512bf16" if "+avx512bf16" in features else "avx512"
    return "avx2" if {"+avx2", "+fma"}.issubset(features) else "plain"


def _amx_permitted():
    """Ask Linux for the registers of AMX, 8 KiB for each thread; no other system is known to give
    them.

    Source: Linux, Documentation/arch/x86/xstate.rst.
    """
    ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA = 158, 0x1023, 18
    if sys.platform != "linux":
        return False
    return ctypes.CDLL(None).syscall(ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0


TILE = os.environ.get("AUTOGRAD_TILE") or _best_tile()
if TILE not in TILES:
    raise ValueError(f"AUTOGRAD_TILE={TILE!r} is unknown; use one of: {', '.join(TILES)}")
if TILE == "amx" and not _amx_permitted():
    raise ValueError("AUTOGRAD_TILE='amx': this system gives no registers of AMX; leave it unset")
ROWS, VECTORS, BYTES = TILES[TILE]
GROUP = 32  # inputs of a weight that share a scale and an offset, as in the files of llama.cpp
LINE = 64  # bytes of a line of memory, as caches hold it
MULTIPLIES_BFLOAT16 = TILE in ("amx", "avx512bf16")
# Sums of these make any number of rows, so that no tile computes rows that c does not have.
HEIGHTS = (ROWS, *(h for h in (8, 4, 2, 1) if h < ROWS))
