"""A run opened: its text read, its model and optimizer made or loaded, its folder locked; what is
printed of it then.

What few runs need is imported where it is used: 10 to 25 ms each.
"""

import math
import textwrap
from dataclasses import replace

from npgpt import checkpoint
from npgpt.batches import check_length
from npgpt.data.tokens import open_dataset
from npgpt.loading import runs, template_of
from npgpt.models import architecture, resize_embeddings
from npgpt.models.size import check_memory, flops_per_token, step_memory, tokens_per_step
from npgpt.optim import make_optimizer
from npgpt.support.progress import note
from npgpt.support.text import counted, rounded, shown


def open_new(plan, stack):
    """Return (Run, Dataset, model, optimizer) of a `npgpt.cli.plan.Plan`; the folder is not made.

    Settings are refused before the text is read, which can take long and tells the vocabulary.
    """
    training, start, kind = plan.training, plan.start, architecture(plan.training.arch)
    tokenizer = start.tokenizer if start else None
    vocab_size = tokenizer.vocab_size if tokenizer else plan.bpe_size or 1
    config = kind.Config(vocab_size=vocab_size, **plan.model)
    how = {"kind": plan.kind, "bpe_size": plan.bpe_size, "grow": start is not None}
    if training.conversations:
        talks = _conversations()
        dataset = talks.open_conversations(training, training.conversations, config.block_size,
                                           tokenizer, plan.template, **how)
        training = replace(training, **talks.as_few_need(training, dataset.train_ids, plan.given))
        check_memory(dataset.shape(config), training)
    else:
        check_memory(config, training)
        dataset = open_dataset(kind, training, stack, training.corpus, tokenizer, **how)
        check_length(dataset.val_ids, config.block_size, "validation")
        check_length(dataset.train_ids, config.block_size, "training")
    dataset.objective.check_stride(training.eval_stride or None, config.block_size)
    config = replace(config, vocab_size=dataset.tokenizer.vocab_size)
    model = _started(start, config, dataset, training) if start else kind.Model(
        config, seed=training.seed)
    run = runs.Run(plan.folder, config, training, dataset.source)
    optimizer = _optimizer(model, training)
    return run, _with_objective(run, dataset, model, optimizer), model, optimizer


def _started(start, config, dataset, training):
    """Return the model of --init-from, with new tokens for what its tokenizer does not know."""
    model, new = start.model, dataset.tokenizer.tokens[start.tokenizer.vocab_size :]
    if new:
        print(f"note    {len(new):,} tokens that the model does not know are new: "
              f"{shown(b' '.join(new).decode())}")
    if new or config.block_size != model.config.block_size:
        return resize_embeddings(model, config, training.seed)
    model.config, model.seed = config, training.seed
    return model


def open_resumed(run, changes, texts, stack):
    """Return the same for a run as its last checkpoint left it, with changes of its settings.

    texts   (corpus, conversations) where they are now; None: where they were
    """
    model, tokenizer, run = runs.load_run(run.folder)
    optimizer = _optimizer(model, run.training)
    checkpoint.load_checkpoint(run, model, optimizer)
    if changes.get("max_iters", math.inf) <= optimizer.steps:
        raise ValueError(f"--max-iters: {optimizer.steps} steps are done; give more than that")
    run = replace(run, training=replace(run.training, **changes))
    dataset = open_run(run, stack, tokenizer, *texts)
    return run, _with_objective(run, dataset, model, optimizer), model, optimizer


def open_run(run, stack, tokenizer, corpus=None, conversations=None, whole=False):
    """Return the `Dataset` of the text or the conversations that a run was trained on.

    corpus, conversations   where they are now; None: where they were

    The only way to open the text of a run: the run may be a stranger's and name any file of yours,
    so a text counts by its hash alone. Raises ValueError for a different text.
    """
    training = run.training
    if training.conversations:
        return _conversations().open_conversations(
            training, conversations or training.conversations, run.model.block_size, tokenizer,
            template_of(run.folder), expected=run.text, whole=whole,
        )
    return open_dataset(architecture(training.arch), training, stack, corpus or training.corpus,
                        tokenizer, run.text, whole=whole)


def _optimizer(model, training):
    optimizer = make_optimizer(model, training)
    if training.hold or training.reward:
        _reference().keep_reference(model, optimizer)
    return optimizer


def _with_objective(run, dataset, model, optimizer):
    """Return the `Dataset` with the objective that the settings ask for."""
    if run.training.reward:
        from npgpt.reward.draws import rewarded  # for --reward

        return rewarded(dataset, model, optimizer, run.training)
    if run.training.hold:
        note("before training the model writes answers or texts, and training keeps it close to "
             "these; --hold 0 switches this off")
        return _reference().held(dataset, model, optimizer, run.training)
    return dataset


def _conversations():
    from npgpt.data import conversations  # for runs that are taught answers

    return conversations


def _reference():
    from npgpt.objectives import reference  # for --hold and --reward

    return reference


def print_summary(run, dataset, model, first_step, *, trains):
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
    print_filled("model", f"{model.num_parameters():,} parameters, arch {training.arch}: "
                          f"{shape_in_words(config)}")
    loss = (f"in nats per {objective.target}, lower is better; a blind guess: "
            f"ln {V:,} = {math.log(V):.4f}")
    if run.text.entropy_rate and objective.every_token:
        loss += ("; the grammar that wrote the text: about "
                 f"{run.text.entropy_rate * dataset.bytes_per_token:.4f} on average, no model less")
    print_filled("loss", loss)
    shape = dataset.shape(config)
    tokens = tokens_per_step(shape, training)
    memory = step_memory(shape, training.batch_size, training.gradient_accumulation_steps)["total"]
    print_filled("steps", f"{training.max_iters:,}, each of {tokens:,} tokens{padding}, "
                          f"{rounded(3 * flops_per_token(shape) * tokens / 1e9)} GFLOP, "
                          f"{rounded(memory / 1e6)} MB of memory")
    if trains and not objective.columns:
        once = steps_per_epoch(run, dataset)
        read = f"the text is read {rounded(training.max_iters / once)} times"
        if training.max_iters < once:
            read += f"; --max-iters {math.ceil(once)} reads it once"
        print_filled("", read)
    if trains:
        print_filled("run", f"{run.folder}{f' from step {first_step}' if first_step else ''}")


def shape_in_words(config):
    return (f"{counted(config.n_layer, 'layer')}, {counted(config.n_head, 'head')}, "
            f"{counted(config.n_embd, 'channel')}, a vocabulary of {config.vocab_size:,} tokens, "
            f"a context window of {config.block_size:,}")


def print_filled(head, text):
    """Print a text in lines of at most 80 columns."""
    print(textwrap.fill(text, 80, initial_indent=f"{head:<8}", subsequent_indent=" " * 8,
                        break_long_words=False, break_on_hyphens=False))


def steps_per_epoch(run, dataset):
    """Return the number of steps that read the training text once."""
    ids = dataset.train_ids
    size = len(ids.rows) * ids.width if dataset.template else len(ids)
    return size / tokens_per_step(dataset.shape(run.model), run.training)
