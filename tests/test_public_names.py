"""What a program of one's own calls: names that are there, typed, shown, copied, loaded; and what
is said to habits from elsewhere.
"""

import copy
import inspect
import subprocess
import sys
import typing
from importlib.metadata import version
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest
from tiny_run import environment

import autograd
import npgpt
from autograd import Tensor
from npgpt import GPT, T5, AdamW, Bert, BPETokenizer, CharTokenizer, Llama
from npgpt.models import ARCHITECTURES
from npgpt.sampling import Sampling, SamplingKeywords
from npgpt.tokenizers import WordTokenizer

ROOT = Path(__file__).parents[1]
SIZES = {"vocab_size": 11, "block_size": 8, "n_layer": 1, "n_head": 2, "n_embd": 8}
MODEL = pytest.mark.parametrize(
    "cls", [f.Model for f in ARCHITECTURES.values() if f.files], ids=lambda cls: cls.__name__
)
# A habit from elsewhere, and what a type checker says of it.
PROGRAM = """
import numpy as np
from autograd import Tensor, gradcheck, layer_norm, no_grad, softmax
from npgpt import GPT, AdamW, BPETokenizer, CharTokenizer, GPTConfig, load, save

tokenizer = CharTokenizer.train("to be or not to be")
ids: np.ndarray = tokenizer.encode("to be")
config = GPTConfig(tokenizer.vocab_size, block_size=8, n_layer=1, n_head=2, n_embd=8)
model = GPT(config, seed=0)
optimizer = AdamW(model.parameters(), lr=1e-3)
logits, loss = model(ids[None, :-1], ids[None, 1:])
loss.backward()
norm: float = optimizer.step()
weights: dict[str, Tensor] = model.parameters()
text: str = tokenizer.decode(model.generate(ids, 5, temperature=0.0, top_k=3, seed=1, stop=2))
for token in model.stream(ids, 5, top_p=0.9):
    number: int = token
probabilities: Tensor = 2.0 * softmax(logits, axis=-1) @ Tensor(np.eye(8))
with no_grad():
    worst: float = gradcheck(layer_norm, [np.ones((2, 3)), np.ones(3)]).worst.error
bpe: BPETokenizer = BPETokenizer.train("hug hug", 257)
loaded, its_tokenizer, run = load("runs/tales")
save(loaded, its_tokenizer, "folder")
GPT.from_pretrained("folder", weights="int8").save_pretrained("other")
"""
MISTAKES = {
    "softmax(Tensor([1.0]), dim=0)": "dim",
    "Tensor([1.0]).numpy()": "numpy",
    "AdamW([Tensor([1.0])])": "AdamW",
    "GPT({'n_embd': 8})": "GPT",
    "model.generate(ids, 5, temprature=1.0)": "temprature",
    "CharTokenizer.train(['a'])": "CharTokenizer",
}


def made(cls):
    return cls(cls.Config(**SIZES), seed=1)


# ---- runs


def test_a_run_is_loaded_by_a_public_name(finished):
    model, tokenizer, run = npgpt.load_run(finished)
    assert type(model) is GPT and model.config == run.model
    ids = model.generate(tokenizer.encode("The"), 5, temperature=0)
    assert tokenizer.decode(ids).startswith("The")
    with pytest.raises(ValueError, match="no run"):
        npgpt.load_run(finished.parent)


def test_a_model_is_saved_with_its_tokenizer_and_loaded_as_by_the_commands(finished, tmp_path):
    model, tokenizer, run = npgpt.load(finished)
    assert run == npgpt.load_run(finished)[2] and not model.training
    npgpt.save(model, tokenizer, tmp_path / "saved")
    again, same, no_run = npgpt.load(tmp_path / "saved")
    ids = tokenizer.encode("The hen")
    assert no_run is None and same.tokens == tokenizer.tokens
    np.testing.assert_array_equal(again(ids[None])[0].data, model(ids[None])[0].data)
    with pytest.raises(ValueError, match="saved"):
        npgpt.save(model, tokenizer, tmp_path / "saved")
    auto = pytest.importorskip("transformers", reason="the extra 'peers'").AutoTokenizer
    assert auto.from_pretrained(tmp_path / "saved")("The hen")["input_ids"] == ids.tolist()


