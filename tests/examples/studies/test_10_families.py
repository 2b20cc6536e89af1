"""The tasks of the families on known stories, and every number of 10_families.md again."""

import itertools
import re

import numpy as np
import pytest

pytest.importorskip("pandas", reason="of the extra 'studies'")
import family_models
import family_tasks as tasks
import study_numbers as sn
from scipy import stats
from small_grammars import texts_of

from npgpt import tales
from npgpt.families.floors import spans_log_probability
from npgpt.families.size import parameters_by_part
from npgpt.tales.grammar import Grammar

REPORT = "10_families.md"
FAMILIES = sn.rows("10_families.jsonl")


@pytest.fixture(scope="module")
def tokenizer():
    return family_models.WordTokenizer("".join(family_models.told(600_000, seed=0)))


@pytest.fixture(scope="module")
def stories():
    return family_models.told(100_000, seed=3)


def test_families_have_equal_flops():
    found = [of_family(family, "training", "flops") for family in family_models.FAMILIES]
    assert len(np.unique(found)) == 1 and np.size(found) == 9


def test_families_have_equal_parameters(tokenizer, stories):
    sizes = [
        sum(parameters_by_part(family_models.model_config(family, tokenizer.vocab_size)).values())
        for family in family_models.FAMILIES
    ]
    assert max(sizes) < 1.03 * min(sizes)


def test_words_are_tokens_and_every_story_comes_back(tokenizer, stories):
    for story in stories:
        assert tokenizer.decode(tokenizer.encode(story)) == story
    assert [tokenizer.pieces[i] for i in tokenizer.encode(" Badado sat.")] == [
        " Ba", "da", "do", " sat", "."
    ]


def test_the_odds_of_a_hidden_word_are_those_of_a_hidden_span(tokenizer, stories):
    for hidden in tasks.hidden_words(tokenizer, stories[:60]):
        word = tokenizer.pieces[hidden.words_K[hidden.right]]
        before = tokenizer.decode(hidden.ids_T[: hidden.at])
        span = len(before) + 1, len(before) + len(word)
        nats = spans_log_probability(
            tales.GRAMMAR, tokenizer.decode(hidden.ids_T), [span], longest=10
        )
        assert np.log(hidden.odds_K[hidden.right]) == pytest.approx(nats, abs=1e-9)


def test_a_story_told_anew_is_one_and_comes_back(tokenizer, stories):
    anew = [(story, tasks.swapped(story)) for story in stories]
    assert any(other is None for _, other in anew)
    for story, other in (pair for pair in anew if pair[1]):
        assert other != story and tales.log_probability(other) is not None
        assert tasks.swapped(other) == story
    assert tasks.swapped(
        "One dawn shy King Dadado of Dadadia lost his red map in Dadadia. A shy red dog found it "
        "near a red mill, so he kissed the dog on its head.\n\n"
    ) == (
        "One dawn shy Queen Dadada of Dadadia lost her red map in Dadadia. A shy red dog found it "
        "near a red mill, so she kissed the dog on its head.\n\n"
    )


def test_words_count_up_to_the_first_that_the_grammar_forbids(tokenizer, stories, monkeypatch):
    for story in stories[:20]:
        ids = tokenizer.encode(story).tolist()
        given, cut = len(ids) // 3, ids[: len(ids) - 3]
        for at in (given, given + 9, None):  # None: without a fault
            written = cut if at is None else [*cut[:at], tokenizer.ids["?"], *cut[at + 1 :]]
            for end in ([], ids[len(cut) :]):
                new = [[*written[given:], *end]]
                monkeypatch.setitem(tasks.WRITES, "gpt", lambda *_, new=new: new)
                shown = tasks.go_on("gpt", None, tokenizer, [story])
                assert shown["whole"] == (at is None and bool(end))
                right = len(new[0]) if at is None else at - given
                assert shown["allowed"] == pytest.approx(right / len(new[0]))


