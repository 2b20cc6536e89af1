"""The claims of the concepts document, section by section, each with what was found of it.

n   "01" to "07": the numbers that the main of that example returned, and "facts" those of
    `claim_facts`, as examples/claims.json has them; "08", "09", "10": those of the studies

A verdict is not written down but follows from conditions on the numbers: all of them met, some,
or none; but for one, what GPT-3 is, which no number here decides.
"""

from typing import NamedTuple

import ablation_numbers
import family_report
import scaling_numbers
import scaling_summary
from ablation_rows import NOISE, ROWS
from laboratory import key, p_text

HOLDS, PARTLY, NOT = "holds", "holds partly", "does not hold here"


class Claim(NamedTuple):
    sentence: str
    script: str  # without .py
    result: str
    verdict: str


def claim(sentence, script, result, *met):
    """Return a `Claim`; met: conditions on the numbers that the sentence asks for."""
    return Claim(sentence, script, result, HOLDS if all(met) else PARTLY if any(met) else NOT)


def language_model(n):
    losses, told = n["01"]["losses"], n["07"]["told"]
    kept = n["07"]["kept_by_context"]["top-p 0.8"]
    answers = n["01"]["answers"]
    right = answers[0] == " slept", answers[1] == " drank"
    return [
        claim("Given some text, it predicts what comes next", "01_language_model",
              "after “too tired, so it” and “too thirsty, so it”: "
              f"“{answers[0].strip()}” and “{answers[1].strip()}”, {sum(right)} of 2 right",
              all(right)),
        claim("One continuation is likely, others are possible", "07_generation",
              f"tokens that make up 80 %, in five contexts: {', '.join(map(str, kept))}",
              min(kept) == 1, max(kept) > 1),
        claim("It learns which words follow which words", "01_language_model",
              f"nats per character: frequencies {losses['unigram']:.2f}, what follows a token "
              f"{losses['bigram']:.2f}", losses["bigram"] < losses["unigram"]),
        claim("It learns patterns (longer than pairs of words)", "01_language_model",
              f"nats per character: pairs {losses['bigram']:.2f}, triples {losses['trigram']:.2f}, "
              f"GPT {losses['GPT']:.2f}, the best possible {losses['entropy']:.2f}",
              losses["GPT"] < losses["trigram"] < losses["bigram"]),
        claim("The patterns serve to generate new text", "07_generation",
              f"{told['temperature 1']['derived']:.0%} of the stories of a model of half a minute "
              "follow the grammar in every letter", told["temperature 1"]["derived"] > 0.1),
    ]


def tokenization(n):
    f, shown = n["facts"], n["02"]
    bits, per_token = shown["bits_per_byte"], shown["tales_per_token"]
    best = min(range(len(bits)), key=bits.__getitem__)
    sizes, seen = (256, 384, 768, 2000), shown["characters_seen"]
    return [
        claim("Characters: each gets a number", "claim_facts",
              f"“Hello” is {', '.join(map(str, f['ids of characters']))}",
              len(f["ids of characters"]) == 5),
        claim("Characters: a small vocabulary", "claim_facts",
              f"{f['characters']} in the tales; GPT-2 has {f['table'][0]:,} tokens",
              f["characters"] < 100),
        claim("Characters: can represent any text", "02_tokenization",
              f"no: “ï” is refused, as it is not among the {f['characters']} of the training text; "
              "256 bytes can",
              not shown["refused"]),
        claim("Characters: long sequences", "02_tokenization",
              f"{per_token[-1] / per_token[0]:.1f} times as long as with 2,000 byte pairs",
              per_token[-1] > 2 * per_token[0]),
        claim("Characters do not capture word meaning", "02_tokenization",
              f"for equal FLOPs a model of single bytes is at {bits[0]:.2f} bits per byte, still "
              f"learning to spell; one of {sizes[best]} tokens at {bits[best]:.2f}",
              bits[0] > 2 * bits[best]),
        claim("Byte pairs: “unhappiness” is un, happi, ness", "claim_facts",
              f"learned from tales it is {f['unhappiness'].count('|') + 1} tokens: "
              f"“{f['unhappiness'].replace('|', '·')}”",
              f["unhappiness"].endswith("|ness"), "|" in f["unhappiness"]),
        claim("Byte pairs: the most frequent pair is merged, again and again", "02_tokenization",
              "the first 6: " + ", ".join(f"“{m}”" for m in shown["first_merges"][:6]),
              shown["first_merges"][0] == "he"),
        claim("Byte pairs: shorter sequences than characters", "02_tokenization",
              f"{per_token[5]:.1f} characters a token with a vocabulary of 768", per_token[5] > 2),
        claim("Byte pairs: handle rare words", "claim_facts",
              f"“a zebra in Zanzibar” comes back whole, with {f['rare per token']:.1f} characters "
              "a token", f["rare"]),
        claim("Byte pairs: balance vocabulary and length", "02_tokenization",
              f"least bits per byte, for equal FLOPs, at {sizes[best]} of "
              f"{', '.join(map(str, sizes))}", 0 < best < len(sizes) - 1),
        claim("A smaller vocabulary: fewer parameters", "02_tokenization",
              f"{shown['parameters'][0]:,.0f} with {sizes[0]}, {shown['parameters'][-1]:,.0f} with "
              f"{sizes[-1]:,}", shown["parameters"][0] < shown["parameters"][-1]),
        claim("Shorter sequences: faster processing", "02_tokenization",
              f"text read for the same FLOPs: {seen[2] / seen[0]:.1f} times as much with "
              f"{sizes[2]} tokens as with {sizes[0]}, {seen[3] / seen[0]:.1f} with {sizes[3]:,}",
              seen[2] > seen[0], seen[3] > seen[2]),
        claim("Better tokenization: better performance", "02_tokenization",
              "bits per byte for equal FLOPs: " + ", ".join(
                  f"{size:,} {loss:.2f}" for size, loss in zip(sizes, bits, strict=True)),
              bits[best] < 0.5 * bits[0]),
    ]


