"""The snippets of CONCEPTS.md, from top to bottom.

Made by `python examples/snippets.py --write`.
"""


# ---- What is a Language Model?

import textwrap

import numpy as np

import autograd
from autograd import Tensor
from npgpt import GPT, AdamW, BPETokenizer, CharTokenizer, GPTConfig, TrainConfig
from npgpt import Bert, BertConfig, Llama, LlamaConfig
from npgpt import tales
from npgpt.batches import split_text
from npgpt.ngram import NgramModel
from npgpt.families.size import flops_per_token
from npgpt.train import evaluate, training_steps

text = tales.generate(300_000, seed=1)
print(textwrap.fill(tales.stories(text)[0], 90))

tokenizer = CharTokenizer.train(text)  # every character is a token
V = tokenizer.vocab_size
train_text, val_text = split_text(text, 0.9)
train_ids, val_ids = tokenizer.encode(train_text), tokenizer.encode(val_text)

floor = tales.entropy_rate()
print(f"a fair bet on {V} characters  {np.log(V):.2f} nats")
ngram_losses = {n: NgramModel(train_ids, V, n).loss(val_ids) for n in range(1, 8)}
for n, loss in ngram_losses.items():
    print(f"{n}-grams                    {loss:.2f} nats, a choice among {np.exp(loss):.1f}")
print(f"the entropy                {floor:.2f} nats, a choice among {np.exp(floor):.1f}")

_, validation = split_text(tales.generate(2_000_000), 0.9)
whole_stories = tales.stories(validation)[1:]  # the first began before the cut
told = -sum(map(tales.log_probability, whole_stories)) / sum(map(len, whole_stories))
print(f"the grammar itself, on these {len(whole_stories):,} stories  {told:.4f} nats a character")
print(f"the entropy                               {floor:.4f}")


# ---- Tokenization

try:
    tokenizer.encode("A fox!")
except ValueError as error:
    print(textwrap.fill(str(error), 90))

small = BPETokenizer.train("hug hug hug pug", vocab_size=258)  # 256 bytes and two merges
for step in small.merge_steps("hugs"):
    print(step)
assert small.decode(small.encode("naïve 東京")) == "naïve 東京"  # any text, seen or not

bpe = BPETokenizer.train(text[:100_000], vocab_size=512)
print(bpe.merge_steps(" unhappiness")[-1])
print(f"{100_000 / len(bpe.encode(text[:100_000])):.1f} characters per token")


# ---- Embeddings

rng = np.random.default_rng(0)
ids = tokenizer.encode("moon")
table_VC = Tensor(rng.normal(size=(V, 8)), requires_grad=True)
x_TC = autograd.embedding(table_VC, ids)
assert np.allclose(x_TC.data, np.eye(V)[ids] @ table_VC.data)
x_TC.sum().backward()
for letter in "mon":
    print(letter, "has gradients", table_VC.grad[tokenizer.encode(letter)[0]])

one_layer = GPT(GPTConfig(V, 16, n_layer=1, n_head=2, n_embd=16), dtype=np.float64)
dog, odg = (tokenizer.encode(word)[None] for word in ("dog", "odg"))
print(f"{np.abs(one_layer.next_logits(dog) - one_layer.next_logits(odg)).max():.4f} apart")
one_layer.wpe.weight.data[...] = 0
print(f"{np.abs(one_layer.next_logits(dog) - one_layer.next_logits(odg)).max():.4f} apart")


# ---- Attention Mechanism

T, D = 6, 4
q_TD, k_TD, v_TD = rng.normal(size=(3, T, D))
score_TT = q_TD @ k_TD.T / np.sqrt(D)
score_TT[np.triu_indices(T, k=1)] = -np.inf
weight_TT = autograd.softmax(score_TT).data
print(weight_TT.round(2))  # row: who reads; column: who is read

