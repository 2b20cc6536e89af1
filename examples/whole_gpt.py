"""A whole GPT in one file: its computation, the gradient of every step, and its training.

It learns to continue a text: in a minute of one core its loss falls from 3.94 (a blind guess among
50 characters is ln 50 = 3.91) to 0.6. Then it writes:

    "Who ate my tasty buns?" asked witty Duke Lord Ruruto of Tilisia. "Not I," said the loyal
    pretty pink. But the meek dog had juice on its chin, so it was sent to Birilia.

It needs NumPy and a text. These lines write a text and train on it:

    python -c "from npgpt import tales; print(tales.generate(500_000))" > tales.txt
    python examples/whole_gpt.py tales.txt

Read it from top to bottom, or write it: `npgpt exercise` has its functions. An array's name ends in
its axes: B texts at a time, T characters of each (S, where they are read by others), C channels of
a character's vector, H heads of D = C / H channels, V characters; (HD) is one axis made of two.
`dx` is the gradient of the loss with respect to x. Below each function stands its backward: from
the gradient with respect to its result to those with respect to its inputs, by the chain rule.
"""

import math
import os
import sys
from pathlib import Path

# Before NumPy reads it: threads wait for each other longer than products as small as these take.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np


# ---- The parts, each with its backward.
def linear(x, w, b):
    return x @ w + b  # y_o = sum_i x_i w_io + b_o in each row, whatever axes come before

def linear_backward(dy, x, w):
    """Return dx, dw, db. x_i reaches the loss by every y_o; w_io and b_o by every row."""
    x_NI, dy_NO = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
    return dy @ w.T, x_NI.T @ dy_NO, dy_NO.sum(axis=0)


def layer_norm(x, g, b):
    """Scale each row to mean 0 and variance 1 (n), then apply a gain and a bias per channel."""
    centred = x - x.mean(axis=-1, keepdims=True)
    rstd = 1 / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
    n = centred * rstd
    return n * g + b, (n, rstd)

def layer_norm_backward(dy, saved, g):
    """Shifting or scaling a row leaves n unchanged: dn's parts along these two are taken out."""
    n, rstd = saved
    dn = dy * g
    along_shift = dn.mean(axis=-1, keepdims=True)
    along_scale = n * (dn * n).mean(axis=-1, keepdims=True)
    return (dn - along_shift - along_scale) * rstd, (dy * n).sum(axis=(0, 1)), dy.sum(axis=(0, 1))


def gelu(x):
    """Return x times a gate that opens smoothly from 0 to 1 as x grows."""
    tanh = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))
    return x * (1 + tanh) / 2, tanh

def gelu_backward(dy, x, tanh):
    """Return dx: dy times (the gate + x times its slope); the slope of tanh is 1 - tanh^2."""
    inner_slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
    return dy * ((1 + tanh) / 2 + x * (1 - tanh * tanh) / 2 * inner_slope)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))  # the largest is 1: nothing overflows
    return e / e.sum(axis=-1, keepdims=True)

def softmax_backward(dy, y):
    """Return dx, by dy_j/dx_i = y_i (1 - y_i) for j = i, else -y_i y_j: one gains, others lose."""
    return y * (dy - (dy * y).sum(axis=-1, keepdims=True))


def attention(qkv_BTC, H):
    """Each position takes the average of the values v of those up to it, weighted by a softmax of
    how well its query q agrees with their keys k. C is 3 C here: the heads of q, of k, and of v."""
    B, T, _ = qkv_BTC.shape
    q, k, v = qkv_BTC.reshape(B, T, 3, H, -1).transpose(2, 0, 3, 1, 4)  # BT(3HD) -> 3BHTD
    score_BHTS = q @ k.swapaxes(2, 3) / math.sqrt(q.shape[3])
    score_BHTS[:, :, ~np.tri(T, dtype=bool)] = -np.inf  # what comes later is out of sight
    a_BHTS = softmax(score_BHTS)
    y_BTC = (a_BHTS @ v).swapaxes(1, 2).reshape(B, T, -1)  # BHTD -> BT(HD)
    return y_BTC, (q, k, v, a_BHTS)

def attention_backward(dy_BTC, saved):
    q, k, v, a_BHTS = saved
    B, H, T, D = q.shape
    dy_BHTD = dy_BTC.reshape(B, T, H, D).swapaxes(1, 2)
    da_BHTS, dv = dy_BHTD @ v.swapaxes(2, 3), a_BHTS.swapaxes(2, 3) @ dy_BHTD
    dscore_BHTS = softmax_backward(da_BHTS, a_BHTS) / math.sqrt(D)  # where a is 0, so is this
    dq, dk = dscore_BHTS @ k, dscore_BHTS.swapaxes(2, 3) @ q
    return np.stack([dq, dk, dv]).transpose(1, 3, 0, 2, 4).reshape(B, T, -1)