def embeddings(n):
    f, shown = n["facts"], n["03"]
    tried = shown["analogies"]
    right = sum(found["right"] for found in tried.values())
    of = sum(found["tried"] for found in tried.values())
    by_chance = sum(found["chance"] * found["tried"] for found in tried.values())
    same, other = shown["contexts"]["same"], shown["contexts"]["other"]
    near, far = shown["position_cosines"]["1"], shown["position_cosines"]["32"]
    return [
        claim("A token is a vector of numbers", "claim_facts",
              f"GPT-2: {f['table'][1]} for each token", f["table"][1] == 768),
        claim("Ids do not capture meaning, vectors do: cat is near dog", "03_embeddings",
              f"cosine of words of a kind {shown['within']:.2f}, of others {shown['between']:.2f}",
              shown["within"] > shown["between"] + 0.2),
        claim("king − man + woman is near queen", "03_embeddings",
              f"of all analogies of {len(tried)} relations {right} of {of} come out; by chance, "
              f"among the words of the relation, {by_chance:.0f}",
              right > 2 * by_chance, right > of / 2),
        claim("A vector holds the context (bank: money or river)", "03_embeddings",
              f"“good” of an animal and of food: cosine {other[0]:.2f} in the table, "
              f"{other[-1]:.2f} after the last block; within one meaning {same[-1]:.2f}",
              other[0] < 0.999, other[-1] < same[-1] - 0.05),
        claim("Token embeddings: (vocabulary, channels), learned", "03_embeddings",
              f"GPT-2 {f['table'][0]:,} by {f['table'][1]}; rows looked up twice get a gradient of "
              f"{shown['row_gradients'][2]:.0f}, others of {shown['row_gradients'][1]:.0f}",
              shown["row_gradients"][:3] == [1, 0, 2]),
        claim("Position embeddings: (longest text, channels)", "claim_facts",
              f"GPT-2 {f['positions'][0]:,} by {f['positions'][1]}", f["positions"][0] == 1024),
        claim("The same token at positions 1 and 10 differs", "03_embeddings",
              f"{shown['apart']:.2f} apart; cosine of neighbouring positions {near:.2f}, of "
              f"positions 32 apart {far:.2f}", shown["apart"] > 0.1, near > far),
        claim("What enters is the sum of both", "05_transformer",
              "added by hand, the logits of the model to the bit, and the loss of "
              f"{n['05']['loss']:.2f}", n["05"]["same_as_model"]),
    ]


FOLLOWS = {"tired": "slept", "hungry": "ate", "King": "his", "Queen": "her", "was": "It",
           "were": "They"}


