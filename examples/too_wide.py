"""Asked what was too tired, or too wide: what do the heads of a model that answers read?

    npgpt train --conversations tales --max-iters 4000 --out runs/talk   some eight minutes
    python examples/too_wide.py runs/talk                                too_wide.json, the picture

A tale says that an animal did not cross something because it was too tired, or too wide. A head's
weights are those at *The*, where the next word of the answer is written: means over tales that no
training has. Then the first word of what is crossed is exchanged, as in "the red river" for "the
brown river", and one position's vector is copied from the tale with the other word: 1 is as much
the other answer as if the whole tale had been replaced (`heads.patched`).
"""

import json
import sys
from pathlib import Path

import numpy as np
from example import FIGURES, figures_of, picture
from heads import patched

from npgpt import load
from npgpt.activations import activations
from npgpt.support import plots
from npgpt.tales.questions import ABOUT, OWN, PATTERNS, questions

RESULT = Path(__file__).with_suffix(".json")
TALES, SEED = 100, 5  # of each kind; no training has this seed
CROSS = next(pattern for pattern, (text, *_) in zip(PATTERNS, ABOUT, strict=True)
             if "did not cross" in text)
KINDS = "tired", "wide"


def asked(tokenizer):
    """Yield (kind, question, ids up to *The*, the places of its words) of questions about *it*."""
    user, assistant = (tokenizer.special_ids[f"<|{who}|>"] for who in ("user", "assistant"))
    for question in questions(100_000, SEED):
        if question.kind == "it" and (tale := CROSS.match(question.prompt)):
            ids = [user, *tokenizer.encode(question.prompt), assistant, *tokenizer.encode("The")]
            words = [tokenizer.decode([i]).strip() for i in ids]
            crossed = words.index("cross") + 2
            yield KINDS[tale["why"] not in OWN], question, np.array(ids), {
                "animal": 2, "crossed": crossed, "reason": words.index(tale["why"], crossed)}


def measure(model, tokenizer):
    """Return by kind the share right, each head's mean weight on each place, and of *wide* the mean
    and the least effect of patching there, before each block and after the last."""
    found = {kind: {"right": [], "weights": [], "moved": []} for kind in KINDS}
    for kind, question, ids, places in asked(tokenizer):
        of = found[kind]
        if len(of["right"]) == TALES:
            if min(len(found[kind]["right"]) for kind in KINDS) == TALES:
                break
            continue
        passed = activations(model, ids[None])
        answer = int(passed.logits_BTV[0, -1].argmax())
        of["right"].append(tokenizer.decode([answer]).strip() == question.answer.split()[1])
        weights_LHT = passed.weights_LBHTT[:, 0, :, -1]
        of["weights"].append([weights_LHT[..., at] for at in places.values()])
        if kind == "wide":
            others = ids.copy()
            red, blue = (tokenizer.encode(f"a {word}")[-1] for word in ("red", "blue"))
            others[places["crossed"]] = other = red if answer != red else blue
            moved_LT = patched(model, ids, others, answer, other)
            of["moved"].append([moved_LT[:, at] for at in (*places.values(), len(ids) - 1)])
    return {kind: {
        "right": sum(of["right"]),
        "weights": dict(zip(places, _rounded(np.mean(of["weights"], 0)), strict=True)),
    } | ({"moved": {
        place: {"mean": mean, "least": least} for place, mean, least in zip(
            (*places, "The"), *(_rounded(f(of["moved"], 0)) for f in (np.mean, np.min)),
            strict=True)}} if of["moved"] else {}) for kind, of in found.items()}


def _rounded(x):
    return x.astype(float).round(3).tolist()


def draw(path, model, tokenizer):
    """Draw what each head reads in one tale of each kind, at the word that it writes."""
    drawing, axes = plots.figure(11, 5.2, len(KINDS), 1)
    for panel, kind in zip(axes, KINDS, strict=True):
        ids, ask = next((ids, f"What was too {kind}?") for _, question, ids, _ in asked(tokenizer)
                        if question.prompt.endswith(f"too {kind}?"))
        weights_LBHTT = activations(model, ids[None]).weights_LBHTT
        panel.imshow(weights_LBHTT[:, 0, :, -1].reshape(-1, len(ids)), cmap="Blues", vmin=0, vmax=1,
                     aspect="auto")
        words = [tokenizer.decode([i]).strip() or "·" for i in ids]
        L, _, H = weights_LBHTT.shape[:3]
        panel.set_xticks(range(len(words)), words, rotation=90, fontsize=8)
        panel.set_yticks(range(L * H), [f"block {i // H}, head {i % H}" for i in range(L * H)],
                         fontsize=8)
        panel.axhline(H - 0.5, **plots.LANDMARK_STYLE)
        panel.set_title(f"“{ask}” “The …”: what each head reads there", fontsize=10)
    return plots.save(drawing, path)


def main(folder):
    model, tokenizer, *_ = load(folder)
    result = measure(model, tokenizer)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    picture(draw, figures_of(FIGURES, kept=False) / "too_wide.png", model, tokenizer)


if __name__ == "__main__":
    main(*sys.argv[1:] or ("runs/talk",))