q, k, v = (x[None, None] for x in (q_TD, k_TD, v_TD))  # one text, one head
y_BHTD = autograd.scaled_dot_product_attention(q, k, v, causal=True)
assert np.allclose(weight_TT @ v_TD, y_BHTD.data[0, 0])

z = np.array([1000.0, 999.0])
with np.errstate(all="ignore"):
    print("as it is written    ", np.exp(z) / np.exp(z).sum())
print("maximum subtracted  ", (np.exp(z - z.max()) / np.exp(z - z.max()).sum()).round(3))

for D in (4, 64, 1024):
    q, k = rng.normal(size=(2, 400, 50, D))
    score = (q * k).sum(axis=2)  # 400 readers, 50 positions
    as_they_are, divided = (autograd.softmax(x).data.max(axis=1).mean()
                            for x in (score, score / np.sqrt(D)))
    print(f"D {D:4}: scores spread by {score.std():4.1f}; the largest of 50 weights "
          f"{as_they_are:.1f}, divided {divided:.1f}")


# ---- Transformer Architecture

config = GPTConfig(V, block_size=16, n_layer=2, n_head=4, n_embd=48)
model = GPT(config, seed=1)
x_BT, y_BT = val_ids[None, :16], val_ids[None, 1:17]
logits_BTV, loss = model(x_BT, y_BT)
print(f"loss {loss.item():.2f}, ln V {np.log(V):.2f}")

x_BTC = model.wte(x_BT) + model.wpe(np.arange(16))
for block in model.h:
    x_BTC = x_BTC + block.attn(block.ln_1(x_BTC))
    x_BTC = x_BTC + block.mlp(block.ln_2(x_BTC))
by_hand_BTV = model.ln_f(x_BTC) @ model.wte.weight.transpose()
assert np.allclose(by_hand_BTV.data, logits_BTV.data, atol=1e-5)
print("token ids", x_BT.shape, " stream", x_BTC.shape, " logits", logits_BTV.shape)

C = 48
per_block = 12 * C**2 + 13 * C  # matrices; biases and norms
assert model.num_parameters() == V * C + 16 * C + 2 * per_block + 2 * C
print(f"{model.num_parameters():,} parameters, {2 * per_block:,} of them in the blocks")


# ---- Other models of the same parts

def turned(x, position):
    return autograd.rotary_embedding(x, np.array([position])).data.ravel()

q, k = np.random.default_rng(0).normal(size=(2, 1, 1, 1, 4))
for reader, read in ((9, 7), (2, 0), (3, 0)):
    print(f"positions {reader} and {read}: {turned(q, reader) @ turned(k, read):.4f}")
llama = Llama(LlamaConfig(V, block_size=16, n_layer=2, n_head=4, n_embd=48, n_kv_head=2), seed=1)

bert = Bert(BertConfig(V, block_size=16, n_layer=2, n_head=4, n_embd=48), seed=1)
mask_BT = (np.arange(16) < 10)[None]  # six tokens of padding
padded, short = bert.hidden(x_BT, mask_BT=mask_BT), bert.hidden(x_BT[:, :10])
assert np.allclose(padded.data[:, :10], short.data, atol=1e-5)


# ---- Training Process

window = val_ids[:9]
for t in range(4):
    before, target = tokenizer.decode(window[: t + 1]), tokenizer.decode(window[t + 1 : t + 2])
    print(f"after {before!r} comes {target!r}")

z = Tensor(np.log([[0.7, 0.2, 0.1]]), requires_grad=True)
loss = autograd.cross_entropy(z, np.array([1]))  # the second is right, and was given 0.2
loss.backward()
print(f"loss {loss.item():.3f} = -ln 0.2; gradient {z.grad.round(3)}")


# ---- Gradients

from autograd.engine import op, vjp
from autograd.gradcheck import examine, gradcheck

@op
def cube(x, /):
    return x**3, (x,)  # the output, and what the VJP will need

@vjp(cube)
def cube_vjp(dz, saved):
    (x,) = saved
    return dz * 3 * x**2

