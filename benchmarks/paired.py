"""Is this code as fast as that of another checkout? Both take turns in one run, step by step.

    git worktree add ../before COMMIT
    python -m benchmarks.paired ../before

A section of RESULTS.md that was measured of older code names the ratios that this prints.
"""

import statistics
import subprocess
import sys
from pathlib import Path

ROUNDS = 40
WORKS = ("cpu", "baby", "generate", "decode", "encode")
CHILD = """
import sys, timeit
import numpy as np
from npgpt import GPT, AdamW, BPETokenizer, GPTConfig, tales

work, rng = sys.argv[1], np.random.default_rng(0)
sizes = {"baby": (256, 6, 384, 8, 2), "decode": (256, 6, 384, 8, 2)}
T, L, C, B, calls = sizes.get(work, (64, 4, 128, 12, 10))
if work != "encode":
    model = GPT(GPTConfig(65, T, L, L, C, bias=False), seed=0)
    optimizer = AdamW(model.parameters(), lr=1e-3)
    if work == "decode":  # by compiled code
        model.storage = "fp32"

def step():
    ids = rng.integers(0, 65, (B, T + 1))
    model.loss(ids[:, :-1], ids[:, 1:]).backward()
    optimizer.step()
    optimizer.zero_grad()

if work == "encode":
    text = tales.generate(400_000)
    tokenizer = BPETokenizer.train(text, 512)
write = lambda: model.generate(np.zeros(1, int), 60, seed=1)
encode = lambda: tokenizer.encode(text)
call = {"generate": write, "decode": write, "encode": encode}.get(work, step)
for _ in range(3):
    call()
print(flush=True)
for _ in sys.stdin:
    print(timeit.timeit(call, number=calls) / calls, flush=True)
"""


def ratios(work, before):
    """Return the ratio of each round: seconds of this checkout over seconds of the other."""
    trees = [Path(__file__).parents[1], before]
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD, work], cwd=tree, text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE) for tree in trees
    ]
    for child in children:
        child.stdout.readline()
    found = []
    for turn in range(ROUNDS):
        seconds = {}
        for child in children[:: 1 if turn % 2 else -1]:
            print(file=child.stdin, flush=True)
            seconds[child] = float(child.stdout.readline())
        found.append(seconds[children[0]] / seconds[children[1]])
    for child in children:
        child.stdin.close()
        child.wait()
    return found


if __name__ == "__main__":
    for work in WORKS:
        low, middle, high = statistics.quantiles(ratios(work, Path(sys.argv[1])), n=4)
        print(f"{work}: {middle:.3f} times as long (quartiles {low:.3f} to {high:.3f})")