@MODEL
def test_from_pretrained_of_a_run_says_how_to_load_it(cls, finished):
    with pytest.raises(ValueError, match=r"hens.*npgpt.load"):
        cls.from_pretrained(finished)


def test_the_version_is_that_of_the_package():
    assert npgpt.__version__ == version("npgpt")


# ---- copies, and what is shown


@MODEL
@pytest.mark.parametrize("again", [
    copy.copy, copy.deepcopy, lambda x: ForkingPickler.loads(ForkingPickler.dumps(x)),
])
def test_a_model_is_copied_and_pickled(cls, again):
    model = made(cls)
    other = again(model)
    idx_BT = np.arange(8).reshape(2, 4)
    inputs = (idx_BT, idx_BT) if cls is T5 else (idx_BT,)
    np.testing.assert_array_equal(model(*inputs)[0].data, other(*inputs)[0].data)
    assert other.config == model.config and list(other.parameters()) == list(model.parameters())


@MODEL
def test_a_model_shows_its_settings_and_its_size(cls):
    model = made(cls)
    shown = repr(model)
    assert shown.startswith(f"{cls.__name__}({model.config}")
    assert f" {model.num_parameters():,} " in shown


def test_tokenizers_show_what_they_are():
    assert repr(CharTokenizer.train("hello")) == "CharTokenizer(vocab_size=4)"
    assert repr(WordTokenizer(" adegot", [" dog"])) == "WordTokenizer(vocab_size=8)"
    assert repr(BPETokenizer.train("hug hug", 257)) == "BPETokenizer(vocab_size=257)"


# ---- types


def public_functions():
    for cls in (GPT, Llama, Bert, T5, AdamW, CharTokenizer, WordTokenizer, BPETokenizer, Tensor):
        for name in dir(cls):
            function = getattr(cls, name)
            is_public = not name.startswith("_") or name in ("__init__", "__call__")
            if is_public and inspect.isroutine(function) and hasattr(function, "__code__"):
                yield pytest.param(function, id=f"{cls.__name__}.{name}")
    loaders = npgpt.load, npgpt.load_run, npgpt.load_tokenizer, npgpt.save
    for function in (*loaders, autograd.gradcheck, autograd.op, autograd.vjp):
        yield pytest.param(function, id=function.__name__)


@pytest.mark.parametrize("function", list(public_functions()))
def test_public_names_have_types(function):
    hints = typing.get_type_hints(function)
    parameters = [p for p in inspect.signature(function).parameters if p not in ("self", "cls")]
    assert set(parameters) <= set(hints)
    assert "return" in hints


def test_type_checkers_know_each_setting_of_sampling():
    fields = typing.get_type_hints(Sampling)
    assert fields == typing.get_type_hints(SamplingKeywords)


@pytest.mark.slow
def test_a_type_checker_knows_the_public_names(tmp_path):
    pytest.importorskip("mypy", reason="mypy, of the extra 'peers', is not installed")
    for package in (autograd, npgpt):
        assert (Path(package.__file__).parent / "py.typed").exists()
    program = tmp_path / "program.py"
    program.write_text(PROGRAM + "\n".join(MISTAKES), encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent",
               f"--cache-dir={tmp_path}", program.name]
    run = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, encoding="utf-8",
                         env=environment(MYPYPATH=str(ROOT)))
    errors = [line for line in run.stdout.splitlines() if ": error:" in line]
    first = PROGRAM.count("\n") + 1
    for line, (mistake, word) in enumerate(MISTAKES.items(), first):
        assert any(e.startswith(f"program.py:{line}:") and word in e for e in errors), mistake
    assert len(errors) == len(MISTAKES), run.stdout


@pytest.mark.parametrize("package", [autograd, npgpt], ids=lambda package: package.__name__)
def test_public_names_are_listed_for_type_checkers(package):
    imported = {name for name, value in vars(package).items()
                if not name.startswith("_") and not inspect.ismodule(value)}
    assert len(package.__all__) == len(set(package.__all__))
    assert imported == set(package.__all__) - {"__version__"}
