"""Measure the numbers that CLAIMS.md quotes of the examples 00 to 07, and some without training.

    python examples/studies/claims.py         all of them into claims.json, a few minutes

CLAIMS.md is written by hand; a test looks up its numbers here, and those of the studies in theirs.
"""

import importlib
import inspect
import json
from pathlib import Path

import numpy as np
from study import LESSONS

import autograd
from autograd import Tensor
from npgpt import AdamW, BPETokenizer, CharTokenizer, GPTConfig, load_run, tales
from npgpt.families.size import parameters_by_part
from npgpt.files import atomic_write
from npgpt.loading.runs import SHIPPED
from npgpt.tokenizers import bpe_tokenizer, byte_pair_encoding, characters
from npgpt.train import evaluate

HERE = Path(__file__).parent
LONGEST = 20  # of a list, more of which only the ends are kept
GPT2 = GPTConfig(50_257, 1024, 12, 12, 768)


def measure():
    """Write what the examples of the sections return, and the facts."""
    found = {"facts": _tokens() | _arithmetic() | _steps() | _of_the_package()}
    for path in sorted(LESSONS.glob("0[0-7]_*.py")):
        found[path.stem[:2]] = importlib.import_module(path.stem).main()
    atomic_write(HERE / "claims.json", (json.dumps(plain(found), indent=1) + "\n").encode())


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


def _tokens():
    text, rare = tales.generate(300_000, seed=1), " a zebra in Zanzibar"
    letters, pairs = CharTokenizer.train(text), BPETokenizer.train(text, 1024)
    return {
        "characters": letters.vocab_size,
        "ids of characters": letters.encode("Hello").tolist(),
        "unhappiness": "|".join(part.decode() for part in pairs.merge_steps(" unhappiness")[-1]),
        "rare": pairs.decode(pairs.encode(rare)) == rare,
        "rare per token": len(rare) / len(pairs.encode(rare)),
        "lines": [sum(inspect.getsource(module).count("\n") for module in modules) for modules in
                  ((characters,), (byte_pair_encoding, bpe_tokenizer))],
    }


def _arithmetic():
    rng, parts = np.random.default_rng(0), parameters_by_part(GPT2)
    normed = autograd.layer_norm(Tensor(rng.normal(3, 5, (1000, 64))), np.ones(64), np.zeros(64))
    score_NT = rng.normal(size=(1000, 50, 64)).sum(axis=2)
    weights_NT, divided_NT = (autograd.softmax(scores).data for scores in (score_NT, score_NT / 8))
    slopes = {}  # at -1, and just left and right of 0
    for name in ("relu", "gelu"):
        x = Tensor(np.array([-1.0, -0.01, 0.01]), requires_grad=True)
        getattr(autograd, name)(x).sum().backward()
        slopes[name] = x.grad
    return {
        "table": [GPT2.vocab_size, GPT2.n_embd],
        "positions": [GPT2.block_size, GPT2.n_embd],
        "mlp share": parts["MLP"] / (parts["MLP"] + parts["attention"]),
        "norm mean": np.abs(normed.data.mean(axis=1)).max(),
        "norm std": [normed.data.std(axis=1).min(), normed.data.std(axis=1).max()],
        "softmax sum": np.abs(weights_NT.sum(axis=1) - 1).max(),
        "largest undivided": weights_NT.max(axis=1).mean(),
        "largest divided": divided_NT.max(axis=1).mean(),
        "gelu slope": slopes["gelu"][0],
        "relu slope": slopes["relu"][0],
        "turn of the slope": {name: x[2] - x[1] for name, x in slopes.items()},
    }


def _steps():
    """Return the norm of a gradient clipped to 1, and the size of AdamW's first step."""
    w = Tensor(np.zeros(4), requires_grad=True)
    (w * np.array([300.0, 400.0, 0.0, 0.0])).sum().backward()
    clipped = AdamW({"w": w}, lr=0.1, weight_decay=0.0, grad_clip=1.0)
    norm, norm_clipped = clipped.step(), np.linalg.norm(clipped.m["w"]) / 0.1  # m = 0.1 g
    w = Tensor(np.ones(3), requires_grad=True)
    (w * np.array([0.01, -1.0, 1000.0])).sum().backward()
    AdamW({"w": w}, lr=0.1, weight_decay=0.0, grad_clip=None).step()
    return {"norm before clipping": norm, "norm clipped": norm_clipped,
            "first steps": np.abs(w.data - 1)}


def _of_the_package():
    """Return losses of new tales: of the package's model, then of it without each block's MLP."""
    model, tokenizer, _ = load_run(SHIPPED)
    ids = tokenizer.encode(tales.generate(5_000, seed=5))
    losses = [evaluate(model, ids)[0]]
    for block in model.h:
        own, block.mlp = block.mlp, lambda x_BTC: 0 * x_BTC
        losses.append(evaluate(model, ids)[0])
        block.mlp = own
    return {"package, then without an MLP": losses}


if __name__ == "__main__":
    measure()