def cross_entropy(logits_BTV, y_BT):
    """Return the mean of -log(the probability that softmax gives the next character), in nats."""
    p_BTV = softmax(logits_BTV)
    return -np.log(np.take_along_axis(p_BTV, y_BT[..., None], axis=2)).mean(), p_BTV

def cross_entropy_backward(p_BTV, y_BT):
    """Return dlogits: each probability, less 1 for the character that came, over y's size."""
    came_BTV = np.eye(p_BTV.shape[2], dtype=p_BTV.dtype)[y_BT]
    return (p_BTV - came_BTV) / y_BT.size


# ---- The model: the parts put together, and backward the same way in reverse.
def initial_weights(rng, V, T, C, layers, dtype=np.float32):
    """Return random matrices, gains of 1, biases of 0: [outside of blocks, block, block, ...]."""
    def normal(*shape, std=0.02):
        return (rng.standard_normal(shape) * std).astype(dtype)

    end = 0.02 / math.sqrt(2 * layers)  # 2 additions a block: their sum stays of order one
    outside = {"wte": normal(V, C), "wpe": normal(T, C),  # a vector per character, per position
               "g": np.ones(C, dtype), "b": np.zeros(C, dtype)}  # gain and bias of the last norm
    return [outside, *({
        "g1": np.ones(C, dtype), "b1": np.zeros(C, dtype),  # the norm before attention
        "w_qkv": normal(C, 3 * C), "b_qkv": np.zeros(3 * C, dtype),  # to queries, keys, values
        "w_o": normal(C, C, std=end), "b_o": np.zeros(C, dtype),  # from the heads back to x
        "g2": np.ones(C, dtype), "b2": np.zeros(C, dtype),  # the norm before the MLP
        "w_up": normal(C, 4 * C), "b_up": np.zeros(4 * C, dtype),  # the MLP, 4 times as wide
        "w_down": normal(4 * C, C, std=end), "b_down": np.zeros(C, dtype),  # and back to x
    } for _ in range(layers))]


def block(x, w, H):
    """Add to x the output of attention, then the output of an MLP at each position."""
    n1, norm1 = layer_norm(x, w["g1"], w["b1"])
    qkv = linear(n1, w["w_qkv"], w["b_qkv"])
    found, heads = attention(qkv, H)
    x = x + linear(found, w["w_o"], w["b_o"])
    n2, norm2 = layer_norm(x, w["g2"], w["b2"])
    up = linear(n2, w["w_up"], w["b_up"])
    active, tanh = gelu(up)
    x = x + linear(active, w["w_down"], w["b_down"])
    return x, (n1, norm1, found, heads, n2, norm2, up, active, tanh)

def block_backward(dx, saved, w):
    """Return dx and gradients: an addition hands dx to the branch and to x, where both add up."""
    n1, norm1, found, heads, n2, norm2, up, active, tanh = saved
    dw = {}
    dactive, dw["w_down"], dw["b_down"] = linear_backward(dx, active, w["w_down"])
    dup = gelu_backward(dactive, up, tanh)
    dn2, dw["w_up"], dw["b_up"] = linear_backward(dup, n2, w["w_up"])
    dbranch, dw["g2"], dw["b2"] = layer_norm_backward(dn2, norm2, w["g2"])
    dx = dx + dbranch
    dfound, dw["w_o"], dw["b_o"] = linear_backward(dx, found, w["w_o"])
    dqkv = attention_backward(dfound, heads)
    dn1, dw["w_qkv"], dw["b_qkv"] = linear_backward(dqkv, n1, w["w_qkv"])
    dbranch, dw["g1"], dw["b1"] = layer_norm_backward(dn1, norm1, w["g1"])
    return dx + dbranch, dw


def forward(weights, x_BT, H):
    """Return logits (B, T, V): how strongly each character is expected after each of x."""
    outside, *blocks = weights
    x, saved = outside["wte"][x_BT] + outside["wpe"][: x_BT.shape[1]], []  # what is here; where
    for w in blocks:
        x, of_block = block(x, w, H)
        saved.append(of_block)
    n, norm = layer_norm(x, outside["g"], outside["b"])
    return n @ outside["wte"].T, (n, norm, saved)  # compared with the vector of each character

