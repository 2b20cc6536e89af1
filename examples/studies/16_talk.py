"""From text to talk: what each step adds, on questions about tales that the grammar judges.

    python -m examples.studies 16_talk    the trainings that are missing, then the tables

The end of `PLAN.md` has arms, seeds and what is expected. The last arm is README's commands, with
the last weights instead of the best.
"""

from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pandas as pd
import study
from intervals import student
from study import markdown

from npgpt.data.conversations import Conversation, Conversations, encoded, open_conversations
from npgpt.data.tokens import open_dataset
from npgpt.evaluation.answers import answered
from npgpt.models import architecture, resize_embeddings
from npgpt.models.presets import from_preset
from npgpt.objectives.reference import held, keep_reference
from npgpt.optim import make_optimizer
from npgpt.reward.draws import rewarded
from npgpt.reward.settings import DEFAULTS, RewardConfig
from npgpt.tales.questions import KINDS, questions
from npgpt.train import evaluate, training_steps

SEEDS, ASKED = (4, 5, 6), 1000
NEW_SEEDS, NEW = (7, 8, 9), 400  # of requests that nobody trained on
TINY = {"max_iters": 1, "asked": 8}
# Steps on stories, on conversations, with reward; weights of what is held and of the reward's KL
# penalty; the tokens that count
ARMS = {
    "answers": (0, 4000, 300, 0.0, 0.0, "answers"),
    "all tokens": (0, 4000, 0, 0.0, 0.0, "all"),
    "chain": (500, 6000, 300, 2.0, 0.0, "answers"),
    "chain with KL": (500, 6000, 100, 2.0, 0.1, "answers"),
}
LINES = {  # of the table: the arm, and its last step
    "questions": ("answers", "questions"), "then reward": ("answers", "reward"),
    "questions, loss on all tokens": ("all tokens", "questions"),
    "stories": ("chain", "stories"),
    "stories, then questions": ("chain", "questions"),
    "stories, questions, then reward": ("chain", "reward"),
    "stories, then questions, once more": ("chain with KL", "questions"),
    "then reward with a KL penalty": ("chain with KL", "reward"),
}


def trials(results):
    return [{"arm": arm, "seed": seed} | ({"new": 300} if arm == "chain with KL" else {})
            for seed in SEEDS for arm in ARMS] + [
        {"arm": "answers", "seed": seed, "new": NEW} for seed in NEW_SEEDS]


def measure(trial):
    """Return what a model can after each of its steps."""
    *steps, hold, kl, counted = ARMS[trial["arm"]]
    steps = [min(n, trial.get("max_iters", n)) for n in steps]
    gpt, found, asked = architecture("gpt"), {}, trial.get("asked", ASKED)
    given = {"seed": trial["seed"], "eval_stride": 0}
    shape, of_stories = from_preset("tales-words", max_iters=max(steps[0], 1), **given)
    _, of_talks = from_preset("answers", max_iters=steps[1], hold=hold, **given)
    of_arm = {"max_iters": max(steps[2], 1), "reward_kl": kl}
    _, of_reward = from_preset("answers", RewardConfig, reward="answers", **given,
                               **DEFAULTS["answers"] | of_arm)
    with ExitStack() as stack:
        plain = model = tokenizer = None
        if steps[0]:
            stories = open_dataset(gpt, of_stories, stack, ("tales",), kind="words")
            plain, tokenizer = stories.val_ids, stories.tokenizer
            model = gpt.Model(gpt.Config(tokenizer.vocab_size, **shape), trial["seed"])
            learn(model, make_optimizer(model, of_stories), stories, of_stories)
            found["stories"] = {"plain": loss_on(plain, model, asked)}
        talks = open_conversations(of_talks, ("tales",), shape["block_size"], kind="words",
                                   tokenizer=tokenizer, grow=model is not None)
        config = gpt.Config(talks.tokenizer.vocab_size, **shape)
        model = (resize_embeddings(model, config, trial["seed"]) if model
                 else gpt.Model(config, trial["seed"]))
        optimizer, read = make_optimizer(model, of_talks), talks
        if counted == "all":
            read = replace(talks, train_ids=all_counted(talks.train_ids))
        if hold:
            keep_reference(model, optimizer)
            read = held(talks, model, optimizer, of_talks)
            read.objective.steps = steps[1]
        learn(model, optimizer, read, of_talks)
        fresh = new_requests(talks, trial["new"]) if "new" in trial else None
        found["questions"] = ability(model, talks, plain, asked, fresh)
        if steps[2]:
            optimizer = make_optimizer(model, of_reward)
            keep_reference(model, optimizer)
            data = rewarded(talks, model, optimizer, of_reward)
            learn(model, optimizer, data, of_reward)
            found["reward"] = ability(model, talks, plain, asked, fresh)
    return {"after": found}


