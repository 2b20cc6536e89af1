"""The lines that `npgpt train` prints before the first step and after the last."""

import json
import math
import textwrap

from npgpt import plots, tales
from npgpt.data.tokens import SAMPLE
from npgpt.evaluation.answers import MAX_ASKED, answered, given
from npgpt.files import atomic_write, quoted, read_json
from npgpt.loading import best_of
from npgpt.loading.runs import RESULT_FILE
from npgpt.metrics import beside_grammar, best_row, bits_per_byte, read_metrics
from npgpt.models.size import flops_per_token, step_memory
from npgpt.ngram import landmarks
from npgpt.objectives.reference import forgotten
from npgpt.run.estimate import clock, tokens_per_step
from npgpt.run.standing import STATES, standing, what_helps
from npgpt.text import counted, rounded, shown
from npgpt.tokenizers import CharTokenizer
from npgpt.train import evaluate

BEFORE = "before.json"  # how many answers were right when the run began
LAST_TOKENS = 1_000_000  # at most, for the evaluation at the end: a text may have many times more


def print_summary(run, dataset, model, *, ranks, first_step=0, trains=True):
    """Print the text, the model, the cost of a step and, if it `trains`, the run folder."""
    config, training, ids = run.model, run.training, dataset.train_ids
    objective, V = dataset.objective, config.vocab_size
    size = f"{run.text.characters:,} characters, " if run.text.characters else ""
    answers = padding = ""
    if dataset.template:
        size, padding = f"{counted(len(ids.talks), 'conversation')}, ", ", padding included"
        answers = f"{ids.n_targets:,} of them in answers, "
    validated = f"{len(dataset.val_ids):,}" if dataset.validates else "none"
    print_filled("text", f"{shown(run.text.name)}: {size}{len(ids):,} tokens to train on, {answers}"
                         f"{validated} to validate")
    if dataset.contents:
        print_filled("files", dataset.contents)
    if len(getattr(dataset.tokenizer, "characters", "")) >= 2000:
        print_filled("note", "most of so many characters are rare: --tokenizer bpe does better "
                             "there")
    print_filled("model", f"{model.num_parameters():,} parameters, arch {training.arch}: "
                          f"{counted(config.n_layer, 'layer')}, {counted(config.n_head, 'head')}, "
                          f"{counted(config.n_embd, 'channel')}, a vocabulary of {V:,} tokens, "
                          f"reads {config.block_size:,} at most")
    loss = (f"in nats per {objective.target}, lower is better; a blind guess: "
            f"ln {V:,} = {math.log(V):.4f}")
    if run.text.entropy_rate and objective.every_token:
        loss += ("; the grammar that wrote the text: about "
                 f"{run.text.entropy_rate * dataset.bytes_per_token:.4f} on average, no model less")
    print_filled("loss", loss)
    shape = dataset.shape(config)
    tokens = tokens_per_step(shape, training)
    memory = step_memory(shape, training.batch_size, training.gradient_accumulation_steps)
    print_filled("steps", f"{training.max_iters:,}, each of {tokens:,} tokens{padding}, "
                          f"{rounded(3 * flops_per_token(shape) * tokens / 1e9)} GFLOP, "
                          f"{rounded(memory.total / 1e6)} MB of memory")
    if trains and not objective.columns:
        once = reading(run, dataset)
        read = f"the text is read {rounded(training.max_iters / once)} times"
        if training.max_iters < once:
            read += f"; --max-iters {math.ceil(once)} reads it once"
        print_filled("", read)
    if ranks.size > 1:
        print_filled("ranks", f"{ranks.size}, each computes its share of every batch")
    if trains:
        print_filled("run", f"{run.folder}{f' from step {first_step}' if first_step else ''}")


def print_filled(head, text):
    """Print a text in lines of at most 80 columns."""
    print(textwrap.fill(text, 80, initial_indent=f"{head:<8}", subsequent_indent=" " * 8,
                        break_long_words=False, break_on_hyphens=False))


def write_before(run, dataset, model):
    """Write how many answers, or stories, are right before a run goes on from a model."""
    right = ({"stories": tales.stories_written(model, dataset.tokenizer)} if _tells(run, dataset)
             else answered(model, dataset, dataset.val_ids).right)
    if right:
        atomic_write(run.folder / BEFORE, json.dumps(right) + "\n")


def _tells(run, dataset):
    return run.text.name == "tales" and dataset.objective.every_token


