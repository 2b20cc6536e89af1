"""The page: one HTML file that needs no server and no network, and cannot reach one.

Texts, such as the name of a run or a prompt, reach it as JSON in which nothing can be read as
markup, and the page shows them as text. Its content security policy allows no source but the one
script and the one style sheet in it, each by its hash.
"""

import base64
import hashlib
import json
import re
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
from tqdm import tqdm

from npgpt import tales
from npgpt.char import CharTokenizer
from npgpt.config import check_known
from npgpt.files import atomic_write
from npgpt.gpt import GPT
from npgpt.io.folders import check_free
from npgpt.look.history import history, is_tales
from npgpt.look.record import record_gradient, record_pass
from npgpt.look.weights import base64_of, pack
from npgpt.tales.grammar import Mention
from npgpt.text import starting_prompt

LIVE = 4_000_000  # parameters up to which a page holds the model itself
SHOWN = ("vocab_size", "block_size", "n_layer", "n_head", "n_embd", "bias", "tie_weights")
WINDOW = 512  # tokens that a page shows at most
SCRIPTS = (  # each after those that it imports
    "ops", "model", "rules", "tokenizer", "grammar", "sampling", "state", "draw", "check",
    "views/tokens", "views/attention", "views/residual", "views/knockout", "views/embeddings",
    "views/backward", "views/training", "look",
)  # fmt: skip
OUT = " with --out"
OWN = b'<head>\n<meta charset="utf-8">\n<meta name="generator" content="npgpt look">\n'


def check_target(path):
    """Raise ValueError unless nothing is at `path`, or a page that was made here before."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name a file{OUT}, such as {path}.html")
    check_free(path, OUT, OWN)
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {path.parent}; make it first, or name a file{OUT}")


def write_page(path, html):
    """Write the page, unless something has come to be at `path` since it was checked."""
    check_target(path)
    atomic_write(path, html)


def make_page(subject, prompt=None, kind="fp16"):
    """(HTML, record): the page of a `npgpt.look.subject.Subject`, and what it holds, by name.

    prompt   the text that it opens with; default: the sentence with "it" of the tales, or a text
             that the model writes
    kind     how weights are stored, of `npgpt.look.weights.KINDS`

    Raises ValueError for a prompt that the tokenizer cannot encode or of fewer than two tokens.
    """
    with tqdm(total=4, leave=False, disable=None, bar_format="{desc}  {elapsed}") as bar:

        def progress(what):
            bar.set_description(what)
            bar.update()
            if bar.disable:  # in a pipe
                print(what, file=sys.stderr, flush=True)

        record = _record(subject, prompt, kind, progress)
    return assemble(record), record


def _record(subject, prompt, kind, progress):
    model, tokenizer, run = subject.model, subject.tokenizer, subject.run
    config, weights = model.config, {name: w.data for name, w in model.parameters().items()}
    check_known(config, {*SHOWN, "dropout"}, "the page of npgpt look")
    live = model.num_parameters() <= LIVE
    prompt = default_prompt(subject) if prompt is None else prompt
    ids = tokenizer.encode(prompt)[-min(WINDOW, config.block_size) :]
    if len(ids) < 2:
        raise ValueError("--prompt: give a text of two tokens or more, so that there is a loss")
    progress("packing the weights")
    packed, stored = pack(weights, kind) if live else ({}, {})
    if live:
        model = GPT(config, dtype=np.float64)
        for name, weight in model.parameters().items():
            weight.data[...] = stored[name]
    progress("recording forward and backward (compiling, the first time)")
    gradient = record_gradient(model, ids)
    passed = None if live else record_pass(model, ids)
    progress("reading how it was trained")
    trained = history(run, tokenizer) if run else None
    told = is_tales(run) and isinstance(tokenizer, CharTokenizer)  # it knows characters
    progress("writing")
    return {
        "name": subject.name,
        "config": {name: getattr(config, name) for name in SHOWN},
        "parameters": model.num_parameters(),
        "kind": kind if live else None,
        "weights": packed,
        "window": min(WINDOW, config.block_size),
        "tokenizer": _tokenizer(tokenizer, live, ids, passed),
        "prompt": prompt,
        "ids": ids.tolist(),
        "gradient": gradient,
        "pass": passed,
        "plane": _plane(model.wte.weight.data) if live else None,
        "training": trained,
        "grammar": _grammar(tales.GRAMMAR) if live and told else None,
    }  # fmt: skip


def default_prompt(subject):
    if is_tales(subject.run):
        return tales.SENTENCE_WITH_IT + " "
    start = subject.tokenizer.encode(starting_prompt(subject.tokenizer))
    text = subject.tokenizer.decode(subject.model.generate(start, 40, temperature=0.8, seed=0))
    # What a token leaves of a character that was cut is no text to type.
    return text.lstrip("\n").replace("\ufffd", "") or text


def _tokenizer(tokenizer, live, ids, passed):
    """What the page needs to encode, or, without a model, the texts of the tokens that it shows."""
    names = [token.decode("latin-1") for token in tokenizer.tokens]  # a character a byte
    if not live:
        shown = set(ids.tolist()) | {v for row in passed["lens"] for t in row for v, _ in t}
        return {"kind": "none", "tokens": {v: names[v] for v in sorted(shown)}}
    if isinstance(tokenizer, CharTokenizer):
        return {"kind": "char", "tokens": names}
    parts = {name: getattr(tokenizer, name) for name in ("pattern", "merges")}
    return {"kind": "bpe", "tokens": names, "ids": list(tokenizer.ids)} | parts


def _plane(table_VC):
    """Where each token's embedding lies in the plane of their two main directions."""
    centred_VC = table_VC - table_VC.mean(axis=0)
    u_VK, size_K, _ = np.linalg.svd(centred_VC, full_matrices=False)
    xy_V2 = np.zeros((len(table_VC), 2))
    xy_V2[:, : size_K.size] = (u_VK * size_K)[:, :2]
    shares = (size_K**2 / max((size_K**2).sum(), 1e-300))[:2]
    return {"xy": base64_of(xy_V2, "f4"), "shares": shares.tolist()}


