"""Rows written twice, by brute force, and every number of 12_rows.md computed again."""

import math
import re
from collections import defaultdict

import letter_rows
import numpy as np
import pytest
import study_numbers as sn

REPORT = "12_rows.md"
SMALL = {"letters": "abcd", "shortest": 1, "longest": 3}


def every_row():
    """Yield (tokens, probability) of all small rows: every way through the choices, once."""
    paths = [()]
    while paths:
        path = paths.pop()
        probability, step = 1.0, 0

        def choose(options, path=path):
            nonlocal probability, step
            if step == len(path):
                raise _Open(options)
            probability, step = probability / options, step + 1
            return path[step - 1]

        try:
            yield letter_rows.row(choose, **SMALL), probability
        except _Open as end:
            paths += [(*path, i) for i in range(end.args[0])]


class _Open(Exception):
    pass


def test_the_entropy_is_that_of_all_rows():
    texts, length = defaultdict(float), 0.0
    for tokens, probability in every_row():
        texts["".join(t.text for t in tokens)] += probability
        length += probability * len(tokens)
    assert sum(texts.values()) == pytest.approx(1, abs=1e-14)
    entropy = -sum(p * math.log(p) for p in texts.values())
    assert letter_rows.expectation(**SMALL) == pytest.approx((entropy, length), abs=1e-13)


def test_the_least_loss_on_a_token_is_its_conditional_probability():
    prefixes, found = defaultdict(float), list(every_row())
    for tokens, probability in found:
        for i in range(len(tokens) + 1):
            prefixes[tuple(t.text for t in tokens[:i])] += probability
    for tokens, _ in found:
        text = tuple(t.text for t in tokens)
        for i, token in enumerate(tokens):
            nats = math.log(prefixes[text[:i]] / prefixes[text[: i + 1]])
            assert token.nats == pytest.approx(nats, abs=1e-13)


def test_drawn_rows_have_the_entropy_and_every_kind():
    nats, length = letter_rows.expectation()
    some = letter_rows.rows(4000, seed=1)
    totals = np.array([(sum(t.nats for t in row), len(row)) for row in some])
    error = totals.std(axis=0) / len(some) ** 0.5
    assert (np.abs(totals.mean(axis=0) - (nats, length)) < 4 * error).all()
    assert {t.kind for row in some for t in row} == set(letter_rows.KINDS)
    assert {t.text for row in some for t in row} == set(letter_rows.TOKENS)


# ---- the numbers of the report


def test_every_effect_and_interval_comes_out_again():
    assert sum(map(len, sn.of_parts().values())) == 42
    for name in sn.EFFECTS:
        cells = [name]
        for text in ("rows", "tales"):
            mean, low, high = map(sn.of_percent, sn.of_parts()[text][name])
            cells += ["10", mean, f"{low} to {high}", sn.found_in(*sn.of_parts()[text][name]),
                      sn.arms_and_rates()[text, sn.EFFECTS[name][0]][1]]
        assert f"\n| {' | '.join(cells)} |\n" in sn.report(REPORT)


def test_the_ends_of_every_arm_come_out_again():
    table = sn.tables_of(REPORT)["arms"]
    for (text, arm), excess in sn.arms().items():
        ends = re.escape(sn.ends_of(np.array([*excess.values()])))
        assert re.search(rf"^\| {text.title()} \| {arm} \| .*{ends}$", table, re.M), (text, arm)
    assert len(sn.arms()) == len(re.findall(r"^\| (?:Rows|Tales) \|", table, re.M)) == 46


def test_the_base_at_a_rate_between_comes_out_again():
    stored, arms, between = sn.rows("12_rows.jsonl"), sn.arms(), sn.between()
    lower = {s["seed"]: r["excess"] for s, r in stored if s.get("text") == "rows"
             and not s["tied"] and s["lr"] == 2e-3}
    base, untied = (arms["rows", arm] for arm in ("base", "untied"))
    taken = []  # mean, low, high in percent
    for a, b in ((between, base), (untied, between), (lower, between), (untied, base),
                 (lower, base)):
        mean, low, high = sn.student(np.log([a[s] / b[s] for s in range(2, 12)]))
        taken.append(100 - 100 * np.exp([mean, high, low]))
    means = [mean for mean, *_ in taken[1:]]
    by_rates = f"{min(means):.0f} to {max(means):.0f} %"
    sn.assert_says(
        REPORT,
        "base {:.0f} % lower ({:.0f} to {:.0f}) untied {:.0f} % ({:.0f} to {:.0f}) at 0.002 "
        "{:.0f} % ({:.0f} to {:.0f})".format(*np.concatenate(taken[:3])),
        f"Untied {by_rates} on rows")
    sn.assert_says("CLAIMS.md", f"reverse shown on rows, {by_rates}")
    sn.assert_says(sn.CONCEPTS, f"untied {by_rates} one head cannot")