x = Tensor(np.array([0.5, -1.0, 2.0]), requires_grad=True)
cube(x).sum().backward()
eps = 1e-5
print("by the rule     ", x.grad)
print("by nudging      ", (((x.data + eps) ** 3 - (x.data - eps) ** 3) / (2 * eps)).round(6))
assert gradcheck(cube, [x.data]).passed

vjp(cube)(lambda dz, saved: 1.001 * cube_vjp(dz, saved))
print("the report says ", str(examine(cube, [x.data])).split(", ")[-2])
del autograd.OPS["cube"]  # the registry of what the project's own gradient checks have to cover

x = Tensor(np.array(3.0), requires_grad=True)
(x * x).backward()  # used twice; each use sends back the other factor, 3
print(x.grad)

x = Tensor(np.array(1.0), requires_grad=True)
y = x
for _ in range(30):
    y = y + y
y.backward()
print(f"{x.grad:,.0f} paths, each with the gradient 1")

bias_C = Tensor(np.zeros(3), requires_grad=True)
(np.ones((4, 3)) + bias_C).sum().backward()
print(bias_C.grad)


# ---- Products of bfloat16

from autograd import matmul, using_matmul_precision

ones = np.ones((1, 1000), np.float32)
thirds = np.full((1000, 1), 1 / 3, np.float32)
with using_matmul_precision("bfloat16"):
    rounded = matmul(Tensor(ones), Tensor(thirds)).item()
print(f"1,000 thirds: {rounded:.2f} instead of 333.33")
assert 0 < abs(rounded / (1000 / 3) - 1) < 1 / 256  # a third is rounded, the sum of 1,000 is not


# ---- The training loop

training = TrainConfig(max_iters=400, batch_size=16, lr=4e-3, min_lr=4e-4, warmup_iters=20)
optimizer = AdamW(model.parameters())
steps = list(training_steps(model, optimizer, train_ids, training))
val_loss, n_counted = evaluate(model, val_ids)
assert n_counted == len(val_ids) - 1  # every token but the first, once
assert floor < val_loss < ngram_losses[2] < steps[0].loss
print(f"first step {steps[0].loss:.1f}; bigrams {ngram_losses[2]:.1f}; "
      f"validation after 400 steps {val_loss:.1f}; entropy {floor:.1f}")


# ---- Other objectives

from npgpt.families.floors import hidden_log_probabilities

story = "One dawn shy King Dadado of Dadadia lost his red map in Dadadia. A shy red dog found it "
story += "near a red mill, so he kissed the dog on its head.\n\n"
hidden = [story.index("ing"), story.index("Dadado")]
probabilities = np.exp(hidden_log_probabilities(tales.GRAMMAR, story, hidden))
for i, probability in zip(hidden, probabilities, strict=True):
    print(f"{story[i - 3 : i]}_{story[i + 1 : i + 3]}: {story[i]!r} has probability "
          f"{probability:.2f}")


# ---- Backward Rules

from autograd import reference

def nudged(f, x, dy, eps=1e-6):
    """The gradient of sum(f(x) * dy) with respect to x, entry by entry."""
    dx = np.empty_like(x)
    for i in np.ndindex(x.shape):
        e = np.zeros_like(x)
        e[i] = eps
        dx[i] = ((f(x + e) - f(x - e)) * dy).sum() / (2 * eps)
    return dx

def compare(rule, f, x, dy):
    """Print a row of a rule's gradients beside the nudged ones; check all."""
    by_nudging = nudged(f, x, dy)
    assert np.allclose(rule, by_nudging, rtol=1e-5, atol=1e-7)
    print("by the rule", rule[-1].round(4))
    print("by nudging ", by_nudging[-1].round(4))

