"""Read GGUF, the file of llama.cpp: settings, tokenizer and weights of a Llama or a GPT-2.

    "GGUF", 3, how many tensors, how many settings    little-endian, as all that follows
    name, type, value                                 of each setting; a text is its size and UTF-8
    name, shape, kind, position                       of each tensor; its last axis comes first
    the tensors                                       each at a multiple of the alignment

Source: docs/gguf.md of ggml. A file from a stranger is checked against its size before memory is
taken for what it claims to hold.
"""

import functools
import json
import math
import struct
from pathlib import Path

import numpy as np

from npgpt.data.chat_template import ChatTemplate
from npgpt.fast.storage import restored
from npgpt.loading.transformers_folder import check_config, in_float32
from npgpt.models.file_layout import renamed
from npgpt.support.files import open_file
from npgpt.support.text import shown
from npgpt.tokenizers import BPETokenizer, CharTokenizer, huggingface_format
from npgpt.tokenizers.gpt2_files import byte_to_unicode

# types of settings; of numbers with their codes in `struct`
NUMBERS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
TEXT, ARRAY = 8, 9
# kind -> (name, weights in a block, bytes of a block)
KINDS = {0: ("F32", 1, 4), 1: ("F16", 1, 2), 30: ("BF16", 1, 2), 8: ("Q8_0", 32, 34),
         2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20)}
MAX_ARRAY_TEXTS = 1 << 22  # texts in an array

# The name of a setting in `Files`, or else in config.json -> here
SETTINGS = {
    "block_size": "context_length", "n_layer": "block_count", "n_embd": "embedding_length",
    "n_head": "attention.head_count", "n_kv_head": "attention.head_count_kv",
    "n_inner": "feed_forward_length", "norm_eps": "attention.layer_norm_rms_epsilon",
    "rope_theta": "rope.freq_base", "head_dim": "attention.key_length",
    "layer_norm_epsilon": "attention.layer_norm_epsilon",
}
NAMES = {
    "token_embd": "wte", "position_embd": "wpe", "output_norm": "ln_f", "output": "lm_head",
    **{f"blk.{{}}.{theirs}": f"h.{{}}.{ours}" for theirs, ours in {
        "attn_norm": "ln_1", "ffn_norm": "ln_2", "ffn_down": "mlp.c_proj",
        "attn_q": "attn.q", "attn_k": "attn.k", "attn_v": "attn.v", "ffn_gate": "mlp.gate",
    }.items()},
}
OF = {  # names that differ between the architectures
    "gpt2": {"attn_qkv": "attn.c_attn", "attn_output": "attn.c_proj", "ffn_up": "mlp.c_fc"},
    "llama": {"attn_output": "attn.o", "ffn_up": "mlp.up"},
}
HEADS = {"attn_q": "n_head", "attn_k": "n_kv_head"}  # whose rows change their order
SPLITS = {"gpt-2": "gpt2", "smollm": "smollm"}  # llama.cpp's names
NO_MERGES = ["ÿ ÿ"]  # llama.cpp wants one; no text has these bytes
UNUSED, SPECIAL = 5, (3, 4)  # types of tokens


def settings_of(files):
    """Return {name of a setting in config.json: its name here, after the architecture's}."""
    return {files.settings.get(ours, ours): theirs for ours, theirs in SETTINGS.items()}


def names_of(arch):
    """Return {name of a part here: ours}, with {} for the index of a block."""
    return NAMES | {f"blk.{{}}.{theirs}": f"h.{{}}.{ours}" for theirs, ours in OF[arch].items()}


def is_gguf(path):
    """Return whether a path is that of a GGUF file, by its name."""
    return str(path).endswith(".gguf") and Path(path).is_file()


def read_header(path):
    """Return (settings by name, {name: (shape, kind, first byte, bytes)} of the tensors).

    Raises ValueError, which names the file, for one that is damaged or cut short.
    """
    status = Path(path).stat()
    return _read_header(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=1)  # a command asks for settings, weights and tokenizer in turn
def _read_header(path, *_):
    open_file(path, "rb").close()
    try:
        return _Header(memoryview(np.memmap(path, np.uint8, "r"))).read()
    except (ValueError, struct.error) as error:
        raise ValueError(
            f"{path} cannot be read as a GGUF file of version 2 or 3 ({error}); download it again, "
            f"or one of {', '.join(name for name, *_ in KINDS.values())}"
        ) from error


