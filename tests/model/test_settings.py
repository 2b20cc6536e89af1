"""Each setting of each kind of model has an effect, and whoever reads settings by hand knows it.

A kind of model and a setting are found here as soon as they exist: values to try follow from types.
"""

from dataclasses import MISSING, field, fields, make_dataclass, replace
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
from changed_settings import changed

from autograd import Observer, gradcheck, observing
from npgpt import GPT, CharTokenizer
from npgpt.config import NOT_COMPUTED
from npgpt.fast import decoder as fast_decoder
from npgpt.fast.decoder import Decoder
from npgpt.fast.storage import HANDLED, use_storage
from npgpt.generate import CachedLogits, KVCache
from npgpt.gpt import CausalLM
from npgpt.loading.pretrained import save_gguf
from npgpt.look import page
from npgpt.models import ARCHITECTURES, architecture
from npgpt.models.size import flops_per_token, parameters_by_part

KINDS = pytest.mark.parametrize("arch", ARCHITECTURES)
OPTIONAL = [
    (arch, f.name) for arch, kind in ARCHITECTURES.items() for f in fields(kind.Config)
    if f.default is not MISSING
]
SETTINGS = pytest.mark.parametrize(("arch", "name"), OPTIONAL)
IDX_BT = np.array([[1, 6, 0, 2], [3, 3, 1, 0]])


def model_with(arch, name):
    """Return (model, loss) of `Architecture.small_model` with one different setting."""
    config = architecture(arch).small_model(0)[0].config
    return architecture(arch).small_model(0, **{name: getattr(changed(config, name), name)})


class Products(Observer):
    """The FLOPs of products and attention, as their ops declare them."""

    total = 0

    def forward(self, op, node, inputs, settings, outputs, seconds):
        if op.name in ("linear", "matmul", "scaled_dot_product_attention"):
            self.total += op.flops(inputs, outputs, settings)


@SETTINGS
def test_parameters_and_flops_are_counted(arch, name):
    model, _ = model_with(arch, name)
    assert sum(parameters_by_part(model.config).values()) == model.num_parameters()
    if name != "mlm_head":  # a model without a head has no logits
        idx_BT = np.zeros((2, model.config.block_size), np.int64)
        batch = architecture(arch).batch(idx_BT, idx_BT, np.ones_like(idx_BT))
        with observing(Products()) as products:
            model(*batch.inputs)
        assert flops_per_token(model.config) * idx_BT.size == products.total


@SETTINGS
def test_a_setting_has_an_effect(arch, name):
    if name in ("mlm_head", "init"):
        pytest.skip("a model without a head has no loss; test_initial_weights.py tests init")
    (model, loss), (plain, of_plain) = model_with(arch, name), architecture(arch).small_model(0)
    changed_size = model.num_parameters() != plain.num_parameters()
    assert changed_size or loss().item() != of_plain().item(), f"nothing in the model reads {name}"


@SETTINGS
def test_the_loss_alone_is_that_beside_the_logits(arch, name):
    if name == "mlm_head":
        pytest.skip("a model without a head has no loss")
    model, _ = model_with(arch, name)
    batch = architecture(arch).batch(IDX_BT, IDX_BT[:, ::-1].copy(), np.ones_like(IDX_BT))
    with model.evaluating():
        alone = batch.loss(model).item()
        beside = model(*batch.inputs, batch.targets_BT, **batch.masks)[1].item()
    assert np.isclose(alone, beside, rtol=1e-10), (
        f"one of the ways to the loss leaves {name} out: `loss` (by `head_loss`) and `__call__`"
    )


@SETTINGS
@pytest.mark.slow
def test_the_gradients_are_right_with_each_setting(arch, name):
    if name == "mlm_head":
        pytest.skip("a model without a head has no loss")
    model, loss = model_with(arch, name)
    gradcheck(loss, model.parameters())


@pytest.mark.parametrize(
    ("arch", "name"), [s for s in OPTIONAL if issubclass(architecture(s[0]).Model, CausalLM)]
)
def test_no_position_sees_a_later_one_and_a_cache_changes_no_logit(arch, name):
    model, _ = model_with(arch, name)
    other_BT = IDX_BT.copy()
    other_BT[:, -1] = 5
    with model.evaluating():
        logits, later = model(IDX_BT)[0].data, model(other_BT)[0].data
    np.testing.assert_array_equal(logits[:, :-1], later[:, :-1])
    assert not np.isclose(logits[:, -1], later[:, -1]).all(axis=-1).any()
    cache = KVCache(IDX_BT.shape[1])
    for t in range(IDX_BT.shape[1]):
        found = model.next_logits(IDX_BT[:, t : t + 1], cache)
        cache.length = t + 1
        np.testing.assert_allclose(found, logits[:, t], rtol=1e-10, atol=1e-12)