def attention(n):
    f, shown = n["facts"], n["04"]
    row, answers = shown["hand_weights"][3], shown["answers"]
    grown = [more for layer in shown["removed"]["grown"] for more in layer]
    right = [answers[word].strip() == answer for word, answer in FOLLOWS.items()]
    untrained, *_, score = shown["induction"]["tales"][1]  # of the best head, by step
    family = family_report.Numbers(n["10"])
    at, later = (family.of("gpt", "pronoun", p, "share").mean for p in ("it", "it, later"))
    return [
        claim("Attention tells what “it” refers to", "10_families",
              f"a probe on a GPT's states reads it in {at:.0%} at “it”, in {later:.0%} four words "
              "later (chance 50 %)", at > 0.6, later > 0.8),
        claim("Each word looks at others and decides which matter", "04_attention",
              f"by hand, the last of four positions reads them with {row[0]:.2f}, {row[1]:.2f}, "
              f"{row[2]:.2f} and {row[3]:.2f}", max(row) > 0.9),
        claim("What is read decides what follows", "04_attention",
              f"{sum(right)} of {len(right)} answers follow the word: "
              + "; ".join(f"{word}: {answer.strip()}" for word, answer in answers.items()),
              sum(right) > 2, all(right)),
        claim("Several heads: each learns different patterns", "04_attention",
              f"the loss grows by {min(grown):.3f} to {max(grown):.3f} without one of "
              f"{len(grown)} heads", max(grown) > 0.05, min(grown) > 0.01),
        claim("Heads have roles (grammar, semantics, syntax)", "04_attention",
              "the role that can be tested, to find what followed a token before: score "
              f"{score:.2f} after training on tales, {untrained:.2f} before",
              score > 0.5),
        claim("Three vectors: query, key, value", "04_attention",
              f"written out, the result is the op's to {shown['op_gap']:.0e}",
              shown["op_gap"] < 1e-12),
        claim("Scores are divided by √d", "claim_facts",
              f"largest of 50 weights, mean, d = 64: {f['largest undivided']:.2f} undivided, "
              f"{f['largest divided']:.2f} divided", f["largest undivided"] > 0.7),
        claim("Softmax makes weights, the output is a weighted sum", "claim_facts",
              f"sums differ from 1 by {f['softmax sum']:.0e}", f["softmax sum"] < 1e-12),
        claim("Causal: position t sees 0 to t", "04_attention",
              f"another last token moves earlier logits by {shown['moved_before']:g}, its own by "
              f"{shown['moved_last']:.1f}", shown["moved_before"] == 0 < shown["moved_last"]),
        claim("That makes generation autoregressive, a token at a time", "07_generation",
              f"{n['07']['positions'][-1][0]} tokens take {n['07']['positions'][-1][0]} positions "
              "with kept keys and values, and are the same as without",
              n["07"]["cache_is_exact"]),
    ]


def transformer(n):
    f, shown = n["facts"], n["05"]
    first = {kind: shown["last"][f"from the first step, {kind}"] for kind in KINDS}
    warm = {kind: shown["last"][f"after warm-up, {kind}"] for kind in KINDS}
    low, high = f["norm std"]
    return [
        claim("A block: norm, attention, add; norm, network, add", "05_transformer",
              f"by hand, of {shown['parameters']:,} parameters, the model's logits to the bit",
              shown["same_as_model"]),
        claim("Layer norm: mean 0, standard deviation 1", "claim_facts",
              f"of vectors around 3 with spread 5: mean {f['norm mean']:.0e}, deviation {low:.6f} "
              f"to {high:.6f}", f["norm mean"] < 1e-12, 0.999 < low <= high < 1.001),
        claim("Norm before each sub-layer stabilises training", "05_transformer",
              f"one run each at the same rate, 12 blocks, no warm-up: {first['pre-norm']:.2f} "
              f"nats; norm after the sum {first['post-norm']:.2f}, no more than frequencies tell, "
              f"{shown['unigram']:.2f}; for each at its best rate see Why These Choices?",
              first["pre-norm"] < first["post-norm"] - 0.3),
        claim("Residual connections: gradients flow, deep networks train", "05_transformer",
              f"12 blocks: {warm['pre-norm']:.2f} with, {warm['no residual']:.2f} without",
              warm["pre-norm"] < warm["no residual"] - 0.3),
        claim("The network widens to 4 d and back, at each position", "claim_facts",
              f"{f['mlp share']:.0%} of a block's parameters", 0.6 < f["mlp share"] < 0.7),
    ]


KINDS = ("pre-norm", "post-norm", "no residual")