def test_rates_by_three_seeds_come_out_again():
    words = {arm: sn.found_in(*sn.of_parts()["rows"][arm]) for arm in sn.beside_the_base()}
    assert words == {arm: sn.found_in(*x) for arm, x in sn.beside_the_base().items()}
    relu = f"{100 * np.expm1(sn.beside_the_base()['ReLU'][0]):.0f} % at rates by three seeds"
    sn.assert_says(REPORT, f"ReLU {relu}")
    sn.assert_says(sn.CONCEPTS, f"ReLU adds {relu}")
    for arm, (rate, excess, near) in sn.finer().items():
        assert [*excess] == [*range(2, 12)]
        cells = ["", "", ""]
        if arm != "base":
            ends = sn.beside_the_base()[arm]
            mean, low, high = map(sn.of_percent, ends)
            cells = [mean, f"{low} to {high}", sn.found_in(*ends)]
        line = [arm, f"{rate:g}", near, "10", f"{np.median([*excess.values()]):.4f}", *cells]
        assert f"| {' | '.join(line)} |\n" in sn.tables_of(REPORT)["finer"], line


def test_what_was_first_run_at_another_rate_comes_out_again():
    first = {}
    for s, r in sn.rows("12_rows.jsonl"):
        if s.get("text", "tales") == "tales" and s["lr"] == 8e-3 and s["seed"] > 1:
            for arm, changes in (("no positions", {"variant": "no positions", "n_head": 4}),
                                 ("sinusoids", {"variant": "sinusoids", "n_head": 4}),
                                 ("2 heads", {"variant": "GPT", "n_head": 2})):
                if changes.items() <= s.items() and s["init"] != "0.02":
                    first.setdefault(arm, {})[s["seed"]] = r["excess"]
    assert [*first] == ["no positions", "sinusoids", "2 heads"]
    assert {tuple(sorted(x)) for x in first.values()} == {(2, 3, 4, 5, 6)}
    x = np.log([y / sn.arms()["tales", "base"][seed] for seed, y in first["no positions"].items()])
    sn.assert_says(REPORT, "no positions, sinusoids and 2 heads 0.008 five no positions {:.0f} % "
                           "{:.0f} to {:.0f}".format(*100 * np.expm1(sn.student(x))))


def test_every_quoted_number_comes_out_again():
    arms, parts = sn.arms(), sn.of_parts()
    on, tales = ({name: 100 * np.expm1(x[0]) for name, x in parts[text].items()}
                 for text in ("rows", "tales"))
    needed = ["1 block", "no residuals", "no positions", "4 heads, undivided",
              "undivided (beside 1 head)"]
    deep = np.log([x / arms["rows", "8 blocks"][s]
                   for s, x in arms["rows", "8 blocks, post-norm"].items()])
    first = {(s["variant"], s["lr"]): r["excess"] for s, r in sn.rows("12_rows.jsonl")
             if s.get("text") == "rows" and s["seed"] == 1 and s["n_layer"] == 2
             and s["n_head"] == 4 and s["init"] != "0.02" and s["tied"] and s["warm_up"]
             and s["steps"] == 1000 and s["optimizer"] == "AdamW" and s["decay"] == 0.1}
    assert first["no residuals", 2e-3] > first["no residuals", 1e-3]
    of = {arm: np.median([*x.values()]) for (text, arm), x in arms.items() if text == "rows"}
    nats, length = letter_rows.expectation()
    entropy = nats / length
    words = {text: [sn.found_in(*x) for x in found.values()] for text, found in parts.items()}
    beyond = [int(word.split()[-2]) for word in words["tales"] if word.startswith("not")]
    assert {sn.found_in(*parts["rows"][name]) for name in needed} == {"shown"}
    assert min(on[c] for c in ("post-norm", "no norm", "weights of 0.02")) > on["1 block"]
    assert np.expm1(parts["tales"]["post-norm"][2]) > 0.2 > tales["post-norm"] / 100
    other = [sn.found_in(*x) for name, x in parts["rows"].items()
             if name not in (*needed, "1 head")]
    assert len(other) == 15
    gates = max(float(sn.found_in(*parts["tales"][c]).split()[-2])
                for c in ("ReLU", "squared ReLU", "SwiGLU"))
    least, most = (1 + end(on[c] for c in needed) / 100 for end in (min, max))
    sn.assert_says(
        REPORT,
        f"excess {least:.1f} to {most:.1f} times",
        f"without residual connections {tales['no residuals']:.0f} % division "
        f"{tales['4 heads, undivided']:.0f} % (four heads) "
        f"{tales['undivided (beside 1 head)']:.0f} % (one)",
        f"medians {of['1 block'] / of['base']:.1f} {of['1 head'] / of['base']:.2f} times",
        "post-norm {:.0f} % above pre-norm ({:.0f} to {:.0f})".format(
            *100 * np.expm1(sn.student(deep))),
        "tales post-norm {:.0f} % ({:.0f} to {:.0f})".format(
            *100 * np.expm1(parts["tales"]["post-norm"])),
        f"ReLU squared ReLU SwiGLU ({on['ReLU']:.0f} {on['squared ReLU']:.0f} "
        f"{on['SwiGLU']:.0f} %; not shown beyond {gates:.0f} % on tales",
        f"rotary positions tales {-tales['rotary']:.0f} % smaller",
        f"QK-norm {sn.found_in(*parts['rows']['QK-norm'])}",
        f"four {on['4 blocks']:.0f} % above two",
        f"{100 * of['post-norm'] / entropy:.0f} % of the entropy already",
        f"8 blocks {100 * of['8 blocks'] / entropy:.0f} %",
        f"entropy {entropy:.3f} nats rows {sn.entropy_of_tales():.3f}",
        f"seed 1 of the base {100 * first['GPT', 4e-3] / entropy:.0f} % above",
        f"{other.count('shown')} shown 1 {sn.found_in(*parts['rows']['QK-norm'])} "
        f"{other.count('cannot be told')} cannot be told",
        f"{words['tales'].count('shown')} shown {len(beyond)} not shown beyond {max(beyond)} %")
    norms = sn.moderated(sn.of_settings())
    deeper = [np.expm1(norms[f"post-norm (beside pre-norm, {n} blocks)"][0]) for n in (4, 12)]
    assert np.round(1 + on["post-norm"] / 100) == 7 and np.round(deeper, 1).tolist() == [0.7, 0.7]
    assert np.mean([*arms["tales", "base"].values()]) < 0.03 * sn.entropy_of_tales()
    sn.assert_says(
        sn.CONCEPTS,
        f"tales {tales['post-norm']:.0f} % larger",
        f"take off {100 - 100 / least:.0f} to {100 - 100 / most:.0f} % excess on rows",
        f"ReLU adds {on['ReLU']:.0f} % untied",
        f"LayerNorm.** {on['no norm']:.0f} % tales {tales['no norm']:+.0f} %",
        f"SwiGLU** {on['SwiGLU']:.0f} % Llama's {-tales['Llama']:.0f} % rotary "
        "{:.0f} % {:.0f} {:.0f}".format(*-100 * np.expm1(parts["tales"]["rotary"])[[0, 2, 1]]),
        f"rows four {on['4 blocks']:.0f} % more than two")