class _Header:
    """The bytes of a file, and the position of the next one to read."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def read(self):
        if self.take(4) != b"GGUF" or self.number(4) not in (2, 3):
            raise ValueError("its first bytes")
        n_tensors, n_settings = self.number(10), self.number(10)
        settings = {self.text(): self.value(self.number(4)) for _ in range(n_settings)}
        tensors = [(self.text(), *self.tensor()) for _ in range(n_tensors)]
        step = settings.get("general.alignment", 32)
        if type(step) is not int or step not in (1 << k for k in range(3, 21)):
            raise ValueError(f"its alignment is {shown(step)}")
        start = -(-self.at // step) * step
        found = {name: (shape, kind, start + p, size) for name, shape, kind, p, size in tensors}
        ends = [first + size for *_, first, size in found.values()]
        total = sum(size for *_, size in tensors)
        if len(found) < n_tensors or max([total, *ends]) > len(self.data):
            raise ValueError("its tensors overlap, or end after it")
        return settings, found

    def take(self, size):
        if size > len(self.data) - self.at:
            raise ValueError(f"{size:,} bytes are missing after byte {self.at:,}")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, kind):
        code = f"<{NUMBERS[kind]}"
        return struct.unpack(code, self.take(struct.calcsize(code)))[0]

    def text(self):
        return str(self.take(self.number(10)), "utf-8")

    def value(self, kind):
        if kind == TEXT:
            return self.text()
        if kind in NUMBERS:
            return self.number(kind)
        of = self.number(4)
        if kind == ARRAY and of in NUMBERS:
            dtype = np.dtype(f"<{NUMBERS[of]}")
            return np.frombuffer(self.take(self.number(10) * dtype.itemsize), dtype)
        if kind != ARRAY or of != TEXT or (count := self.number(10)) > MAX_ARRAY_TEXTS:
            raise ValueError(f"a setting before byte {self.at:,} has an unknown type or size")
        return [self.text() for _ in range(count)]

    def tensor(self):
        """Return (shape, kind, position, bytes)."""
        rank = min(self.number(4), 5)
        shape, kind = [self.number(10) for _ in range(rank)][::-1], self.number(4)
        if kind not in KINDS or not 1 <= rank <= 4 or shape[-1] % KINDS[kind][1]:
            raise ValueError(f"a tensor of kind {kind} has the shape {shape}")
        _, weights, length = KINDS[kind]
        return shape, kind, self.number(10), math.prod(shape) // weights * length


def load(path, files, exact=False):
    """Return (fields of a model's config class, float32 arrays by our names).

    exact   matrices are `Packed`, if the file has codes of all

    Raises ValueError for a different architecture and for a damaged file.
    """
    settings, tensors = read_header(path)
    arch = str(settings.get("general.architecture"))
    found = {name: settings.get(f"{arch}.{theirs}") for name, theirs in settings_of(files).items()}
    vocab_size = tensors.get("token_embd.weight", [[0]])[0][0]
    config = files.defaults | {"model_type": arch, "vocab_size": vocab_size} | {
        name: float(f"{value:.7g}") if isinstance(value, float) else value
        for name, value in found.items() if value is not None
    }
    check_config(config, path, files)
    fields = {ours: config.get(theirs) for ours, theirs in files.settings.items()}
    plain = {"scaling.type": "none", "scaling.factor": 1.0, "scale_linear": 1.0,
             "dimension_count": fields["n_embd"] // fields["n_head"]}
    for name, value in plain.items():
        found = settings.get(f"{arch}.rope.{name}", value)
        if not np.array_equal(found, value):
            raise ValueError(f"{path} has {arch}.rope.{name}={shown(found)}, and a model here "
                             f"{value}; use a file of plain rotary positions")
    fields |= files.read(config, tensors)
    data, arrays = np.memmap(path, np.uint8, "r"), {}
    for name, (shape, kind, first, size) in tensors.items():
        part, is_matrix = data[first : first + size], len(shape) == 2
        heads = fields.get(HEADS.get(name.split(".")[-2:][0]))
        if heads and is_matrix and shape[0] % (2 * heads) == 0 < shape[0]:
            part = halves(part.reshape(shape[0], -1), heads)
        arrays[name] = (Packed if KINDS[kind][1] > 1 and is_matrix else unpack)(part, kind, shape)
    if np.array_equal(arrays.get("output.weight"), arrays["token_embd.weight"]):
        del arrays["output.weight"]  # a GPT-2 repeats it
    fields["tie_weights"] = "output.weight" not in arrays
    weights = dict(renamed(arrays, names_of(arch), ("token_embd", "position_embd")))
    exact = exact and all(isinstance(w, Packed) for name, w in weights.items()
                          if w.ndim == 2 and name != "wpe.weight")
    return fields, weights if exact else in_float32(weights)


def halves(weight_OI, heads, back=False):
    """Return the rows of queries or keys in the order of the transformers library and of `Llama`.

    There channel i is rotated with channel i + D/2 of its head; in these files with the one after,
    the order that `back` returns to.
    """
    pairs = weight_OI.reshape(heads, *((2, -1) if back else (-1, 2)), *weight_OI.shape[1:])
    return pairs.swapaxes(1, 2).reshape(weight_OI.shape)


def unpack(data, kind, shape):
    """Return the float32 array of a tensor's bytes."""
    if KINDS[kind][1] > 1:
        array = restored(*codes(data, kind, (-1, shape[-1])))
    elif KINDS[kind][0] == "BF16":
        array = (data.view("<u2").astype(np.uint32) << 16).view(np.float32)
    else:
        array = data.view("<f4" if KINDS[kind][2] == 4 else "<f2").astype(np.float32)
    return array.reshape(shape)


def codes(data, kind, shape):
    """Return (codes (O, I) in int8, scales and offsets (O, I / 32, 2) in float16) of a matrix.

    A block of 32 weights has a scale, in Q4_1 also an offset, and a code for each weight: Q8_0 in a
    byte, Q4_0 and Q4_1 in half a byte, the first 16 in the lower halves.
    """
    kind, _, length = KINDS[kind]
    blocks, scales = data.reshape(-1, length), 2 if kind == "Q4_1" else 1
    factors = np.zeros((len(blocks), 2), np.float16)
    factors[:, :scales] = blocks[:, : 2 * scales].copy().view("<f2")
    found = blocks[:, 2:].view(np.int8)
    if kind != "Q8_0":
        found = np.concatenate([blocks[:, -16:] & 15, blocks[:, -16:] >> 4], axis=1).view(np.int8)
        found -= 8 * (kind == "Q4_0")
    found = found.reshape(shape)
    return found, factors.reshape(len(found), -1, 2)


class Packed:
    """A matrix that stays in its file, in blocks of codes; an array of it is float32.

    data, kind, shape_OI   as for `codes`; turned: whether it is the transpose, (I, O)
    """

    dtype, ndim = np.dtype(np.float32), 2

    def __init__(self, data, kind, shape_OI, turned=False):
        self.data, self.kind, self.shape_OI, self.turned = data, kind, tuple(shape_OI), turned
        self.shape, self.size = self.shape_OI[:: -1 if turned else 1], math.prod(shape_OI)
        self.in_byte = 2 if KINDS[kind][0] == "Q4_1" else 1  # codes, as a decoder stores them

    @property
    def T(self):
        return Packed(self.data, self.kind, self.shape_OI, not self.turned)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        """Return rows as an array, of a matrix as it is in the file."""
        data = self.data.reshape(len(self), -1)[rows]
        return unpack(data, self.kind, (len(data), self.shape[1]))

    def stored(self):
        """Return what `codes` does."""
        return codes(self.data, self.kind, self.shape_OI)

    def __array__(self, dtype=None, copy=None):
        weight_OI = restored(*self.stored())
        return weight_OI.T if self.turned else weight_OI


def model_type(path):
    """Return the architecture that a file names."""
    return str(read_header(path)[0].get("general.architecture"))


def tokenizer(path):
    """Return the BPETokenizer or CharTokenizer in a file.

    Raises ValueError for other kinds and a damaged one.
    """
    found = {name: read_header(path)[0].get(f"tokenizer.ggml.{name}")
             for name in ("model", "pre", "tokens", "token_type", "merges")}
    kind, split, tokens, types, merges = found.values()
    if kind != "gpt2" or split not in list(SPLITS):
        raise ValueError(
            f"{path} has a tokenizer of type {shown(kind)} with the split {shown(split)}; read are "
            f"gpt2 with {' or '.join(SPLITS)}: use the model's folder of the transformers library"
        )
    try:
        types = dict(zip(tokens, types.tolist(), strict=True))
        vocab = {token: i for i, token in enumerate(tokens) if types[token] != UNUSED}
        added = [{"content": t, "id": i} for t, i in vocab.items() if types[t] in SPECIAL]
        special_ids = {token["content"]: token["id"] for token in added}
        if texts := _characters(tokens, special_ids):
            cls, fields = CharTokenizer, json.loads(
                huggingface_format.characters_to_json("char", texts, special_ids))
        else:
            merges = [] if merges == NO_MERGES else merges
            cls, fields = BPETokenizer, {
                "model": {"type": "BPE", "vocab": vocab, "merges": merges}, "added_tokens": added,
                "pre_tokenizer": huggingface_format.pre_tokenizer(SPLITS[split]),
            }
        return cls(**huggingface_format.from_json(fields, path))
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} has a damaged tokenizer ({error}); download it again") from error


def _characters(tokens, special_ids):
    """Return the texts of the tokens; None if one is more or less than a character."""
    byte_of = {spelled: byte for byte, spelled in byte_to_unicode().items()}
    try:
        texts = [t if t in special_ids else bytes(map(byte_of.get, t)).decode() for t in tokens]
    except (UnicodeDecodeError, TypeError):
        return None
    return texts if all(len(t) == 1 or t in special_ids for t in texts) else None


def template(path):
    """Return the `ChatTemplate` in a file, None if it has none."""
    settings, _ = read_header(path)
    found, texts = {}, settings.get("tokenizer.ggml.tokens", [])
    for name in ("bos", "eos"):
        token = settings.get(f"tokenizer.ggml.{name}_token_id", -1)
        if type(token) is int and 0 <= token < len(texts):
            found[f"{name}_token"] = texts[token]
    source = settings.get("tokenizer.chat_template")
    return ChatTemplate(source, found, path) if isinstance(source, str) else None
