"""Each setting of each kind of model has an effect, and whoever reads settings by hand knows it.

A kind of model and a setting are found here as soon as they exist: values to try follow from types.
"""

from dataclasses import MISSING, field, fields, make_dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest

from autograd import gradcheck
from npgpt import GPT, CharTokenizer
from npgpt.cli.gradcheck import small_model
from npgpt.families import FAMILIES, family
from npgpt.families.size import flops_per_token, parameters_by_part, step_memory
from npgpt.fast.decoder import KNOWN, Decoder
from npgpt.fast.weights import decodes, use_weights
from npgpt.generate import CachedLogits, KVCache
from npgpt.look import page

KINDS = pytest.mark.parametrize("arch", FAMILIES)
OPTIONAL = [
    (arch, f.name) for arch, kind in FAMILIES.items() for f in fields(kind.Config)
    if f.default is not MISSING
]
SETTINGS = pytest.mark.parametrize(("arch", "name"), OPTIONAL)
IDX_BT = np.array([[1, 6, 0, 2], [3, 3, 1, 0]])


def changed(config, name):
    """Return a config in which one setting has a different value, the first that it accepts."""
    before = getattr(config, name)
    values = [not before] if isinstance(before, bool) else [5, 3, 6, 2]
    for value in [before / 2 + 0.3] if isinstance(before, float) else values:
        if value != before:
            try:
                return replace(config, **{name: value})
            except ValueError:
                continue
    raise AssertionError(f"{type(config).__name__}: no value for {name}; add one here")


def model_with(arch, name, seed=0):
    """Return (model, loss) of `small_model` with one different setting."""
    config = small_model(arch, seed)[0].config
    return small_model(arch, seed, **{name: getattr(changed(config, name), name)})


@SETTINGS
def test_the_parameters_are_counted(arch, name):
    model, _ = model_with(arch, name)
    assert sum(parameters_by_part(model.config).values()) == model.num_parameters()
    assert model.num_parameters() == sum(w.size for w in set(model.parameters().values()))


@SETTINGS
def test_a_setting_has_an_effect(arch, name):
    if name == "mlm_head":
        pytest.skip("a model without a head has no loss")
    (model, loss), (plain, of_plain) = model_with(arch, name), small_model(arch, 0)
    assert model.num_parameters() != plain.num_parameters() or loss().item() != of_plain().item()


@SETTINGS
@pytest.mark.slow
def test_the_gradients_are_right_with_each_setting(arch, name):
    if name == "mlm_head":
        pytest.skip("a model without a head has no loss")
    model, loss = model_with(arch, name)
    gradcheck(loss, model.parameters())


@pytest.mark.parametrize(
    ("arch", "name"), [s for s in OPTIONAL if issubclass(family(s[0]).Model, GPT)]
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
    page.make_page(subject, "abc")


def readers_of(arch):
    """Yield (name in the message, settings it knows, call with a model and a folder)."""
    kind = family(arch)
    for size in (parameters_by_part, flops_per_token, lambda config: step_memory(config, 1)):
        yield f"the size of a {arch}", kind.known, lambda m, _, size=size: size(m.config)
    yield "the transformers library's file", kind.known, kind.Model.save_pretrained
    if kind.Model is GPT:
        yield "the compiled decoder", KNOWN, lambda m, _: Decoder(m)
        yield "the page of npgpt look", {*page.SHOWN, "dropout"}, show


@KINDS
def test_a_reader_of_settings_knows_each_or_refuses_it(arch, tmp_path):
    kind, small = family(arch), small_model(arch, 0)[0].config
    names = {f.name for f in fields(kind.Config)}
    small = replace(small, dropout=0.0)
    Config = make_dataclass(
        "Grown", [("window", int, field(default=0))], bases=(kind.Config,), frozen=True
    )
    Config.__post_init__ = lambda self: None  # 0 is no size
    plain = Config(**vars(small))
    for i, (reader, known, read) in enumerate(readers_of(arch)):
        def call(config, i=i, read=read):
            folder = tmp_path / f"{i}-{config}"[:60]
            read(kind.Model(config, dtype=np.float32), folder)

        assert known <= names, f"{reader} knows settings that do not exist"
        call(plain)
        with pytest.raises(ValueError) as refused:
            call(replace(plain, window=3))
            pytest.fail(f"{reader} does not call check_known")
        assert f"{reader} does not know the setting window=3" in str(refused.value)
        for name in sorted(names - known):
            with pytest.raises(ValueError, match=f"{reader} does not know the setting {name}="):
                call(changed(small, name))


def test_a_subclass_of_gpt_takes_the_plain_path():
    """Its arithmetic may differ from the compiled decoder's."""

    class Variant(GPT):
        pass

    config = replace(small_model("gpt", 0)[0].config, dropout=0.0)
    model = use_weights(Variant(config), "fp32")
    assert decodes(GPT(config)) and not decodes(model)
    assert isinstance(model.decoder(), CachedLogits)
    with pytest.raises(ValueError, match="a Variant has float32: use fp32"):
        use_weights(model, "int8")
