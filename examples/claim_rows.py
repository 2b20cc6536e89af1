"""The claims of the concepts document, section by section, each with what was found of it.

n   "01" to "07": the numbers that the main of that example returned, and "facts" those of
    `claim_facts`, as examples/claims.json has them

Of the examples, what is found follows from conditions on the numbers: all are met, some, or none.
What the studies found is written by hand, with the numbers of their tables; a test holds the two
together.
"""

from typing import NamedTuple

HOLDS, PARTLY, NOT = "holds", "holds partly", "does not hold here"
DEFINITION = "definition"  # it could not have failed


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
        Claim("Characters: each gets a number", "claim_facts",
              f"“Hello” is {', '.join(map(str, f['ids of characters']))}", DEFINITION),
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
        Claim("Characters do not capture word meaning", "02_tokenization",
              f"for equal FLOPs a model of single bytes is at {bits[0]:.2f} bits per byte, one of "
              f"{sizes[best]} tokens at {bits[best]:.2f}: it learns to spell first. Trained on, "
              "one of characters comes to 0.58 (benchmarks/README.md)", NOT),
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
        Claim("A token is a vector of numbers", "claim_facts",
              f"GPT-2: {f['table'][1]} for each token", DEFINITION),
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
        Claim("Position embeddings: (longest text, channels)", "claim_facts",
              f"GPT-2 {f['positions'][0]:,} by {f['positions'][1]}", DEFINITION),
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
    return [
        Claim("Attention tells what “it” refers to", "10_families",
              "a probe on a GPT's states reads it in 50 % at “it”, in 93 % four words later "
              "(chance 50 %)", PARTLY),
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
        claim("Heads have roles (tested: to find what followed before)", "04_attention",
              "score of the best head "
              f"{score:.2f} after training on tales, {untrained:.2f} before",
              score > 0.5),
        claim("Three vectors: query, key, value", "04_attention",
              f"written out, the result is the op's to {shown['op_gap']:.0e}",
              shown["op_gap"] < 1e-12),
        claim("Undivided scores make softmax put all on one", "claim_facts",
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
        claim("Norm before each sub-layer: one rate, one run each", "05_transformer",
              f"12 blocks, no warm-up: {first['pre-norm']:.2f} "
              f"nats; norm after the sum {first['post-norm']:.2f}, no more than frequencies tell, "
              f"{shown['unigram']:.2f}; at the best rate of each the difference is smaller (below)",
              first["pre-norm"] < first["post-norm"] - 0.3),
        claim("Residual connections: gradients flow, deep networks train", "05_transformer",
              f"12 blocks: {warm['pre-norm']:.2f} with, {warm['no residual']:.2f} without",
              warm["pre-norm"] < warm["no residual"] - 0.3),
        Claim("The network widens to 4 d and back, at each position", "claim_facts",
              f"{f['mlp share']:.0%} of a block's parameters", DEFINITION),
    ]


KINDS = ("pre-norm", "post-norm", "no residual")


def training(n):
    f, shown = n["facts"], n["06"]
    loss = shown["rows"][-1]["val_loss"]
    answers = n["04"]["answers"]
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
        Claim("The model learns grammar", "10_families",
              "60 % of stories begun are ended as the grammar does", HOLDS),
        claim("The model learns facts (those of the text)", "04_attention",
              f"{sum(right)} of {len(right)} right: "
              + "; ".join(f"{word}: {answer}" for word, answer in sides.items()), all(right)),
        Claim("The model learns reasoning patterns", "10_families",
              "what follows from a reason, 93 %; to rewrite a story, 0 % of stories", PARTLY),
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
        Claim("Top-k keeps very unlikely tokens out", "07_generation",
              f"{shown['kept']['top-k 3']} tokens of {shown['kept']['temperature 1']:,} are left",
              DEFINITION),
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
    relu, gelu = f["turn of the slope"]["relu"], f["turn of the slope"]["gelu"]
    return [
        claim("Causal attention: no cheating by looking ahead; needed to generate",
              "04_attention", f"another last token moves earlier logits by "
              f"{n['04']['moved_before']:g}", n["04"]["moved_before"] == 0),
        claim("GELU is smoother than ReLU", "claim_facts",
              f"from -0.01 to 0.01 the slope turns by {gelu:.2f}, ReLU's by {relu:.0f}",
              gelu < 0.1 * relu),
        Claim("GELU: gradients where ReLU has none", "claim_facts",
              f"slope at -1: {f['gelu slope']:.2f}, ReLU's {f['relu slope']:.0f}", DEFINITION),
        claim("Softmax: probabilities that sum to 1", "claim_facts",
              f"to {f['softmax sum']:.0e}", f["softmax sum"] < 1e-12),
        claim("AdamW: a rate of its own for each parameter", "claim_facts",
              "first steps for gradients of 0.01, 1 and 1000: "
              + ", ".join(f"{step:.3f}" for step in f["first steps"]),
              max(f["first steps"]) < 1.01 * min(f["first steps"])),
    ]


def studied(script, *rows):
    """Return claims that a study found something of: (sentence, what, which of the words)."""
    return [Claim(sentence, script, result, verdict) for sentence, result, verdict in rows]


STUDIED = {
    "Embeddings": studied(
        "08_ablations",
        ("Positions: a model has to be told them",
         "without any the excess is larger by 3 % (-6 % to +14 %)", "not shown beyond 14 %")),
    "Attention Mechanism": studied(
        "08_ablations",
        ("Multi-head attention: better than one head", "+6 % (-6 % to +19 %)",
         "not shown beyond 19 %"),
        ("Scores are divided by √D", "-0 % (-12 % to +14 %), for D = 16",
         "not shown beyond 14 %")),
    "Transformer Architecture": studied(
        "08_ablations",
        ("LayerNorm: stabilizes training",
         "without it the excess doubles, +101 % at 4 blocks, +105 % at 12; all runs train",
         "shown, of the loss"),
        ("Residual connections: help gradients flow",
         "without them +231 % (+195 % to +272 %); no gradient was measured", "shown, of the loss")),
    "Training Process": studied(
        "08_ablations",
        ("Learning rate too high: training unstable",
         "at 0.1 the excess is larger by 179 %, from 0.3 on the loss ends on a plateau", "shown"),
        ("Learning rate too low: training too slow", "at 0.0001 the excess is 79 times as large",
         "shown"),
        ("Learning rate: typical 1e-4 to 5e-4",
         "for models a thousand times as large; here 0.0005 ends at ten times the excess",
         "does not carry over"),
        ("Batch size: smaller, more updates, at equal tokens",
         "8 stories beside 32: +182 % at one rate, +73 % at a rate that goes as the root; 4 beside "
         "8: +0 %", "shown down to 8"),
        ("Batch size: smaller, noisier", "the noise goes as B to the power -0.50", "shown"),
        ("Gradient clipping: prevents training instability",
         "+4 % (-7 % to +16 %); with three bad batches +11 % (-1 % to +24 %). SGD without it: 1 of "
         "3 runs ends as NaN", "not shown for AdamW"),
        ("Dropout and weight decay: regularization",
         "a text read 50 times: dropout of 0.1 +28 %, of 0.3 +204 %; decay of 1 beside 0.1 +36 %. "
         "On fresh text decay -2 % (-12 % to +10 %)", "shown on text read again"),
        ("Warm-up helps", "12 blocks: pre-norm +40 % (+16 % to +68 %), post-norm -17 % (-35 % to "
         "+7 %)", "shown for pre-norm")),
    "Why These Choices?": studied(
        "10_families",
        ("Encoder-only: good for understanding",
         "in one pass BERT loses 0.83 nats on a hidden word beside the optimum; a GPT from the "
         "left 1.37, one that tries each word 0.53", PARTLY),
        ("Encoder-only: not generation", "BERT ends 2 % of stories as the grammar does, GPT 60 %",
         "holds for a BERT not trained to write"),
        ("Encoder-decoder: good for translation and summarization",
         "T5 rewrites 78 % of stories, BERT 100 %; GPT, with half the steps, has not begun to copy",
         PARTLY),
        ("Decoder-only: best for generation",
         "beside BERT, 60 % to 2 %, it is; T5 was asked for what it was not trained for", PARTLY),
        ("Decoder-only: can also do understanding tasks",
         "trying each word it loses 0.53 nats, BERT 0.83", HOLDS)) + studied(
        "08_ablations",
        ("Causal attention: without its mask a model cheats",
         "its loss falls 1.383 nats below the entropy", "shown"),
        ("Pre-norm: more stable training",
         "with warm-up post-norm ends +71 % higher at 4 blocks (+38 % to +113 %); without, +36 % "
         "(-2 % to +89 %)", "shown with warm-up, of the loss"),
        ("Pre-norm: allows training deeper models",
         "the penalty of post-norm is 0.54 in logs at 4 blocks and 0.52 at 12: -0.02 (-0.44 to "
         "+0.40)", "cannot be told"),
        ("Tied embeddings: better performance", "-3 % (-12 % to +7 %)", "not shown beyond 12 %"),
        ("GELU: better than ReLU", "+4 % (-9 % to +18 %)", "not shown beyond 18 %"),
        ("AdamW: better than SGD", "SGD with clipping +32 % (+13 % to +54 %)", "shown"),
        ("AdamW: decay beside the gradient",
         "in it: 20 times the excess at 0.1, +2 % (-9 % to +14 %) at 1e-4",
         "shown at equal coefficients only"),
        ("Llama's parts: better than GPT's",
         "all of them -2 % (-14 % to +11 %); SwiGLU in GPT's block -47 %",
         "not shown beyond 14 %")),
    "Scaling Laws": studied(
        "09_scaling_laws",
        ("L = E + A/N^alpha + B/D^beta, E the entropy of the text",
         "E is 0.64 to 0.72 by choice of the fit, exactly 0.687", "fits, does not identify E"),
        ("Loss is predictable", "eight predictions: errors of 0.1 to 5.8 % of the loss, 1 to 38 % "
         "of the excess; five of the 95 % intervals hold it", "of the loss"),
        ("Bigger models are generally better",
         "at 4e11 FLOPs 40,736 parameters end below 9,516 and below 130,624",
         PARTLY),
        ("More compute = better model", "0.216, 0.118, 0.077, 0.044 above the entropy for four "
         "times the FLOPs each", HOLDS),
        ("The best size grows as a power of the budget",
         "0.39 (0.34 to 0.45); from one budget to the next 0.27, 0.51, 0.34",
         "holds, within noise"),
        ("1 MB is very limited",
         "938 kB cost 80,000 parameters 0.031 nats, 40 % of the excess, 9.4 MB 0.008", PARTLY),
        ("A table of sizes tells what a model can do",
         "from 40,736 to 981,696 parameters 82, 85, 86, 84, 81, 81 and 74 % of stories are right",
         NOT)),
}


MEASURED = {
    "What is a Language Model?": language_model,
    "Tokenization": tokenization,
    "Embeddings": embeddings,
    "Attention Mechanism": attention,
    "Transformer Architecture": transformer,
    "Training Process": training,
    "Text Generation": generation,
    "Why These Choices?": choices,
    "Scaling Laws": lambda n: [],
}


def sections(n):
    """Return section -> its claims."""
    return {section: of(n) + STUDIED.get(section, []) for section, of in MEASURED.items()}
