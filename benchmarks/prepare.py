"""`npgpt prepare` on large texts: seconds and peak memory, each in a process of its own.

`python -m benchmarks.prepare MEGABYTES ...` prints the table for other sizes, such as 1000.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import Table
from benchmarks.runners import DEFAULT_THREADS, ROOT, environment
from npgpt import BPETokenizer, tales

SIZES = (60, 240)  # megabytes
CHILD = """
import sys
from benchmarks.machine import peak_memory
from npgpt.cli import main
assert main(sys.argv[1:]) == 0
print(peak_memory() or 0)
"""


def tables(threads, quick=False, sizes=SIZES):
    prose = tales.generate(1_000_000, seed=0)
    texts = {
        "prose, blank lines between paragraphs": "\n\n".join(prose.split("\n")) + "\n\n",
        "one line of letters": "".join(filter(str.isalpha, prose)),
        "spaces": " " * 1_000_000,
        "newlines": "\n" * 1_000_000,
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        BPETokenizer.train(prose, 1024).save(folder / "bpe.json")
        for name, text in texts.items():
            for flags in ([], ["--tokenizer", folder / "bpe.json"]):
                for size in (2,) if quick else sizes:
                    taken, peak = _prepared(folder, text, size, flags, threads)
                    rows.append([name, "byte pairs" if flags else "characters", f"{size:,} MB",
                                 f"{taken:.1f} s", f"{peak / 1e6:.0f} MB"])
    columns = ["text", "tokens", "size", "time", "peak memory"]
    yield Table("`npgpt prepare`", columns, rows, "A process each, start and imports included.")


def _prepared(folder, text, megabytes, flags, threads):
    """Return (seconds, bytes at the peak) of preparing a text repeated to a size."""
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        corpus = Path(inside) / "text.txt"
        with open(corpus, "w", encoding="utf-8", newline="") as file:
            file.writelines(text for _ in range(megabytes * 1_000_000 // len(text)))
        command = [sys.executable, "-c", CHILD, "prepare", Path(inside) / "tokens"]
        start = time.perf_counter()
        said = subprocess.run(
            [*command, "--corpus", corpus, *flags], cwd=ROOT, env=environment(threads), check=True,
            stdout=subprocess.PIPE, encoding="utf-8",
        ).stdout
        return time.perf_counter() - start, int(said.split()[-1])


if __name__ == "__main__":
    for table in tables(DEFAULT_THREADS, sizes=[int(size) for size in sys.argv[1:]] or SIZES):
        print(table.markdown())