def backward(dlogits_BTV, weights, x_BT, saved):
    """Return the gradient of every weight, in lists and dicts like those of the weights."""
    outside, *blocks = weights
    n, norm, of_blocks = saved
    d, dblocks = {}, []
    dn, dtable_CV, _ = linear_backward(dlogits_BTV, n, outside["wte"].T)
    dx, d["g"], d["b"] = layer_norm_backward(dn, norm, outside["g"])
    for w, of_block in zip(reversed(blocks), reversed(of_blocks), strict=True):
        dx, dw = block_backward(dx, of_block, w)
        dblocks.insert(0, dw)
    d["wpe"] = np.zeros_like(outside["wpe"])
    d["wpe"][: x_BT.shape[1]] = dx.sum(axis=0)  # a position has one vector for all texts
    d["wte"] = dtable_CV.T  # the table was used twice: both gradients add up
    np.add.at(d["wte"], x_BT, dx)  # a row for every time that its character is there
    return [d, *dblocks]


def loss_and_gradients(weights, x_BT, y_BT, H):
    logits_BTV, saved = forward(weights, x_BT, H)
    loss, p_BTV = cross_entropy(logits_BTV, y_BT)
    return loss, backward(cross_entropy_backward(p_BTV, y_BT), weights, x_BT, saved)


# ---- Learning, and telling what was learned.
def adamw(weights, gradients, m, v, step, rate, b1=0.9, b2=0.99, decay=0.1, longest=1.0):
    """Move each weight by its mean gradient m over the root of its mean square v, in place."""
    norm = math.sqrt(sum(float((g * g).sum()) for part in gradients for g in part.values()))
    for i, part in enumerate(weights):
        for name, w in part.items():
            g = gradients[i][name] * min(1.0, longest / norm)  # as one vector, at most 1 long
            m[i][name] += (1 - b1) * (g - m[i][name])
            v[i][name] += (1 - b2) * (g * g - v[i][name])
            w *= 1 - rate * decay * (w.ndim == 2)  # only matrices: gains and biases must not shrink
            mean, square = m[i][name] / (1 - b1**step), v[i][name] / (1 - b2**step)
            w -= rate * mean / (np.sqrt(square) + 1e-8)


def learning_rate(step, steps, warmup=50, peak=4e-3):
    """Rise in a line while m and v rest on few gradients, then fall half a cosine to a tenth."""
    cosine = (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))) / 2
    return peak * ((step + 1) / (warmup + 1) if step < warmup else 0.1 + 0.9 * cosine)


def batch(rng, ids, B, T):
    """Return B windows of the text, and the next character after each of theirs."""
    windows_BT = rng.integers(0, len(ids) - T, size=(B, 1)) + np.arange(T)
    return ids[windows_BT], ids[windows_BT + 1]


def sample(weights, ids, count, rng, T, H, temperature=0.8):
    """Draw the next character, add it to the text, and again."""
    for _ in range(count):
        logits_V = forward(weights, np.array([ids[-T:]]), H)[0][0, -1].astype(np.float64)
        ids = [*ids, int(rng.choice(len(logits_V), p=softmax(logits_V / temperature)))]
    return ids


def main(path, steps=1500, T=96, C=64, H=4, layers=3, B=12):
    text = Path(path).read_text(encoding="utf-8")
    if len(text) < 20 * T:
        sys.exit(f"{path} has {len(text):,} characters; give a text of {20 * T:,} or more")
    alphabet = sorted(set(text))  # a character's number is its place here; a newline is 0
    ids, V = np.array([alphabet.index(character) for character in text]), len(alphabet)
    rng, cut = np.random.default_rng(1), len(ids) * 9 // 10
    seen, unseen = ids[:cut], batch(rng, ids[cut:], 4 * B, T)
    weights = initial_weights(rng, V, T, C, layers)
    m, v = ([{name: 0 * w for name, w in part.items()} for part in weights] for _ in "mv")
    print(f"a blind guess: loss ln {V} = {math.log(V):.3f}")
    for step in range(steps):
        loss, gradients = loss_and_gradients(weights, *batch(rng, seen, B, T), H)
        adamw(weights, gradients, m, v, step + 1, learning_rate(step, steps))
        if step % 100 == 0 or step == steps - 1:
            other, _ = cross_entropy(forward(weights, unseen[0], H)[0], unseen[1])
            print(f"step {step:4}  loss {loss:.3f}, on text not seen {other:.3f}", flush=True)
    print("".join(alphabet[i] for i in sample(weights, [0], 600, rng, T, H)))
    # Is a gradient what it claims to be? Nudge one weight, and see how much the loss changes.
    weights = [{name: w.astype(np.float64) for name, w in part.items()} for part in weights]
    loss, gradients = loss_and_gradients(weights, *unseen, H)
    weights[0]["wte"][1, 0] += 1e-6
    change = (loss_and_gradients(weights, *unseen, H)[0] - loss) / 1e-6
    print(f"\ngradient {gradients[0]['wte'][1, 0]:.7f}, by a nudge of the weight {change:.7f}")


if __name__ == "__main__":
    sys.exit(__doc__) if len(sys.argv) != 2 else main(sys.argv[1])