def test_it_is_the_animal_or_what_is_in_its_way(tokenizer, stories):
    ids_NT, meant_N, fold_N = tasks.crossings(tokenizer, stories)
    words = [[tokenizer.pieces[i].strip() for i in ids_T] for ids_T in ids_NT]
    for row, meant, fold in zip(words, meant_N, fold_N, strict=True):
        assert [row[tasks.READ_AT[at]] for at in ("it", "it, later")] == ["it", ","]
        assert row[-2] == tasks.REASONS[fold][int(meant)]
    assert {first for first, _ in tasks.REASONS} == {"tired", "hungry", "thirsty", "cold", "sad",
                                                    "scared"}
    for fold in range(6):
        assert 0 < meant_N[fold_N == fold].sum() * 2 == (fold_N == fold).sum()


# ---- the numbers of the report


def of_family(family, *keys):
    """Return a number of each seed."""
    found = [result for settings, result in FAMILIES if settings["family"] == family]
    for key in keys:
        found = [of[key] for of in found]
    return np.array(found, float)


def above_the_best(family, way):
    return of_family(family, "word", f"{way} nats") - of_family(family, "word", "best nats")


def spread(numbers, decimals=0, unit=" %"):
    """Return the mean, and the least and the largest if they differ."""
    mean, low, high = (f"{x:.{decimals}f}" for x in (numbers.mean(), min(numbers), max(numbers)))
    return f"{mean}{unit}" if low == high else f"{mean}{unit} ({low} to {high})"


def shares(family, *columns):
    return [spread(100 * of_family(family, *column)) for column in columns]


def test_every_cell_of_the_tables_comes_out_again():
    def nats(*who):
        return spread(above_the_best(*who), 2, "")

    names = {"gpt": "GPT", "bert": "BERT", "t5": "T5"}
    ways = {"GPT, from the left": ("gpt", "left"), "GPT, tries each word": ("gpt", "both"),
            "BERT, from both sides": ("bert", "both"), "T5, from both sides": ("t5", "both")}
    whole, exact = ("go on", "whole"), ("rewrite", "exact")
    it, later = ([("pronoun", of, key) for of in ("it", "it, later")]
                 for key in ("share", "untrained"))
    continuing, longer = "T5, trained to continue", "GPT, 4 times as long"
    words = [(name, nats(*who), *shares(who[0], ("word", f"{who[1]} share")))
             for name, who in ways.items()]
    stories = [(name, *shares(of, whole, ("go on", "allowed"))) for of, name in
               {"gpt": "GPT", "bert": "BERT", "t5, prefixes": continuing}.items()]
    anew = [(name, *shares(of, exact, ("rewrite", "changed"), ("rewrite", "kept")))
            for of, name in (names | {"gpt, longer": longer}).items()]
    pronouns = [(name + end, *shares(of, *columns)) for of, name in names.items()
                for end, columns in (("", it), (", untrained", later))]
    best = ("the optimum, from both sides", "0", *shares("gpt", ("word", "best share")))
    there = [tuple(line.strip("| ").split(" | ")) for line in sn.report(REPORT).splitlines()
             if line.startswith("| ") and not line.startswith(("| ---", "|  |"))]
    # without the optimum from the left, which the next test computes, and the plan
    assert [row for row in there if "from the left" not in row[0] or "GPT" in row[0]][:-2] == [
        best, *words, *stories, *anew, *pronouns]
    first = {"gpt": f"{words[0][1]} from the left or {words[1][1]} by trying each word",
             "bert": words[2][1], "t5": words[3][1]}
    for family, name in names.items():
        ends = shares("t5, prefixes" if family == "t5" else family, whole)
        row = name, first[family], *ends, *shares(family, exact, *it)
        assert f"| {' | '.join(row)} |" in sn.report(sn.CONCEPTS)


