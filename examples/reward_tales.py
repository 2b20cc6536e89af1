"""Level B of the reward study: the run of the tales, lifted by `npgpt train --reward grammar`."""

from pathlib import Path

import numpy as np

from npgpt import load_run, tales
from npgpt.cli import main
from npgpt.fast.weights import use_weights
from npgpt.metrics import read_metrics
from npgpt.reward.draws import PAD, draw_stories, frozen_log_probs
from npgpt.reward.verify import GrammarVerifier
from npgpt.text import starting_prompt

# The run of README's first command, trained if it is not there.
START = Path(__file__).parents[1] / "runs" / "tales"
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
    use_weights(model, "fp32")
    verify, rng = GrammarVerifier(tokenizer), np.random.default_rng(1)
    prompt_P = tokenizer.encode(starting_prompt(tokenizer))
    nats, options = [], set()
    for _ in range(STORIES // BATCH):
        ids = draw_stories(model, prompt_P, BATCH, verify, rng)
        for row, spent in zip(ids, story_nats(model, ids, prompt_P), strict=True):
            story = row[len(prompt_P) :]
            story = story[story != PAD]
            if verify(story).right:
                nats.append(spent)
                options |= set(map(id, tales.GRAMMAR.parse(tokenizer.decode(story))))
    true = tales.stories(tales.generate(90_000, seed=2))[: STORIES // 2]
    ids = np.full((len(true), model.config.block_size + 1), PAD)
    for row, story in zip(ids, true, strict=True):
        row[: len(prompt_P) + len(story)] = [*prompt_P, *tokenizer.encode(story)]
    loss = np.concatenate([story_nats(model, ids[b : b + BATCH], prompt_P)
                           for b in range(0, len(ids), BATCH)])
    rows = read_metrics(folder / "metrics.csv")
    found = {
        "stories": STORIES, "valid": len(nats) / STORIES, "options": len(options),
        "entropy": np.mean(nats) + np.log(len(nats) / STORIES),
        "entropy error": np.std(nats, ddof=1) / np.sqrt(len(nats)),
        "grammar": tales.GRAMMAR.expectation()[0], "loss": loss.mean(),
        "loss error": np.std(loss, ddof=1) / np.sqrt(len(loss)),
        "steps": {name: smoothed([row.get(name) for row in rows if row.get(name)])
                              for name in ("valid", "entropy", "kl")},
    }
    return found | {k: float(v) for k, v in found.items() if isinstance(v, np.floating)}


def story_nats(model, ids, prompt_P):
    """Return -ln pi of each story, (B,), its prompt not counted."""
    counted = ids[:, 1:] != PAD
    counted[:, : len(prompt_P) - 1] = False
    return -(frozen_log_probs(model, ids)[0] * counted).sum(axis=1).astype(np.float64)


def smoothed(values, width=10):
    return [float(np.mean(values[i : i + width])) for i in range(0, len(values), width)]
