"""From text to talk: what each step adds, on questions about tales that the grammar judges.

    python examples/studies/16_talk.py    the trainings that are missing, then table and figure

The end of `PLAN.md` has arms, seeds and what is expected. The last arm is README's commands.
"""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from laboratory import kept, markdown, run, tried
from study import FIGURES, expect, into_documents, picture, run_study

from npgpt import plots
from npgpt.families import family, grown
from npgpt.families.answers import answered
from npgpt.families.conversations import Talk, Talks, encoded, open_conversations
from npgpt.families.held import held, keep_start
from npgpt.families.presets import from_preset
from npgpt.io.tokens import open_dataset
from npgpt.optim import make_optimizer
from npgpt.reward import remember, rewarded
from npgpt.reward.settings import ANSWERED, DEFAULTS, RewardConfig
from npgpt.tales.questions import KINDS, questions
from npgpt.train import ALONE, evaluate, training_steps

RESULTS, REPORT = (Path(__file__).with_suffix(end) for end in (".jsonl", ".md"))
SEEDS, ASKED = (4, 5, 6), 1000
NEW_SEEDS, NEW = (7, 8, 9), 400  # of trainings whose requests nobody trained on, and their number
# Steps on stories, on conversations, with reward; the weight of what is held; the tokens that count
ARMS = {
    "answers": (0, 4000, 300, 0.0, "answers"),
    "all tokens": (0, 4000, 0, 0.0, "all"),
    # trained when held.FREE was 0.4, and not again
    "stories first": (250, 2750, 0, 2.0, "answers"),
    "chain": (500, 6000, 300, 2.0, "answers"),
}
ROWS = {  # a line of the table: the arm, and its last step
    "questions": ("answers", "questions"), "then reward": ("answers", "reward"),
    "questions, loss on all tokens": ("all tokens", "questions"),
    "stories": ("chain", "stories"),
    "stories, then questions": ("chain", "questions"),
    "stories, questions, then reward": ("chain", "reward"),
}


def measure(trial):
    """Return what a model can after each of its steps."""
    *steps, hold, counted = ARMS[trial["arm"]]
    steps = [min(n, trial.get("max_iters", n)) for n in steps]
    seed, kind, found = trial["seed"], family("gpt"), {}
    given = {"seed": seed, "eval_stride": 0}
    shape, of_stories = from_preset("tales-words", max_iters=max(steps[0], 1), **given)
    _, of_talks = from_preset("answers", max_iters=max(steps[1], 1), hold=hold, **given)
    _, of_reward = from_preset("answers", RewardConfig, reward="answers", **given, **DEFAULTS | {
        "conversations": ANSWERED["answers"], "max_iters": max(steps[2], 1)})
    asked = trial.get("asked", ASKED)
    with ExitStack() as stack:
        plain = model = None
        if steps[0]:
            stories = open_dataset(kind, of_stories, stack, ("tales",), kind="words")
            plain, tokenizer = stories.val_ids, stories.tokenizer
            model = kind.Model(kind.Config(tokenizer.vocab_size, **shape), seed)
            learn(model, make_optimizer(model, of_stories), stories, of_stories)
            found["stories"] = {"plain": loss_on(plain, model, asked)}
        talks = open_conversations(of_talks, ("tales",), shape["block_size"], kind="words",
                                   tokenizer=tokenizer if model else None, grow=model is not None)
        config = kind.Config(talks.tokenizer.vocab_size, **shape)
        model = grown(model, config, seed) if model else kind.Model(config, seed)
        optimizer, read = make_optimizer(model, of_talks), talks
        if counted == "all":
            read = replace(talks, train_ids=all_counted(talks.train_ids))
        if hold:
            keep_start(model, optimizer)
            read = held(talks, model, optimizer, of_talks)
            read.objective.steps = steps[1]
        learn(model, optimizer, read, of_talks)
        fresh = new_requests(talks, trial["new"]) if "new" in trial else None
        found["questions"] = ability(model, talks, plain, asked, fresh)
        if steps[2]:
            optimizer = make_optimizer(model, of_reward)
            remember(model, optimizer, of_reward)
            learn(model, optimizer, rewarded(talks, model, optimizer, of_reward, ALONE), of_reward)
            found["reward"] = ability(model, talks, plain, asked, fresh)
    return {"after": found}