def test_every_quoted_number_comes_out_again():
    def mean(*keys):
        return of_family(*keys).mean()

    def percent(*keys):
        return f"{100 * mean(*keys):.0f} %"

    def size(family):
        return "{:,.0f} and {:,.0f}".format(
            *(mean(family, "training", name) for name in ("parameters", "steps")))

    above = {way: above_the_best(f, which).mean() for way, (f, which) in {
        "left": ("gpt", "left"), "tries": ("gpt", "both"), "bert": ("bert", "both")}.items()}
    stories, longer, continuing = ("go on", "whole"), "gpt, longer", "t5, prefixes"
    exact, kept = ("rewrite", "exact"), ("rewrite", "kept")
    it, later, she = (("pronoun", at) for at in ("it", "it, later", "she"))
    for again, once in zip(*(of_family(f, "training", "loss") for f in (longer, "gpt")),
                           strict=True):
        assert again == pytest.approx(once, abs=3e-4)
    known = [of_family(f, *later, "share") for f in ("gpt", longer, "bert", "t5")]
    six = 100 * np.concatenate(known[:2])
    untrained = 100 * np.concatenate([of_family(family, *at, "untrained")
                                      for family in ("gpt", "bert", "t5") for at in (it, later)])
    assert [100 * seeds.min() > untrained.max() for seeds in known] == [True, True, False, False]
    assert not of_family("gpt", *exact).any()
    sn.assert_says(
        REPORT,
        f"BERT {above['bert']:.2f} nats the left {above['left']:.2f} tries {above['tries']:.2f}",
        f"BERT ends {percent('bert', *stories)} GPT {percent('gpt', *stories)}",
        f"other T5 {percent('t5', *stories)}",
        f"T5 rewrites {percent('t5', *exact)}",
        f"rewrites {percent('bert', *exact)}",
        f"{percent('gpt', *kept)} need only copying",
        f"GPT {size('gpt').replace('and', 'parameters')} steps",
        f"BERT, {size('bert')} T5, {size('t5')}",
        "{:,.0f} BERT {:,.0f} T5 {:,.0f}".format(
            *(mean(family, "rewrite", "pairs") for family in ("gpt", "bert", "t5"))),
        f"{mean('gpt', 'rewrite', 'steps'):.0f} steps {percent('gpt', *kept)} of the words",
        f"T5 continue ends {percent(continuing, *stories)}",
        f"four times {percent(longer, *kept)} {percent(longer, *exact)} of the stories",
        f"as long {mean(longer, 'rewrite', 'pairs'):,.0f} pairs {percent(longer, *kept)}",
        f"ends {shares(continuing, stories)[0]} of stories GPT {shares('gpt', stories)[0]}",
        f"{percent(continuing, 'go on', 'allowed')} of its words GPT's "
        f"{percent('gpt', 'go on', 'allowed')}",
        f"{mean('gpt', *it, 'tested'):.0f} stories six folds",
        f"in {six.mean():.0f} % of stories (six {min(six):.0f} to {max(six):.0f}",
        f"itself it is {percent('gpt', *it, 'share')} chance",
        f"six runs read {six.mean():.0f} % {min(six):.0f} to {max(six):.0f}",
        f"ends {shares(longer, stories)[0]} in place of {percent('gpt', *stories)} probe "
        f"{shares(longer, (*later, 'share'))[0]} in place of {percent('gpt', *later, 'share')}",
        f"(chance {percent('gpt', *she, 'chance')} GPT {shares('gpt', (*she, 'share'))[0]} "
        "untrained {} BERT {} and {} T5 {} and {}".format(
            *(percent(family, *she, which) for family, which in [
                ("gpt", "untrained"), *itertools.product(("bert", "t5"), ("share", "untrained"))])),
        f"T5: {percent(continuing, *stories)} GPT: {percent(longer, *exact)} optimum 1.37 GPT "
        f"{above['left']:.2f}",
        f"untrained {untrained.min():.0f} to {untrained.max():.0f} %")
    sn.assert_says(
        sn.CONCEPTS, f"six GPTs give {six.mean():.0f} ({min(six):.0f} to {max(six):.0f}) "
        f"{percent('gpt', *later, 'share')}",
        f"rewrites none four times {percent(longer, *exact)}",
        f"T5 trained for it (the {percent(continuing, *stories)}",
        f"chance {percent('gpt', *it, 'chance')} untrained {untrained.min():.0f} to "
        f"{untrained.max():.0f} %")
    told = f"{six.mean():.0f} % (six runs {min(six):.0f} to {max(six):.0f}"
    sn.assert_says("CLAIMS.md", f"reason is told, in {told}",
                   f"in {told.replace('(', 'four words later (')}",
                   f"T5 rewrites {percent('t5', *exact)} BERT "
                   f"{percent('bert', *exact)} GPT twice as many {percent(longer, *exact)}")


