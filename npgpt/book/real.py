"""The chapter on a published model, static/real.md, whose numbers it computes."""

from importlib.resources import files

import numpy as np

from autograd import Tensor, no_grad, softmax
from npgpt.activations import activations

NAME, FRAME = "smollm2", "smollm2.html"
CAT = "The cat sat on the"
ANIMAL = "The animal didn't cross the street because it was too tired"
QUESTION, REPLY = "What is the capital of France?", "The capital of France is Paris."


def chapter(model, tokenizer, template):
    """Return (its Markdown, the state of its views as the end of an address)."""

    def token(v):
        return f"`{repr(tokenizer.decode([v]))[1:-1]}`".replace(" ", "␣").replace("|", "\\|")

    def percent(p):
        return f"{100 * p:.1f} %"

    def bets(text):
        ids = tokenizer.encode(text, allowed_special="all")
        probs_V = softmax(activations(model, ids[None]).logits_BTV[0, -1]).data
        return [f"{token(v)} | {percent(probs_V[v])}" for v in np.argsort(-probs_V)]

    ids, cat, config = tokenizer.encode(ANIMAL), bets(CAT), model.config
    labels = [tokenizer.decode([v]) for v in ids]
    it, animal, street = map(labels.index, (" it", " animal", " street"))
    seen = activations(model, ids[None])
    weights_LHT = seen.weights_LBHTT[:, 0, :, it]
    layer, head = np.unravel_index(weights_LHT[..., animal].argmax(), weights_LHT.shape[:2])
    with no_grad():
        lens_PV = model.head(model.ln_f(Tensor(seen.stream_PBTC[::2, 0, it]))).data
    best_P = lens_PV.argmax(axis=1)  # after the embeddings and after each block
    before = np.flatnonzero(best_P != best_P[-1]).max(initial=0)
    mat = next(place for place, bet in enumerate(cat) if bet.startswith("`␣mat`"))
    talk = template.prompt([{"role": "user", "content": QUESTION}])
    ids_of_talk = tokenizer.encode(talk, allowed_special="all")
    talks = {"alone": QUESTION, "within": talk, "after": talk + REPLY}
    facts = {name: ", ".join(bets(text)[:3]).replace(" |", "") for name, text in talks.items()}
    text = files("npgpt.book").joinpath("static", "real.md").read_text(encoding="utf-8").format(
        config=config, cat=CAT, animal=ANIMAL, reply=REPLY, layer=layer, head=head, **facts,
        parameters=model.num_parameters(), all_heads=config.n_layer * config.n_head,
        bets="\n".join(f"| {i + 1} | {cat[i]} |" for i in sorted({*range(6), mat})),
        reads=percent(weights_LHT[layer, head, animal]),
        street=percent(weights_LHT[layer, head, street]),
        resting=(weights_LHT.argmax(axis=2) == 0).sum(), serves=config.n_head // config.kv_heads,
        answer=token(best_P[-1]), since=before, earlier=token(best_P[before]), end=template.end,
        talk="".join(f"    {line}\n" for line in talk.splitlines()), length=len(ids_of_talk),
        special=np.isin(ids_of_talk, [*tokenizer.special_ids.values()]).sum())
    return text, f"&t={it}&s={animal}&layer={layer}&head={head}"
