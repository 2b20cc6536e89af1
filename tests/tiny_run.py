"""What the tests of the program share: the settings and text of a tiny run."""

import os
from pathlib import Path

TINY = [
    "--block-size", "16", "--n-layer", "1", "--n-head", "2", "--n-embd", "8", "--batch-size", "4",
    "--max-iters", "6", "--eval-interval", "3", "--warmup-iters", "2", "--sample-tokens", "10",
]
TEXT = "It was too tired to cross the street, so it slept.\n\nThe end, said the hen.\n" * 12


def files(folder):
    """Every file below a folder, with its content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def environment(**changes):
    return os.environ | {"PYTHONDONTWRITEBYTECODE": "1"} | changes
