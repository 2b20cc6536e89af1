"""Which defaults suit a text of one's own? Eight settings, by successive halving on equal minutes.

    python examples/studies/own_text.py    what own_text.jsonl lacks, 2.5 hours in all; own_text.md

`PLAN.md` has texts, seeds and what decides. Each stage first measures how many steps its minutes
hold, which wants a quiet machine; its trainings do not. Texts go into runs/own_text/. One of them
needs `pip install --no-deps django`.
"""

import importlib
import re
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
from laboratory import markdown, run

from npgpt.families import FAMILIES
from npgpt.families.presets import from_preset
from npgpt.io.tokens import open_dataset
from npgpt.metrics import bits_per_byte, bytes_per_token
from npgpt.optim import make_optimizer
from npgpt.run.estimate import steps_within
from npgpt.train import evaluate, training_steps

FOLDER = Path(__file__).parents[2] / "runs" / "own_text"
ROWS, REPORT = Path(__file__).with_suffix(".jsonl"), Path(__file__).with_suffix(".md")
MINUTES, HALVINGS, SEEDS = 5, (4, 2, 1), (2, 3)
CHOOSE, JUDGE, OLD = ("prose", "python", "orders"), ("headers", "symbols", "french"), "characters"
SETTINGS = {  # changes of the preset `text`, number of byte pairs
    OLD: ({}, None),
    "window of 256": ({"block_size": 256, "batch_size": 8}, None),
    "192 channels": ({"n_embd": 192, "lr": 4e-3}, None),
    "6 blocks, window of 256": ({"n_layer": 6, "block_size": 256, "lr": 4e-3}, None),
    "512 pairs": ({}, 512),
    "1,024 pairs": ({}, 1024),
    "1,024 pairs, lower rate": ({"lr": 3e-3}, 1024),
    "1,024 pairs, 192 channels": ({"n_embd": 192, "lr": 4e-3}, 1024),
}


def text_of(name):
    """Return a text, from a package or generated."""
    if name == "prose":  # the reference of Python
        return "\n".join(topics[topic] for topic in sorted(topics))
    if name == "orders":
        rng, goods = np.random.default_rng(7), ("flour", "salt", "honey", "oats", "rye", "wool")
        what, n, price = rng.choice(goods, 9000), rng.integers(1, 60, 9000), rng.gamma(2, 3, 9000)
        return "".join(f"{what[i]};{n[i]};{price[i]:.2f};{n[i] * price[i]:.2f}\n"
                       for i in range(9000))
    package, pattern = {
        "python": ("asyncio", "*.py"), "headers": ("numpy", "**/numpy/*.h"),
        "symbols": ("latex2mathml", "unimathsymbols.txt"), "french": ("django", "**/fr/**/*.po"),
    }[name]
    folder = Path(importlib.import_module(package).__file__).parent
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob(pattern)))
    return "\n".join(re.findall(r'^msgstr "(.+)"$', text, re.M)) if name == "french" else text


def opened(trial, stack):
    """Return (dataset, model, training) of a setting on a text."""
    changes, pairs = SETTINGS[trial["setting"]]
    path = FOLDER / f"{trial['text']}.txt"
    FOLDER.mkdir(parents=True, exist_ok=True)
    path.write_text(text_of(trial["text"]), encoding="utf-8")
    shape, training = from_preset("text", corpus=(str(path),), seed=trial["seed"], **changes)
    kind = FAMILIES["gpt"]
    tokens = "bpe" if pairs else "char"
    data = open_dataset(kind, training, stack, training.corpus, kind=tokens, bpe_size=pairs)
    config = kind.Config(data.tokenizer.vocab_size, **shape)
    return data, kind.Model(config, training.seed), training


def speed(trial):
    """Return how many steps fit into MINUTES on all cores."""
    with ExitStack() as stack:
        return {"steps": steps_within(MINUTES, *opened(trial, stack))}


