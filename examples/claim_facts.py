"""Claims that need no training: sizes, shapes, sums, slopes, parts of the package's model."""

import inspect

import numpy as np

import autograd
from autograd import Tensor
from npgpt import AdamW, BPETokenizer, CharTokenizer, GPTConfig, bpe, char, load_run, tales
from npgpt.checkpoint import SHIPPED
from npgpt.families.size import parameters_by_part
from npgpt.train import evaluate

GPT2 = GPTConfig(50_257, 1024, 12, 12, 768)


def facts():
    """Return name -> number."""
    return _tokens() | _parts() | _arithmetic() | _a_step() | _of_the_package()


def _tokens():
    text = tales.generate(300_000, seed=1)
    letters, pairs = CharTokenizer.train(text), BPETokenizer.train(text, 1024)
    parts = [part.decode() for part in pairs.merge_steps(" unhappiness")[-1]]
    rare = " a zebra in Zanzibar"
    return {
        "characters": letters.vocab_size,
        "unhappiness": "|".join(parts),
        "rare": pairs.decode(pairs.encode(rare)) == rare,
        "rare per token": len(rare) / len(pairs.encode(rare)),
        "lines": [inspect.getsource(module).count("\n") for module in (char, bpe)],
        "ids of characters": letters.encode("Hello").tolist(),
    }


def _parts():
    parts = parameters_by_part(GPT2)
    return {
        "table": [GPT2.vocab_size, GPT2.n_embd],
        "positions": [GPT2.block_size, GPT2.n_embd],
        "mlp share": parts["MLP"] / (parts["MLP"] + parts["attention"]),
    }


def _arithmetic():
    rng = np.random.default_rng(0)
    x_NC = rng.normal(3, 5, (1000, 64))
    normed = autograd.layer_norm(Tensor(x_NC), np.ones(64), np.zeros(64)).data
    score_NT = rng.normal(size=(1000, 50, 64)).sum(axis=2)
    weights_NT = autograd.softmax(score_NT).data
    slopes = {}
    for name in ("relu", "gelu"):
        x = Tensor(np.array([-1.0, -0.01, 0.01]), requires_grad=True)
        getattr(autograd, name)(x).sum().backward()
        slopes[name] = x.grad.tolist()
    return {
        "norm mean": float(np.abs(normed.mean(axis=1)).max()),
        "norm std": [float(normed.std(axis=1).min()), float(normed.std(axis=1).max())],
        "softmax sum": float(np.abs(weights_NT.sum(axis=1) - 1).max()),
        "largest undivided": float(weights_NT.max(axis=1).mean()),
        "largest divided": float(autograd.softmax(score_NT / 8).data.max(axis=1).mean()),
        "gelu slope": slopes["gelu"][0],
        "relu slope": slopes["relu"][0],
        "turn of the slope": {name: after - before for name, (_, before, after) in slopes.items()},
    }


def _a_step():
    """Return numbers of AdamW: clipping, and the first step."""
    w = Tensor(np.zeros(4), requires_grad=True)
    (w * np.array([300.0, 400.0, 0.0, 0.0])).sum().backward()
    clipped = AdamW({"w": w}, lr=0.1, weight_decay=0.0, grad_clip=1.0)
    norm, norm_clipped = clipped.step(), np.linalg.norm(clipped.m["w"]) / 0.1  # m = 0.1 g
    w = Tensor(np.ones(3), requires_grad=True)
    (w * np.array([0.01, -1.0, 1000.0])).sum().backward()
    AdamW({"w": w}, lr=0.1, weight_decay=0.0, grad_clip=None).step()
    return {
        "norm before clipping": float(norm),
        "norm clipped": float(norm_clipped),
        "first steps": np.abs(w.data - 1).tolist(),
    }


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
