"""A test file run as a script, in a process with a different tile than this machine's.

A tile is chosen when the kernels are imported. The process may use three threads on any machine.
Tiles of other machines divide the work for three threads, but do it on one: serial code compiles
much faster.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autograd.kernels import compiler, tiles

KINDS = list(tiles.TILES)  # the best first
TESTS = Path(__file__).parent
SERIAL = """
import runpy, sys
import numba
njit = numba.njit
numba.njit = lambda *given, parallel=False, **options: njit(*given, **options)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def skip_without_instructions(tile):
    """Skip a test of a tile whose instructions this processor lacks, or AUTOGRAD_TILE rules out;
    the remaining tiles compile for any processor."""
    if tile in ("amx", "avx512bf16") and KINDS.index(tile) < KINDS.index(tiles.TILE):
        pytest.skip(f"this processor has no instruction of the tile {tile}")


def run_with(tile, script):
    serial = tile != tiles.TILE
    folders = os.pathsep.join(map(str, (TESTS.parent, TESTS)))
    variables = {"AUTOGRAD_TILE": tile, "NUMBA_NUM_THREADS": "3", "PYTHONPATH": folders}
    if serial:
        variables["NUMBA_CACHE_DIR"] = str(compiler.cache_folder() / "serial")
    return subprocess.run(
        [sys.executable, *(["-c", SERIAL] if serial else []), script],
        env=os.environ | variables, capture_output=True, text=True, encoding="utf-8", check=False,
    )
