"""Is this code as fast as that of another checkout? Both take turns in one run.

    git worktree add ../before COMMIT
    python -m benchmarks.paired ../before [WORK ...] [--threads N] [--rounds N]

Each work has a line: how many times as long it takes here as there, and how many times as many CPU
seconds, with 95 % intervals. Where other work shares the processors, CPU seconds with `--threads 1`
say more.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

from benchmarks.generation import MODELS as WRITERS
from benchmarks.measure import Contest, ratio, shown
from benchmarks.runners import DEFAULT_THREADS, OURS, Runner
from benchmarks.shapes import MODELS, ops

STEPS = {name: ("training_step", {"batch": batch, "config": asdict(config)})
         for name, (batch, config) in MODELS.items()}
WRITING = {f"{name} {kind}": ("generation", {
    "config": asdict(WRITERS[name]), "weights": kind, "prompt": [1] * 16, "new": 60,
}) for name, kind in (("tales", "plain"), ("baby", "fp32"), ("gpt2", "int8"))}
KERNELS = {what: ("op", {"op": op, "sizes": sizes}) for what, (op, sizes) in
           ops(*MODELS["tales"]).items()}
WORKS = STEPS | WRITING | KERNELS | {
    "baby bfloat16": ("training_step", STEPS["baby"][1] | {"bf16": True}),
    "AdamW": ("adamw", {"config": STEPS["baby"][1]["config"]}),
}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("before", type=Path, metavar="CHECKOUT", help="the other checkout")
    parser.add_argument("works", nargs="*", metavar="WORK",
                        help=f"default all: {', '.join(WORKS)}")
    parser.add_argument("--threads", type=int, default=DEFAULT_THREADS, metavar="N")
    parser.add_argument("--rounds", type=int, default=20, metavar="N", help="default %(default)s")
    args = parser.parse_args(argv)
    if unknown := [work for work in args.works if work not in WORKS]:
        parser.error(f"unknown: {', '.join(unknown)}; the works are {', '.join(WORKS)}")
    if not (args.before / "npgpt").is_dir():
        parser.error(f"{args.before} is no checkout: it has no folder npgpt")
    before = args.before.resolve()
    runners = {"here": Runner(OURS, args.threads), "before": Runner(OURS, args.threads, before)}
    with Contest(runners, args.rounds) as contest:
        for work in args.works or WORKS:
            task, settings = WORKS[work]
            timed = contest.timed(task, **settings)
            seconds, cpu = (ratio(timed["here"], timed["before"], clock) for clock in (0, 1))
            print(f"{work}: {shown(seconds)} times as long, {shown(cpu)} times the CPU seconds",
                  flush=True)


if __name__ == "__main__":
    main()
