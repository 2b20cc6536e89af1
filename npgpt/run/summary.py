"""The lines that `npgpt train` prints before the first step and after the last."""

import json
import textwrap
from dataclasses import asdict
from importlib.util import find_spec

from npgpt import plots, tales
from npgpt.families.answers import ASKED, Answered, answered, given
from npgpt.families.held import forgotten
from npgpt.families.size import flops_per_token, parameters_by_part, step_memory
from npgpt.files import atomic_write, quoted, read_json
from npgpt.gpt import GPT
from npgpt.io.tokens import SAMPLE
from npgpt.loading import best_of
from npgpt.loading.runs import RESULT
from npgpt.metrics import beside_grammar, bits_per_byte, bytes_per_token, read_metrics
from npgpt.ngram import landmarks
from npgpt.run.estimate import clock, tokens_per_step
from npgpt.run.progress import evaluate_all
from npgpt.run.standing import in_words, standing, what_helps
from npgpt.text import counted, shown
from npgpt.tokenizers import WordTokenizer

BEFORE = "before.json"  # how many answers were right when the run began
LAST_TOKENS = 1_000_000  # at most, for the evaluation at the end: a text may have many times more


def print_summary(run, dataset, model, *, ranks, first_step=0, trains=True):
    """Print the text, the model, the cost of a step and, if it `trains`, the run folder."""
    config, training, ids = run.model, run.training, dataset.train_ids
    size = f"{run.text.characters:,} characters, " if run.text.characters else ""
    lines = [
        ("text", f"{shown(run.text.name)}: {size}{run.model.vocab_size:,} different tokens;",
         f"{len(ids):,} tokens to train on,",
         f"{len(dataset.val_ids):,} to validate" if dataset.validates else "none to validate"),
    ]
    if dataset.template:
        lines.append(("taught", f"{len(ids.talks):,} conversations"))
    if dataset.contents:
        lines.append(("files", *dataset.contents.split()))
    if len(getattr(dataset.tokenizer, "characters", "")) >= 2000:
        lines.append(("note", "most of so many characters are rare:",
                      "--tokenizer bpe does better there"))
    if run.text.entropy_rate and dataset.objective.every_token:
        lines.append(("", f"entropy of the text: {run.text.entropy_rate:.4f} nats per character;",
                      "the grammar that wrote it loses that on average, and no model less"))
    parts = [f"{part} {count:,}" for part, count in parameters_by_part(config).items()]
    shape = dataset.shape(config)
    tokens = tokens_per_step(shape, training)
    memory = step_memory(shape, training.batch_size, training.gradient_accumulation_steps)
    sizes = [f"{part} {size / 1e6:,.0f}" for part, size in asdict(memory).items()]
    lines += [
        ("model", f"{training.arch}, {model.num_parameters():,} parameters:",
         f"{counted(config.n_layer, 'layer')}, {counted(config.n_head, 'head')},",
         f"{counted(config.n_embd, 'channel')},",
         f"block {config.block_size}"),
        ("", *_with_commas(parts)),
        ("step", f"{tokens:,} tokens, {3 * flops_per_token(shape) * tokens / 1e9:,.2f} GFLOP;",
         f"{memory.total / 1e6:,.0f} MB of memory:", *_with_commas(sizes)),
    ]
    steps = counted(training.max_iters, "step")
    verb = "reads" if training.max_iters == 1 else "read"
    if trains and dataset.objective.columns:
        count = training.batch_size * training.gradient_accumulation_steps
        lines.append(("", f"{steps}; drawn stories for each: {count}"))
    elif trains:
        reads = training.max_iters * tokens / len(ids)
        once = f"; --max-iters {-(-len(ids) // tokens)} reads it once" if reads < 1 else ""
        lines.append(("", f"{steps} {verb} the text {reads:,.2f} times{once}"))
    if ranks.size > 1:
        lines.append(("ranks", f"{ranks.size}, each computes its share of every batch"))
    if trains:
        since = [f"from step {first_step}"] if first_step else []
        lines.append(("run", str(run.folder), *since))
    if trains and not find_spec("matplotlib"):
        lines.append(("note", *f"there will be no loss.png: {plots.WAY_OUT}".split()))
    print("\n".join(_filled(*line) for line in lines))


def _filled(head, *parts):
    """Return a line of at most 80 columns, or several lines cut between the parts."""
    glued = " ".join(part.replace(" ", "\xa0") for part in parts)
    text = textwrap.fill(glued, 80, initial_indent=f"{head:<8}", subsequent_indent=" " * 8,
                         break_long_words=False, break_on_hyphens=False)
    return text.replace("\xa0", " ")


def _with_commas(parts):
    return *(f"{part}," for part in parts[:-1]), parts[-1]


def write_before(run, dataset, model):
    """Write how many answers, or stories, are right before a run goes on from a model."""
    right = ({"stories": tales.stories_written(model, dataset.tokenizer)} if _tells(run, dataset)
             else _answered(run, dataset, model).right)
    if right:
        atomic_write(run.folder / BEFORE, json.dumps(right) + "\n")


def _tells(run, dataset):
    return run.text.name == "tales" and dataset.objective.every_token


