"""What the studies measure with: texts of known entropy, tasks with known answers, models."""

import importlib
import math
from collections import Counter, defaultdict

import letter_rows
import numpy as np
import pytest
from hypothesis import given

pytest.importorskip("pandas", reason="of the extra 'studies'")
import family_models
import family_tasks as tasks
import reward_trials
from ablation_trials import LONGEST, SGD, AdamL2, InOrder, entropy, new_model, stories, tokenizer
from almanac import LONGEST as LONGEST_TOLD
from almanac import Almanac, tokens
from reward_language import language, texts
from small_grammars import derivations, grammars
from variants import VARIANTS

from autograd import Tensor, gradcheck
from npgpt import GPTConfig, tales
from npgpt.evaluation.grammar_loss import spans_log_probability
from npgpt.models.size import parameters_by_part
from npgpt.optim import AdamW

# ---- models and optimizers


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_has_the_gradients_of_finite_differences(name):
    config = GPTConfig(vocab_size=7, block_size=5, n_layer=2, n_head=2, n_embd=8)
    model = VARIANTS[name](config, seed=1, dtype=np.float64)
    rng = np.random.default_rng(1)
    for weight in model.parameters().values():
        weight.data[...] = rng.normal(1.0 if weight.ndim == 1 else 0.0, 0.5, weight.shape)
    x_BT, y_BT = rng.integers(0, 7, (2, 2, 5))
    report = gradcheck(lambda **_: model(x_BT, y_BT)[1], model.parameters())
    assert len(report.inputs) == len(model.parameters())


def test_variants_are_as_large_as_the_base():
    sizes = {name: new_model({"variant": name}).num_parameters() for name in VARIANTS}
    for name, size in sizes.items():
        without_positions = name in ("no positions", "sinusoids", "rotary", "Llama")
        assert size == pytest.approx(sizes["GPT"] - 64 * LONGEST * without_positions, rel=0.005)


@pytest.mark.parametrize("name", VARIANTS)
def test_only_without_the_mask_does_a_position_see_what_comes_after_it(name):
    model = new_model({"variant": name})
    x_BT = np.arange(20)[None]
    changed_BT = np.append(x_BT[:, :-1], [[99]], axis=1)
    before = [model.hidden(ids_BT).data[0, :-1] for ids_BT in (x_BT, changed_BT)]
    assert np.allclose(*before, rtol=1e-4, atol=1e-5) == (name != "leaking")


def test_post_norm_leaves_every_position_with_mean_0_and_variance_1():
    x_BTC = new_model({"variant": "post-norm"}).hidden(np.arange(20)[None]).data
    np.testing.assert_allclose(x_BTC.mean(axis=-1), 0, atol=1e-5)
    np.testing.assert_allclose(x_BTC.var(axis=-1), 1, rtol=1e-2)


def _weight():
    w = Tensor(np.array([[1.0, -2.0]]), requires_grad=True)
    w.grad = np.array([[0.3, 0.1]])
    return w


def test_l2_is_a_part_of_the_gradient():
    found, expected = _weight(), _weight()
    AdamL2({"w": found}, lr=0.1, weight_decay=0.5, grad_clip=0).step()
    expected.grad = expected.grad + 0.5 * expected.data
    AdamW({"w": expected}, lr=0.1, weight_decay=0.0, grad_clip=0).step()
    np.testing.assert_allclose(found.data, expected.data)


def test_momentum_adds_up_gradients():
    w = _weight()
    optimizer = SGD({"w": w}, betas=(0.9, 0.99), weight_decay=0.0, grad_clip=0)
    optimizer.step(0.1)
    optimizer.step(0.1)
    np.testing.assert_allclose(w.data, [[0.97 - 0.057, -2.01 - 0.019]])
    w.grad = w.grad * 100
    assert optimizer.step(0.1) == pytest.approx(100 * 0.1**0.5)


# ---- texts