def training(n):
    f, shown = n["facts"], n["06"]
    loss = shown["rows"][-1]["val_loss"]
    family, answers = family_report.Numbers(n["10"]), n["04"]["answers"]
    whole = family.of("gpt", "go on", "whole").mean
    sides = {word: answers[word].strip() for word in ("King", "Queen", "was", "were")}
    right = [answer == FOLLOWS[word] for word, answer in sides.items()]
    return [
        claim("Objective: predict the next token; the loss compares with what came",
              "06_training",
              f"from {shown['rows'][0]['loss']:.2f} to {loss:.2f} nats in 500 steps, the best "
              f"possible being {shown['entropy']:.2f}", loss < 0.3 * shown["rows"][0]["loss"]),
        claim("Lower loss: better predictions", "01_language_model",
              f"{n['01']['losses']['trigram']:.2f} nats per character cannot tell why “it” did "
              f"something, {n['01']['losses']['GPT']:.2f} can",
              n["01"]["answers"] == [" slept", " drank"]),
        claim("Forward, loss, backward, update: that is the loop", "06_training",
              f"four batches memorised to {shown['memorised'][-1]:.3f} nats",
              shown["memorised"][-1] < 0.1),
        claim("Backward gives the gradients", "00_autograd",
              f"each as its finite difference, to {n['00']['graph_error']:.0e}",
              n["00"]["checked"], n["00"]["graph_error"] < 1e-8),
        claim("The model learns grammar", "10_families",
              f"{whole:.0%} of stories begun are ended as the grammar does", whole > 0.4),
        claim("The model learns facts (those of the text)", "04_attention",
              f"{sum(right)} of {len(right)} right: "
              + "; ".join(f"{word}: {answer}" for word, answer in sides.items()), all(right)),
        claim("The model learns reasoning patterns", "10_families",
              "what follows from a reason, "
              f"{family.of('gpt', 'pronoun', 'it, later', 'share').mean:.0%}; to rewrite a story, "
              f"{family.of('gpt', 'rewrite', 'exact').mean:.0%} of stories",
              family.of("gpt", "pronoun", "it, later", "share").mean > 0.8,
              family.of("gpt", "rewrite", "exact").mean > 0.5),
        claim("Clipping limits the gradient's norm", "claim_facts",
              f"a norm of {f['norm before clipping']:.0f} enters AdamW as {f['norm clipped']:.2f}",
              f["norm clipped"] < 1.0001 < f["norm before clipping"]),
    ]


def generation(n):
    shown, told = n["07"], n["07"]["told"]
    likeliest, kept = shown["likeliest"], shown["kept_by_context"]
    return [
        claim("Greedy: deterministic", "07_generation",
              "for another seed all 50 tokens are the same", shown["greedy_repeats"]),
        claim("Greedy: can be repetitive", "07_generation",
              f"{told['greedy']['again']:.0%} of its runs of 8 tokens were said before, at "
              f"temperature 1 {told['temperature 1']['again']:.0%}",
              told["greedy"]["again"] > 3 * told["temperature 1"]["again"]),
        claim("Temperature 0.1: almost greedy", "07_generation",
              f"the likeliest token, which others equal, gets {likeliest['temperature 0.1']:.2f}, "
              f"at temperature 1 {likeliest['temperature 1']:.2f}; of runs of 8 tokens "
              f"{told['temperature 0.1']['again']:.0%} were said before",
              likeliest["temperature 0.1"] > 0.9,
              told["temperature 0.1"]["again"] > 3 * told["temperature 1"]["again"]),
        claim("Temperature 1: the model's own randomness", "07_generation",
              f"the likeliest token gets {likeliest['temperature 1']:.2f}, "
              f"{told['temperature 1']['derived']:.0%} of stories follow the grammar",
              told["temperature 1"]["derived"] > 0.1),
        claim("Temperature 2: very random", "07_generation",
              f"{told['temperature 2']['derived']:.0%} of stories follow the grammar",
              told["temperature 2"]["derived"] < 0.02),
        claim("Top-k keeps very unlikely tokens out", "07_generation",
              f"{shown['kept']['top-k 3']} tokens of {shown['kept']['temperature 1']:,} are left",
              shown["kept"]["top-k 3"] == 3),
        claim("Top-k balances quality and diversity", "07_generation",
              f"stories of the grammar {told['top-k 3']['derived']:.0%} against "
              f"{told['temperature 1']['derived']:.0%}; different words "
              f"{told['top-k 3']['words']} against {told['temperature 1']['words']}",
              told["top-k 3"]["derived"] > told["temperature 1"]["derived"],
              told["top-k 3"]["words"] > 0.8 * told["temperature 1"]["words"]),
        claim("Top-p adapts: sometimes few tokens, sometimes many", "07_generation",
              f"{', '.join(map(str, kept['top-p 0.8']))} in five contexts, where top-k keeps "
              f"{kept['top-k 3'][0]}", max(kept["top-p 0.8"]) > 5 * min(kept["top-p 0.8"])),
        Claim("Top-p is used in GPT-3", "07_generation",
              "sampling is no part of a model; Brown et al. (2020) draw the samples of their "
              "appendix with p = 0.9 and answer tasks by beam search. Here: stories of the grammar "
              f"{told['top-p 0.8']['derived']:.0%} with p = 0.8", PARTLY),
    ]


