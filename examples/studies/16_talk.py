"""From text to talk: what each step adds, on questions about tales that the grammar judges.

    python examples/studies/16_talk.py    the trainings that are missing, then table and figure

The end of `PLAN.md` has arms, rates, seeds and what is expected.
"""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from ablation_tables import mean_and_interval
from laboratory import kept, markdown, run, tried
from study import FIGURES, expect, into_documents, picture, run_study

from npgpt import plots
from npgpt.families import family
from npgpt.families.answers import answered
from npgpt.families.conversations import Talk, Talks, open_conversations
from npgpt.families.presets import from_preset
from npgpt.io.tokens import open_dataset
from npgpt.optim import make_optimizer
from npgpt.reward import remember, rewarded
from npgpt.reward.settings import ANSWERED, DEFAULTS, RewardConfig
from npgpt.train import ALONE, evaluate, training_steps

RESULTS, REPORT = (Path(__file__).with_suffix(end) for end in (".jsonl", ".md"))
SEEDS, CHOOSES, ASKED = (4, 5, 6), 11, 1000
# Steps on stories, on conversations, of the reward, on more conversations; the tokens that count.
ARMS = {
    "stories, answers, reward": (1500, 1500, 150, 0, "answers"),
    "stories, answers, answers": (1500, 1500, 0, 400, "answers"),
    "stories, all tokens": (1500, 1500, 0, 0, "all"),
    "answers": (0, 3000, 0, 0, "answers"),
    "all tokens": (0, 3000, 0, 0, "all"),
}
REWARD, MORE = [*ARMS][:2]
ROWS = {  # a line of the table: the arm, and its last step
    "stories, then answers": (REWARD, "talk"), "these, then reward": (REWARD, "reward"),
    "these, then more answers": (MORE, "more"),
    "stories, then all tokens": ("stories, all tokens", "talk"),
    "answers from nothing": ("answers", "talk"), "all tokens from nothing": ("all tokens", "talk"),
}
STEPS = ("stories", "talk", "reward", "more")
KINDS = ("who", "what", "where", "why", "which", "it", "one", "story")


def measure(trial):
    """Return what a model can after each of its steps."""
    *steps, counted = ARMS[trial["arm"]]
    steps = [min(n, trial.get("max_iters", n)) for n in steps]
    given = {"seed": trial["seed"], "eval_stride": 0}
    shape, of_stories = from_preset("tales-words", max_iters=max(steps[0], 1), **given)
    _, of_talks = from_preset("answers", lr=trial["lr"], **given)
    _, of_reward = from_preset("answers", RewardConfig, reward="answers", **given, **DEFAULTS | {
        "conversations": ANSWERED["answers"], "lr": trial["reward_lr"],
        "min_lr": trial["reward_lr"] / 10, "max_iters": max(steps[2], 1)})
    kind, found = family("gpt"), {}
    with ExitStack() as stack:
        stories = open_dataset(kind, of_stories, stack, ("tales",), kind="words")
        talks = open_conversations(of_talks, ("tales",), shape["block_size"], stories.tokenizer,
                                   grow=True)
        read = talks
        if counted == "all":
            every = [Talk(t.ids_N, np.arange(len(t.ids_N)) > 0, t.question)
                     for t in talks.train_ids.talks]
            read = replace(talks, train_ids=Talks(every, talks.train_ids.width))
        model = kind.Model(kind.Config(talks.tokenizer.vocab_size, **shape), trial["seed"])
        for name, count, data, training in zip(
            STEPS, steps, (stories, read, talks, read),
            (of_stories, of_talks, of_reward, of_talks), strict=True,
        ):
            if count:
                learn(model, data, replace(training, max_iters=count))
                found[name] = ability(model, stories, talks, trial.get("asked", ASKED))
    return {"after": found}


def learn(model, data, training):
    """Train a model on a `Dataset`."""
    optimizer, objective = make_optimizer(model, training), data.objective
    if isinstance(training, RewardConfig):
        remember(model, optimizer, training)
        objective = rewarded(data, model, optimizer, training, ALONE).objective
    for _ in training_steps(model, optimizer, data.train_ids, training, objective=objective):
        pass