@pytest.mark.slow
def test_the_optimum_from_the_left_is_that_of_all_stories(tokenizer):
    """Of the words that nothing later depends on, the stories have the first of each list."""
    def first_word(field):
        options = tales.GRAMMAR.lists[field[1]]
        plain = all(len(o.symbols) == 1 and isinstance(o.symbols[0], str) for o in options)
        return options[0].lead if plain else field[0]

    grammar = Grammar({
        name: [(re.sub(r"\{:(\w+)\}", first_word, o.traits[""]), o.traits, o.probability)
               for o in options] for name, options in tales.GRAMMAR.lists.items()})
    stories = texts_of(grammar)
    assert len(stories) == 6072 and sum(stories.values()) == pytest.approx(1)

    def telling(story):
        """Return (what is before, the words, which one) of each word that could be hidden."""
        found = []

        def read(options, so_far):
            at, words = len("".join(so_far)), [o.lead for o in options]
            taken = next(i for i, word in enumerate(words) if story.startswith(word, at))
            if len(words) > 1 and all(map(str.isalpha, words)) and story[at - 1] == " ":
                after = story[at + len(words[taken]) :]
                odds_K = [stories.get(story[:at] + word + after, 0) for word in words]
                if stats.entropy(odds_K) < np.log(len(words)) - 0.1:
                    found.append((story[:at], words, taken))
            return options[taken]

        grammar.write(read)
        return found

    hidden = {story: telling(story) for story in stories}
    chosen = {}  # what is before -> how likely each word is, and hidden
    for story, words in hidden.items():
        for before, options, taken in words:
            chosen.setdefault(before, np.zeros(len(options)))[taken] += stories[story] / len(words)
            others = (before + word + story[len(before + options[taken]) :] for word in options)
            assert {len(hidden[other]) for other in others if other in hidden} == {len(words)}

    for story in [*stories][::97]:
        found = [*tasks._telling(tokenizer, story)]
        assert len(found) == len(hidden[story])
        for h, (before, _, taken) in zip(found, hidden[story], strict=True):
            assert h.right == taken
            assert h.left_K == pytest.approx(chosen[before] / chosen[before].sum(), abs=1e-9)

    told = family_models.told(150_000, seed=1)[:800]
    words = tasks.hidden_words(tokenizer, told)[:400]
    best, left = (np.array([-np.log(getattr(h, odds)[h.right]) for h in words])
                  for odds in ("odds_K", "left_K"))
    saved = np.log([len(h.words_K) for h in words]) - left
    assert len(words) == 400
    assert best.mean() == pytest.approx(of_family("gpt", "word", "best nats")[0])
    share, gap = 100 * np.mean([h.left_K.max() for h in words]), (left - best).mean()
    assert f"| the optimum, from the left | {gap:.2f} | {share:.0f} % |" in sn.report(REPORT)
    gpt, guess = of_family("gpt", "word", "left nats"), of_family("gpt", "word", "guess nats")[0]
    assert (saved + left).mean() == pytest.approx(guess)
    of_one, of_other = (sn.student(reader - gpt) for reader in (left.mean(), guess))
    assert of_one[1] < 0 < of_one[2] and of_other[1] < 0 < of_other[2]
    sn.assert_says(
        REPORT, f"the optimum loses {gap:.2f} nats",
        f"loses {saved.mean():.3f} nats error of {stats.sem(saved):.3f} GPT "
        "{:.3f} nats ({:.3f} to {:.3f} 95 % {:.3f} ({:.3f} to {:.3f})".format(*of_one, *of_other))
