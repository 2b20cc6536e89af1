"""The page: one HTML file that needs no server and no network, and cannot reach one.

Names and prompts reach it as JSON that contains no markup, and the page shows them as text. Its
content security policy allows only its own script and its own style sheet, each by its hash.
"""

import base64
import hashlib
import json
import re
import sys
from contextlib import ExitStack
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np

from autograd import backend
from npgpt import tales
from npgpt.checkpoint import arrays_of, kept
from npgpt.config import check_handled, unhandled
from npgpt.data.conversations import USER
from npgpt.generate import window_start
from npgpt.gpt import GPT, CausalLM
from npgpt.loading import arch_of, load_model
from npgpt.loading.runs import load_run
from npgpt.loading.transformers_folder import local_folder
from npgpt.look import history
from npgpt.look.packing import pack
from npgpt.look.record import record_gradient, record_pass, record_rounding
from npgpt.models import architecture
from npgpt.models.llama import Llama
from npgpt.support.card import head
from npgpt.support.folders import check_free
from npgpt.support.text import starting_prompt
from npgpt.tales.grammar import Mention
from npgpt.tokenizers import CharTokenizer

LIVE = 4_000_000  # most parameters of a model that a page holds
SHOWN = ("vocab_size", "block_size", "n_layer", "n_head", "n_embd", "bias", "tie_weights")
OF_LLAMAS = ("n_kv_head", "n_inner", "rope_base", "norm_eps")  # of recorded passes only
WINDOW = 512  # most tokens that a page shows
IMPORT = re.compile(r'^import ([^;]*) from "(?:\.\.?/)+([^;]*)\.js";', re.M)
HEADING = "A small GPT that runs, learns and is checked in this page"
LEAD = "Change the text and watch how each part shapes the answer."
RECORDED = "What a language model computes for one text"
RECORDED_LEAD = "See what each head reads, and how the answer forms."
OUT = " with --out"
OWN = b'<head>\n<meta charset="utf-8">\n<meta name="generator" content="npgpt look">\n'


def shows(model, tokenizer):
    """Return whether there can be a page of a model that was trained here."""
    known = unhandled(model.config, SHOWN + OF_LLAMAS) is None
    return isinstance(model, CausalLM) and known and _encodes(tokenizer)


def _encodes(tokenizer):
    """Return whether tokenizer.js encodes a text as this tokenizer does."""
    if isinstance(tokenizer, CharTokenizer):
        return True
    return getattr(tokenizer, "pattern", "") in ("gpt2", None) and not tokenizer.absent


def open_subject(name):
    """Return the `Loaded` GPT or Llama in a folder or file or under a name; ValueError if no page
    can show it."""
    folder = local_folder(name)
    arch = arch_of(folder)
    if not issubclass(architecture(arch).Model, CausalLM):
        raise ValueError(
            f"{folder} is a {arch}, and the page shows models that continue a text, gpt and llama: "
            "name the run of one, such as runs/tales"
        )
    return replace(load_model(folder), name=Path(name).resolve().name)


def check_target(path):
    """Raise ValueError unless `path` is free or holds a page that was made here before."""
    path = Path(path)
    if path.is_dir() or path.suffix not in (".html", ".htm"):
        raise ValueError(f"{path}: a page is an HTML file, which a browser prints as PDF; name it "
                         f"{path.stem}.html{OUT}")
    check_free(path, OUT, OWN)
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {path.parent}; make it first, or name a file{OUT}")


def make_page(subject, prompt=None, kind="fp16", address=None, picture=""):
    """Return (HTML, record): the page of a `npgpt.loading.Loaded`, and its data by name.

    prompt    the text that it opens with; default: `default_prompt`
    kind      storage of the weights, one of `npgpt.look.packing.STORAGE_FORMATS`
    address   URL at which it will be found, for its links, and with `picture` for the card
              (`npgpt.support.card`)

    Raises ValueError for a prompt that the tokenizer cannot encode or of fewer than two tokens.
    """
    print(f"computing the page of {subject.name}", file=sys.stderr, flush=True)
    # NumPy, for one text: to compile kernels would take far longer.
    with backend.using("numpy"), ExitStack() as stack:
        data = history.open_text(subject.run, subject.tokenizer, stack)
        record = _record(subject, prompt, kind, data)
    return assemble(record, address, picture), record


def _record(subject, prompt, kind, data):
    model, tokenizer, run = subject.model, subject.tokenizer, subject.run
    config, weights = model.config, arrays_of(model)
    llama = isinstance(model, Llama)
    known = SHOWN + OF_LLAMAS
    check_handled(config, known, "the page of npgpt look", "SHOWN of npgpt/look/page.py")
    live = model.num_parameters() <= LIVE and not llama
    prompt = default_prompt(subject, data) if prompt is None else prompt
    ids, window = tokenizer.encode(prompt, allowed_special="all"), min(WINDOW, config.block_size)
    ids = ids[window_start(len(ids), window) :]
    if len(ids) < 2:
        raise ValueError("--prompt: give a text of two tokens or more, so that there is a loss")
    packed, stored = pack(weights, kind) if live else ({}, {})
    if live:
        model = GPT(config, dtype=np.float64).eval()
        for name, weight in model.parameters().items():
            weight.data[...] = stored[name]
    passed = None if live else record_pass(model, ids)
    exact = live and history.is_tales(run) and isinstance(tokenizer, CharTokenizer)
    return {
        "name": subject.name,
        "arch": type(model).__name__,
        "config": {name: getattr(config, name) for name in SHOWN if hasattr(config, name)},
        "llama": {"kv_heads": config.kv_heads, "inner": config.inner} if llama else None,
        "parameters": model.num_parameters(),
        "kind": kind if live else None,
        "weights": packed,
        "rounding": record_rounding(subject.model, model, ids) if live else None,
        "window": window,
        "tokenizer": _tokenizer(tokenizer, live, ids, passed),
        "prompt": prompt,
        "ids": ids.tolist(),
        "gradient": record_gradient(model, ids, entries=live),
        "pass": passed,
        "kept": _kept(run) if live and run else [],
        "optimizer": history.optimizer_settings(run),
        "others": history.validation_text(data, window) if live and data else None,
        "grammar": _grammar(tales.GRAMMAR) if exact else None,
    }


