"""One call of `npgpt train` at work: progress, checkpoints, samples, and the summary at the end."""

import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from npgpt import plots
from npgpt.cli.generate import beginning
from npgpt.data import tales
from npgpt.data.corpora import Corpus
from npgpt.model import GPT
from npgpt.model.ngram import NgramModel
from npgpt.tokenizer import CharTokenizer
from npgpt.training import AdamW
from npgpt.training.checkpoint import Run, save_checkpoint
from npgpt.training.loop import evaluate, training_steps
from npgpt.training.metrics import Metrics, read_metrics


@dataclass
class Session:
    """All that one call of `npgpt train` works with."""

    run: Run
    corpus: Corpus
    tokenizer: CharTokenizer
    model: GPT
    optimizer: AdamW
    train_ids: np.ndarray
    val_ids: np.ndarray
    first_step: int = 0


def introduce(session):
    """Say what is about to be trained, on what, and where it goes."""
    run, corpus = session.run, session.corpus
    print(
        f"text    {corpus.name}: {len(corpus.text):,} characters, {session.tokenizer.vocab_size} "
        f"different; {len(session.train_ids):,} to train on, {len(session.val_ids):,} to validate"
    )
    if corpus.entropy_rate:
        print(f"        its entropy is {corpus.entropy_rate:.4f} nats per character: no model's "
              "loss can be lower")  # fmt: skip
    print(
        f"model   {session.model.num_parameters():,} parameters: {run.model.n_layer} layers, "
        f"{run.model.n_head} heads, {run.model.n_embd} channels, block {run.model.block_size}"
    )
    since = f", from step {session.first_step}" if session.first_step else ""
    print(f"run     {run.folder}{since}")
    if not plots.installed():
        print(f"note    there will be no loss.png: {plots.WAY_OUT}")


def train(session):
    """Train to the last step, or until Ctrl-C; return whether the last step was done."""
    config = session.run.training
    metrics = Metrics(session.run.folder / "metrics.csv", session.first_step)
    clock = _Clock(metrics.rows[-1]["seconds"] if metrics.rows else 0.0)
    steps = training_steps(
        session.model, session.optimizer, session.train_ids, config, session.first_step
    )
    tokens_per_step = config.batch_size * session.run.model.block_size
    done, validated = session.first_step, ""
    with _bar(session) as bar, _interruptible() as interrupted:
        for step in clock.timed(steps):
            done = step.step
            stop = bool(interrupted)  # asked once: what is said to be saved has to be
            validate = done % config.eval_interval == 0 or done == config.max_iters or stop
            val_loss = _validate(session) if validate else None
            metrics.add(
                step=done, loss=step.loss, val_loss=val_loss, lr=step.lr, grad_norm=step.grad_norm,
                seconds=round(clock.seconds, 3),
            )  # fmt: skip
            if validate:
                # Metrics first: rows without a checkpoint are dropped on resuming, a checkpoint
                # without its rows would leave a gap.
                metrics.flush()
                save_checkpoint(session.run, session.model, session.optimizer)
                bar.write(_sample(session, step, val_loss))
                validated = f", validation {val_loss:.3f}"
            rate = tokens_per_step / clock.recent
            bar.set_postfix_str(
                f"loss {step.loss:.3f}{validated}, {rate / 1e3:.1f}k tokens/s", refresh=False
            )
            bar.update()
            if stop:
                break
    if done < config.max_iters:
        print(f"stopped after step {done}, which is saved; go on with:\n"
              f"    npgpt train --resume --out {session.run.folder}")  # fmt: skip
    return done == config.max_iters


class _Clock:
    """Seconds spent in training steps, those of earlier sessions of the run included.

    recent   seconds of a step, a running mean
    """

    def __init__(self, seconds):
        self.seconds, self.recent = seconds, None

    def timed(self, steps):
        before = time.perf_counter()
        for step in steps:
            passed = time.perf_counter() - before
            self.seconds += passed
            self.recent = passed if self.recent is None else 0.95 * self.recent + 0.05 * passed
            yield step
            before = time.perf_counter()


