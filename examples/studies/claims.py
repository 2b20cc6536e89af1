"""The claims of introductions to GPTs, one by one, beside what the examples and studies measured.

    python -m examples.studies claims         the examples 00 to 07, a few minutes; CLAIMS.md

A row of claims.jsonl is what an example returned. What needs no training is measured each time.
"""

import importlib
import json
from pathlib import Path

import numpy as np
import study
from curves import through_blocks
from scipy.special import softmax

from npgpt import BPETokenizer, CharTokenizer, load_run, tales
from npgpt.activations import activations
from npgpt.loading.runs import SHIPPED_RUN
from npgpt.train import evaluate

LESSONS = sorted(path.stem for path in Path(__file__).parents[1].glob("0[0-7]_*.py"))
REPORT, TINY = "CLAIMS.md", {"lesson": "00_autograd"}
LONGEST = 20  # of a list, more of which only the ends are kept


def trials(results):
    return [{"lesson": lesson} for lesson in LESSONS]


def measure(settings):
    return plain(importlib.import_module(settings["lesson"]).main())


def numbers(results):
    """Return what the lessons ("e01"), the studies ("s12", "again") and `facts` say."""
    found = {f"e{json.loads(of)['lesson'][:2]}": result for of, result in results.items()}
    for name in {*study.NAMES} - {"teach", "claims"}:
        of = importlib.import_module(name)
        found[f"s{name[:2]}" if name[0] in "01" else name] = of.numbers(study.results(of))
    found |= facts()
    check_quotes(found)
    return found


def check_quotes(found):
    """Raise SystemExit unless CONCEPTS.md has each line of templates/quoted.md, filled.

    Signs, line breaks and marks of quotation are not compared, nor is the space before a percent
    sign.
    """
    def plainly(text):
        text = text.replace("\n>", " ").replace("-", "").replace("+", "")
        return " ".join(text.split()).replace(" %", "%")

    text = plainly(study.DOCUMENT.read_text(encoding="utf-8"))
    template = (study.HERE / "templates" / "quoted.md").read_text(encoding="utf-8")
    lost = [line for line in template.format_map(found).splitlines() if plainly(line) not in text]
    if lost:
        raise SystemExit("CONCEPTS.md lacks, by the rows:\n" + "\n".join(lost))


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
    score_NT = np.random.default_rng(0).normal(size=(1000, 50, 64)).sum(axis=2)
    unhappy = pairs.merge_steps(" unhappiness")[-1]
    return {
        "characters": letters.vocab_size, "unhappiness": "·".join(
            part.decode().replace(" ", "·") or part for part in unhappy).lstrip("·"),
        "pieces": len(unhappy), "rare": len(rare) / len(pairs.encode(rare)),
        "largest": [softmax(scores, axis=1).max(axis=1).mean() for scores in (
            score_NT, score_NT / 8)],
        "bottom": [through_blocks(wiring, 24)[0][0] for wiring in ("pre-norm", "no residuals")],
        "without": without_each_mlp()}


def without_each_mlp():
    """Return losses of new tales: of the package's model, then with each block's MLP made constant.

    The MLP gives what it gives on other tales, in the mean. Zeros would be vectors that no later
    block has ever read.
    """
    model, tokenizer, _ = load_run(SHIPPED_RUN)
    ids = tokenizer.encode(tales.generate(5_000, seed=5))
    other_BT = tokenizer.encode(tales.generate(20_000, seed=6))[:4096].reshape(16, 256)
    stream_PBTC = activations(model, other_BT).stream_PBTC
    losses = [evaluate(model, ids)[0]]
    for i, block in enumerate(model.h):
        mean_C = (stream_PBTC[2 * i + 2] - stream_PBTC[2 * i + 1]).mean(axis=(0, 1))
        own, block.mlp = block.mlp, lambda x_BTC, mean_C=mean_C: 0 * x_BTC + mean_C
        losses.append(evaluate(model, ids)[0])
        block.mlp = own
    return losses