def _answered(run, dataset, model):
    if not run.training.conversations:
        return Answered({})
    return answered(model, dataset, dataset.val_ids)


def print_results(run, dataset, model, draw):
    """Print the loss on the whole validation text and, for tales, the share of stories that parse;
    write result.json and a picture by a function such as `draw_loss`."""
    ids, objective = dataset.val_ids, dataset.objective
    total = min(len(ids) - 1, LAST_TOKENS)
    part = "the whole" if total == len(ids) - 1 else f"{total:,} tokens of the"
    what = f"{part} text to evaluate (Ctrl-C skips it)"
    loss, tokens = evaluate_all(model, ids, objective, run.training, what,
                                run.training.eval_stride, LAST_TOKENS)
    name, all_ = quoted(run.folder), total == len(ids) - 1
    kind = "validation loss" if dataset.validates else "loss on what is taught"
    parts, per_byte = [f"{kind} {loss:.4f} nats per {objective.target},"], None
    if objective.every_token:
        per_byte = bits_per_byte(loss, bytes_per_token(ids, dataset.tokenizer))
        parts.append(f"{per_byte:.4f} bits per byte,")
    parts.append(f"over {'all ' * all_}{tokens:,} tokens")
    if not all_:
        parts += f"drawn from {len(ids) - 1:,}", f"(npgpt eval {name} takes all)"
    print("\n" + _filled("result", *parts))
    grammar = dataset.grammar_loss(
        run.model.block_size, stride=run.training.eval_stride or None, max_tokens=LAST_TOKENS,
        seed=run.training.seed,
    )
    if grammar:
        print(_filled("", *beside_grammar(loss, grammar).split()))
    rows = read_metrics(run.folder / "metrics.csv")
    validated = [row for row in rows if row["val_loss"] is not None]
    if validated:
        best = min(validated, key=lambda row: row["val_loss"])
        drawn = run.training.eval_tokens
        parts = [f"{best['val_loss']:.4f} at step {best['step']}, of the evaluations on the way"]
        level = best["grammar_loss"]
        beside = "" if level is None else f", on which the grammar loses {level:.4f}"
        parts += [f"(each on about {drawn:,} drawn tokens{beside})"] * (0 < drawn < len(ids) - 1)
        if best["step"] < rows[-1]["step"] and (found := best_of(run.folder)) != run.folder:
            parts.append(f"in {quoted(found)}, which npgpt generate takes")
        print(_filled("best", *parts))
    if rows:
        print(_filled("time", f"{clock(rows[-1]['seconds'])} of training"))
    judged = grammar and run.training.conversations  # by the answers, below
    # what is held is not validated
    if not run.training.hold and not judged and (found := standing(rows)):
        helps, command = what_helps(found[0], run, dataset.tokenizer)
        print(f"{_filled('state', f'{in_words(found)};', f'what helps: {helps}:')}\n"
              f"    npgpt train {command}")
    before = read_json(run.folder / BEFORE) if (run.folder / BEFORE).exists() else {}
    if _tells(run, dataset):
        count, right = tales.stories_written(model, dataset.tokenizer)
        share = f"of {count} stories told by the model, {right} parse under the grammar"
        was = "; before {1} of {0}".format(*before["stories"]) if before else ""
        print(f"{share} ({right / count:.0%}){was}" if count
              else "no story was finished by the model")
    for line in _answered(run, dataset, model).lines(before):
        print(line)
    for line in _taught(run, dataset, model):
        print(line)
    if run.training.hold:
        print(forgotten(model, objective))
    result = {"step": run.training.max_iters, "loss": loss, "bits_per_byte": per_byte,
              "grammar_loss": grammar and grammar.nats, "tokens": total}
    atomic_write(run.folder / RESULT, json.dumps(result, indent=2) + "\n")
    try:
        print(f"picture {draw(run, rows, dataset, loss, grammar)}")
    except plots.MatplotlibMissing:
        print("no picture, as matplotlib is missing; metrics.csv has its numbers")
    what = ("talk to it: npgpt chat" if run.training.conversations
            else "more text: npgpt generate")
    print(f"{what} {name}")
    if type(model) is GPT and not isinstance(dataset.tokenizer, WordTokenizer):  # no page has one
        print(f"a page to look inside: npgpt look {name}")


def _taught(run, dataset, model):
    """Yield lines: how many of a user's answers the model gives now, and one, a wrong one first."""
    talks = [talk for talk in getattr(dataset.train_ids, "talks", ()) if not talk.question]
    answers = [(right, talk.ids_N[:begin]) for talk in talks[:ASKED]
               for begin, right in given(model, talk)]
    if answers:
        right = sum(right for right, _ in answers)
        yield (f"of {counted(len(answers), 'answer')} that you taught, the model gives {right} "
               "word for word")
        is_given, prompt_T = min(answers, key=lambda answer: answer[0])
        ids = dataset.write(model, dataset.tokenizer, prompt_T, 100, temperature=0)
        yield f"    {dataset.tokenizer.decode([*ids]).strip()}"
        if not is_given:
            yield (f"more steps may help: npgpt train --resume --out {quoted(run.folder)} "
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