def all_counted(talks):
    """Return `Talks` whose every token has a loss."""
    return Talks([Talk(t.ids_N, np.arange(len(t.ids_N)) > 0, t.question) for t in talks.talks],
                 talks.width)


def learn(model, optimizer, data, training):
    """Train a model on a `Dataset`."""
    for _ in training_steps(model, optimizer, data.train_ids, training, objective=data.objective):
        pass


def loss_on(plain, model, asked):
    """Return the loss on plain stories that were not trained on, nats per token."""
    return evaluate(model, plain, max_tokens=100 * asked)[0]


def new_requests(talks, count):
    """Return `Talks` of different requests of a story, of which none is in the trained part."""
    known = {talk.question.prompt for talk in talks.train_ids.talks}
    fresh = {q.prompt: q for q in questions(100_000, seed=5)
             if q.kind == "story" and q.prompt not in known}
    found = [("a new request", [{"role": "user", "content": q.prompt},
                                {"role": "assistant", "content": q.answer}], q)
             for q in [*fresh.values()][:count]]
    made = list(encoded(found, talks.tokenizer, talks.template))
    return Talks(made, max(map(len, made)))


def ability(model, talks, plain, asked, fresh=None):
    """Return the right answers to questions that were not trained on, and losses."""
    loss, _ = evaluate(model, talks.val_ids, objective=talks.objective)
    found = answered(model, talks, talks.val_ids, asked)._asdict() | {
        "loss": loss, "plain": None if plain is None else loss_on(plain, model, asked)}
    if fresh:
        right = answered(model, talks, fresh, len(fresh.talks)).right["story"]
        found["new requests"] = right
    return found


def found():
    """Yield (label, what the models of SEEDS can after a step) of each of ROWS that is there."""
    rows = [(row["settings"], row["result"]["after"]) for row in kept(RESULTS)]
    for label, (arm, step) in ROWS.items():
        runs = [after[step] for of, after in rows if of["arm"] == arm and of["seed"] in SEEDS]
        if len(runs) == len(SEEDS):
            yield label, runs


def share(runs, kinds):
    right, asked = np.sum([run["right"][kind] for run in runs for kind in kinds], axis=0)
    return right / asked


def write_report(figures=FIGURES):
    lines, ways = [], []
    for label, runs in found():
        asked = [""] * 4
        if "right" in runs[0]:
            ways.append((label, runs))
            asked = [f"{share(runs, kinds):.1%}" for kinds in (KINDS[:-1], ("it",), ("story",))]
            asked.append(f"{np.mean([run['entropy'] for run in runs]):.1f}")
        plain = runs[0]["plain"] and f"{np.mean([run['plain'] for run in runs]):.4f}"
        lines.append((label, *asked, plain or ""))
    head = ("steps", "questions right", "*it*", "requests right", "entropy", "plain stories")
    into_documents(REPORT, dict.fromkeys(("final", "summary"), markdown(head, lines)))
    if ways:
        picture(draw, figures / "16_talk.png", ways)


def draw(path, ways):
    """Draw the share of right answers by kind of question, after each way of steps."""
    drawing, axes = plots.figure(8.0, 4.0)
    for (label, runs), colour in zip(ways, plots.COLOURS, strict=False):
        axes.plot(KINDS, [100 * share(runs, (kind,)) for kind in KINDS], "o-", color=colour,
                  label=label, markersize=3)
    axes.set(ylabel="right, %", ylim=(0, 102))
    axes.legend(frameon=False, fontsize=8)
    return plots.save(drawing, path)


def main(quick=False, figures=FIGURES, workers=None):
    expect("Stories, questions, reward. Expect questions answered after the second step, and "
           "stories on request after the third.")
    trials = [{"arm": arm, "seed": seed} for seed in SEEDS for arm in ARMS] + [
        {"arm": "answers", "seed": seed, "new": NEW} for seed in NEW_SEEDS]
    if quick:
        return tried(trials[:3], measure, {"max_iters": 1, "asked": 8})
    run(trials, measure, RESULTS, workers)
    return write_report(figures)


if __name__ == "__main__":
    run_study(__doc__, main, write_report, "a model that hardly learns, a minute")
