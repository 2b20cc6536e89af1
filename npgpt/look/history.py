"""What a page says of a run's training: its settings, and some of its text."""

from npgpt.config import TrainConfig
from npgpt.run.opening import open_run

READ = 20_000_000  # characters of the longest corpus that is read again


def is_tales(run):
    """Return whether a run was trained on the embedded text, whose grammar is known."""
    return run is not None and run.training.corpus == ("tales",) and not run.training.conversations


def optimizer_settings(run):
    """Return the settings of `npgpt.optim.AdamW` in a run, or by default, as an object for JSON."""
    training = run.training if run else TrainConfig()
    names = ("beta1", "beta2", "weight_decay", "grad_clip")
    return {name: getattr(training, name) for name in names}


def open_text(run, tokenizer, stack):
    """Return the `npgpt.batches.Dataset` of a run; an ExitStack closes its files.

    None without a run, or if its text is not there any more, is a different one, or is long.
    """
    if run is None or run.training.corpus in ((), ("-",)) or (run.text.characters or 0) > READ:
        return None
    try:
        return open_run(run, stack, tokenizer)
    except (OSError, ValueError):
        return None


def validation_text(data, count):
    """Return the first `count` tokens after a paragraph of a validation text, as text."""
    text = data.tokenizer.decode(data.val_ids[: 4 * count]).split("\n\n", 1)[-1]
    ids = data.tokenizer.encode(text)[:count]
    return data.tokenizer.decode(ids).replace("\ufffd", "")  # cut at the end


def validation_prompt(data, size=40):
    """Return `size` tokens or more of a validation text, from a line's start to a line's end, or
    else to a word's end."""
    text, least = validation_text(data, 4 * size), len(validation_text(data, size))
    text = text[text.find("\n", 0, len(text) // 2) + 1 :].lstrip("\n")
    end = text.find("\n", least)
    return text[: end if end >= 0 else max(least, text.rfind(" ", 0, 2 * least))]