def test_nulls_on_tales_are_on_a_plateau():
    arms, base = sn.arms(), sn.arms()["tales", "base"]
    ends = np.concatenate([[*x.values()] for (text, _), x in arms.items() if text == "tales"])
    near = ((ends >= 0.036) & (ends < 0.04)).sum()
    assert 0.45 < near / len(ends) < 0.55  # "half"
    short, long = (np.median([r["excess"] for r in sn.at_best(
        lambda r: r["excess"], optimizer="AdamW", text="tales", steps=steps)[1].values()])
        for steps in (800, 3200))
    assert 0.15 < long / short < 0.25  # "a fifth"
    copies = [r["skills"]["mention"][r["skills"]["steps"].index(732)] for s, r in sn.rows(
        "13_skills.jsonl") if s.get("n_embd") == 64 and s.get("text", "tales") == "tales"]
    assert len(copies) == 3
    post = arms["tales", "post-norm"]
    logs = np.log([x / base[seed] for seed, x in post.items()])
    middle, late = 100 * np.expm1(np.median(logs)), np.argmax([*post.values()])
    without = [sn.student(np.delete(logs, i)) for i in range(10)]
    alone = "+{:.0f} % ({:.0f} to {:.0f})".format(*100 * np.expm1(without[late]))
    rates = [sn.arms_and_rates()[text, "base"][1].replace(",", " and") for text in sn.BASES]
    sn.assert_says(
        REPORT,
        f"{near} of {len(ends)} runs end from 0.036 to 0.040 a fifth",
        f"at {np.median([*base.values()]):.3f} and at {long:.4f} after 3,200",
        f"{min(copies):.3f} to {max(copies):.3f} nats after 732 of 1,600 steps",
        f"{middle:.0f} % in the median", f"without its one late run {alone}",
        f"{sum(low < 0 for _, low, _ in without)} of 9 intervals contain 0",
        f"base {rates[0]} on rows {rates[1]} on tales")
    by_chance = f"{0.05 * 42:.0f} of 42 true zeros"
    sn.assert_says("CLAIMS.md", f"{middle:.0f} % in the median", by_chance)
    sn.assert_says(sn.CONCEPTS, "half of the runs 0.036 to 0.040 nats")
    llama = {s["lr"]: r["excess"] for s, r in sn.rows("12_rows.jsonl") if s["variant"] == "Llama"
             and s.get("text", "tales") == "tales" and s["seed"] == 1}
    low, high = sorted(llama.values())[:2]
    sn.assert_says("CLAIMS.md", f"tied with seed 1 ({low:.4f} and {high:.4f}")


def test_the_interaction_is_a_paired_difference():
    arms = sn.arms()
    seeds = sorted(arms["rows", "base"])
    of = {arm: np.log([arms["rows", arm][s] for s in seeds])
          for arm in ("base", "post-norm", "8 blocks", "8 blocks, post-norm")}
    more = of["8 blocks, post-norm"] - of["8 blocks"] - of["post-norm"] + of["base"]
    assert len(more) == 10
    mean, low, high = map(sn.of_percent, sn.student(more))
    sn.assert_says(REPORT, f"found {mean} ({low} to {high})")