x_NC, dy_NC = rng.normal(size=(2, 2, 5))
y_NC = reference.softmax(x_NC)
dx_NC = y_NC * (dy_NC - (dy_NC * y_NC).sum(axis=1, keepdims=True))
assert np.allclose(dx_NC, reference.softmax_backward(dy_NC, y_NC), atol=1e-12)
compare(dx_NC, reference.softmax, x_NC, dy_NC)

targets_N = np.array([3, 0])
dx_NC = reference.softmax(x_NC)
dx_NC[np.arange(2), targets_N] -= 1
compare(dx_NC / 2, lambda x: autograd.cross_entropy(x, targets_N).data, x_NC, np.ones(()))

u = np.sqrt(2 / np.pi) * (x_NC + 0.044715 * x_NC**3)
s = 1 / (1 + np.exp(-2 * u))
du = np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x_NC**2)
dx_NC = dy_NC * (s + x_NC * s * (1 - s) * 2 * du)
assert np.allclose(dx_NC, reference.gelu_backward(dy_NC, x_NC), atol=1e-12)
compare(dx_NC, reference.gelu, x_NC, dy_NC)

weight_C, bias_C = rng.normal(size=(2, 5))
mean_N1 = x_NC.mean(axis=1, keepdims=True)
sigma_N1 = np.sqrt(x_NC.var(axis=1, keepdims=True) + 1e-5)
n_NC, g_NC = (x_NC - mean_N1) / sigma_N1, dy_NC * weight_C
along_shift = g_NC.mean(axis=1, keepdims=True)
along_scale = n_NC * (g_NC * n_NC).mean(axis=1, keepdims=True)
dx_NC = (g_NC - along_shift - along_scale) / sigma_N1
by_reference = reference.layer_norm_backward(
    dy_NC, x_NC, weight_C, mean_N1[:, 0], 1 / sigma_N1[:, 0]
)
assert np.allclose(dx_NC, by_reference[0], atol=1e-12)
compare(dx_NC, lambda x: autograd.layer_norm(x, weight_C, bias_C).data, x_NC, dy_NC)

T, D = 3, 4
q_TD, k_TD, v_TD, dy_TD = rng.normal(size=(4, T, D))
hidden_TT = ~np.tri(T, dtype=bool)

def attend(q_TD, k_TD, v_TD):
    score_TT = np.where(hidden_TT, -np.inf, q_TD @ k_TD.T / np.sqrt(D))
    a_TT = reference.softmax(score_TT)
    return a_TT, a_TT @ v_TD

a_TT, y_TD = attend(q_TD, k_TD, v_TD)
da_TT = dy_TD @ v_TD.T
dz_TT = a_TT * (da_TT - (dy_TD * y_TD).sum(axis=1, keepdims=True))
dq_TD, dk_TD, dv_TD = dz_TT @ k_TD / np.sqrt(D), dz_TT.T @ q_TD / np.sqrt(D), a_TT.T @ dy_TD
compare(dq_TD, lambda q: attend(q, k_TD, v_TD)[1], q_TD, dy_TD)
compare(dk_TD, lambda k: attend(q_TD, k, v_TD)[1], k_TD, dy_TD)
compare(dv_TD, lambda v: attend(q_TD, k_TD, v)[1], v_TD, dy_TD)
assert (dq_TD[0] == 0).all()  # the first position reads itself only, whatever it asks for

q, k, v = (Tensor(x_TD[None, None], requires_grad=True) for x_TD in (q_TD, k_TD, v_TD))
autograd.scaled_dot_product_attention(q, k, v).backward(dy_TD[None, None])
for by_op, by_hand in ((q.grad, dq_TD), (k.grad, dk_TD), (v.grad, dv_TD)):
    assert np.allclose(by_op[0, 0], by_hand, atol=1e-10)


# ---- Text Generation

from npgpt.sampling import Sampling