def measure(trial):
    """Train for some steps; return what the best of ten evaluations on the way gives."""
    with ExitStack() as stack:
        data, model, training = opened(trial, stack)
        training, lowest = replace(training, max_iters=trial["steps"]), np.inf
        optimizer, weights = make_optimizer(model, training), model.parameters()
        for step in training_steps(model, optimizer, data.train_ids, training):
            if step.step % max(1, trial["steps"] // 10) == 0:
                loss, _ = evaluate(model, data.val_ids, max_tokens=20_000, seed=1)
                if loss < lowest:
                    lowest, best = loss, {name: w.data.copy() for name, w in weights.items()}
        for name, weight in weights.items():
            weight.data = best[name]
        loss, _ = evaluate(model, data.val_ids, max_tokens=1_000_000)
        bits = bits_per_byte(loss, bytes_per_token(data.val_ids, data.tokenizer))
        sample = data.tokenizer.decode(model.generate(data.val_ids[:9], 200, seed=1))[:200]
        return {"bits": bits, "sample": sample}


def found(trials):
    """Return the results of trials, each of as many steps as its minutes hold by three rounds."""
    pairs = [*dict.fromkeys((trial["setting"], trial["text"]) for trial in trials)]
    rounds = [{"setting": setting, "text": text, "seed": 1, "round": i}
              for i in range(3) for setting, text in pairs]
    steps = np.reshape([r["steps"] for r in run(rounds, speed, ROWS, workers=0)], (3, -1))
    a_minute = dict(zip(pairs, np.median(steps, 0) / MINUTES, strict=True))
    return run([trial | {"steps": max(1, round(trial["minutes"] * a_minute[
        trial["setting"], trial["text"]]))} for trial in trials], measure, ROWS)


def chosen(found):
    """Return the setting that is left, by a function from trials to their results."""
    left = [*SETTINGS]
    for part in HALVINGS:
        trials = [{"setting": name, "text": text, "minutes": MINUTES / part, "seed": 1}
                  for name in left for text in CHOOSE]
        bits = np.log([result["bits"] for result in found(trials)]).reshape(len(left), -1)
        left = [left[i] for i in np.argsort(bits.mean(1), kind="stable")[: len(left) // 2]]
    return left[0]


def judged(found, new):
    """Return the table of the texts that judge, and whether the default changes."""
    lines, better, worse = [], [], False
    trials = [{"setting": setting, "text": text, "minutes": MINUTES, "seed": n}
              for text in JUDGE for setting in (OLD, new) for n in SEEDS]
    bits = np.reshape([r["bits"] for r in found(trials)], (len(JUDGE), 2, len(SEEDS)))
    for text, (old, by_new) in zip(JUDGE, bits, strict=True):
        worse |= np.mean(by_new) > np.mean(old) + np.ptp(old)
        better.append(np.log(np.mean(by_new) / np.mean(old)))
        lines.append((text, *(f"{np.mean(x):.4f} (within {np.ptp(x):.4f})" for x in (old, by_new))))
    return markdown(("text", OLD, new), lines), bool(np.mean(better) < 0 and not worse)


def report(found):
    """Return the report, in which all six texts stand by the old setting and the one chosen."""
    new = chosen(found)
    table, changes = judged(found, new)
    verdict = f"The default {'becomes ' + new if changes else 'stays ' + OLD}."
    lines, samples = [], []
    for text in CHOOSE + JUDGE:
        line = [text, "judges" if text in JUDGE else "chose"]
        for setting in (OLD, new):
            seeds = SEEDS if text in JUDGE else (1,)
            rows = found([{"setting": setting, "text": text, "minutes": MINUTES, "seed": n}
                          for n in seeds])
            line.append(f"{np.mean([row['bits'] for row in rows]):.3f}")
            sample = "\n".join(f"    {x}".rstrip() for x in rows[0]["sample"].splitlines())
            samples.append(f"**{text}, {setting}:**\n\n{sample}\n")
        lines.append(line)
    return "\n".join((
        "# Defaults for a text of one's own\n",
        "By `own_text.py`, planned in [PLAN.md](PLAN.md). Bits per byte of a text's last tenth,",
        f"after {MINUTES} minutes on two cores.\n", "## The three that judge, two seeds\n",
        table, f"{verdict}\n", "## All six\n",
        markdown(("text", "part", OLD, new), lines),
        "Of the French messages there are 15 kB, which five minutes read some 700 times: the first",
        "of ten evaluations, half a minute from the start, finds the models overfitted already.\n",
        "## What the models write\n", *samples,
    ))


def main():
    REPORT.write_text(report(found), encoding="utf-8")


if __name__ == "__main__":
    main()