def choices(n):
    f = n["facts"]
    families = [
        Claim(sentence, "10_families", _first_sentence(reason),
              {"holds here": HOLDS, "holds in part": PARTLY}.get(verdict, NOT))
        for sentence, verdict, reason in family_report.verdicts(family_report.Numbers(n["10"]))
    ]
    relu, gelu = f["turn of the slope"]["relu"], f["turn of the slope"]["gelu"]
    return [
        *families,
        claim("Causal attention: no cheating by looking ahead; needed to generate",
              "04_attention", f"another last token moves earlier logits by "
              f"{n['04']['moved_before']:g}", n["04"]["moved_before"] == 0),
        claim("GELU is smoother than ReLU", "claim_facts",
              f"from -0.01 to 0.01 the slope turns by {gelu:.2f}, ReLU's by {relu:.0f}",
              gelu < 0.1 * relu),
        claim("GELU: better gradient flow", "claim_facts",
              f"slope at -1: {f['gelu slope']:.2f}, ReLU's {f['relu slope']:.0f}; what it does to "
              "a loss is in the next rows", f["gelu slope"] != 0),
        claim("Softmax: probabilities that sum to 1", "claim_facts",
              f"to {f['softmax sum']:.0e}", f["softmax sum"] < 1e-12),
        claim("AdamW: a rate of its own for each parameter", "claim_facts",
              "first steps for gradients of 0.01, 1 and 1000: "
              + ", ".join(f"{step:.3f}" for step in f["first steps"]),
              max(f["first steps"]) < 1.01 * min(f["first steps"])),
    ]


def scaling(n):
    rows = scaling_summary.sentences(scaling_numbers.Numbers(n["09"]), {})
    return [
        Claim(row.sentence, "09_scaling_laws",
              row.found + f" ({row.spread})" * bool(row.spread)
              + f", n = {row.n}" + _p(row), _in_short(row.verdict))
        for row in rows
    ]


def _p(row):
    if not row.p:
        return ""
    return f", p {row.p}" if row.p.startswith("<") else f", p = {row.p}"


def _first_sentence(text):
    return text.split(". ")[0].rstrip(".")


def ablations(n, section):
    """Return the verdicts of the study on sentences of a section."""
    results = {key(row["settings"]): row["result"] for row in n["08"]}
    found = ablation_numbers.verdicts(ablation_numbers.Study(ROWS, results, NOISE))
    return [
        Claim(v.sentence, "08_ablations", _measured(v), _in_short(v.verdict))
        for v in found if v.sentence.startswith(IN_SECTIONS[section])
    ]


def _in_short(verdict):
    """"holds here", "holds, by counting" and the like are one."""
    if verdict.startswith(PARTLY):
        return PARTLY
    return HOLDS if verdict.startswith("holds") else verdict


def _measured(verdict):
    if not verdict.difference:
        return verdict.text
    d = verdict.difference
    p = f"p {p_text(d.p, '= ')}"
    form = "{:+.0f}" if verdict.unit == "steps" else "{:+.4f}"
    mean, low, high = (form.format(x) for x in (d.mean, d.low, d.high))
    return (f"{verdict.text} Difference in its favour {mean} {verdict.unit} ({low} to {high}), "
            f"n = {d.n}, {p}")


IN_SECTIONS = {  # how the study's sentences begin, by the section that they are about
    "Embeddings": ("Positions",),
    "Attention Mechanism": ("Multi-head", "Scores are"),
    "Transformer Architecture": ("LayerNorm", "Residual", "More layers"),
    "Training Process": ("Learning rate", "Batch size", "Gradient clipping", "Dropout", "Warm-up"),
    "Why These Choices?": ("Causal", "Pre-norm", "Tied", "GELU", "AdamW", "Llama"),
}
SECTIONS = {
    "What is a Language Model?": language_model,
    "Tokenization": tokenization,
    "Embeddings": embeddings,
    "Attention Mechanism": attention,
    "Transformer Architecture": transformer,
    "Training Process": training,
    "Text Generation": generation,
    "Why These Choices?": choices,
    "Scaling Laws": scaling,
}
