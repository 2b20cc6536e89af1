"""Level B of the reward study: the run of the tales, lifted by `npgpt train --reward grammar`."""

from pathlib import Path

import numpy as np
from family_models import padded
from reward_language import log_pi
from scipy.stats import sem

from npgpt import load_run, tales
from npgpt.cli import main
from npgpt.fast.storage import use_storage
from npgpt.metrics import read_metrics
from npgpt.reward.draws import PAD, draw_stories
from npgpt.reward.verify import GrammarVerifier
from npgpt.text import starting_prompt

# The run of README's first command, trained if it is not there.
START = Path(__file__).parents[2] / "runs" / "tales"
METHODS = [
    {"method": "start", "folder": "tales", "flags": []},
    {"method": "reinforce", "folder": "tales-reinforce",
     "flags": ["--reward", "grammar", "--max-iters", "300"]},
    {"method": "KL 0.1, blame", "folder": "tales-kl",
     "flags": ["--reward", "grammar", "--max-iters", "300", "--reward-credit", "token",
               "--reward-kl", "0.1"]},
]
STORIES, BATCH = 1024, 64


def measure_tales(settings):
    """Train a method's run if it is not there; return the measures of stories that it writes."""
    folder = START.with_name(settings["folder"])
    if not START.exists():
        main(["train", "--out", str(START)])
    if not folder.exists():
        main(["train", "--init-from", str(START), "--out", str(folder), *settings["flags"]])
    model, tokenizer, _ = load_run(folder)
    use_storage(model, "fp32")
    verify, rng = GrammarVerifier(tokenizer), np.random.default_rng(1)
    prompt_P = tokenizer.encode(starting_prompt(tokenizer))
    P = len(prompt_P)

    def nats(ids):
        return -log_pi(model, ids)[:, P - 1 :].sum(axis=1)

    drawn = [draw_stories(model, prompt_P, BATCH, verify, rng) for _ in range(STORIES // BATCH)]
    right = [spent for ids in drawn for row, spent in zip(ids[:, P:], nats(ids), strict=True)
             if verify(row[row != PAD]).right]
    true = tales.stories(tales.generate(90_000, seed=2))[: STORIES // 2]
    ids = padded([[*prompt_P, *tokenizer.encode(story)] for story in true], PAD)
    loss = np.concatenate([nats(ids[b : b + BATCH]) for b in range(0, len(ids), BATCH)])
    rows, valid = read_metrics(folder / "metrics.csv"), len(right) / STORIES
    return {
        "stories": STORIES, "valid": valid, "entropy": np.mean(right) + np.log(valid),
        "entropy error": sem(right), "grammar": tales.GRAMMAR.expectation()[0],
        "loss": loss.mean(), "loss error": sem(loss),
        "steps": {name: means([row[name] for row in rows if row.get(name)])
                  for name in ("valid", "entropy")},
    }


def means(values, width=10):
    """Return the means of so many values at a time."""
    return [np.mean(values[i : i + width]) for i in range(0, len(values), width)]