# ---- Code that reads settings by hand


def show(model, folder):
    subject = SimpleNamespace(model=model, tokenizer=CharTokenizer("abcdefg"), run=None, name="x")
    recommended = page.shows(model, subject.tokenizer)
    try:
        page.make_page(subject, "abc")
        assert recommended
    except ValueError:
        assert not recommended
        raise


def readers_of(arch):
    """Yield (name in the message, settings it knows, call with a model and a folder)."""
    kind = architecture(arch)
    yield "the transformers library's file", kind.filed, kind.Model.save_pretrained
    if kind.files.model_type in ("gpt2", "llama") and find_spec("gguf"):
        yield "the GGUF file", kind.filed, save_gguf
    if kind.Model in HANDLED:
        yield "the compiled decoder", HANDLED[kind.Model], lambda m, _: Decoder(m)
    if kind.Model is GPT:
        yield "the page of npgpt look", {*page.SHOWN}, show


@KINDS
def test_a_reader_of_settings_knows_each_or_refuses_it(arch, tmp_path):
    kind, small = architecture(arch), architecture(arch).small_model(0)[0].config
    names = {f.name for f in fields(kind.Config)}
    small = replace(small, dropout=0.0)
    Config = make_dataclass(
        "Grown", [("window", int, field(default=0))], bases=(kind.Config,), frozen=True
    )
    Config.__post_init__ = lambda self: None  # 0 is no size
    plain = Config(**vars(small))
    for i, (reader, handled, read) in enumerate(readers_of(arch)):
        def call(config, i=i, read=read):
            folder = tmp_path / f"{i}-{config}"[:60]
            read(kind.Model(config, dtype=np.float32), folder)

        assert handled <= names, f"{reader} knows settings that do not exist"
        call(plain)
        with pytest.raises(ValueError) as refused:
            call(replace(plain, window=3))
            pytest.fail(f"{reader} does not call check_handled")
        assert "window=3" in str(refused.value)
        for name in sorted(names - {*handled, *NOT_COMPUTED}):
            with pytest.raises(ValueError, match=f"{reader} .* {name}="):
                call(changed(small, name))


def in_float32(model):
    copy = type(model)(model.config, dtype=np.float32)
    for name, weight in copy.parameters().items():
        weight.data[...] = model.parameters()[name].data
    return copy


def computed(model, arch):
    batch = architecture(arch).batch(IDX_BT, IDX_BT, np.array([[1, 1, 1, 1], [0, 1, 1, 1]]))
    headless = not getattr(model.config, "mlm_head", True)
    with model.evaluating():
        found = (model.hidden if headless else model)(*batch.inputs, **batch.masks)
    return (found if headless else found[0]).data


@SETTINGS
def test_a_file_is_the_model_that_was_saved_or_is_refused(arch, name, tmp_path):
    model, there = in_float32(model_with(arch, name)[0]), tmp_path / "there"
    kind = architecture(arch)
    try:
        model.save_pretrained(there)
    except ValueError as refused:
        assert f"the setting {name}=" in str(refused)
    else:
        np.testing.assert_allclose(
            computed(kind.Model.from_pretrained(there), arch), computed(model, arch), atol=1e-4,
            err_msg=f"{kind.arch} writes {name} to no file, or another value: correct "
            "Files",
        )


@pytest.mark.kernels
@pytest.mark.parametrize(
    ("arch", "name"), [s for s in OPTIONAL if architecture(s[0]).Model in HANDLED]
)
def test_the_compiled_decoder_is_the_model_or_refuses_it(arch, name, monkeypatch):
    model = in_float32(model_with(arch, name)[0])
    try:
        decoder = Decoder(model)
    except ValueError as refused:
        assert f"the setting {name}=" in str(refused)
        return
    for read, short in ((3, 128), (4, 128), (4, 0)):  # a prompt, a token more, a long prompt
        monkeypatch.setattr(fast_decoder, "SHORT", short)
        np.testing.assert_allclose(
            decoder(list(IDX_BT[:, :read])), model.next_logits(IDX_BT[:, :read]), atol=1e-4,
            err_msg=f"npgpt/fast/storage.py has {name} in HANDLED; it is not computed",
        )


def test_a_setting_that_the_compiled_decoder_does_not_know_takes_the_plain_path(monkeypatch):
    monkeypatch.setitem(HANDLED, GPT, HANDLED[GPT] - {"bias"})
    config = architecture("gpt").small_model(0)[0].config
    model = use_storage(GPT(replace(config, bias=False)), "fp32")
    assert isinstance(model.decoder(), CachedLogits)
    with pytest.raises(ValueError, match="GPT .*fp32"):
        use_storage(model, "int8")