def every_row(**shape):
    """Yield (tokens, probability) of all rows: every way through the choices, once."""
    paths = [()]
    while paths:
        path, open_ = paths.pop(), []
        left = iter(path)
        chance = 1.0

        def choose(options, left=left, open_=open_):
            nonlocal chance
            chance /= options
            if (taken := next(left, None)) is None:
                open_.append(options)
                raise StopIteration
            return taken

        try:
            yield letter_rows.row(choose, **shape), chance
        except StopIteration:
            paths += [(*path, i) for i in range(open_[0])]


def test_rows_have_the_entropy_and_the_losses_of_all_rows():
    small = {"letters": "abcd", "shortest": 1, "longest": 3}
    found, prefixes = list(every_row(**small)), defaultdict(float)
    for row, chance in found:
        for i in range(len(row) + 1):
            prefixes["".join(token.text for token in row[:i])] += chance
    assert prefixes[""] == pytest.approx(1)
    for row, _ in found:
        text = ""
        for token in row:
            nats = math.log(prefixes[text] / prefixes[text + token.text])
            assert token.nats == pytest.approx(nats, abs=1e-13)
            text += token.text
    expected = [sum(chance * of(row) for row, chance in found) for of in (
        lambda row: sum(token.nats for token in row), len)]
    assert letter_rows.expectation(**small) == pytest.approx(expected, abs=1e-13)


def test_a_row_of_a_batch_is_one_story_and_its_floor_that_of_the_grammar():
    some = stories("test")
    for x_T, y_T, nats in zip(*(array[:50] for array in some), strict=True):
        length = (y_T >= 0).sum()
        np.testing.assert_array_equal(x_T[1:length], y_T[: length - 1])
        text = tokenizer().decode(y_T[:length])
        assert nats == -tales.log_probability(text)
    assert entropy("tales") == pytest.approx(1.393, abs=1e-3)
    assert entropy("rows") == pytest.approx(stories("test", "rows").nats_N.sum()
                                            / (stories("test", "rows").y_NT >= 0).sum(), rel=0.02)


@pytest.mark.slow
def test_no_story_is_read_twice_unless_it_is_asked_for():
    def rows(n):
        objective = InOrder(1, n)
        batches = (objective.sample(stories("train"), 0, 8, seed=1, step=s) for s in range(100))
        return {x_T.tobytes() for batch in batches for x_T in batch.inputs[0]}

    assert [len(rows(0)), len(rows(16))] == [800, 16]


@pytest.mark.slow
def test_the_almanacs_entropy_is_that_of_what_it_writes():
    almanac = Almanac()
    told = almanac.stories(20_000, seed=3)
    nats = -np.array([almanac.grammar.log_probability(story) for story in told])
    length = np.array([len(almanac.tokenizer.encode(story)) for story in told])
    assert length.max() <= LONGEST_TOLD and list(length) == [tokens(story) for story in told]
    assert length.mean() == pytest.approx(almanac.mean_length, abs=4 * length.std() / 20_000**0.5)
    whole, error = almanac.entropy * almanac.mean_length, nats.std() / 20_000**0.5
    assert abs(nats.mean() - whole) < 4 * error < 0.02 * whole
    assert all(almanac.form.parse(story) for story in told[:100])


@pytest.mark.slow
def test_in_an_even_choice_of_stories_everybody_is_met_as_often_as_is_expected():
    almanac = Almanac()
    people, leads = almanac.grammar.lists["person"], {
        person.lead for person in almanac.grammar.lists["person"]}

    def misses(even):
        told = almanac.stories(4000, seed=1, even=even)
        met = Counter(o.lead for story in told for o in almanac.grammar.parse(story)
                      if o.lead in leads)
        return max(abs(met[person.lead] - person.probability * met.total())
                   for person in people[:20])

    assert misses(even=True) < 3 < 10 < misses(even=False)