def _grammar(grammar):
    """Lists of options, each [parts, traits]; a mention is [slot, trait], a choice [slot, list] or
    [slot, mention] under the key "choose"."""

    def part(part):
        if isinstance(part, str):
            return part
        if isinstance(part, Mention):
            return {"say": list(part)}
        return {"choose": part.source, "slot": part.slot}

    return {
        name: [[[part(p) for p in option.parts], dict(option.traits)] for option in options]
        for name, options in grammar.lists.items()
    }


def assemble(record):
    """The HTML of a record."""
    folder = files("npgpt.look") / "page"

    def read(name):
        return folder.joinpath(*name.split("/")).read_text(encoding="utf-8")

    script = "const modules = {};\n"
    script += "".join(_joined(name, read(f"{name}.js")) for name in SCRIPTS)
    parts = {"style": read("style.css"), "script": script, "record": _as_json(record)}
    policy = "; ".join((
        "default-src 'none'", f"script-src '{_hash(script)}'",
        f"style-src '{_hash(parts['style'])}'", "base-uri 'none'", "form-action 'none'",
    ))  # fmt: skip
    parts["policy"] = policy
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], read("index.html"))


def _joined(name, script):
    """A module as a part of one script: a function that is called at once, for its own scope."""
    exported = re.findall(r"^export (?:function|class|const) (\w+)", script, re.M)

    def imported(found):
        return f'const {found[1].replace(" as ", ": ")} = modules["{found[2]}"];'

    body = re.sub(r'^import ([^;]*) from "(?:\.\.?/)+([^;]*)\.js";', imported, script, flags=re.M)
    body = re.sub(r"^export ", "", body, flags=re.M)
    return f'modules["{name}"] = (() => {{\n{body}return {{ {", ".join(exported)} }};\n}})();\n'


def _as_json(value):
    """JSON that can stand in a script element: ASCII, and without <, > and &."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _hash(text):
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode()