def all_counted(talks):
    """Return `Conversations` whose every token has a loss."""
    return Conversations([Conversation(t.ids_N, np.arange(len(t.ids_N)) > 0, t.question)
                          for t in talks.talks], talks.width)


def learn(model, optimizer, data, training):
    """Train a model on a `Dataset`."""
    for _ in training_steps(model, optimizer, data.train_ids, training, objective=data.objective):
        pass


def loss_on(plain, model, asked):
    """Return the loss on plain stories that were not trained on, nats per token."""
    return evaluate(model, plain, max_tokens=100 * asked)[0]


def new_requests(talks, count):
    """Return `Conversations` of different requests of a story, none in the trained part."""
    known = {talk.question.prompt for talk in talks.train_ids.talks}
    fresh = {q.prompt: q for q in questions(100_000, seed=5)
             if q.kind == "story" and q.prompt not in known}
    found = [("a new request", [{"role": "user", "content": q.prompt},
                                {"role": "assistant", "content": q.answer}], q)
             for q in [*fresh.values()][:count]]
    made = list(encoded(found, talks.tokenizer, talks.template))
    return Conversations(made, max(map(len, made)))


def ability(model, talks, plain, asked, fresh=None):
    """Return the right answers to questions that were not trained on, and losses."""
    loss, _ = evaluate(model, talks.val_ids, objective=talks.objective)
    found = answered(model, talks, talks.val_ids, asked)._asdict() | {
        "loss": loss, "plain": None if plain is None else loss_on(plain, model, asked)}
    if fresh:
        right = answered(model, talks, fresh, len(fresh.talks)).right["story"]
        found["new requests"] = right
    return found


def numbers(results):
    """Return by line of the table its measures, shares in percent, as intervals of the seeds; and
    what a line adds to one before it."""
    runs = {arm: [results[study.key(trial)]["after"] for trial in trials(results)
                  if trial["arm"] == arm and trial["seed"] in SEEDS] for arm in ARMS}
    of = {line: pd.DataFrame([measures(run[step]) for run in runs[arm]])
          for line, (arm, step) in LINES.items()}
    found = {line: {name: student(x) for name, x in some.items()} for line, some in of.items()}
    table = markdown(
        ("steps", "questions right, %", "*it*, %", "requests right, %", "new ones", "entropy",
         "plain stories"),
        [(line, *(f"{x[name].mean:{form}}" if name in x else "" for name, form in (
            ("questions", ".1f"), ("it", ".1f"), ("story", ".1f"), ("new requests", ".1f"),
            ("entropy", ".1f"), ("plain", ".4f")))) for line, x in found.items()])
    added = {f"{after}, beside {before}": {name: student(of[after][name] - x)
                                           for name, x in of[before].items() if name in of[after]}
             for before in of for after in of}
    return {"final": table, "of": found, "added": added,
            "least": {line: some[[*KINDS[:-1]]].mean().min() for line, some in of.items()
                      if "it" in some},
            "new_words": new_words([results[study.key(trial)]["after"]
                                    for trial in trials(results) if trial["seed"] in NEW_SEEDS])}


def new_words(runs):
    before, after = (np.array([measures(run[step])["new requests"] for run in runs])
                     for step in ("questions", "reward"))
    return (f"; of {NEW} new ones, with three other seeds, {student(after):.1f} % are right, "
            f"{before.mean():.1f} % before: {student(after - before):+.1f} points")


def measures(run):
    """Return name -> what a model can: percent right by kind and of all questions, and others."""
    found = {name: run[name] for name in ("entropy", "loss", "plain") if run.get(name)}
    if "right" in run:  # kind -> [right, asked]
        right = pd.DataFrame(run["right"])
        right["questions"] = right[[*KINDS[:-1]]].sum(axis=1)
        found |= dict(100 * right.loc[0] / right.loc[1])
    if "new requests" in run:
        found["new requests"] = 100 * np.divide(*run["new requests"])
    return found
