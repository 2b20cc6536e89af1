"""A finished run on its validation text: evaluated, written, printed, drawn."""

import json
import textwrap
from dataclasses import dataclass
from typing import Any

from npgpt import tales
from npgpt.data.tokens import SAMPLE
from npgpt.evaluation.answers import MAX_ASKED, Answered, answered, given
from npgpt.loading import best_of
from npgpt.loading.runs import RESULT_FILE
from npgpt.ngram import landmarks
from npgpt.objectives.reference import forgotten
from npgpt.run.learning_curve import STATES, state_of, what_helps
from npgpt.run.opening import print_filled, steps_per_epoch
from npgpt.support import plots
from npgpt.support.files import atomic_write, quoted
from npgpt.support.metrics import beside_grammar, best_row, read_metrics
from npgpt.support.text import clock, counted, shown
from npgpt.train import evaluate

LAST_TOKENS = 1_000_000  # at most, for the evaluation at the end: a text may have many times more


@dataclass(frozen=True)
class Results:
    """The last model of a run, on the whole validation text or a part of a long one."""

    loss: float  # in nats per target
    tokens: int
    grammar: Any  # the `npgpt.batches.GrammarLoss` on the same tokens, or None
    bits_per_byte: float | None
    rows: list  # of metrics.csv
    stories: tuple | None  # (finished, right), of a model that tells tales
    answered: Answered
    taught: list  # of a user's answers (is it given word for word, the prompt)
    forgotten: str  # of a model with a reference model


def evaluate_run(run, dataset, model):
    """Return the `Results` of the model of a finished run."""
    ids, objective = dataset.val_ids, dataset.objective
    drawn = run.training.drawn | {"max_tokens": LAST_TOKENS}
    loss, tokens = evaluate(model, ids, objective=objective,
                            what=f"{_kind(dataset)} (Ctrl-C skips it)", **drawn)
    stories = run.text.name == "tales" and objective.every_token
    talks = [talk for talk in getattr(dataset.train_ids, "talks", ()) if not talk.question]
    return Results(
        loss, tokens, dataset.grammar_loss(run.model.block_size, **drawn),
        dataset.bits_per_byte(loss), read_metrics(run.folder / "metrics.csv"),
        tales.stories_written(model, dataset.tokenizer) if stories else None,
        answered(model, dataset, ids),
        [(right, talk.ids_N[:begin]) for talk in talks[:MAX_ASKED]
         for begin, right in given(model, talk)],
        forgotten(model, objective) if run.training.hold else "",
    )


def write_results(run, dataset, results):
    """Write result.json."""
    grammar, total = results.grammar, len(dataset.val_ids) - 1
    result = {"step": run.training.max_iters, "loss": results.loss,
              "bits_per_byte": results.bits_per_byte, "grammar_loss": grammar and grammar.nats,
              "least_loss": grammar and grammar.least,
              "tokens": min(total, LAST_TOKENS)}
    atomic_write(run.folder / RESULT_FILE, json.dumps(result, indent=2) + "\n")


def print_results(run, dataset, model, results, again):
    """Print the results, and what would help the run.

    again   the command that was typed, as for `npgpt.run.learning_curve.what_helps`
    """
    objective, training, loss = dataset.objective, run.training, results.loss
    print()
    if results.stories:
        count, right = results.stories
        share = f"of {count} stories told by the model, {right} parse under the grammar"
        print(f"{share} ({right / count:.0%})" if count else "no story was finished by the model")
    for line in results.answered.lines():
        print(line)
    if results.taught:
        _print_taught(run, dataset, model, results.taught)
    name, total = quoted(run.folder), len(dataset.val_ids) - 1
    said = f"{_kind(dataset)} {loss:.4f} nats per {objective.target}, "
    if results.bits_per_byte:  # to compare different tokens
        said += f"{results.bits_per_byte:.4f} bits per byte, "
    said += f"over {results.tokens:,} tokens"
    if total > LAST_TOKENS:
        said += f" drawn from {total:,} (npgpt eval {name} takes all)"
    print_filled("result", said)
    if results.grammar:
        print_filled("", beside_grammar(loss, results.grammar))
    rows, best = results.rows, best_row(results.rows)
    if best and best["step"] < rows[-1]["step"] and best_of(run.folder) != run.folder:
        right = f"{best['answers']:.1%} right, loss " if best.get("answers") else ""
        print_filled("best", f"{right}{best['val_loss']:.4f} at step {best['step']}, in an "
                             "evaluation on the way: npgpt generate and chat use these weights, "
                             "and the result describes the last ones")
    if rows:
        print_filled("time", f"{clock(rows[-1]['seconds'])} of training")
    # what is held is not validated, and what the grammar judges is judged by the answers
    if dataset.validates and not (training.hold or objective.columns
                                  or (results.grammar and training.conversations)):
        _print_state(run, dataset, rows, again)
    if results.forgotten:
        print(results.forgotten)


def draw_results(run, dataset, results):
    """Draw the picture of a run, and say where it is."""
    draw = dataset.objective.picture or draw_loss
    try:
        print(f"picture {draw(run, results.rows, dataset, results.loss, results.grammar)}")
    except plots.MatplotlibMissing as missing:
        print(f"no picture: {missing}; metrics.csv has its numbers")


def draw_loss(run, rows, dataset, loss, grammar):
    """Draw loss.png of a run beside the grammar's loss on the same tokens; return its path.

    Where every token is a target, the losses of n-gram models on the same text are lines too. Of a
    long text they see the first two million tokens.
    """
    levels = []
    if dataset.objective.every_token:
        train_ids, val_ids = dataset.train_ids[:SAMPLE], dataset.val_ids[:SAMPLE]
        levels = landmarks(train_ids, val_ids, run.model.vocab_size)
    title = (f"{shown(run.text.name)}: {counted(run.model.n_layer, 'layer')}, "
             f"{counted(run.model.n_embd, 'channel')}")
    return plots.loss_picture(run.folder / "loss.png", rows, title=title, levels=levels,
                              whole=loss, least=grammar and grammar.least)


def _kind(dataset):
    return "validation loss" if dataset.validates else "loss on what is taught"


def _print_state(run, dataset, rows, again):
    """Print the state of a training, and what helps; nothing if neither is known."""
    once = steps_per_epoch(run, dataset)
    state = state_of(rows, run.training, once)
    if state or run.training.max_iters < once:
        helps, command = what_helps(state, run, once, again)
        print_filled("state", f"{STATES[state]}. What helps: {helps}")
        if command:
            print(f"    {command}")


def _print_taught(run, dataset, model, answers):
    """Print how many of a user's answers the model gives now, and one, a wrong one first."""
    right = sum(right for right, _ in answers)
    print(f"of {counted(len(answers), 'answer')} that you taught, the model gives {right} word for "
          "word; sample:")
    _, prompt_T = min(answers, key=lambda answer: answer[0])
    ids = dataset.write(model, dataset.tokenizer, prompt_T, 100, temperature=0)
    print(textwrap.indent(dataset.tokenizer.decode([*ids]).strip(), "    "))
    if right < len(answers) and not dataset.validates:
        steps = 2 * run.training.max_iters
        print(f"what helps: npgpt train --resume --out {quoted(run.folder)} --max-iters {steps}")