def _bar(session):
    return tqdm(
        total=session.run.training.max_iters, initial=session.first_step, smoothing=0.1,
        disable=None,  # no bar in a pipe or a file
        bar_format="{percentage:3.0f}%|{bar}| step {n}/{total}{postfix}, {remaining} left",
    )  # fmt: skip


def _validate(session):
    training = session.run.training
    ids = session.val_ids
    if training.eval_tokens:
        ids = ids[: training.eval_tokens + 1]
    return evaluate(session.model, ids, stride=training.eval_stride or None)[0]


def _sample(session, step, val_loss):
    """The losses of a step and a text by the model; also appended to samples.txt."""
    config, tokenizer = session.run.training, session.tokenizer
    said = f"step {step.step}: loss {step.loss:.4f}, validation {val_loss:.4f}\n"
    if config.sample_tokens:
        prompt = tokenizer.encode(beginning(tokenizer))
        ids = session.model.stream(prompt, config.sample_tokens, seed=config.seed + step.step)
        lines = tokenizer.decode(list(ids)).splitlines()
        said += "\n" + "".join(f"    {line}".rstrip() + "\n" for line in lines)
    with open(session.run.folder / "samples.txt", "a", encoding="utf-8") as file:
        file.write(said + "\n")
    return said


def finish(session):
    """The whole validation split, the picture, and for tales the share of stories that parse."""
    folder, ids = session.run.folder, session.val_ids
    stride = session.run.training.eval_stride
    with tqdm(total=len(ids) - 1, desc="the whole validation text", unit="token", unit_scale=True,
              leave=False, disable=None) as bar:  # fmt: skip
        loss, tokens = evaluate(session.model, ids, stride=stride or None, progress=bar.update)
    print(f"\nvalidation loss {loss:.4f} nats per token over all {tokens:,} tokens")
    entropy = session.corpus.entropy_rate
    if entropy:
        print(f"entropy of the text {entropy:.4f}: the model is {loss / entropy - 1:.1%} above it")
    if session.corpus.name == "tales":
        told, right = stories_told(session.model, session.tokenizer)
        print(f"of {told} stories told by the model, {right} parse under the grammar "
              f"({right / max(1, told):.0%})")  # fmt: skip
    try:
        print(f"picture {draw(session.run, session.train_ids, ids)}")
    except plots.MatplotlibMissing:
        print("no loss.png, as matplotlib is missing; metrics.csv has its numbers")
    print(f"more text: npgpt generate {folder}")


def draw(run, train_ids, val_ids):
    """loss.png of a run, with what n-gram models reach on the same text and its entropy."""
    names = ("unigram", "bigram", "trigram")
    levels = [
        (name, NgramModel(train_ids, run.model.vocab_size, n).loss(val_ids))
        for n, name in enumerate(names, 1)
    ]
    if run.text.entropy_rate:
        levels.append(("entropy of the text", run.text.entropy_rate))
    rows = read_metrics(run.folder / "metrics.csv")
    title = f"{run.text.name}: {run.model.n_layer} layers, {run.model.n_embd} channels"
    return plots.loss_picture(run.folder / "loss.png", rows, title=title, levels=levels)


def stories_told(model, tokenizer, count=32):
    """(complete stories that the model tells, how many of them the grammar of tales derives)."""
    prompt_T = tokenizer.encode(beginning(tokenizer))
    length = model.config.block_size - len(prompt_T)
    texts_BT = model.generate(np.tile(prompt_T, (count, 1)), length, seed=0)
    stories = []
    for ids_T in texts_BT:
        stories += tales.stories(tokenizer.decode(ids_T[len(prompt_T) :]))
    return len(stories), sum(tales.log_probability(story) is not None for story in stories)


@contextmanager
def _interruptible():
    """Ctrl-C sets a flag, so that the step is finished and saved; a second one stops at once."""
    flag = []

    def handler(number, frame):
        flag.append(number)
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, handler)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, before)