logits_V = np.log([0.5, 0.3, 0.15, 0.05])
for settings in (
    {"temperature": 0}, {"temperature": 0.5}, {"temperature": 1}, {"temperature": 2},
    {"top_k": 2}, {"top_p": 0.9}, {"min_p": 0.2}, {"top_k": 2, "top_p": 0.6},
):
    print(Sampling(**settings).probabilities(logits_V).round(3), settings)

prompt_T = tokenizer.encode("\n\nOne ")
greedy_T = prompt_T
for _ in range(10):
    logits_BTV, _ = model(greedy_T[None])
    greedy_T = np.append(greedy_T, logits_BTV.data[0, -1].argmax())
assert np.array_equal(greedy_T, model.generate(prompt_T, 10, temperature=0))


# ---- Why These Choices?

at_once_TV = model(x_BT)[0].data[0]
one_by_one_TV = [model.next_logits(x_BT[:, : t + 1])[0] for t in range(16)]
assert np.allclose(at_once_TV, one_by_one_TV, atol=1e-4)

def through_the_stream(n_layer, post_norm):
    deep = GPT(GPTConfig(V, 16, n_layer, n_head=4, n_embd=48))
    for name, weight in deep.parameters().items():
        if name.startswith("h.") and weight.ndim == 2:
            weight.data *= 1 / (weight.data.std() * np.sqrt(weight.shape[0]))
    x = y = Tensor(rng.normal(size=(2, 16, 48)).astype(np.float32), requires_grad=True)
    for block in deep.h:
        for norm, branch in ((block.ln_1, block.attn), (block.ln_2, block.mlp)):
            y = norm(y + branch(y).detach()) if post_norm else y + branch(norm(y)).detach()
    dy = rng.normal(size=y.shape).astype(np.float32)
    y.backward(dy)
    return np.linalg.norm(x.grad) / np.linalg.norm(dy)

for n in (2, 8, 24):
    pre, post = through_the_stream(n, post_norm=False), through_the_stream(n, post_norm=True)
    print(f"{n:2} blocks: pre-norm leaves {pre:.0f}, post-norm {post:.1g} of it")

gelu = autograd.gelu
for activation in (autograd.relu, gelu):
    x = Tensor(np.array([-12, -5, -2, 0.5], np.float32), requires_grad=True)
    activation(x).sum().backward()
    print(activation.__name__, "has the slopes", *(f"{slope + 0:.1e}" for slope in x.grad))
z = rng.normal(size=10_000)
assert np.abs(gelu(z).data - gelu(z, approximate="none").data).max() < 5e-4  # tanh, exact

w = Tensor(np.ones(3), requires_grad=True)
(w * np.array([0.01, -1.0, 1000.0])).sum().backward()
AdamW({"w": w}, lr=0.1, weight_decay=0.0, grad_clip=None).step()
print("gradients", w.grad, "after a step of AdamW", w.data.round(3))


# ---- Scaling Laws

def chinchilla_loss(N, D, E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28):
    return E + A / N**alpha + B / D**beta

budget = 5.76e23  # FLOPs: that of Gopher, with 280 billion parameters
N = np.logspace(8, 13, 5001)
best = N[chinchilla_loss(N, budget / (6 * N)).argmin()]
by_calculus = (0.34 * 406.4 / (0.28 * 410.7)) ** (1 / 0.62) * (budget / 6) ** (0.28 / 0.62)
assert np.isclose(best, by_calculus, rtol=2e-3)
refit = 1.8172, 482.01, 2085.43, 0.3478, 0.3658
best_by_refit = N[chinchilla_loss(N, budget / (6 * N), *refit).argmin()]
print(f"best size for the budget of Gopher: {best / 1e9:.0f} billion, "
      f"by the mended fit {best_by_refit / 1e9:.0f} billion")

gpt2 = GPTConfig(50_257, 1024, 12, 12, 768)  # with 124 million parameters
ratio = 3 * flops_per_token(gpt2) / (6 * 124_439_808)
print(f"GPT-2's arithmetic is {ratio:.2f} times 6 N per token; the rest is attention")


# ---- Further Reading
