"""Why decoder-only? BERT, T5 and GPT of one size, trained for as many FLOPs, on four tasks.

    python examples/10_families.py               the study, or what is left of it
    python examples/10_families.py --report      tables and figure from the numbers that are there
    python examples/10_families.py --quick       tiny models for a few steps: does it run?

It is said that an encoder (BERT) is good for understanding and not for generation, an
encoder-decoder (T5) for translation and summarization, and a decoder (GPT) best for generation,
though it can do understanding tasks, too. The tales' grammar knows every right answer, so each of
these can be measured: `family_tasks.py` has the tasks, `families.py` the models.

Each family and seed is a job, a process of one thread. What a job has found stays in its folder
under runs/, so that a study that was stopped goes on where it was. Numbers go into
examples/10_families.json, tables into examples/10_families.md.

Try:
- FLOPS = 4e12: which family suffers most from a smaller budget?
- RATES in `families.py`: does a family lose because its learning rate is wrong? (Remove the folder
  of the study first, so that nothing counts as done.)
- another task with one right answer, in `family_tasks.py`: tell a story of one animal of several.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from example import (
    FIGURES,
    expect,
    figures_of,
    into_concepts,
    into_document,
    picture,
    study_arguments,
)
from families import (
    BATCH,
    FAMILIES,
    Rewriting,
    WordTokenizer,
    new_model,
    pretraining,
    told,
    train,
)
from family_tables import draw_results, tables
from family_tasks import (
    find_words,
    go_on,
    hidden_words,
    pairs_to_rewrite,
    probe,
    pronouns,
    rewrite,
)
from tqdm import tqdm

from npgpt.families import family
from npgpt.files import atomic_write
from npgpt.run.estimate import clock

HERE = Path(__file__).parent
RESULTS, REPORT = HERE / "10_families.json", HERE / "10_families.md"
SEEDS = (1, 2, 3)
TASKS = ("training", "word", "go on", "pronoun", "rewrite")
FLOPS, REWRITE_FLOPS = 7.5e12, 2.5e12  # of a run: its training, and its training to rewrite
RUNS = HERE.parent / "runs" / f"families-{FLOPS:g}-{REWRITE_FLOPS:g}"
SIZES = {  # characters to train on and to test on, stories of a task, stories to learn to rewrite
    False: {"train": 10_000_000, "test": 1_200_000, "words": 400, "stories": 100,
            "rewritten": 300, "pairs": 20_000},
    True: {"train": 60_000, "test": 200_000, "words": 8, "stories": 4, "rewritten": 4, "pairs": 50},
}
QUICK_FLOPS = 3e8


class Job:
    """A family and a seed: what is trained and asked, in parts, each kept once it is done."""

    def __init__(self, family, seed, folder, quick=False):
        self.family, self.seed, self.folder, self.quick = family, seed, Path(folder), quick
        self.folder.mkdir(parents=True, exist_ok=True)
        self.sizes = SIZES[quick]
        self.flops, self.rewrite_flops = (QUICK_FLOPS,) * 2 if quick else (FLOPS, REWRITE_FLOPS)
        self.said = 0.0

    @property
    def name(self):
        return f"{self.family}-{self.seed}"

    def run(self):
        """Do what is not done: the results by task."""
        texts = _texts(self.folder, self.sizes)
        self.tokenizer, self.train_ids, self.to_rewrite, self.test_stories = texts
        model = self.trained_model()
        for task in TASKS[1:]:
            if not self.file(task).exists():
                self.keep(task, getattr(self, task.replace(" ", "_"))(model))
        return self.results()

    def trained_model(self):
        weights = self.folder / self.name
        if not self.file("training").exists():
            model = new_model(self.family, self.tokenizer, self.seed, self.quick)
            model, steps, loss = train(
                model, self.family, self.train_ids, self.flops, seed=self.seed,
                objective=pretraining(self.family, self.tokenizer), report=self.say,
            )
            model.save_pretrained(weights)
            self.keep("training", {"parameters": model.num_parameters(), "flops": self.flops,
                                   "steps": steps, "loss": loss})
        self.say(self.flops, last=True)
        return family(self.family).Model.from_pretrained(weights).eval()

    def word(self, model):
        hidden = hidden_words(self.tokenizer, self.test_stories[: 2 * self.sizes["words"]])
        return find_words(self.family, model, self.tokenizer, hidden[: self.sizes["words"]])

    def go_on(self, model):
        stories = self.test_stories[: self.sizes["stories"]]
        return go_on(self.family, model, self.tokenizer, stories, seed=1000 * self.seed)

    def pronoun(self, model):
        untrained = new_model(self.family, self.tokenizer, self.seed, self.quick).eval()
        return {
            name: probe(self.family, model, self.tokenizer, rows)
            | {"untrained": probe(self.family, untrained, self.tokenizer, rows)["share"]}
            for name, rows in pronouns(self.tokenizer, self.test_stories).items()
        }

    def rewrite(self, model):
        """Train the model to rewrite, and return its numbers; this changes it, so it comes last."""
        pairs = pairs_to_rewrite(self.tokenizer, self.to_rewrite)
        model, steps, loss = train(
            model.train(), self.family, pairs, self.rewrite_flops, seed=self.seed, rate=0.5,
            objective=Rewriting(self.family, self.tokenizer),
            report=lambda flops: self.say(self.flops + flops),
        )
        self.say(self.flops + self.rewrite_flops, last=True)
        asked = pairs_to_rewrite(self.tokenizer, self.test_stories)[: self.sizes["rewritten"]]
        return rewrite(self.family, model, self.tokenizer, asked) | {
            "flops": self.rewrite_flops, "steps": steps, "loss": loss,
            "pairs": steps * BATCH[self.family],
        }

    def file(self, task):
        return self.folder / f"{self.name}-{task.replace(' ', '-')}.json"

    def keep(self, task, result):
        atomic_write(self.file(task), json.dumps(result, indent=1).encode())

    def results(self):
        """Return task -> numbers, of the tasks that are done."""
        return {t: json.loads(self.file(t).read_text()) for t in TASKS if self.file(t).exists()}

    def say(self, flops, last=False):
        """Leave the FLOPs done where the study finds them, every other second."""
        if last or time.monotonic() - self.said > 2:
            self.said = time.monotonic()
            atomic_write(self.folder / f"{self.name}.done", f"{flops:.6g}".encode())

    def flops_done(self):
        done = self.folder / f"{self.name}.done"
        return float(done.read_text()) if done.exists() else 0.0


def _texts(folder, sizes):
    """(tokenizer, token ids to train on, stories to rewrite of these, stories to test on)."""
    tokenizer, kept = WordTokenizer("".join(told(600_000, seed=0))), folder / "tokens.npy"
    if not kept.exists():
        ids_N = tokenizer.encode("".join(told(sizes["train"], seed=0)))
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".npy", delete=False) as file:
            np.save(file, ids_N)
        os.replace(file.name, kept)
    # a story has about 160 characters
    to_rewrite = told(170 * sizes["pairs"], seed=0)[: sizes["pairs"]]
    return tokenizer, np.load(kept), to_rewrite, told(sizes["test"], seed=1)


def study(processes):
    """All jobs, so many at a time; writes the results of those that have ended as they end."""
    jobs = [Job(family, seed, RUNS) for seed in SEEDS for family in FAMILIES]
    waiting, running = [job for job in jobs if len(job.results()) < len(TASKS)], {}
    environment = os.environ | {"NUMBA_NUM_THREADS": "1"}
    try:
        with StudyBar(jobs) as bar:
            while waiting or running:
                while waiting and len(running) < processes:
                    job = waiting.pop(0)
                    command = [sys.executable, __file__, "--job", job.family, str(job.seed)]
                    running[job.name] = subprocess.Popen(command, env=environment)
                time.sleep(2)
                for name in [name for name in running if running[name].poll() is not None]:
                    if running.pop(name).returncode:
                        bar.write(f"{name} failed; give the command again to try it again")
                    collect(jobs)
                bar.update(running)
    finally:
        for process in running.values():
            process.terminate()
    collect(jobs)


class StudyBar:
    """The FLOPs done of all, and the time left: a bar on a terminal, else a line a minute."""

    def __init__(self, jobs):
        self.jobs, self.whole = jobs, len(jobs) * (FLOPS + REWRITE_FLOPS)
        self.before, self.started = self._done(), time.monotonic()
        self.said = self.started
        self.bar = tqdm(
            total=self.whole, unit="FLOP", unit_scale=True, smoothing=0.02, disable=None
        )
        self.write = self.bar.write

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.bar.close()

    def _done(self):
        return sum(job.flops_done() for job in self.jobs)

    def update(self, running):
        done, now = self._done(), time.monotonic()
        self.bar.n = done
        self.bar.refresh()
        if self.bar.disable and now - self.said > 60:
            self.said = now
            rate = max(done - self.before, 1e9) / (now - self.started)
            print(f"{done / self.whole:.0%} of {self.whole:.2g} FLOPs, {', '.join(running)}; "
                  f"{rate / 1e9:.0f} GFLOP/s, {clock((self.whole - done) / rate)} left",
                  flush=True)


def collect(jobs):
    """Put the numbers of the seeds that all families have into RESULTS."""
    found = {(job.family, str(job.seed)): job.results() for job in jobs}
    done = {key for key, tasks in found.items() if len(tasks) == len(TASKS)}
    seeds = [seed for seed in map(str, SEEDS) if all((f, seed) in done for f in FAMILIES)]
    if seeds:
        results = {f: {seed: found[f, seed] for seed in seeds} for f in FAMILIES}
        atomic_write(RESULTS, (json.dumps(results, indent=1) + "\n").encode())


def write_report():
    """Put the tables into the two documents, and draw the figure, from the numbers there are."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    found = tables(results)
    into_concepts("10_families", found.pop("summary"))
    for name, table in found.items():
        into_document(REPORT, name, table)
    picture(draw_results, FIGURES / "10_families.png", results)
    return results


def main(quick=False, figures=FIGURES, processes=2):
    expect(f"""
        Three families of 0.9 million parameters, each trained on tales for {FLOPS:.2g} FLOPs.
        Expect GPT to tell stories that the grammar derives, and the others hardly any; a GPT that
        tries each word to find hidden words better than BERT and T5, which see both sides in one
        pass, and these better than a GPT that sees the left; T5 and BERT to rewrite, and GPT not.
        """)
    if quick:
        with tempfile.TemporaryDirectory() as folder:
            results = {f: {"1": Job(f, 1, folder, quick=True).run()} for f in FAMILIES}
        print(*tables(results).values(), sep="\n")
        picture(draw_results, figures / "10_families.png", results)
        return results
    study(processes)
    return write_report()


if __name__ == "__main__":
    parser = study_arguments(__doc__, quick="tiny models, a few seconds")
    parser.add_argument("--processes", type=int, default=2, help="jobs at a time")
    parser.add_argument("--job", nargs=2, metavar=("FAMILY", "SEED"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        Job(args.job[0], int(args.job[1]), RUNS).run()
    elif args.report:
        write_report()
    else:
        main(args.quick, figures_of(not args.quick), args.processes)
