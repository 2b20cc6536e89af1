"""Write GGUF, the file of llama.cpp, by the package `gguf`; `npgpt.loading.gguf` reads it."""

import os
from pathlib import Path

import numpy as np

from npgpt.data.chat_template import eos_token
from npgpt.loading.gguf import HEADS, NO_MERGES, SPLITS, UNUSED, halves, names_of, settings_of
from npgpt.models.file_layout import described, renamed
from npgpt.support.files import atomic_file, unfinished
from npgpt.tokenizers import BPETokenizer, CharTokenizer
from npgpt.tokenizers.gpt2_files import byte_to_unicode

SPELLING = byte_to_unicode()
KINDS = ("F32", "BF16", "Q8_0")  # of the matrices; all else is F32
NORMAL, CONTROL = 1, 3  # types of tokens


def save(path, files, settings, weights, tokenizer=None, template=None, kind="F32"):
    """Write a model, completely or not at all.

    files      of a GPT-2 or a Llama; settings, weights: as in `save_folder`
    tokenizer  a BPETokenizer or a CharTokenizer; None for a model that is given ids
    template   a `ChatTemplate`, or None
    kind       one of KINDS

    Raises ImportError without the package, ValueError for a model or a tokenizer that has no such
    file, before anything is written.
    """
    if files.model_type not in ("gpt2", "llama"):
        raise ValueError(f"{path}: GGUF is written of a gpt or a llama, not of a "
                         f"{files.model_type}; name a folder, and it is written as transformers'")
    import gguf  # of the extra chat

    of, path = gguf.GGMLQuantizationType[kind], Path(path)
    vocabulary = _vocabulary(tokenizer, template)
    config, _ = described(files, settings, weights)
    config |= {"n_inner": len(weights["h.0.mlp.c_proj.weight"])}
    writer = gguf.GGUFWriter(None, files.model_type)
    for name, theirs in settings_of(files).items():
        if config.get(name) is not None:
            add = writer.add_float32 if isinstance(config[name], float) else writer.add_uint32
            add(f"{files.model_type}.{theirs}", config[name])
    writer.add_vocab_size(settings["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType[f"{'ALL' if kind == 'F32' else 'MOSTLY'}_{kind}"])
    for name, (add, value) in vocabulary.items():
        getattr(writer, f"add_{add}")(f"tokenizer.{name}", value)
    ours = {ours: theirs for theirs, ours in names_of(files.model_type).items()}
    for name, array in renamed(weights, ours, ("wte", "wpe")):
        if heads := HEADS.get(name.split(".")[-2]):
            array = halves(array, settings[heads] or settings["n_head"], back=True)
        array, is_matrix = np.ascontiguousarray(array), array.ndim == 2 and "position" not in name
        if is_matrix and kind == "Q8_0" and array.shape[1] % 32:
            raise ValueError(f"Q8_0 has a scale for each 32 inputs, and {name} has "
                             f"{array.shape[1]} of them; take BF16")
        stored = gguf.quantize(array, of) if is_matrix else array
        writer.add_tensor(name, stored, raw_dtype=of if is_matrix else None)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in unfinished(path):  # of an export that was killed
        left.unlink(missing_ok=True)
    with atomic_file(path) as file:
        writer.write_header_to_file(Path(file.name))
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        writer.close()
        writer.write_padding(file, file.seek(0, os.SEEK_END))
        for tensor in writer.tensors[0].values():  # the package's loop hides what fails
            file.write(tensor.tensor)
            writer.write_padding(file, tensor.nbytes)


def _vocabulary(tokenizer, template):
    """Return {setting: (its type, its value)}.

    A character is a token of bytes: merges make the bytes of one a whole.
    """
    if tokenizer is None:
        return {"ggml.model": ("string", "no_vocab")}
    splits = {ours: theirs for theirs, ours in SPLITS.items()}
    split = splits.get(getattr(tokenizer, "pattern", "gpt2"))
    if split is None or type(tokenizer) not in (BPETokenizer, CharTokenizer):
        raise ValueError(
            "GGUF is written of characters, and of byte pairs with the split of "
            f"{' or '.join(splits)}, and this is a {type(tokenizer).__name__} with "
            f"{getattr(tokenizer, 'pattern', None)}; name a folder, and it is written as "
            "transformers'"
        )
    special = {i: text for text, i in tokenizer.special_ids.items()}
    texts = [special.get(i) or _spelled(t) or f"<|unused{i}|>"
             for i, t in enumerate(tokenizer.tokens)]
    if len(set(texts)) < len(texts):
        raise ValueError("a special token is spelled as another token; GGUF cannot hold both")
    types = [CONTROL if i in special else NORMAL if token else UNUSED
             for i, token in enumerate(tokenizer.tokens)]
    if isinstance(tokenizer, BPETokenizer):
        of = tokenizer.merged
        pairs = [(of[left], of[right]) for left, right in tokenizer.merges]
    else:
        pairs = dict.fromkeys((t[:k], t[k : k + 1]) for i, t in enumerate(tokenizer.tokens)
                              if i not in special for k in range(1, len(t)))
    found = {
        "ggml.model": ("string", "gpt2"), "ggml.pre": ("string", split),
        "ggml.tokens": ("array", texts), "ggml.token_type": ("array", types),
        "ggml.merges": ("array", [f"{_spelled(a)} {_spelled(b)}" for a, b in pairs] or NO_MERGES),
        "ggml.add_bos_token": ("bool", False),
    }
    if template:
        found["chat_template"] = "string", template.template
    end = eos_token(tokenizer, template)
    for name, text in {"eos": end, "bos": template and template.tokens.get("bos_token")}.items():
        if text in tokenizer.special_ids:
            found[f"ggml.{name}_token_id"] = "uint32", tokenizer.special_ids[text]
    return found


def _spelled(token):
    return "".join(map(SPELLING.__getitem__, token))