def default_prompt(subject, data):
    """Return the tales' sentence with "it", or validation text, or else a text by the model."""
    tokenizer = subject.tokenizer
    if history.is_tales(subject.run):
        # Other tokens have the space before their word.
        return tales.SENTENCE_WITH_IT + " " * (type(tokenizer) is CharTokenizer)
    text = history.validation_prompt(data) if data else None
    if text and len(tokenizer.encode(text)) > 1:
        return text
    begin = USER if USER in tokenizer.special_ids else starting_prompt(tokenizer)
    start = tokenizer.encode(begin, allowed_special="all")
    text = tokenizer.decode(subject.model.generate(start, 40, temperature=0.8, seed=0))
    # A character that was cut in the middle cannot be typed.
    return text.lstrip("\n").replace("\ufffd", "") or text


def _tokenizer(tokenizer, live, ids, passed):
    """Return the tokenizer for the page; without a model, only the texts of the shown tokens."""
    names = [token.decode("latin-1") for token in tokenizer.tokens]  # one character per byte
    if not live:
        shown = set(ids.tolist()) | {v for row in passed["lens"] for t in row for v, _ in t}
        return {"kind": "none", "tokens": {v: names[v] for v in sorted(shown)}}
    if isinstance(tokenizer, CharTokenizer):
        return {"kind": tokenizer.kind, "tokens": names, "special": tokenizer.special_ids}
    if not _encodes(tokenizer):
        raise ValueError(
            "the page cannot encode a text as this model's tokenizer does; name a model that has "
            "characters, or byte pairs that are split as GPT-2's, such as runs/tales"
        )
    learned = {"pattern": tokenizer.pattern, "merges": tokenizer.merges,
               "ids": list(tokenizer.ids), "special": tokenizer.special_ids}
    return {"kind": "bpe", "tokens": names} | learned


def _kept(run):
    """Return [[step, weights in int8], ...] of the checkpoints that a run has kept."""
    models = {step: load_run(path)[0] for step, path in kept(run.folder).items()}
    return [[step, pack(arrays_of(model), "int8")[0]] for step, model in models.items()]


def _grammar(grammar):
    """Return {name: options}; an option is [symbols, traits], and a symbol is a text, {"say":
    [slot, trait]} for a mention, or {"choose": source, "slot": slot}."""

    def record_of(symbol):
        if isinstance(symbol, str):
            return symbol
        if isinstance(symbol, Mention):
            return {"say": list(symbol)}
        return {"choose": symbol.source, "slot": symbol.slot}

    return {
        name: [[[*map(record_of, option.symbols)], dict(option.traits)] for option in options]
        for name, options in grammar.lists.items()
    }


def view_titles():
    """Return {title: id} of the page's views."""
    views = (files("npgpt.look") / "page" / "views").iterdir()
    heads = (view.read_text(encoding="utf-8") for view in sorted(views, key=str))
    found = (re.search(r'id: "(\w+)",\s*title: "([^"]+)"', head) for head in heads)
    return {head[2]: head[1] for head in found if head}


def assemble(record, address=None, picture=""):
    """Return the HTML of a record, with URLs as in `make_page`."""
    folder = files("npgpt.look") / "page"

    def read(name):
        return folder.joinpath(*name.split("/")).read_text(encoding="utf-8")

    script = "const modules={};\n" + _joined("look", read, set())
    values = {"style": read("style.css"), "script": script, "record": _as_json(record)}
    heading, lead = (HEADING, LEAD) if record.get("kind") else (RECORDED, RECORDED_LEAD)
    values |= {"heading": heading, "lead": lead}
    title = f"{heading}: {record.get('name', 'a GPT')}"
    values["head"] = head(title, f"{heading}. {lead}", address, picture)
    values["policy"] = "; ".join((
        "default-src 'none'", "img-src data:", f"script-src '{_hash(script)}'",
        f"style-src '{_hash(values['style'])}'", "base-uri 'none'", "form-action 'none'",
    ))
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], read("index.html"))


def _joined(name, read, done):
    """Return a module as part of one script: a function with its own scope, called at once. Before
    it are the modules that it imports, without those in the set `done`, to which all are added."""
    done.add(name)
    script = read(f"{name}.js")
    before = (_joined(each, read, done) for _, each in IMPORT.findall(script) if each not in done)
    exported = re.findall(r"^export (?:function|class|const) (\w+)", script, re.M)

    def imported(found):
        return f'const {found[1].replace(" as ", ": ")} = modules["{found[2]}"];'

    body = re.sub(r"^export ", "", IMPORT.sub(imported, script), flags=re.M)
    own = f'modules["{name}"] = (() => {{\n{body}return {{ {", ".join(exported)} }};\n}})();\n'
    return "".join(before) + own


def _as_json(value):
    """Return JSON that is safe in a script element: ASCII, without <, > and &."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _hash(text):
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode()