def ability(model, stories, talks, asked):
    """Return losses on plain stories and on answers, both unseen, and the right answers."""
    plain, _ = evaluate(model, stories.val_ids, max_tokens=100 * asked)
    loss, _ = evaluate(model, talks.val_ids, objective=talks.objective)
    return answered(model, talks, talks.val_ids, asked)._asdict() | {"plain": plain, "loss": loss}


def trial(arm, seed, lr, reward_lr):
    return {"arm": arm, "seed": seed, "lr": lr, "reward_lr": reward_lr}


def rates(workers=None):
    """Return arm -> (rate of conversations, of the reward): the loss, then the share, decides."""
    def best(of, tried_rates, worth):
        while True:
            results = run([of(rate) for rate in tried_rates], measure, RESULTS, workers)
            rate = max(zip(map(worth, results), tried_rates, strict=True))[1]
            if tried_rates[0] < rate < tried_rates[-1]:
                return rate
            tried_rates = sorted({*tried_rates, rate / 2, rate * 2})  # no rate at an edge

    def right(result):
        n, asked = result["after"]["reward"]["right"]["story"]
        return n / asked

    found = {arm: best(lambda lr, arm=arm: trial(arm, CHOOSES, lr, 3e-4), (1e-3, 2e-3, 4e-3),
                       lambda result: -result["after"]["talk"]["loss"])
             for arm in ARMS if arm != MORE}
    reward_lr = best(lambda lr: trial(REWARD, CHOOSES, found[REWARD], lr), (1.5e-4, 3e-4, 6e-4),
                     right)
    return {arm: (lr, reward_lr) for arm, lr in (found | {MORE: found[REWARD]}).items()}


def found():
    """Yield (label, results after a step, those after the step before) as far as they are."""
    rows = [(row["settings"], row["result"]["after"]) for row in kept(RESULTS)]
    for label, (arm, name) in ROWS.items():
        runs = [r for s, r in rows if s["arm"] == arm and s["seed"] in SEEDS]
        if len(runs) == len(SEEDS):
            yield label, [run[name] for run in runs], [run.get("stories") for run in runs]


def share(runs, kinds):
    right, asked = np.sum([run["right"][kind] for run in runs for kind in kinds], axis=0)
    return right / asked


def write_report(figures=FIGURES):
    lines = []
    for label, runs, stories in found():
        after = pd.DataFrame(runs)
        forgotten = "" if stories[0] is None else "{:+.4f} ({:+.4f} to {:+.4f})".format(
            *mean_and_interval(after.plain - pd.DataFrame(stories).plain))
        shares = [f"{share(runs, kinds):.1%}" for kinds in (KINDS[:-1], ("it",), ("story",))]
        lines.append((label, *shares, f"{after.entropy.mean():.1f}", f"{after.grammars.mean():.1f}",
                      forgotten))
    head = ("steps", "questions right", "*it*", "requests right", "entropy", "grammar's",
            "loss on plain stories")
    into_documents(REPORT, {"final": markdown(head, lines)})
    if lines:
        picture(draw, figures / "16_talk.png", found())


def draw(path, rows):
    """Draw the share of right answers by kind of question, after each way of steps."""
    drawing, axes = plots.figure(8.0, 4.0)
    for (label, runs, _), colour in zip(rows, plots.COLOURS, strict=True):
        axes.plot(KINDS, [100 * share(runs, (kind,)) for kind in KINDS], "o-", color=colour,
                  label=label, markersize=3)
    axes.set(ylabel="right, %", ylim=(0, 102))
    axes.legend(frameon=False, fontsize=8)
    return plots.save(drawing, path)


def main(quick=False, figures=FIGURES, workers=None):
    expect("Text, conversations, reward. Expect questions answered after the second step, varied "
           "stories on request after the third, and plain stories told as before.")
    if quick:
        few = {"max_iters": 1, "asked": 8}
        return tried([trial(REWARD, 1, 2e-3, 3e-4)], measure, few)
    chosen = rates(workers)
    run([trial(arm, seed, *chosen[arm]) for seed in SEEDS for arm in ARMS], measure, RESULTS,
        workers)
    return write_report(figures)


if __name__ == "__main__":
    run_study(__doc__, main, write_report, "a model that hardly learns, a minute")