def print_results(run, dataset, model, draw, again):
    """Print how many of the model's stories parse or answers are right, then the loss on the whole
    validation text; write result.json and a picture by a function such as `draw_loss`.

    again   the command that was typed, as for `npgpt.run.standing.what_helps`
    """
    ids, objective, training = dataset.val_ids, dataset.objective, run.training
    before = read_json(run.folder / BEFORE) if (run.folder / BEFORE).exists() else {}
    print()
    if _tells(run, dataset):
        count, right = tales.stories_written(model, dataset.tokenizer)
        share = f"of {count} stories told by the model, {right} parse under the grammar"
        was = "; before {1} of {0}".format(*before["stories"]) if before else ""
        print(f"{share} ({right / count:.0%}){was}" if count
              else "no story was finished by the model")
    for line in answered(model, dataset, ids).lines(before):
        print(line)
    _print_taught(run, dataset, model)
    kind = "validation loss" if dataset.validates else "loss on what is taught"
    total, drawn = len(ids) - 1, training.drawn | {"max_tokens": LAST_TOKENS}
    loss, tokens = evaluate(model, ids, objective=objective, what=f"{kind} (Ctrl-C skips it)",
                            **drawn)
    name, V, per_byte = quoted(run.folder), run.model.vocab_size, None
    said = f"{kind} {loss:.4f} nats per {objective.target}, "
    if objective.every_token:
        per_byte = bits_per_byte(loss, dataset.bytes_per_token)
    if per_byte and type(dataset.tokenizer) is not CharTokenizer:  # to compare different tokens
        said += f"{per_byte:.4f} bits per byte, "
    if loss > math.log(V):
        said += f"worse than a blind guess ({math.log(V):.4f}), "
    said += f"over {tokens:,} tokens"
    if total > LAST_TOKENS:
        said += f" drawn from {total:,} (npgpt eval {name} takes all)"
    print_filled("result", said)
    grammar = dataset.grammar_loss(run.model.block_size, **drawn)
    if grammar:
        print_filled("", beside_grammar(loss, grammar))
    rows = read_metrics(run.folder / "metrics.csv")
    best = best_row(rows)
    if best and best["step"] < rows[-1]["step"] and best_of(run.folder) != run.folder:
        right = f"{best['answers']:.1%} right, loss " if best.get("answers") else ""
        print_filled("best", f"{right}{best['val_loss']:.4f} at step {best['step']}, of the "
                             "evaluations on the way; npgpt generate and chat take these weights, "
                             "the result is of the last ones")
    if rows:
        print_filled("time", f"{clock(rows[-1]['seconds'])} of training")
    # what is held is not validated, and what the grammar judges is judged by the answers
    if dataset.validates and not (training.hold or objective.columns
                                  or (grammar and training.conversations)):
        _print_state(run, dataset, rows, again)
    if training.hold:
        print(forgotten(model, objective))
    result = {"step": training.max_iters, "loss": loss, "bits_per_byte": per_byte,
              "grammar_loss": grammar and grammar.nats, "tokens": min(total, LAST_TOKENS)}
    atomic_write(run.folder / RESULT_FILE, json.dumps(result, indent=2) + "\n")
    try:
        print(f"picture {draw(run, rows, dataset, loss, grammar)}")
    except plots.MatplotlibMissing as missing:
        print(f"no picture: {missing}; metrics.csv has its numbers")
    what = ("talk to it: npgpt chat" if training.conversations
            else "more text: npgpt generate")
    print(f"{what} {name}")


def reading(run, dataset):
    """Return the number of steps that read the training text once."""
    ids = dataset.train_ids
    size = len(ids.rows) * ids.width if dataset.template else len(ids)
    return size / tokens_per_step(dataset.shape(run.model), run.training)


def _print_state(run, dataset, rows, again):
    """Print the state of a training, and what helps; nothing if neither is known."""
    once = reading(run, dataset)
    state = standing(rows, run.training, once)
    if state or run.training.max_iters < once:
        helps, command = what_helps(state, run, once, again)
        print_filled("state", f"{STATES[state]}; what helps: {helps}")
        if command:
            print(f"    {command}")


def _print_taught(run, dataset, model):
    """Print how many of a user's answers the model gives now, and one, a wrong one first."""
    talks = [talk for talk in getattr(dataset.train_ids, "talks", ()) if not talk.question]
    answers = [(right, talk.ids_N[:begin]) for talk in talks[:MAX_ASKED]
               for begin, right in given(model, talk)]
    if answers:
        right = sum(right for right, _ in answers)
        print(f"of {counted(len(answers), 'answer')} that you taught, the model gives {right} "
              "word for word; sample:")
        is_given, prompt_T = min(answers, key=lambda answer: answer[0])
        ids = dataset.write(model, dataset.tokenizer, prompt_T, 100, temperature=0)
        print(textwrap.indent(dataset.tokenizer.decode([*ids]).strip(), "    "))
        if not is_given:
            print(f"more steps may help: npgpt train --resume --out {quoted(run.folder)} "
                  f"--max-iters {2 * run.training.max_iters}")


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
                              whole=loss, grammar=grammar and grammar.nats)