@given(grammars())
def test_all_texts_of_a_grammar(grammar):
    assert list(texts(grammar)) == [text for text, _ in derivations(grammar)]


# ---- tasks


@pytest.fixture(scope="module")
def told():
    return family_models.told(100_000, seed=3)


def test_families_have_equal_parameters():
    sizes = [sum(parameters_by_part(family_models.model_config(
        family, tokenizer().vocab_size)).values()) for family in family_models.FAMILIES]
    assert max(sizes) < 1.03 * min(sizes)


def test_words_are_tokens_and_every_story_comes_back(told):
    assert all(tokenizer().decode(tokenizer().encode(story)) == story for story in told)
    assert [tokenizer().pieces[i] for i in tokenizer().encode(" Badado sat.")] == [
        " Ba", "da", "do", " sat", "."]


def test_the_odds_of_a_hidden_word_are_those_of_a_hidden_span(told):
    for hidden in tasks.hidden_words(tokenizer(), told[:60]):
        word = tokenizer().pieces[hidden.words_K[hidden.right]]
        before, story = map(tokenizer().decode, (hidden.ids_T[: hidden.at], hidden.ids_T))
        span = len(before) + 1, len(before) + len(word)
        nats = spans_log_probability(tales.GRAMMAR, story, [span], longest=10)
        assert np.log(hidden.odds_K[hidden.right]) == pytest.approx(nats, abs=1e-9)


def test_words_count_up_to_the_first_that_the_grammar_forbids(told, monkeypatch):
    for story in told[:20]:
        ids = tokenizer().encode(story).tolist()
        given, cut = len(ids) // 3, ids[: len(ids) - 3]
        for at in (given, given + 9, None):  # None: without a fault
            written = cut if at is None else [*cut[:at], tokenizer().ids["?"], *cut[at + 1 :]]
            for end in ([], ids[len(cut) :]):
                ids_told = [*written, *end]
                monkeypatch.setitem(tasks.WRITES, "gpt", lambda *_, ids=ids_told: ids)
                shown = tasks.go_on("gpt", None, tokenizer(), [story])
                assert shown["whole"] == (at is None and bool(end))
                right = (len(ids_told) if at is None else at) - given
                assert shown["allowed"] == pytest.approx(right / (len(ids_told) - given))


@pytest.mark.slow
def test_dpo_is_trained_on_the_first_32_of_its_256_pairs():
    reference, verify = reward_trials.start(1), reward_trials.GrammarVerifier(
        language(), language().grammar)
    pool = reward_trials.pairs(reference, verify, np.random.default_rng(1))

    def trained_on(pool):
        model, config = reward_trials.start(1), reward_trials.RewardConfig(
            reward="grammar", lr=3e-3, reward_kl=0.1, max_iters=2,
            **reward_trials.TRAINING)
        objective = reward_trials.Switched(
            None, model, reference, verify, language().prompt_P, config)
        objective.pool = pool
        optimizer = reward_trials.make_optimizer(model, config)
        for _ in reward_trials.training_steps(model, optimizer, None, config, objective=objective):
            pass
        return np.concatenate([weight.data.ravel() for weight in model.parameters().values()])

    assert len(pool) == 2 * 256
    found, same = trained_on(pool), trained_on(np.concatenate([pool[:64], pool[:63:-1]]))
    np.testing.assert_array_equal(found, same)
    assert (found != trained_on(pool[::-1])).any()


def test_new_requests_are_in_no_trained_conversation():
    study = importlib.import_module("16_talk")
    _, training = study.from_preset("answers", seed=1)
    talks = study.open_conversations(training, ("tales",), 128, kind="words")
    fresh = study.new_requests(talks, 50)
    asked = {talk.question.prompt for talk in fresh.talks}
    assert len(asked) == 50 and {talk.question.kind for talk in fresh.talks} == {"story"}
    assert not asked & {talk.question.prompt for talk in talks.train_ids.talks}
