"""The claims of introductions to GPTs, one by one, beside what the examples and studies measured.

    python examples/studies/claims.py         the examples 00 to 07, a few minutes; CLAIMS.md

A row of claims.jsonl is what an example returned. What needs no training is measured each time.
"""

import importlib
import json
from pathlib import Path

import numpy as np
import study

import autograd
from autograd import Tensor
from npgpt import AdamW, BPETokenizer, CharTokenizer, load_run, tales
from npgpt.loading.runs import SHIPPED
from npgpt.train import evaluate

LESSONS = sorted(path.stem for path in Path(__file__).parents[1].glob("0[0-7]_*.py"))
STUDIES = "08_ablations", "09_scaling_laws", "10_families", "12_rows", "14_training", "16_talk"
REPORT, TINY = "CLAIMS.md", {"lesson": "00_autograd"}
LONGEST = 20  # of a list, more of which only the ends are kept


def trials(results):
    return [{"lesson": lesson} for lesson in LESSONS]


def measure(settings):
    return plain(importlib.import_module(settings["lesson"]).main())


def numbers(results):
    """Return what the lessons ("e01"), the studies ("s12", "again") and `facts` say."""
    found = {f"e{json.loads(of)['lesson'][:2]}": result for of, result in results.items()}
    for name in (*STUDIES, "again"):
        of = importlib.import_module(name)
        found[f"s{name[:2]}" if name[0] in "01" else name] = of.numbers(study.results(of))
    return found | facts()


def plain(value):
    """Return JSON of numbers, to six digits: no large arrays, of a long list the two ends."""
    if isinstance(value, dict):
        return {", ".join(key) if isinstance(key, tuple) else str(key): plain(of)
                for key, of in value.items()
                if not (isinstance(of, np.ndarray) and of.ndim > 1 and of.size > 100)}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(of) for of in (value if len(value) <= LONGEST else (value[0], value[-1]))]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def facts():
    text, rare = tales.generate(300_000, seed=1), " a zebra in Zanzibar"
    letters, pairs = CharTokenizer.train(text), BPETokenizer.train(text, 1024)
    rng = np.random.default_rng(0)
    normed = autograd.layer_norm(Tensor(rng.normal(3, 5, (1000, 64))), np.ones(64), np.zeros(64))
    score_NT = rng.normal(size=(1000, 50, 64)).sum(axis=2)
    weights_NT, divided_NT = (autograd.softmax(scores).data for scores in (score_NT, score_NT / 8))
    unhappy = pairs.merge_steps(" unhappiness")[-1]
    return {
        "characters": letters.vocab_size, "unhappiness": "·".join(
            part.decode().replace(" ", "·") or part for part in unhappy).lstrip("·"),
        "pieces": len(unhappy), "rare": len(rare) / len(pairs.encode(rare)),
        "mean": np.abs(normed.data.mean(axis=1)).max(),
        "deviation": np.abs(normed.data.std(axis=1) - 1).max(),
        "largest": weights_NT.max(axis=1).mean(), "divided": divided_NT.max(axis=1).mean(),
        "turn": {name: slopes(name, 0.01) - slopes(name, -0.01) for name in ("relu", "gelu")},
        "softmax": np.abs(weights_NT.sum(axis=1) - 1).max(), "clipped": clipped(),
        "first": first_steps(0.01, -1.0, 1000.0), "without": without_each_mlp()}


def slopes(name, at):
    x = Tensor(np.array([at]), requires_grad=True)
    getattr(autograd, name)(x).sum().backward()
    return x.grad[0]


def first_steps(*gradients):
    """Return the sizes of AdamW's first step for some gradients."""
    w = Tensor(np.ones(len(gradients)), requires_grad=True)
    (w * np.array(gradients)).sum().backward()
    AdamW({"w": w}, lr=0.1, weight_decay=0.0, grad_clip=None).step()
    return np.abs(w.data - 1)


def clipped():
    """Return the norm of a gradient, and that with which it enters AdamW's m = 0.1 g."""
    w = Tensor(np.zeros(2), requires_grad=True)
    (w * np.array([300.0, 400.0])).sum().backward()
    optimizer = AdamW({"w": w}, lr=0.1, weight_decay=0.0, grad_clip=1.0)
    return optimizer.step(), np.linalg.norm(optimizer.m["w"]) / 0.1


def without_each_mlp():
    """Return losses of new tales: of the package's model, then of it without each block's MLP."""
    model, tokenizer, _ = load_run(SHIPPED)
    ids = tokenizer.encode(tales.generate(5_000, seed=5))
    losses = [evaluate(model, ids)[0]]
    for block in model.h:
        own, block.mlp = block.mlp, lambda x_BTC: 0 * x_BTC
        losses.append(evaluate(model, ids)[0])
        block.mlp = own
    return losses


if __name__ == "__main__":
    study.main(Path(__file__).stem)
